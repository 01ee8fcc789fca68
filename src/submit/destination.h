/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Recipients to destinations, and what came of it: whoever failed for now and
 * would go another way at the next attempt makes that attempt at once. For
 * deliver.c, which says when a destination is served, and by whom.
 */
#ifndef SUBMIT_DESTINATION_H
#define SUBMIT_DESTINATION_H

#include "submit/part.h"

enum { TABLE_SIZE = 4099, TURNS_SIZE = 251, TURNS_CLASSES = 63 };

/* Whose jobs are here. */
struct user {
	uid_t uid;
	size_t jobs;
	size_t running;           /* parts in workers' hands */
	size_t rank[WEIGHTS];     /* while a share is composed */
	struct user *next;
};

/* How many recipients of a user were put off. */
struct turns {
	uid_t uid;
	int64_t n;
	struct turns *next;
};

/* A transport whose rate is used up. */
struct limited {
	const struct transport *transport;
	int64_t until;            /* monotonic ms */
	int64_t since;            /* wall clock, s */
	struct turns *user[TURNS_SIZE];
	/* the same by the power of two of how many a user has, so that what
	 * comes before one more need not be asked of each of them */
	struct {
		int64_t users, n;
	} class[TURNS_CLASSES];
};

struct worker;

struct dispatcher {
	struct run *run;
	/* all of them: with anything to do, or left alone */
	struct destination *table[TABLE_SIZE];
	struct destination **d;   /* those with parts that wait or run */
	size_t n, next;
	size_t alone;
	struct limited *limited;
	size_t limits;
	struct user *user;
	struct worker **w;
	size_t workers;
	size_t waiting;           /* parts */
	struct job *done, **done_end;
	size_t jobs;
	bool stopping;
	int64_t deadline;         /* of stopping */
	bool lacked;
	bool told;                /* a secret that was waited for is here, or
				   * cannot be had */
};

void destination_free(struct dispatcher *x, struct destination *d);
/* After the last of its parts has gone, and its last worker: it is busy no
 * longer, and freed unless it is left alone. */
void destination_rest(struct dispatcher *x, struct destination *d);
/* One more part that waits there. */
void part_give(struct destination *d, const struct part *p);
/* The last of those. */
struct part part_take(struct dispatcher *x, struct destination *d);
/* A part that was served, or handed back for good: its job moves on, and is
 * done with its last one. d: where it was served; NULL: nobody goes on. */
void part_settle(struct dispatcher *x, const struct destination *d,
		 struct part *p);
/* Whether it did not answer a while ago, and is left alone therefore: all that
 * waits there has failed then, at no cost to the attempts of whoever would go
 * there, unless the next attempt goes another way. */
bool destination_left_alone(struct dispatcher *x, struct destination *d);
/* Whether the rate of its transport is used up: all that waits there is put
 * off then, each to when its turn will come. */
bool destination_put_off(struct dispatcher *x, struct destination *d);
void limited_release(struct limited *l);
/* What the answers of share, which was just served, say of how fast its
 * destination and its transport are. */
void destination_pace(struct dispatcher *x, struct destination *d,
		      const struct destination *share);
/* Leaves it alone if nobody answered to share, which was just served. */
void destination_leave_alone(struct dispatcher *x, struct destination *d,
			     const struct destination *share);

#endif
