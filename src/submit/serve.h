/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Serving a destination: its transports, hosts and addresses in order. */
#ifndef SUBMIT_SERVE_H
#define SUBMIT_SERVE_H

#include "submit/part.h"

/* Who hears of a share while it is served. */
struct witness {
	/* successes of a part are recorded */
	void (*success)(void *context, size_t part);
	/* whether to stop before the next message */
	bool (*enough)(void *context);
	/* what somebody has to mend at a transport that is not the only one,
	 * once a process; by its place in the way */
	void (*fault)(void *context, size_t way, const struct outcome *o);
	/* all hosts of a transport refused its login for good */
	void (*refused)(void *context, size_t way, const struct outcome *o);
	void *context;
};

/* Delivers a share: every recipient ends with its outcome, recorded in its
 * entry's journal if it has one, and logged. Where the witness had enough,
 * parts may be left untouched. */
void serve(struct run *run, struct share *share, const struct witness *w);

/* Somebody may have the message from here on, if memory ends before it is
 * known. */
void serve_doubt(void);

#endif
