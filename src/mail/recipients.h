/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From what a caller said to the recipients of an envelope. */
#ifndef MAIL_RECIPIENTS_H
#define MAIL_RECIPIENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "base/outcome.h"
#include "mail/envelope.h"
#include "mail/message.h"

/* What a client asks for with one recipient (RFC 3461 4.1, 4.2). */
struct rcpt_wish {
	unsigned notify;          /* NOTIFY_*; 0: nothing */
	char *orcpt;              /* as in struct recipient; NULL: none */
};

/* How recipients are found. */
struct recipient_rules {
	const char *domain;            /* for addresses without one */
	const struct list *local_names; /* domains that this host is */
	const char *default_recipient; /* NULL: none */
	const char *aliases;           /* file; NULL: none */
	bool aliases_named;
	const struct rcpt_wish *wish;  /* one an operand, whose recipients all
					* get it; NULL: none */
};

/* Adds the recipients of the operands and, if from_header, of the message's
 * To, Cc, Bcc or their Resent- forms. None may be left where aliases discard
 * all of them. False: EX_USAGE (a bad operand, or no recipient at all),
 * EX_DATAERR (a bad address in a field that is used, more than 65 536),
 * EX_CONFIG (aliases file). */
bool envelope_recipients(struct envelope *e, const struct recipient_rules *r,
			 char *const *operand, size_t operands,
			 bool from_header, struct message *m,
			 struct outcome *why) MUST_CHECK;
/* Adds one more, an address of ours, without asking anybody. False: EX_DATAERR
 * as above. */
bool envelope_add(struct envelope *e, const char *address,
		  struct outcome *why) MUST_CHECK;
/* Whether its sender or one of its recipients needs SMTPUTF8. */
bool envelope_is_utf8(const struct envelope *e);

#endif
