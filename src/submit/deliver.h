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
	struct message *message;
	struct entry *entry;          /* the journal; NULL: none */
	uid_t uid;                    /* whose it is */
	int64_t queued;               /* wall clock, seconds; 0: just now */
	bool by_hand;                 /* somebody asked for it: all that is
				       * pending is due */
	bool late;                    /* it was cut off before: only when
				       * nothing else waits */

	/* the dispatcher's own */
	struct user *user;
	const struct transport *way[2]; /* whatever the routes say; [0] NULL:
				       * they count */
	size_t parts;                 /* not yet settled */
	size_t turn;                  /* while a share is composed */
	size_t running;               /* workers that have it in hand */
	int64_t since;                /* monotonic: added, or last settled */
	struct job *next;
};

/* Tries to deliver every pending recipient of a job, by the route of
 * this attempt, and at once by the next attempt's where that is another way.
 * Each ends with state, attempts and last outcome set and one log line an
 * attempt. */
void deliver(struct run *run, struct job *job);

/*
 * The same for jobs that come one after the other: worker processes, at most
 * [queue] concurrency destinations at once and [queue] connections to each.
 * No user, job or destination keeps another waiting: who has least under way
 * comes first; a worker that stands still for a while leaves its place to
 * another, and is ended where too many do.
 */
struct dispatcher;

struct dispatcher *dispatcher_new(struct run *run);
/* All jobs must be done. */
void dispatcher_free(struct dispatcher *x);
/* Takes it up; it must stay where it is until it is done. */
void dispatcher_add(struct dispatcher *x, struct job *job);
/* A job that is done, or NULL. */
struct job *dispatcher_done(struct dispatcher *x);
/* Starts what may start and waits until a worker says something, something
 * can be read from fd (-1: nothing), or ms are over. */
void dispatcher_wait(struct dispatcher *x, int fd, int64_t ms);
/* From now on nothing is started: what waits is done, untried; workers stop
 * after the message in hand, and are ended after so many ms. */
void dispatcher_stop(struct dispatcher *x, int64_t ms);
/* Jobs that are taken up and not done. */
size_t dispatcher_jobs(const struct dispatcher *x);
/* Whether a worker could not be made. */
bool dispatcher_lacked(const struct dispatcher *x);

#endif
