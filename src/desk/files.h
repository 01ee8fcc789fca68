/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files that the configuration names, read as they would be for mail. */
#ifndef DESK_FILES_H
#define DESK_FILES_H

#include <stdbool.h>
#include <sys/types.h>

#include "config/config.h"

/* Whose queue it is, who delivers and reads what is needed for that; -1: there
 * is none. */
uid_t files_sender(const struct config *c);
/* Whether we may not read a file that is for another to read, who is the
 * sender: that is no fault of it. */
bool files_denied(const char *path, uid_t sender);
/* The same of the file of a transport's login. */
bool files_login_denied(const struct config *c, const struct transport *t,
			uid_t sender);
/* Adds what is wrong with any of them to the faults of c, and what was not
 * looked at to its warnings. */
void files_check(struct config *c, uid_t sender);

#endif
