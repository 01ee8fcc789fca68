/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one way in which a program is run, or a function in a process of its
 * own: with what it reads, bounds for what it writes, and a deadline at which
 * it ends with all that it has started.
 */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/outcome.h"

/* The next piece of what goes to its standard input: its length, 0 at the
 * end, less than 0 if there can be no more: then it is ended before it could
 * take what it has for the whole. The piece has to stay as it is until the
 * next call. */
typedef long child_source(void *context, const char **data);

struct child {
	/* argv[0] is the file that is run, without a search in PATH; NULL:
	 * call is run instead, whose result is the exit status. What call
	 * writes to standard output is the output. */
	const char *const *argv;
	int (*call)(void *context);
	const char *const *environment; /* NULL: ours */

	/* Standard input: a descriptor that stays the caller's; 0: by a pipe.
	 * Whoever would take a part for the whole, should we end in the
	 * middle, gets a file. */
	int file;
	const struct buf *input;        /* NULL: what more gives */
	child_source *more;             /* NULL, too: /dev/null */
	void *context;                  /* of call and more */

	/* Standard output within the buffer's bound; one byte more ends it.
	 * NULL: /dev/null. */
	struct buf *output;
	/* The last of standard error that fits. NULL: it is ours. The same
	 * buffer as output: the last of both, and no bound ends it. */
	struct buf *words;

	int64_t deadline;               /* CLOCK_NEVER: none */
	/* It may ask on the terminal: its process group becomes the
	 * terminal's foreground while it runs, if ours is. */
	bool foreground;
	/* May gain rights by what it runs (a set-id helper, a delivery by
	 * command); others may not. */
	bool may_gain_rights;
	/* Its process group is ended when a signal (SIGTERM, SIGINT, SIGHUP,
	 * SIGQUIT) is to end us, and before we are. */
	bool cut;
	/* So it is, and what it leaves in there is ended with it, too. */
	bool alone;
};

/* Runs it to its end, which is that of the process; what it left in the
 * background is not waited for. True: it ended by itself, and *status is its
 * exit status: 127 where there is no such program, 126 where it cannot be run,
 * EX_OSERR where memory or descriptors lack for that. False: EX_OSERR where no
 * process could be made, or its input not be written; EX_IOERR where that could
 * not be read; EX_TEMPFAIL where it was ended here ("did not end within 60 s",
 * "wrote more than 65536 bytes"; *status is 0) or by a signal (*status is its
 * number). */
bool child_run(const struct child *c, int *status, struct outcome *why)
	MUST_CHECK;

/* A status other than 0 in words: "failed with status 3", "... 127: there is
 * no such command", followed by the last line of words, if there is any.
 * Gives false; EX_TEMPFAIL. */
bool child_failed(int status, const struct buf *words, struct outcome *why);

#endif
