/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What this process, and what it starts, may still do with files, by the
 * kernel's Landlock (landlock(7), Linux 5.13); whoever was in it stays in it.
 * Descriptors that are open stay as they are, and so do sockets.
 *
 * It knows places that are open to it and no others, so that what is to be
 * hidden is told by opening all around it, as it is there now. Names, sizes
 * and rights of files are told in any case.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>

#include "base/list.h"
#include "base/outcome.h"

struct sandbox {
	/* Files, and directories with all that is in them, that are not read;
	 * as realpath(3) gives them. */
	struct list hidden;
	struct list shown;         /* within those, and read all the same */
	/* Of this directory, in the root or beside something hidden, nothing
	 * is read but names that match one of these (glob(7), but the first
	 * character is itself; NULL ends them) and what they lead to as links.
	 * NULL: there is none. */
	const char *narrowed;
	const char *const *names;
	bool read_only;            /* nothing is written but to devices, and */
	struct list kept;          /* in these directories */
};

/* Whether both are built of the same. */
bool sandbox_same(const struct sandbox *a, const struct sandbox *b);
/* The version of Landlock that the kernel has; 0: none, or none that we may
 * call: a filter of system calls (systemd's SystemCallFilter=) that does not
 * know it may end whoever does, so that a child tries first. */
int sandbox_version(void);
/* Builds it, version being that, not 0: a descriptor by which any number of
 * processes enter. -1: EX_OSERR. */
int sandbox_build(const struct sandbox *s, int version, struct outcome *why);
/* False (EX_OSERR): nothing has changed but that no new rights can be gained
 * (no-new-privileges). */
bool sandbox_enter(int fd, struct outcome *why) MUST_CHECK;
void sandbox_release(struct sandbox *s);

#endif
