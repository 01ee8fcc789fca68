/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of serve share; nobody else includes this. */
#ifndef SUBMIT_SERVE_PARTS_H
#define SUBMIT_SERVE_PARTS_H

#include "submit/serve.h"

/* A share while it is served. */
struct serving {
	struct run *run;
	struct share *share;
	const struct witness *witness;
	const struct transport *t;
	struct trace *traces;     /* of all links so far */
	size_t addresses;         /* that may still be asked */
	bool answered;            /* any host spoke */
	bool limited;             /* the transport's rate is used up */
	bool enough;              /* the witness had it */
	size_t refusals;          /* hosts that refused the login for good, and
				   * what the last one said */
	struct outcome refusal;
	char fault[256];          /* what somebody has to mend at one of several
				   * transports, the first such; "": nothing */
};

static inline struct part *serving_part(const struct serving *v, size_t i)
{
	return &v->share->d->part[i];
}

/* --- serve_message.c --- */

/* The first part from i on with a recipient in this state or an earlier
 * one. */
size_t serving_find(const struct serving *v, size_t i,
		    enum attempt_state most);
/* Once the witness had enough, what was not begun is left as it is; what was
 * tried here goes on to its next host. */
void serving_heed(struct serving *v);
/* What the log says of a link, or (NULL) of the transport alone; v's. */
struct trace *serving_trace(struct serving *v, const struct link *link);
/* One answer about all in the parts from the first one on that are still to be
 * asked about; link: NULL where there was none. */
void serving_answer(struct serving *v, size_t first, const struct outcome *o,
		    const struct link *link);
/* The hosts were asked, so many: whether all refused the login is for the
 * witness to know. */
void serving_note_refusals(struct serving *v, size_t hosts);
/* Adds to what is for now what somebody has to mend. */
void serving_recall_fault(const struct serving *v, struct part *p);
/* Records what has come of a part's recipients and was not recorded yet, in
 * one write; of successes alone, which are on disk before anything else is
 * sent and are handed on, or of all. False: that could not be done. */
bool serving_record(struct serving *v, size_t part, bool successes);
/* Makes the signatures of a part's message, once. */
bool serving_seal(struct serving *v, struct part *p,
		  struct outcome *why) MUST_CHECK;
/* The rate is used up: whoever supervises us puts off what was not begun, in
 * its turn; else all of it, from this part on, has this outcome, and goes to
 * the next transport where there is one. */
void serving_rate_is_up(struct serving *v, size_t part,
			const struct outcome *why);
/* Sends a part's message to its open recipients, in as many turns as its rate
 * takes; those that stay open are for another link to ask about. False: the
 * link is used up. */
bool serving_send(struct serving *v, size_t i, struct link *link,
		  const struct trace *trace, struct outcome *why) MUST_CHECK;

#endif
