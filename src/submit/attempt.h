/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A recipient in an attempt: there is one of these a recipient, from
 * deliver() down to the dialogue, passed by pointer.
 */
#ifndef SUBMIT_ATTEMPT_H
#define SUBMIT_ATTEMPT_H

#include <stdbool.h>

#include "mail/envelope.h"

/* The link that carried an answer, for the log; empty: there was none. */
struct trace {
	const char *transport;
	char ip[64];
	char tls[16];
	char auth[32];
	struct trace *next;       /* of whoever keeps them */
};

enum attempt_state {
	ATTEMPT_OPEN,             /* to be asked about in the next session */
	ATTEMPT_ASKED,            /* part of the transaction under way */
	ATTEMPT_ACCEPTED,         /* RCPT was, the message not yet */
	ATTEMPT_ANSWERED,         /* by this address; another may be asked */
	ATTEMPT_OVER              /* nobody else is asked */
};

struct attempt {
	/* Of the envelope. Its last outcome is this attempt's from the first
	 * answer on: outcomes are most of what a large message costs in
	 * memory, so there is one a recipient. */
	struct recipient *rcpt;
	const struct trace *trace; /* of that outcome; NULL: none */
	unsigned before;           /* attempts made before this one */
	enum attempt_state state;
	bool answered;             /* the outcome is this attempt's */
	bool fresh;                /* and of the address asked last */
	bool recorded;             /* in the journal */
	bool told;                 /* handed on to whoever looks after us */
};

/* An answer about it: takes the place of an earlier one of this attempt where
 * policy_replaces says so, and leaves the recipient ANSWERED or OVER. */
void attempt_answer(struct attempt *a, const struct outcome *o,
		    const struct trace *trace);

#endif
