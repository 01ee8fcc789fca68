/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What deliver.c and deliver_dispatch.c share: what waits, what is under
 * way. */
#ifndef SUBMIT_DELIVER_DISPATCH_H
#define SUBMIT_DELIVER_DISPATCH_H

#include "submit/deliver_parts.h"

enum { TABLE_SIZE = 4099 };

/* Whose jobs are here. */
struct user {
	uid_t uid;
	size_t jobs;
	size_t running;           /* parts in workers' hands */
	size_t rank;              /* while a share is composed */
	struct user *next;
};

/* A destination that did not answer. */
struct dead {
	char *key;
	int64_t until;            /* monotonic ms */
};

struct dispatcher {
	struct run *run;
	struct destination *table[TABLE_SIZE];
	struct destination **d;
	size_t n;
	struct user *user;
	struct worker **w;
	size_t workers;
	struct dead *dead;
	size_t deads;
	struct job *done, **done_end;
	size_t jobs;
	bool stopping;
	int64_t deadline;         /* of stopping */
	bool lacked;
};

/* --- deliver.c --- */

void part_give(struct destination *d, const struct part *p);
/* A part that was served, or handed back for good: its job moves on. */
void part_settle(struct dispatcher *x, const struct destination *d,
		 struct part *p);
void destination_free(struct dispatcher *x, size_t i);
/* Whether it is; what waits for it is settled then. */
bool destination_left_alone(struct dispatcher *x, struct destination *d);
void note_dead(struct dispatcher *x, const struct destination *d,
	       const struct destination *share);

/* --- deliver_dispatch.c --- */

void user_enter(struct dispatcher *x, struct job *job);
void user_leave(struct dispatcher *x, struct job *job);
/* Fetches what its transports need before anything is dialled or forked. */
void destination_secrets(struct dispatcher *x, const struct destination *d);

#endif
