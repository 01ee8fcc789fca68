/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Secrets into the files that they are read from. */
#ifndef DESK_STORE_H
#define DESK_STORE_H

#include <stdbool.h>

#include "base/outcome.h"
#include "config/config.h"

/* Asks for the password of a transport (see secret_ask) and writes the file
 * that it is read from, its own or the usual place, for who will read it.
 * False: EX_CONFIG, nothing would read such a file; EX_NOINPUT; EX_NOPERM or
 * EX_CANTCREAT, and the file is as it was. */
bool store_password(const struct config *c, const char *transport,
		    struct outcome *why) MUST_CHECK;
/* The same for another secret that the configuration has in a file. */
bool store_secret(const struct config *c, const char *path,
		  const char *question, struct outcome *why) MUST_CHECK;

#endif
