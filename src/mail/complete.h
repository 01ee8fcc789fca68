/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a message lacks is added, what it must not have taken away: once in a
 * message's life, before it is queued or sent. */
#ifndef MAIL_COMPLETE_H
#define MAIL_COMPLETE_H

#include <stdbool.h>

#include "base/outcome.h"
#include "mail/message.h"

/* What becomes of the caller's From field. */
enum from_header { FROM_ADD, FROM_KEEP, FROM_REPLACE };

/* What message_complete adds and changes. */
struct completion {
	const char *sender;      /* envelope sender; "" null */
	const char *from;        /* address for a From that is added */
	const char *full_name;   /* NULL: none; a From that is a name alone
				  * goes before it */
	const char *domain;      /* for mailboxes without one */
	const char *id_domain;   /* right side of a Message-ID that is added */
	enum from_header from_header;
	bool keep_own;           /* FROM_REPLACE: a From that names the address
				  * alone stays, with its name */
	bool undisclosed_recipients;
	const char *original_to; /* an X-Original-To field's value, folded;
				  * NULL: none */
};

/* Replaces *m by the completed message: fields removed, added, qualified,
 * refolded, long body lines re-encoded, NULs encoded or left out. A field that
 * is empty counts as missing. On failure (EX_IOERR) *m is unchanged. */
bool message_complete(struct message **m, const struct completion *c,
		      struct outcome *why) MUST_CHECK;

#endif
