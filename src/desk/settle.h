/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An entry after its attempt, settled in the order that loses nothing:
 * outcomes are in the journal, reports are queued and synced, and only then
 * an entry goes.
 */
#ifndef DESK_SETTLE_H
#define DESK_SETTLE_H

#include "config/config.h"
#include "queue/queue.h"
#include "submit/deliver.h"

/* Seconds: what is put off no longer is worth a run's waiting. */
enum { SETTLE_NEAR = 30 * 60 };

struct settler {
	const struct config *config;
	struct queue *queue;
	bool reported;            /* one was queued: there is more to do */
	struct list reports;      /* the ids of those that were queued; whoever
				   * looks for them empties it */
	int64_t put_off;          /* the latest time, monotonic ms, within
				   * SETTLE_NEAR that a rate put an entry off
				   * to; 0: none did */
	int64_t still_from;       /* the earliest time, wall clock, from which
				   * one that it left stands still; 0: none */
	bool hook_hangs;          /* on_failure did not end in time: it is
				   * not run again in this run */
};

/* Queues the reports that are due, of failures and of delays. */
bool settle_reports(struct settler *s, struct entry *e,
		    const struct job *job, struct outcome *why) MUST_CHECK;
/* Whether failures of it are to be told to on_failure, which takes its time;
 * whoever leaves that to the next run loses nothing. */
bool settle_tells(const struct settler *s, const struct entry *e);
/* What can be read and not be sent was accepted all the same: its recipients
 * fail, or wait, like any others, and its sender is told. */
void settle_refused(struct settler *s, struct entry *e,
		    const struct outcome *why);
/* All of it: who has had his time fails, reports are queued, what is pending
 * gets its next time (where a rate is in the way, when its turn comes), and an
 * entry that is done goes. regular: its time before it was made due by hand;
 * 0: none. soon: its next time may be near enough to come in this run. */
bool settle_entry(struct settler *s, struct entry *e, const struct job *job,
		  int64_t regular, bool *soon, struct outcome *why) MUST_CHECK;

#endif
