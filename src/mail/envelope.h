/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The envelope: who sends, to whom, and what became of each. */
#ifndef MAIL_ENVELOPE_H
#define MAIL_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/outcome.h"
#include "mail/words.h"

enum rcpt_state {
	RCPT_PENDING,   /* no final answer yet */
	RCPT_SENT,      /* a server took it */
	RCPT_FAILED     /* refused for good */
};

struct recipient {
	char *address;
	unsigned notify;          /* NOTIFY_*; 0: not asked for */
	char *orcpt;              /* "rfc822;..." xtext-encoded; NULL: none */
	enum rcpt_state state;
	unsigned attempts;        /* made so far */
	struct outcome last;      /* of the last attempt */
	struct outcome *earlier;  /* what was told before it; NULL: nothing in
				   * this run */
};

/* The most recipients of one message. */
enum { RECIPIENTS_MAX = 65536 };

struct envelope {
	char *sender;             /* "" null reverse-path */
	char *account;            /* its name; NULL: none */
	char *transport;          /* the one to use, whatever the routes say;
				   * NULL: by the routes */
	struct recipient *rcpt;
	size_t n;
	int dsn_return;           /* enum dsn_return */
	char *envid;              /* xtext-encoded; NULL: none */
	bool eight_bit;           /* BODY=8BITMIME where offered */
	bool seven_bit;           /* -B 7BIT was said */
	bool utf8;                /* SMTPUTF8 is needed */
	bool require_tls;         /* REQUIRETLS (RFC 8689) */
	bool tls_required_no;     /* TLS-Required: No, and not require_tls */
};

void envelope_release(struct envelope *e);
/* Whether some recipient has no final answer yet. */
bool envelope_pending(const struct envelope *e);

/* Text as xtext (RFC 3461 4); the caller frees. */
char *xtext(const char *text);
/* And back; the caller frees. False where it is not xtext, or holds a NUL. */
bool xtext_decode(const char *text, char **out) MUST_CHECK;

#endif
