/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The journal: "LENGTH CHECKSUM TIME EVENT ..." a line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/scan.h"
#include "queue/format.h"

enum {
	LENGTH_DIGITS = 5,
	SUM_DIGITS = 16,
	FRONT = LENGTH_DIGITS + 1 + SUM_DIGITS + 1,
	INDICES = 512,         /* recipients named on one line */
	MISSED_MOST = 1000000
};

static const char *const report_events[] = {
	[REPORT_FAILURE] = "failure-reported",
	[REPORT_DELAY] = "delay-reported",
};

/* --- written --- */

/* Adds a line whose words, all but the time, are in body. */
static void add_journal_line(struct buf *b, int64_t now, const char *body)
{
	struct buf line = BUF(TEXT_LINE_MAX);

	buf_addf(&line, "%" PRId64 " %s\n", now, body);
	buf_addf(b, "%0*zu %0*" PRIx64 " ", LENGTH_DIGITS, FRONT + line.len,
		 SUM_DIGITS, text_sum(0, buf_text(&line), line.len));
	buf_add(b, buf_text(&line), line.len);
	buf_release(&line);
}

/* An event with a list of recipients; several lines where it is long. */
static void add_indices(struct buf *b, int64_t now, const char *event,
			const size_t *rcpt, size_t n)
{
	struct buf body;
	size_t i;

	while (n) {
		body = BUF(TEXT_LINE_MAX);
		buf_adds(&body, event);
		for (i = 0; i < n && i < INDICES; i++)
			buf_addf(&body, " %zu", rcpt[i]);
		add_journal_line(b, now, buf_text(&body));
		buf_release(&body);
		rcpt += i;
		n -= i;
	}
}

void text_begin(struct buf *b, int64_t now, const size_t *rcpt, size_t n)
{
	add_indices(b, now, "begin", rcpt, n);
}

void text_reported(struct buf *b, int64_t now, enum report_kind kind,
		   const size_t *rcpt, size_t n)
{
	add_indices(b, now, report_events[kind], rcpt, n);
}

void text_wait(struct buf *b, int64_t now, int64_t until, const size_t *rcpt,
	       size_t n)
{
	char event[48];

	snprintf(event, sizeof(event), "wait %" PRId64, until);
	add_indices(b, now, event, rcpt, n);
}

void text_missed(struct buf *b, int64_t now, unsigned more,
		 const size_t *rcpt, size_t n)
{
	char event[48];

	snprintf(event, sizeof(event), "missed %u", more);
	add_indices(b, now, event, rcpt, n);
}

void text_dot(struct buf *b, int64_t now, const size_t *rcpt, size_t n)
{
	add_indices(b, now, "dot", rcpt, n);
}

void text_transport(struct buf *b, int64_t now, const char *name,
		    bool by_owner)
{
	struct buf body = BUF(TEXT_LINE_MAX / 2);
	char clean[256];

	text_printable(clean, sizeof(clean), name, strlen(name));
	buf_addf(&body, "%stransport %s", by_owner ? "owner-" : "", clean);
	add_journal_line(b, now, buf_text(&body));
	buf_release(&body);
}

void text_regular(struct buf *b, int64_t now, int64_t regular)
{
	char body[48];

	snprintf(body, sizeof(body), "regular %" PRId64, regular);
	add_journal_line(b, now, body);
}

void text_result(struct buf *b, int64_t now, size_t rcpt,
		 const struct recipient *r)
{
	const struct outcome *o = &r->last;
	struct buf body = BUF(TEXT_LINE_MAX / 2);
	char host[sizeof(o->host)], text[sizeof(o->text)];

	text_printable(host, sizeof(host), o->host, strlen(o->host));
	text_printable(text, sizeof(text), o->text, strlen(o->text));
	buf_addf(&body, "%s %zu attempts=%u stage=%s exit=%d code=%d",
		 r->state == RCPT_SENT ? "sent" :
		 r->state == RCPT_FAILED ? "failed" : "deferred", rcpt,
		 r->attempts, stage_name(o->stage), o->exit, o->code);
	if (o->in_doubt)
		buf_adds(&body, " doubt");
	if (o->no_network)
		buf_adds(&body, " nonet");
	if (o->not_before)
		buf_addf(&body, " not-before=%" PRId64, o->not_before);
	if (o->status[0])
		buf_addf(&body, " dsn=%s", o->status);
	if (host[0]) {
		buf_adds(&body, " host=");
		text_value(&body, host);
	}
	buf_addf(&body, " text=%s", text);
	add_journal_line(b, now, buf_text(&body));
	buf_release(&body);
}

/* --- read --- */

static bool read_index(struct scan *s, const struct entry *e, size_t *i)
{
	int64_t value;

	if (!e->envelope.n ||
	    !scan_number(s, (int64_t)e->envelope.n - 1, &value))
		return false;
	*i = (size_t)value;
	return true;
}

static bool read_small(struct scan *s, int64_t most, int *value)
{
	int64_t number;

	if (!scan_number(s, most, &number))
		return false;
	*value = (int)number;
	return true;
}

static bool read_string(struct scan *s, char *out, size_t size)
{
	size_t n = (size_t)(s->end - s->p);

	if (n >= size)
		return false;
	text_printable(out, size, s->p, n);
	return true;
}

/* What is no such code would be a word of its own where it is written
 * again, or a line of a report. */
static bool read_status(struct scan *s, char *out, size_t size)
{
	const char *p;

	/* its class is one digit (RFC 3463 2) */
	if (scan_left(s) < 2 || s->p[1] != '.')
		return false;
	for (p = s->p; p < s->end; p++)
		if (!scan_is_digit(*p) && *p != '.')
			return false;
	return scan_copy_to(s, out, size);
}

/* "transport f" is one, so it may have blanks. */
static bool read_host(struct scan *s, struct outcome *o)
{
	char *host = NULL;
	bool good = scan_decode(s, true, &host);

	if (good)
		text_printable(o->host, sizeof(o->host), host, strlen(host));
	free(host);
	return good;
}

static bool read_word(struct scan *word, struct recipient *r)
{
	struct outcome *o = &r->last;
	char name[16];
	int attempts;

	if (scan_skip(word, "attempts=")) {
		if (!read_small(word, 1000000, &attempts))
			return false;
		r->attempts = (unsigned)attempts;
		return true;
	}
	if (scan_skip(word, "stage=")) {
		if (!read_string(word, name, sizeof(name)))
			return false;
		o->stage = stage_named(name);
		return true;
	}
	if (scan_skip(word, "exit="))
		return read_small(word, 255, &o->exit);
	if (scan_skip(word, "code="))
		return read_small(word, 999, &o->code);
	if (scan_skip(word, "dsn="))
		return read_status(word, o->status, sizeof(o->status));
	if (scan_skip(word, "host="))
		return read_host(word, o);
	if (scan_is(word, "doubt")) {
		o->in_doubt = true;
		return true;
	}
	if (scan_skip(word, "not-before="))
		return scan_number(word, INT64_MAX / 4, &o->not_before);
	if (scan_is(word, "nonet")) {
		o->no_network = true;
		return true;
	}
	return false;
}

static bool read_result(struct scan *line, int64_t time, struct entry *e,
			enum rcpt_state state)
{
	struct recipient *r;
	struct scan word;
	size_t i;

	if (!scan_until(line, ' ', &word) || !read_index(&word, e, &i))
		return false;
	r = &e->envelope.rcpt[i];
	r->last = (struct outcome){ 0 };
	r->state = state;
	e->progress[i].begun = e->progress[i].dot = false;
	while (!scan_skip(line, "text="))
		if (!scan_until(line, ' ', &word) || !read_word(&word, r))
			return false;
	/* who was not even tried waits since before */
	if (!r->last.not_before)
		e->progress[i].since = time;
	return read_string(line, r->last.text, sizeof(r->last.text));
}

/* "wait TIME" and "missed NUMBER", and whom it is about. */
static bool read_numbered(struct scan *line, const struct scan *event,
			  int64_t time, struct entry *e)
{
	const bool wait = scan_is(event, "wait");
	struct progress *p;
	struct scan word;
	int64_t number;
	size_t i;

	if (!scan_until(line, ' ', &word) ||
	    !scan_number(&word, wait ? INT64_MAX / 4 : MISSED_MOST, &number))
		return false;
	while (scan_until(line, ' ', &word)) {
		if (!read_index(&word, e, &i))
			return false;
		p = &e->progress[i];
		if (wait) {
			p->wait = number;
			continue;
		}
		p->missed += (unsigned)number;
		if (p->missed > MISSED_MOST)
			p->missed = MISSED_MOST;
		p->since = time;
	}
	return true;
}

/* The events that name recipients and say no more. */
static bool read_indices(struct scan *line, struct scan *event,
			 struct entry *e)
{
	const bool begun = scan_is(event, "begin"), dot = scan_is(event, "dot"),
		failed = scan_is(event, report_events[REPORT_FAILURE]),
		delayed = scan_is(event, report_events[REPORT_DELAY]);
	struct progress *p;
	struct scan word;
	size_t i;

	if (!begun && !dot && !failed && !delayed)
		return false;
	while (scan_until(line, ' ', &word)) {
		if (!read_index(&word, e, &i))
			return false;
		p = &e->progress[i];
		if (begun)
			p->begun = true;
		p->dot = !begun && (p->dot || (dot && p->begun));
		p->failure_reported = p->failure_reported || failed;
		p->delay_reported = p->delay_reported || delayed;
	}
	if (begun) {
		free(e->transport);
		e->transport = NULL;
	}
	return true;
}

static bool read_event(struct scan *line, struct entry *e)
{
	struct scan word;
	int64_t time;

	if (!scan_until(line, ' ', &word) ||
	    !scan_number(&word, INT64_MAX, &time) ||
	    !scan_until(line, ' ', &word))
		return false;
	if (scan_is(&word, "sent"))
		return read_result(line, time, e, RCPT_SENT);
	if (scan_is(&word, "deferred"))
		return read_result(line, time, e, RCPT_PENDING);
	if (scan_is(&word, "failed"))
		return read_result(line, time, e, RCPT_FAILED);
	if (scan_is(&word, "transport") || scan_is(&word, "owner-transport")) {
		e->by_owner = scan_is(&word, "owner-transport");
		free(e->transport);
		e->transport = NULL;
		e->transport = mem_stringn(line->p,
					   (size_t)(line->end - line->p));
		return true;
	}
	if (scan_is(&word, "regular"))
		return scan_number(line, INT64_MAX, &e->regular);
	if (scan_is(&word, "wait") || scan_is(&word, "missed"))
		return read_numbered(line, &word, time, e);
	return read_indices(line, &word, e);
}

/* The line's length, 0 where the text is none: too short, or not a number
 * where one must be. */
static size_t line_length(const char *text, size_t n)
{
	size_t i, length = 0;

	if (n < LENGTH_DIGITS + 1 || text[LENGTH_DIGITS] != ' ')
		return 0;
	for (i = 0; i < LENGTH_DIGITS; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		length = 10 * length + (size_t)(text[i] - '0');
	}
	return length > FRONT ? length : 0;
}

static bool line_whole(const char *text, size_t length)
{
	char sum[SUM_DIGITS + 1];

	snprintf(sum, sizeof(sum), "%0*" PRIx64, SUM_DIGITS,
		 text_sum(0, text + FRONT, length - FRONT));
	return text[length - 1] == '\n' && text[FRONT - 1] == ' ' &&
	       !memcmp(text + LENGTH_DIGITS + 1, sum, SUM_DIGITS);
}

/* Whether the rest is what a write that was cut short leaves behind: less
 * than a line, without a line end, or blocks that never were filled. */
bool text_journal_torn(const char *text, size_t n)
{
	while (n && !text[n - 1])
		n--;
	return !memchr(text, '\n', n) &&
	       (n < LENGTH_DIGITS + 1 || line_length(text, n) > n);
}

void text_journal_begin(struct entry *e)
{
	struct recipient *r;
	size_t i;

	for (i = 0; i < e->envelope.n; i++) {
		r = &e->envelope.rcpt[i];
		r->state = RCPT_PENDING;
		r->attempts = 0;
		r->last = (struct outcome){ 0 };
		e->progress[i] = (struct progress){ 0 };
	}
	free(e->transport);
	e->transport = NULL;
	e->regular = 0;
	e->attempts = 0;
}

bool text_journal_lines(const char *text, size_t n, struct entry *e,
			size_t *whole, struct outcome *why)
{
	struct scan line;
	size_t length;

	for (*whole = 0; *whole < n; *whole += length) {
		length = line_length(text + *whole, n - *whole);
		if (!length || length > n - *whole ||
		    !line_whole(text + *whole, length))
			break;
		line = (struct scan){ text + *whole + FRONT,
				      text + *whole + length - 1 };
		if (!read_event(&line, e))
			return outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
					    "damaged queue entry: an event "
					    "in its journal");
	}
	return true;
}

void text_journal_end(struct entry *e)
{
	size_t i;

	e->pending = 0;
	for (i = 0; i < e->envelope.n; i++) {
		const struct recipient *r = &e->envelope.rcpt[i];

		e->pending += r->state == RCPT_PENDING;
		if (r->attempts > e->attempts)
			e->attempts = r->attempts;
	}
}

bool text_read_journal(const char *text, size_t n, struct entry *e,
		       size_t *whole, struct outcome *why)
{
	text_journal_begin(e);
	if (!text_journal_lines(text, n, e, whole, why))
		return false;
	text_journal_end(e);
	return *whole == n || text_journal_torn(text + *whole, n - *whole) ||
	       outcome_fail(why, STAGE_LOCAL, EX_DATAERR, "damaged queue "
			    "entry: journal at byte %zu", *whole);
}
