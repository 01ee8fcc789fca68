/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rate of a transport, as all processes that use it keep it: a small file,
 * "rate/NAME" in the queue's directory for its owner, else below
 * $XDG_STATE_HOME/posthaste, locked for as long as it takes to read and write
 * it. Nobody but its owner can open it. It is no reason to lose mail: where it
 * cannot be used, mail goes as if there were no rate, and the log says so.
 * For a transport without a rate nothing is touched.
 */
#ifndef SUBMIT_RATE_H
#define SUBMIT_RATE_H

#include "policy/policy.h"
#include "submit/run.h"

/* What RATE_PATIENCE is: whoever has to wait no longer does. */
enum { RATE_PATIENCE = 10 * 1000 };

/* Recipients that were counted. */
struct rate_ticket {
	int64_t at;               /* wall clock, ms */
	int64_t n;                /* 0: nobody counts */
};

/* How long a recipient has to wait, in ms; 0: not at all, or so it is for as
 * long as nobody else comes first. */
int64_t rate_wait(struct run *run, const struct transport *t);
/* The same of n, of whom *taken may go if it is 0: fewer where the rate knows
 * so few. They are counted, and under way until rate_done. */
int64_t rate_take(struct run *run, const struct transport *t, size_t n,
		  struct rate_ticket *taken);
/* They have their answer, which is what a server counts whatever it says:
 * nothing is given back. took: a message was accepted; slows: it wants less
 * of them. */
void rate_done(struct run *run, const struct transport *t,
	       const struct rate_ticket *taken, bool took, bool slows);
/* The directory of these files, there or not; the caller frees. NULL: there is
 * no place for one. */
char *rate_directory(const struct config *c);
/* Opens it, made where it is missing; for root nobody else has a say in where
 * it is. -1: errno. */
int rate_open_directory(const char *directory);
/* The outcome of those whose turn comes so many ms from now. */
bool rate_fail(const struct transport *t, int64_t wait, struct outcome *why);

/* --- its file --- */

/* The state as text, and back. False: it is not one; *s is then {0}. */
void rate_write(const struct rate_state *s, struct buf *out);
bool rate_read(const char *text, size_t n, struct rate_state *s) MUST_CHECK;

#endif
