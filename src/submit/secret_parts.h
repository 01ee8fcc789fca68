/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of secret share; nobody else includes this. Every secret
 * given back is the caller's, to be freed with mem_wipe_string. */
#ifndef SUBMIT_SECRET_PARTS_H
#define SUBMIT_SECRET_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/outcome.h"

enum { SECRET_MAX = 64 * 1024 };

/* The first line of text, without its line end. False, with *what saying why,
 * where it is empty or holds a NUL. */
bool secret_first_line(const struct buf *text, char **out, const char **what)
	MUST_CHECK;

/* The first line of what /bin/sh -c command prints within ms. False:
 * EX_TEMPFAIL; the words say what came of it, never what it printed. */
bool secret_command(const char *command, int64_t ms, char **out,
		    struct outcome *why) MUST_CHECK;

/* The first line of a regular file that others cannot read. False:
 * EX_CONFIG. */
bool secret_file(const char *path, char **out, struct outcome *why)
	MUST_CHECK;
/* The same of a systemd credential. */
bool secret_credential(const char *name, char **out, struct outcome *why)
	MUST_CHECK;
/* The password in the netrc file at path for any of the hosts and this
 * login; *out is NULL where there is none or no such file. False: EX_CONFIG,
 * others can read the file that has it. */
bool secret_netrc(const char *path, const struct list *hosts,
		  const char *login, char **out, struct outcome *why)
	MUST_CHECK;
/* ~/.netrc; the caller frees. NULL: no home. False: EX_TEMPFAIL, the user
 * database gave no answer. */
bool secret_netrc_path(char **path, struct outcome *why) MUST_CHECK;

/* Asks on the terminal; *out is NULL where there is none in the
 * foreground, or nothing was typed. */
void secret_prompt(const char *question, char **out);

#endif
