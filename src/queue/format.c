/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "queue/format.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/scan.h"

static const char first_line[] = "posthaste-queue 1";

/* Four bits of the checksum each. */
static const uint64_t sum_step[16] = {
	0x0000000000000000, 0x7d9ba13851336649,
	0xfb374270a266cc92, 0x86ace348f355aadb,
	0x64b62bcaebc387a1, 0x192d8af2baf0e1e8,
	0x9f8169ba49a54b33, 0xe21ac88218962d7a,
	0xc96c5795d7870f42, 0xb4f7f6ad86b4690b,
	0x325b15e575e1c3d0, 0x4fc0b4dd24d2a599,
	0xadda7c5f3c4488e3, 0xd041dd676d77eeaa,
	0x56ed3e2f9e224471, 0x2b769f17cf112238,
};

/* Of so much the tables for eight bytes at once are worth making. */
enum { SUM_MUCH = 8192 };

/* Eight bytes at a time, by what each of them does where it stands; sum is
 * the inverse. Gives how many bytes were taken. */
static size_t sum_much(uint64_t *sum, const unsigned char *p, size_t n)
{
	uint64_t table[8][256], word;
	size_t i, k, at;

	for (i = 0; i < 256; i++) {
		word = sum_step[i & 15] ^ (i >> 4);
		table[0][i] = sum_step[word & 15] ^ (word >> 4);
	}
	for (k = 1; k < 8; k++)
		for (i = 0; i < 256; i++)
			table[k][i] = table[0][table[k - 1][i] & 255] ^
				      (table[k - 1][i] >> 8);
	for (at = 0; n - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, p + at, sizeof(word));
		word = le64toh(word) ^ *sum;
		*sum = table[7][word & 255] ^ table[6][word >> 8 & 255] ^
		       table[5][word >> 16 & 255] ^
		       table[4][word >> 24 & 255] ^
		       table[3][word >> 32 & 255] ^
		       table[2][word >> 40 & 255] ^
		       table[1][word >> 48 & 255] ^ table[0][word >> 56];
	}
	return at;
}

/* A small table's steps cost a second look-up a byte. */
uint64_t text_sum(uint64_t sum, const void *data, size_t n)
{
	const unsigned char *p = data;
	size_t i;

	sum = ~sum;
	for (i = n < SUM_MUCH ? 0 : sum_much(&sum, p, n); i < n; i++) {
		sum ^= p[i];
		sum = sum_step[sum & 15] ^ (sum >> 4);
		sum = sum_step[sum & 15] ^ (sum >> 4);
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

bool text_damaged(struct outcome *why, const char *what)
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
	v->rcpt = mem_grow(v->rcpt, v->n, sizeof(*v->rcpt));
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
static bool header_line(struct scan *line, struct entry *e)
{
	struct envelope *v = &e->envelope;
	struct scan key;
	int64_t number;
	int value;

	if (!scan_until(line, ' ', &key))
		return false;
	if (scan_is(&key, "rcpt"))
		return read_rcpt(line, v);
	if (scan_is(&key, "queued"))
		return read_time(line, &e->queued);
	if (scan_is(&key, "foreign")) {
		e->foreign = true;
		return true;
	}
	if (scan_is(&key, "uid")) {
		if (!scan_number(line, UINT32_MAX, &number))
			return false;
		e->uid = (uid_t)number;
		return true;
	}
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
		return text_damaged(why, "a NUL in the envelope");
	if (!s->begun) {
		s->begun = scan_is(&rest, first_line);
		return s->begun ||
		       outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
				    "not a queue entry of a known version");
	}
	if (s->sized) {
		if (n || !e->envelope.sender || !e->envelope.n)
			return text_damaged(why, n ? "size" :
					    "an incomplete envelope");
		e->progress = mem_alloc(e->envelope.n * sizeof(*e->progress));
		s->ended = true;
		return true;
	}
	if (scan_skip(&rest, "size ")) {
		s->sized = scan_number(&rest, INT64_MAX / 2, &e->size);
		return s->sized || text_damaged(why, "size");
	}
	if (header_line(&rest, e))
		return true;
	return text_damaged(why, e->envelope.n < RECIPIENTS_MAX ? "envelope" :
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
			return text_damaged(why, "no end of the envelope");
		length = (size_t)(end - text);
		if (!text_read_header_line(&s, text, length, e, why))
			return false;
		text += length + 1;
		n -= length + 1;
	}
	return !n || text_damaged(why, "more than an envelope");
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
