/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of qdir share; nobody else includes this. */
#ifndef QUEUE_QDIR_PARTS_H
#define QUEUE_QDIR_PARTS_H

#include <fcntl.h>

#include "queue/qdir.h"

/* O_NONBLOCK: a FIFO that somebody put here must not stop us. */
enum { OPEN_FILE = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };

/* "queue: WHAT: " and the words of errno: false. */
bool qdir_failed(struct outcome *why, int exit, const char *what);
/* The exit status of a write that failed, by errno: EX_CANTCREAT, EX_IOERR. */
int qdir_write_exit(void);
/* Whether the file behind fd is (still) the one of this name, and of no other;
 * *st is its. */
bool qdir_is_at(int directory, const char *name, int fd, struct stat *st);
/* A rename that replaces nothing, where the file system can refuse to: 0, or
 * -1 and errno. */
int qdir_rename_new(int from_fd, const char *from, int to_fd, const char *to);

#endif
