/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one verb. The command line delivers one job, the queue's runner many,
 * a report goes the same way.
 */
#ifndef SUBMIT_DELIVER_H
#define SUBMIT_DELIVER_H

#include <stdbool.h>
#include <stddef.h>

#include "mail/envelope.h"
#include "mail/message.h"
#include "submit/run.h"

struct job {
	const char *id;               /* for the log; NULL: not queued */
	const struct account *account;
	struct envelope *envelope;    /* recipients carry state and outcome */
	struct message *message;      /* NULL until a worker opens entry */
	struct entry *entry;          /* the journal; NULL: none */
	uid_t uid;                    /* whose it is, for the log */
	int64_t queued;               /* wall clock, seconds; 0: just now */
};

/* Tries to deliver every pending recipient of every job, by the route of
 * this attempt, and at once by the next attempt's where that is another way.
 * Each ends with state, attempts and last outcome set and one log line an
 * attempt. */
void deliver(struct run *run, struct job *jobs, size_t n);

#endif
