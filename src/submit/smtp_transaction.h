/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One transaction of a session, for smtp_send.c and smtp_negotiate.c alone. */
#ifndef SUBMIT_SMTP_TRANSACTION_H
#define SUBMIT_SMTP_TRANSACTION_H

#include "submit/smtp_session.h"

enum { DOUBT_WAIT = 1000 };    /* ms, see policy_doubts_answer */

struct transaction {
	struct session *s;
	struct delivery *d;
	struct attempt **batch; /* this transaction's recipients */
	size_t n;               /* of them */
	size_t accepted;
	struct rcpt_answers rcpts;
	unsigned carried;       /* transactions of the session before it */
	bool rset;              /* it begins with RSET */
	bool mail_refused;
	bool chunked;           /* it goes by BDAT LAST */
	bool ahead;             /* which leaves with MAIL and RCPT */
	bool bdat_broken;       /* but the server cannot do it */
	bool out_of_step;       /* nobody knows which answer was whose */
	bool astray;            /* a recipient was taken after a refused MAIL:
				 * that refusal may be another's answer */
	bool unheard;           /* what was sent early found no answer that
				 * would do */
	bool go;                /* 354 came */
	bool data_sent;         /* final dot or BDAT LAST left */
	bool goes_on;           /* the server, behind a goodbye */
	bool data_decided;      /* and was answered */
	struct outcome answer;  /* to MAIL, DATA or the message */
	int64_t size;
};

/* A recipient's answer. */
static inline void transaction_decide(const struct transaction *t,
				      struct attempt *a,
				      const struct outcome *o)
{
	attempt_answer(a, o, t->d->trace);
}

static inline bool transaction_has_decided(const struct attempt *a)
{
	return a->state >= ATTEMPT_ANSWERED;
}

/* --- smtp_negotiate.c --- */

/* Sends and answers everything up to DATA or BDAT LAST. False: the session is
 * of no further use. */
bool transaction_negotiate(struct transaction *t,
			   struct outcome *why) MUST_CHECK;
/* Whether the answer to the message, or to DATA, is its own. As whoever refuses
 * may hang up, too, an end proves nothing then. */
bool transaction_in_step(struct transaction *t, const struct outcome *o,
			 struct outcome *why) MUST_CHECK;
/* An answer that cannot be one to this command: from here on nobody knows
 * which answers which. False. */
bool transaction_unfit(struct transaction *t, enum stage stage,
		       const char *command, struct outcome *why);

#endif
