/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The serving side of queue/drop.h: what a user may do in a queue that is not
 * his, whoever runs it, posthaste-drop with the queue's group or the queue's
 * owner on a socket. libc alone. What it accepts is checked for form and size;
 * the runner believes none of it.
 */
#ifndef QUEUE_SERVE_H
#define QUEUE_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/outcome.h"
#include "queue/qdir.h"

struct drop_caller {
	uid_t uid;             /* whose entries */
	/* The files written are the queue's owner's, so that an entry has to
	 * say itself whose it is: uid, and that he wrote it ("foreign"). */
	bool by_owner;
	/* What he writes has to come, and to come to its end: as long as it
	 * comes it takes room from others. */
	int all_ms, some_ms;
	/* input that was read already, before what comes */
	const char *input;
	size_t n;
	/* What comes: as read(2) of standard input, which NULL is. */
	ssize_t (*read)(void *context, void *data, size_t n);
	void *context;
};

/* argv: a verb of queue/drop.h and its arguments. Reads standard input, writes
 * standard output. False: EX_USAGE (no such verb), EX_NOINPUT (no such entry of
 * his), EX_DATAERR, EX_CANTCREAT, EX_IOERR. */
bool drop_serve(struct qdir *s, struct drop_caller *c, int argc, char **argv,
		struct outcome *why) MUST_CHECK;
/* Takes the room for a stranger's entry of so many bytes; false: EX_CANTCREAT
 * (there is less than has to stay free), EX_IOERR, and w is abandoned. */
bool drop_take_room(struct qdir_writer *w, int64_t total, struct outcome *why)
	MUST_CHECK;
/* The verb of an order. */
const char *drop_verb(enum order order);
/* Whether there is such a verb, with that many arguments. */
bool drop_serves(int argc, char **argv);

#endif
