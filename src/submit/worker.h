/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A process that serves a share of a destination. */
#ifndef SUBMIT_WORKER_H
#define SUBMIT_WORKER_H

#include <sys/types.h>

#include "submit/part.h"

struct worker {
	struct destination d;     /* the facts, and the parts it was given */
	struct destination *of;
	pid_t pid;
	int fd;                   /* the line to it */
	struct buf in;            /* of a report not yet whole */
	int64_t since;            /* monotonic ms: started */
	enum weight weight;       /* of its parts */
	bool asked;               /* to stop after the message in hand */
	bool ended;               /* by us */
};

/* Starts w->d. False: EX_OSERR. */
bool worker_start(struct worker *w, struct run *run,
		  struct outcome *why) MUST_CHECK;
/* Takes what it says. False: it has ended, and recipients are as it left
 * them: journals taken over, parts that it handed back marked. */
bool worker_hear(struct worker *w, struct run *run);
/* Asks it to stop after the message in hand. */
void worker_ask(struct worker *w);
void worker_end(struct worker *w);

#endif
