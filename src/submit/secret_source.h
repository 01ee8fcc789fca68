/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a secret is read from: a file, a systemd credential, a command,
 * ~/.netrc, or whoever types it. Of each it is the first line, at most 64 KiB.
 * Every secret given back is the caller's, to be freed with mem_wipe_string. */
#ifndef SUBMIT_SECRET_SOURCE_H
#define SUBMIT_SECRET_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/outcome.h"

/* The first line of what /bin/sh -c command prints within ms. cut: a signal
 * that ends this process ends it, too. False: EX_TEMPFAIL; the words say what
 * came of it, never what it printed. */
bool secret_command(const char *command, int64_t ms, bool cut, char **out,
		    struct outcome *why) MUST_CHECK;

/* The first line of a regular file that others cannot read. False:
 * EX_CONFIG. */
bool secret_file(const char *path, char **out, struct outcome *why)
	MUST_CHECK;
/* The same of a systemd credential, whatever its mode. */
bool secret_credential(const char *name, char **out, struct outcome *why)
	MUST_CHECK;
/* The password in the netrc file at path for any of the hosts and this
 * login; *out is NULL where there is none or no such file. False: EX_CONFIG,
 * others can read the file that has it. */
bool secret_netrc(const char *path, const struct list *hosts,
		  const char *login, char **out, struct outcome *why)
	MUST_CHECK;
/* Asks on the terminal; *out is NULL where there is none in the
 * foreground, or nothing was typed. */
void secret_prompt(const char *question, char **out);

/* A password that somebody types: where standard input is a terminal, the
 * answer to the question on the controlling one, which shows nothing of it;
 * else the first line of standard input, at most 64 KiB. The caller frees it
 * with mem_wipe_string. False (EX_NOINPUT): there is none. */
bool secret_ask(const char *question, char **out, struct outcome *why)
	MUST_CHECK;

#endif
