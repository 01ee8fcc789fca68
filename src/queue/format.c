/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "queue/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/scan.h"

static const char first_line[] = "posthaste-queue 1";

/* The table's four-bit steps cost a second look-up a byte and save a table
 * that would have to be built, or be 256 lines long. */
uint64_t text_sum(uint64_t sum, const void *data, size_t n)
{
	static const uint64_t step[16] = {
		0x0000000000000000, 0x7d9ba13851336649,
		0xfb374270a266cc92, 0x86ace348f355aadb,
		0x64b62bcaebc387a1, 0x192d8af2baf0e1e8,
		0x9f8169ba49a54b33, 0xe21ac88218962d7a,
		0xc96c5795d7870f42, 0xb4f7f6ad86b4690b,
		0x325b15e575e1c3d0, 0x4fc0b4dd24d2a599,
		0xadda7c5f3c4488e3, 0xd041dd676d77eeaa,
		0x56ed3e2f9e224471, 0x2b769f17cf112238,
	};
	const unsigned char *p = data;

	sum = ~sum;
	while (n--) {
		sum ^= *p++;
		sum = step[sum & 15] ^ (sum >> 4);
		sum = step[sum & 15] ^ (sum >> 4);
	}
	return ~sum;
}

/* --- writing --- */

void text_value(struct buf *b, const char *s)
{
	const unsigned char *p;

	for (p = (const unsigned char *)s; *p; p++)
		if (*p <= ' ' || *p == 0x7f || *p == '%')
			buf_addf(b, "%%%02x", *p);
		else
			buf_addc(b, (char)*p);
}

static void add_line(struct buf *b, const char *key, const char *value)
{
	if (!value)
		return;
	buf_adds(b, key);
	if (*value)
		buf_addc(b, ' ');
	text_value(b, value);
	buf_addc(b, '\n');
}

void text_header_rcpt(struct buf *b, const struct recipient *r)
{
	buf_adds(b, "rcpt ");
	text_value(b, r->address);
	if (r->notify) {
		buf_adds(b, " notify=");
		notify_add(b, r->notify, ',', false);
	}
	if (r->orcpt) {
		buf_adds(b, " orcpt=");
		text_value(b, r->orcpt);
	}
	buf_addc(b, '\n');
}

static void add_flags(struct buf *b, const struct envelope *v)
{
	if (v->dsn_return != RETURN_UNSET)
		add_line(b, "return", return_words[v->dsn_return]);
	add_line(b, "envid", v->envid);
	if (v->eight_bit)
		add_line(b, "body", "8bit");
	if (v->seven_bit)
		add_line(b, "body", "7bit");
	if (v->utf8)
		add_line(b, "smtputf8", "");
	if (v->require_tls)
		add_line(b, "requiretls", "");
	if (v->tls_required_no)
		add_line(b, "tls-optional", "");
}

void text_header_begin(struct buf *b, const struct entry *e)
{
	const struct envelope *v = &e->envelope;

	buf_addf(b, "%s\nqueued %" PRId64 "\nuid %lu\n", first_line,
		 e->queued, (unsigned long)e->uid);
	add_line(b, "account", v->account);
	add_line(b, "transport", v->transport);
	add_line(b, "cause", e->cause);
	if (e->foreign)
		add_line(b, "foreign", "");
	add_line(b, "sender", v->sender);
	add_flags(b, v);
}

void text_header_end(struct buf *b, const struct entry *e)
{
	buf_addf(b, "size %" PRId64 "\n\n", e->size);
}

void text_header(struct buf *b, const struct entry *e)
{
	size_t i;

	text_header_begin(b, e);
	for (i = 0; i < e->envelope.n; i++)
		text_header_rcpt(b, &e->envelope.rcpt[i]);
	text_header_end(b, e);
}

void text_checksum(struct buf *b, uint64_t sum)
{
	buf_addf(b, "checksum %016" PRIx64 "\n", sum);
}

bool text_is_checksum(const char *text, uint64_t sum)
{
	struct buf b = BUF(TEXT_CHECKSUM_SIZE);
	bool same;

	text_checksum(&b, sum);
	same = b.len == TEXT_CHECKSUM_SIZE &&
	       !memcmp(b.data, text, TEXT_CHECKSUM_SIZE);
	buf_release(&b);
	return same;
}

/* --- reading --- */

static bool damaged(struct outcome *why, const char *what)
{
	return outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
			    "damaged queue entry: %s", what);
}

static bool text_notify(struct scan *word, unsigned *notify)
{
	struct scan name;
	int bit;

	while (scan_until(word, ',', &name)) {
		bit = word_index(notify_words, name.p, scan_left(&name));
		if (bit < 0)
			return false;
		*notify |= 1U << bit;
	}
	return true;
}

static bool read_rcpt(struct scan *line, struct envelope *v)
{
	struct recipient *r;
	struct scan word;

	if (v->n == RECIPIENTS_MAX)
		return false;
	/* the array doubles whenever its length is a power of two */
	if (!(v->n & (v->n - 1)))
		v->rcpt = mem_resize(v->rcpt, v->n ? 2 * v->n : 1,
				     sizeof(*v->rcpt));
	r = &v->rcpt[v->n++];
	*r = (struct recipient){ 0 };
	if (!scan_until(line, ' ', &word) ||
	    !scan_decode(&word, true, &r->address) || !*r->address)
		return false;
	while (scan_until(line, ' ', &word)) {
		if (scan_skip(&word, "notify=")) {
			if (!text_notify(&word, &r->notify))
				return false;
		} else if (scan_skip(&word, "orcpt=")) {
			if (!scan_decode(&word, false, &r->orcpt))
				return false;
		} else {
			return false;
		}
	}
	return true;
}

/* Later than the year 9999 is read as that, so that it can be reckoned
 * with. */
static bool read_time(struct scan *line, int64_t *time)
{
	const int64_t latest = 253402300799;

	if (!scan_number(line, INT64_MAX, time))
		return false;
	if (*time > latest)
		*time = latest;
	return true;
}

static bool read_uid(struct scan *line, uid_t *uid)
{
	int64_t value;

	if (!scan_number(line, UINT32_MAX, &value))
		return false;
	*uid = (uid_t)value;
	return true;
}

static bool read_flag(struct scan *key, struct scan *line, struct envelope *v)
{
	bool *flag = scan_is(key, "smtputf8") ? &v->utf8 :
		     scan_is(key, "requiretls") ? &v->require_tls :
		     scan_is(key, "tls-optional") ? &v->tls_required_no :
		     !scan_is(key, "body") ? NULL :
		     scan_is(line, "8bit") ? &v->eight_bit :
		     scan_is(line, "7bit") ? &v->seven_bit : NULL;

	if (!flag || *flag)
		return false;
	*flag = true;
	return true;
}

/* One line; it must be understood, and what is single must not come again. */
static bool read_line(struct scan *line, struct entry *e)
{
	struct envelope *v = &e->envelope;
	struct scan key;
	int value;

	if (!scan_until(line, ' ', &key))
		return false;
	if (scan_is(&key, "rcpt"))
		return read_rcpt(line, v);
	if (scan_is(&key, "queued"))
		return read_time(line, &e->queued);
	if (scan_is(&key, "foreign"))
		return e->foreign = true;
	if (scan_is(&key, "uid"))
		return read_uid(line, &e->uid);
	if (scan_is(&key, "account"))
		return scan_decode(line, true, &v->account);
	if (scan_is(&key, "transport"))
		return scan_decode(line, true, &v->transport);
	if (scan_is(&key, "cause"))
		return scan_decode(line, false, &e->cause) &&
		       text_id_ok(e->cause);
	if (scan_is(&key, "sender"))
		return scan_decode(line, true, &v->sender);
	if (scan_is(&key, "return")) {
		value = word_index(return_words, line->p, scan_left(line));
		if (v->dsn_return != RETURN_UNSET || value < 0)
			return false;
		v->dsn_return = value;
		return true;
	}
	if (scan_is(&key, "envid"))
		return scan_decode(line, false, &v->envid);
	return read_flag(&key, line, v);
}

bool text_read_header_line(struct text_header_state *s, const char *line,
			   size_t n, struct entry *e, struct outcome *why)
{
	struct scan rest = { line, line + n };

	if (memchr(line, '\0', n))
		return damaged(why, "a NUL in the envelope");
	if (!s->begun) {
		s->begun = scan_is(&rest, first_line);
		return s->begun ||
		       outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
				    "not a queue entry of a known version");
	}
	if (s->sized) {
		if (n || !e->envelope.sender || !e->envelope.n)
			return damaged(why, n ? "size" :
				       "an incomplete envelope");
		e->progress = mem_alloc(e->envelope.n * sizeof(*e->progress));
		return s->ended = true;
	}
	if (scan_skip(&rest, "size ")) {
		s->sized = scan_number(&rest, INT64_MAX / 2, &e->size);
		return s->sized || damaged(why, "size");
	}
	if (read_line(&rest, e))
		return true;
	return damaged(why, e->envelope.n < RECIPIENTS_MAX ? "envelope" :
		       "too many recipients");
}

bool text_read_header(const char *text, size_t n, struct entry *e,
		      struct outcome *why)
{
	struct text_header_state s = { 0 };
	const char *end;
	size_t length;

	while (!s.ended) {
		end = n ? memchr(text, '\n', n) : NULL;
		if (!end)
			return damaged(why, "no end of the envelope");
		length = (size_t)(end - text);
		if (!text_read_header_line(&s, text, length, e, why))
			return false;
		text += length + 1;
		n -= length + 1;
	}
	return !n || damaged(why, "more than an envelope");
}

void text_release(struct entry *e)
{
	envelope_release(&e->envelope);
	free(e->progress);
	free(e->cause);
	free(e->transport);
	*e = (struct entry){ 0 };
}

/* --- names --- */

bool text_id_ok(const char *id)
{
	size_t n = strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz"
			      "ABCDEFGHIJKLMNOPQRSTUVWXYZ-.");

	return n && n < QUEUE_ID_SIZE && !id[n] && id[0] != '.' &&
	       id[0] != '-';
}

void text_name(char name[QUEUE_NAME_SIZE], const char *id, int64_t next,
	       bool held)
{
	if (held)
		snprintf(name, QUEUE_NAME_SIZE, "%s,h", id);
	else
		snprintf(name, QUEUE_NAME_SIZE, "%s,%" PRId64, id,
			 next > 0 ? next : 0);
}

bool text_read_name(const char *name, char id[QUEUE_ID_SIZE], int64_t *next,
		    bool *held)
{
	const char *comma = strchr(name, ',');
	struct scan rest;

	*next = 0;
	*held = false;
	if (!comma || comma - name >= QUEUE_ID_SIZE ||
	    strlen(name) >= QUEUE_NAME_SIZE)
		return false;
	memcpy(id, name, (size_t)(comma - name));
	id[comma - name] = '\0';
	*held = !strcmp(comma + 1, "h");
	rest = (struct scan){ comma + 1, comma + strlen(comma) };
	return text_id_ok(id) &&
	       (*held || scan_number(&rest, INT64_MAX, next));
}

/* --- the journal: "LENGTH CHECKSUM TIME EVENT ..." --- */

enum {
	LENGTH_DIGITS = 5,
	SUM_DIGITS = 16,
	FRONT = LENGTH_DIGITS + 1 + SUM_DIGITS + 1,
	INDICES = 512          /* recipients named on one line */
};

static const char *const report_events[] = {
	[REPORT_FAILURE] = "failure-reported",
	[REPORT_DELAY] = "delay-reported",
};

/* --- the journal, written --- */

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

/* --- the journal, read --- */

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

static bool read_stage(struct scan *s, struct outcome *o)
{
	char name[16];

	if (!read_string(s, name, sizeof(name)))
		return false;
	o->stage = stage_named(name);
	return true;
}

static bool read_word(struct scan *word, struct recipient *r)
{
	struct outcome *o = &r->last;
	int attempts;

	if (scan_skip(word, "attempts=")) {
		if (!read_small(word, 1000000, &attempts))
			return false;
		r->attempts = (unsigned)attempts;
		return true;
	}
	if (scan_skip(word, "stage="))
		return read_stage(word, o);
	if (scan_skip(word, "exit="))
		return read_small(word, 255, &o->exit);
	if (scan_skip(word, "code="))
		return read_small(word, 999, &o->code);
	if (scan_skip(word, "dsn="))
		return read_string(word, o->status, sizeof(o->status));
	if (scan_skip(word, "host="))
		return read_host(word, o);
	if (scan_is(word, "doubt"))
		return o->in_doubt = true;
	if (scan_is(word, "nonet"))
		return o->no_network = true;
	return false;
}

static bool read_result(struct scan *line, struct entry *e,
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
	return read_string(line, r->last.text, sizeof(r->last.text));
}

static void on_begin(struct progress *p)
{
	p->begun = true;
	p->dot = false;
}

static void on_dot(struct progress *p)
{
	p->dot = p->begun;
}

static void on_failure_reported(struct progress *p)
{
	p->failure_reported = true;
}

static void on_delay_reported(struct progress *p)
{
	p->delay_reported = true;
}

/* The events that name recipients and say no more. */
static bool read_indices(struct scan *line, struct scan *event,
			 struct entry *e)
{
	void (*apply)(struct progress *) =
		scan_is(event, "begin") ? on_begin :
		scan_is(event, "dot") ? on_dot :
		scan_is(event, report_events[REPORT_FAILURE]) ?
			on_failure_reported :
		scan_is(event, report_events[REPORT_DELAY]) ?
			on_delay_reported : NULL;
	struct scan word;
	size_t i;

	if (!apply)
		return false;
	while (scan_until(line, ' ', &word)) {
		if (!read_index(&word, e, &i))
			return false;
		apply(&e->progress[i]);
	}
	if (apply == on_begin) {
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
		return read_result(line, e, RCPT_SENT);
	if (scan_is(&word, "deferred"))
		return read_result(line, e, RCPT_PENDING);
	if (scan_is(&word, "failed"))
		return read_result(line, e, RCPT_FAILED);
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
