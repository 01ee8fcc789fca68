/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "policy/policy.h"

enum {
	REPORT_MAX = 12 * 1024 * 1024,
	REPORT_BARE = 6656 * 1024, /* of recipients without what was said, */
	REPORT_SAID = 1024 * 1024, /* which is left out after so much */
	RECIPIENT_BARE = 72,       /* of one, beside its addresses */
	NAMED = 100,               /* recipients named in the words */
	WIDTH = 72
};

/* What all parts need. */
struct making {
	struct buf text;
	const struct entry *e;
	struct message *cause;
	const struct report_place *place;
	enum report_kind kind;
	const size_t *rcpt;
	size_t n;
	const char *id;            /* also the boundary */
	bool global;               /* RFC 6533 */
	bool whole;                /* the cause's body, too */
};

size_t report_wanted(const struct entry *e, enum report_kind kind,
		     const size_t *rcpt, size_t n, size_t *wanted)
{
	size_t i, found = 0;

	for (i = 0; i < n; i++)
		if (policy_wants_report(e->envelope.sender,
					e->envelope.rcpt[rcpt[i]].notify,
					kind == REPORT_DELAY))
			wanted[found++] = rcpt[i];
	return found;
}

size_t report_holds(const struct entry *e, const size_t *rcpt, size_t n)
{
	size_t i, size = 0;

	for (i = 0; i < n; i++) {
		const struct recipient *r = &e->envelope.rcpt[rcpt[i]];

		/* six bytes for one that is not ASCII */
		size += RECIPIENT_BARE + strlen(r->address) *
			(utf8_is_wide(r->address) ? 6 : 1);
		if (r->orcpt)
			size += RECIPIENT_BARE + strlen(r->orcpt);
		if (i && size > REPORT_BARE)
			break;
	}
	return i;
}

static const struct recipient *recipient(const struct making *r, size_t i)
{
	return &r->e->envelope.rcpt[r->rcpt[i]];
}

static void add_date(struct buf *b, const char *name, int64_t when)
{
	char date[CLOCK_DATE_SIZE];

	clock_date((time_t)when, date);
	buf_addf(b, "%s: %s\r\n", name, date);
}

/* A value for a field of the report: one line, ASCII unless it is global. */
static void report_value(struct making *r, const char *value)
{
	char *clean = text_clean(value), *p;

	for (p = clean; *p; p++)
		buf_addc(&r->text, (*p & 0x80) && !r->global ? '?' : *p);
	free(clean);
}

/* --- header --- */

static void add_header(struct making *r)
{
	struct buf *b = &r->text;
	bool delay = r->kind == REPORT_DELAY;
	char *id = r->cause ? message_field(r->cause, "Message-ID") : NULL;

	buf_addf(b, "From: Mail Delivery System <%s>\r\nTo: <",
		 r->place->from);
	report_value(r, r->e->envelope.sender);
	buf_addf(b, ">\r\nSubject: %s\r\n",
		 delay ? "Delayed: your message is still being tried" :
		 "Not delivered: your message did not arrive");
	add_date(b, "Date", r->place->now);
	buf_addf(b, "Message-ID: <%s@%s>\r\n", r->id, r->place->hostname);
	if (id && *id == '<' && strlen(id) < 250 && !utf8_is_wide(id) &&
	    !strpbrk(id, " \t\r\n"))
		buf_addf(b, "In-Reply-To: %s\r\nReferences: %s\r\n", id, id);
	free(id);
	buf_adds(b, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
	buf_addf(b, "Content-Type: multipart/report;\r\n"
		 "\treport-type=%sdelivery-status;\r\n\tboundary=\"=_%s\"\r\n"
		 "Content-Transfer-Encoding: 8bit\r\n\r\n",
		 r->global ? "global-" : "", r->id);
}

/* eight: its bytes may be any; a delivery status must be 7bit. */
static void add_part(struct making *r, const char *type, bool eight,
		     const char *words)
{
	buf_addf(&r->text, "--=_%s\r\nContent-Type: %s\r\n"
		 "Content-Description: %s\r\n"
		 "Content-Transfer-Encoding: %s\r\n\r\n", r->id, type, words,
		 eight ? "8bit" : "7bit");
}

/* --- the words --- */

/* Breaks text at blanks into indented lines. */
static void add_wrapped(struct buf *b, const char *indent, const char *text)
{
	size_t n, cut;

	while (*text) {
		n = strlen(text);
		if (n > WIDTH) {
			for (cut = WIDTH; cut && text[cut] != ' '; cut--)
				continue;
			n = cut ? cut : strcspn(text, " ");
		}
		buf_addf(b, "%s%.*s\r\n", indent, (int)n, text);
		text += n;
		text += strspn(text, " ");
	}
}

static void add_reason(struct making *r, size_t i)
{
	const struct outcome *o = &recipient(r, i)->last;
	char words[1024], *address = text_clean(recipient(r, i)->address);

	outcome_words(o, words, sizeof(words));
	buf_addf(&r->text, "  %s\r\n", address);
	free(address);
	add_wrapped(&r->text, "    ", *words ? words : "no answer");
	if (r->kind == REPORT_FAILURE && policy_gave_up(o))
		buf_addf(&r->text, "    Given up after %u attempt%s.\r\n",
			 recipient(r, i)->attempts,
			 recipient(r, i)->attempts == 1 ? "" : "s");
	if (r->kind == REPORT_FAILURE)
		add_wrapped(&r->text, "    ", policy_report_advice(o));
	buf_adds(&r->text, "\r\n");
}

/* Whether its time is not up: after a machine was off for days one more
 * attempt is made, and the report may come after that. */
static bool goes_on(const struct making *r)
{
	return r->place->retry_until > r->place->now;
}

/* Whether the sender hears of it when it is. */
static bool tells_the_end(const struct making *r)
{
	unsigned notify;
	size_t i;

	for (i = 0; i < r->n; i++) {
		notify = recipient(r, i)->notify;
		if (notify && !(notify & NOTIFY_FAILURE))
			return false;
	}
	return true;
}

static void add_words(struct making *r)
{
	struct buf *b = &r->text;
	char date[CLOCK_DATE_SIZE];
	size_t i;

	add_part(r, "text/plain; charset=utf-8", true, "Notification");
	buf_addf(b, "This is the mail system of %s.\r\n\r\n",
		 r->place->hostname);
	clock_date((time_t)r->e->queued, date);
	if (r->kind == REPORT_DELAY)
		buf_addf(b, "Your message of %s\r\nhas not been delivered "
			 "yet. You need not do anything: it\r\nis tried again "
			 "until it arrives or its time is up.\r\n\r\n", date);
	else
		buf_addf(b, "Your message of %s\r\ncould not be delivered to "
			 "the following, and is not tried any more:\r\n\r\n",
			 date);
	for (i = 0; i < r->n && i < NAMED; i++)
		add_reason(r, i);
	if (i < r->n)
		buf_addf(b, "  and %zu more, listed in the next part\r\n\r\n",
			 r->n - i);
	if (r->kind == REPORT_DELAY && goes_on(r)) {
		clock_date((time_t)r->place->retry_until, date);
		buf_addf(b, "It will be given up on %s%s.\r\n\r\n", date,
			 tells_the_end(r) ? ";\r\nyou will be told then" : "");
	}
}

/* --- the delivery status --- */

/* Adds what xtext (RFC 3461 4) stands for; what is none, as it is. */
static void add_xtext(struct making *r, const char *x)
{
	char *plain;

	if (!xtext_decode(x, &plain))
		plain = mem_string(x);
	report_value(r, plain);
	free(plain);
}

static void add_diagnostic(struct making *r, const struct outcome *o)
{
	struct buf *b = &r->text;

	if (o->code) {
		/* a transport that refuses is none */
		if (o->host[0] && !strchr(o->host, ' ')) {
			buf_adds(b, "Remote-MTA: dns; ");
			report_value(r, o->host);
			buf_adds(b, "\r\n");
		}
		buf_addf(b, "Diagnostic-Code: smtp; %d ", o->code);
		if (o->status[0])
			buf_addf(b, "%s ", o->status);
	} else {
		buf_adds(b, "Diagnostic-Code: x-posthaste; ");
	}
	report_value(r, o->text[0] ? o->text : "no answer");
	buf_adds(b, "\r\n");
}

/* Outside of a global report an address is ASCII all the same: as
 * utf-8-addr-xtext (RFC 6533 section 3). */
static void report_address(struct making *r, const char *address)
{
	const unsigned char *p = (const unsigned char *)address;
	size_t left = strlen(address), n;
	unsigned c;

	if (r->global || !utf8_is_wide(address)) {
		report_value(r, address);
		return;
	}
	for (; left && (n = utf8_next(p, left, &c)); p += n, left -= n) {
		if (c > ' ' && c < 0x7f && c != '\\' && c != '+' && c != '=')
			buf_addc(&r->text, (char)c);
		else
			buf_addf(&r->text, "\\x{%02X}", c);
	}
}

static void add_status(struct making *r)
{
	struct buf *b = &r->text;
	const bool delay = r->kind == REPORT_DELAY;
	const struct recipient *rcpt;
	size_t i;

	add_part(r, r->global ? "message/global-delivery-status" :
		 "message/delivery-status", r->global, "Delivery report");
	if (r->e->envelope.envid) {
		buf_adds(b, "Original-Envelope-Id: ");
		add_xtext(r, r->e->envelope.envid);
		buf_adds(b, "\r\n");
	}
	buf_addf(b, "Reporting-MTA: dns; %s\r\n", r->place->hostname);
	add_date(b, "Arrival-Date", r->e->queued);
	for (i = 0; i < r->n; i++) {
		rcpt = recipient(r, i);
		buf_adds(b, "\r\n");
		if (rcpt->orcpt) {
			buf_adds(b, "Original-Recipient: ");
			add_xtext(r, rcpt->orcpt);
			buf_adds(b, "\r\n");
		}
		buf_addf(b, "Final-Recipient: %s; ",
			 utf8_is_wide(rcpt->address) ? "utf-8" : "rfc822");
		report_address(r, rcpt->address);
		buf_addf(b, "\r\nAction: %s\r\nStatus: %s\r\n",
			 delay ? "delayed" : "failed",
			 policy_report_status(&rcpt->last, delay));
		if (b->len > REPORT_SAID)
			continue;
		add_diagnostic(r, &rcpt->last);
		if (delay && goes_on(r))
			add_date(b, "Will-Retry-Until", r->place->retry_until);
	}
	buf_adds(b, "\r\n");
}

/* --- the message returned --- */

static bool add_bytes(struct making *r, int64_t from, int64_t to,
		      struct outcome *why)
{
	const char *data;
	int64_t n;

	for (; from < to; from += n) {
		n = message_bytes(r->cause, from, &data);
		if (n <= 0)
			return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
					    "cannot read the message");
		if (n > to - from)
			n = to - from;
		buf_add(&r->text, data, (size_t)n);
	}
	return true;
}

/* All of it, or its header, of which the last line may be left out. */
static bool add_cause(struct making *r, struct outcome *why)
{
	int64_t size = message_header_size(r->cause);
	size_t begin = r->text.len;

	if (r->whole) {
		add_part(r, r->global ? "message/global" : "message/rfc822",
			 true, "Undelivered message");
		return add_bytes(r, 0, message_size(r->cause), why);
	}
	add_part(r, r->global ? "message/global-headers" :
		 "text/rfc822-headers", true, "Undelivered message header");
	if (size <= REPORT_HEADER_MAX)
		return add_bytes(r, 0, size, why);
	if (!add_bytes(r, 0, REPORT_HEADER_MAX, why))
		return false;
	while (r->text.len > begin && r->text.data[r->text.len - 1] != '\n')
		r->text.len--;
	return true;
}

/* --- the whole --- */

bool report_make(const struct entry *e, struct message *cause,
		 const struct report_place *place, enum report_kind kind,
		 const size_t *rcpt, size_t n, char id[QUEUE_ID_SIZE],
		 struct message **m, struct envelope *v, struct outcome *why)
{
	struct making r = {
		.text = BUF(REPORT_MAX), .e = e, .cause = cause,
		.place = place, .kind = kind, .rcpt = rcpt, .n = n, .id = id,
		.global = policy_report_is_global(&e->envelope, rcpt, n),
		.whole = cause &&
			 policy_returns_body(&e->envelope,
					     kind == REPORT_DELAY,
					     message_size(cause)),
	};
	bool good;

	*v = (struct envelope){ 0 };
	entry_report_id(e, kind, rcpt[0], id);
	add_header(&r);
	add_words(&r);
	add_status(&r);
	good = !cause || add_cause(&r, why);
	buf_addf(&r.text, "\r\n--=_%s--\r\n", id);
	if (good && r.text.full)
		good = outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
				    "a report of too many recipients");
	good = good && message_from_text(buf_text(&r.text), r.text.len, m,
					 why);
	if (good) {
		v->sender = mem_string("");
		v->account = mem_string(e->envelope.account);
		v->rcpt = mem_alloc(sizeof(*v->rcpt));
		v->rcpt[0].address = mem_string(e->envelope.sender);
		v->rcpt[0].notify = NOTIFY_NEVER;
		v->n = 1;
		v->eight_bit = message_facts(*m)->eight_bit;
		v->utf8 = r.global;
	}
	buf_release(&r.text);
	return good;
}
