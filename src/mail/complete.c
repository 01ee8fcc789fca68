/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/complete.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "mail/address.h"
#include "mail/encode.h"
#include "mail/lines.h"
#include "mail/message_parts.h"
#include "mail/refold.h"

/* --- what is to be done --- */

/* What is done to the body's bytes. */
enum treatment { BODY_STAYS, BODY_QUOTED, BODY_WRAPPED, BODY_NULS_LEFT_OUT };

struct completer {
	struct message *m;
	const struct completion *c;
	const struct present *has;
	enum treatment body;
	char *name_alone;       /* what a From without an address says */
	struct buf authors;     /* of a From that is replaced */
	bool from_done, to_done, encoding_done;
	struct spool *out;
};

/* Whether a body that is called base64 may be: words with blanks between them
 * are something else, and would be run together. */
static bool has_no_prose(const struct part *body)
{
	enum { NOTHING, WORD, WORD_AND_BLANK } line = NOTHING;
	const char *data, *c;
	int64_t at;
	long n;

	for (at = 0; (n = part_bytes(body, at, &data)) > 0; at += n) {
		for (c = data; c < data + n; c++) {
			if (*c == '\n')
				line = NOTHING;
			else if (is_wsp(*c))
				line = line == NOTHING ? line : WORD_AND_BLANK;
			else if (line == WORD_AND_BLANK && *c && *c != '\r')
				return false;
			else if (line == NOTHING && *c)
				line = WORD;
		}
	}
	return n == 0;
}

/* Long lines and NULs are not for the wire. Another encoding's lines, a part
 * of several, or something signed may not be re-encoded. */
static enum treatment choose_treatment(const struct message *m)
{
	const struct present *has = &m->has;

	if (!m->body_long && !m->body_nul)
		return BODY_STAYS;
	if (!m->facts.signature && !has->several_types) {
		if (has->encoding == ENCODING_IDENTITY && has->text)
			return BODY_QUOTED;
		if (has->encoding == ENCODING_BASE64 && has->single &&
		    has_no_prose(&m->body))
			return BODY_WRAPPED;
	}
	return m->body_nul ? BODY_NULS_LEFT_OUT : BODY_STAYS;
}

static void put_mailbox(struct buf *out, const char *name,
			const char *address)
{
	if (name) {
		name_encode_again(out, name);
		name_add_address(out, address);
	} else {
		buf_adds(out, address);
	}
}

struct author_walk {
	struct completer *s;
	const char *text;
	unsigned authors, own;  /* all of them, the account's own address */
};

/* An author's mailbox as he wrote it, but for a missing domain. What is not as
 * the RFC wants it is not written so by us. */
static void put_author(struct author_walk *a, const struct mailbox *b,
		       const char *whole)
{
	struct buf *out = &a->s->authors;
	size_t end = b->end;
	char *name;

	buf_adds(out, out->len ? ",\r\n " : "");
	if (b->loose) {
		name = b->name ? address_phrase(b->name, strlen(b->name)) :
		       NULL;
		put_mailbox(out, name, whole);
		free(name);
		return;
	}
	while (end > b->at && is_wsp(a->text[end - 1]))
		end--;
	buf_add(out, a->text + b->start, b->at - b->start);
	if (!b->qualified)
		buf_adds(out, whole + strlen(b->address));
	buf_add(out, a->text + b->at, end - b->at);
}

/* Puts an author's mailbox beside those before it, unless it is the address
 * that From will have. */
static bool visit_replaced(struct mailbox *b, void *context)
{
	struct author_walk *a = context;
	const char *domain = a->s->c->domain;
	char *whole;

	if (!mailbox_is_author(b))
		return true;
	whole = domain ? address_qualify(b->address, domain) :
		mem_string(b->address);
	a->authors++;
	if (address_equal(whole, a->s->c->from))
		a->own++;
	else
		put_author(a, b, whole);
	free(whole);
	return true;
}

/* Who wrote it, according to one From field. Gives whether that is the
 * account's own address and nobody else. */
static bool note_authors(struct completer *s, const struct field *f)
{
	struct author_walk a = { .s = s };
	struct outcome ignored;
	bool known;
	char *text;

	if (!f->addresses)
		return false;
	a.text = text = field_flatten(f);
	known = address_each(text, f->value_len, FAULTS_PASS, visit_replaced,
			     &a, &ignored);
	free(text);
	return known && a.authors == 1 && a.own == 1;
}

static bool note_from(const struct field *f, void *context)
{
	struct completer *s = context;
	char *name, *text;

	if (!field_is(f, "From"))
		return true;
	if (!field_has_author(f, &name) && memchr(f->value, '@',
						  f->value_len)) {
		text = field_unfold(f);
		log_say(LOG_AT_INFO, "no address can be read in From: %.200s",
			text);
		free(text);
	}
	if (!s->name_alone)
		s->name_alone = name;
	else
		free(name);
	if (s->c->from_header == FROM_REPLACE)
		note_authors(s, f);
	return true;
}

/* --- fields of ours --- */

static void put_from(struct completer *s)
{
	enum { MOST = 64 * 1024 };
	const char *name = s->c->full_name;
	struct buf b = BUF(MOST);

	buf_adds(&b, "From: ");
	if (s->name_alone && s->c->from_header != FROM_REPLACE) {
		put_mailbox(&b, s->name_alone, s->c->from);
	} else if (name && *name) {
		name_encode(&b, name);
		name_add_address(&b, s->c->from);
	} else {
		buf_adds(&b, s->c->from);
	}
	buf_adds(&b, "\r\n");
	if (b.full) {
		buf_reset(&b);
		buf_addf(&b, "From: %s\r\n", s->c->from);
	}
	refold_field(s->out, buf_text(&b), b.len);
	buf_release(&b);
	s->from_done = true;
}

static void put_formatted(struct spool *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void put_formatted(struct spool *out, const char *format, ...)
{
	struct buf b = BUF(4096);
	va_list ap;

	va_start(ap, format);
	buf_addv(&b, format, ap);
	va_end(ap);
	buf_adds(&b, "\r\n");
	spool_add(out, buf_text(&b), b.len);
	buf_release(&b);
}

static void put_undisclosed(struct completer *s)
{
	if (!s->to_done)
		put_formatted(s->out, "To: undisclosed-recipients:;");
	s->to_done = true;
}

static void put_encoding(struct completer *s)
{
	if (!s->encoding_done)
		put_formatted(s->out,
			      "Content-Transfer-Encoding: quoted-printable");
	s->encoding_done = true;
}

/* Who wrote it is still to be reached. */
static void put_reply_to(struct completer *s)
{
	struct buf b = BUF(4 * (size_t)ADDRESS_FIELD_MAX);

	if (s->has->reply_to || !s->authors.len || s->authors.full)
		return;
	buf_addf(&b, "Reply-To: %s\r\n", buf_text(&s->authors));
	if (!b.full)
		refold_field(s->out, buf_text(&b), b.len);
	buf_release(&b);
}

static void put_missing(struct completer *s)
{
	char date[CLOCK_DATE_SIZE];

	if (s->c->original_to) {
		spool_add(s->out, "X-Original-To: ", 15);
		spool_add(s->out, s->c->original_to,
			  strlen(s->c->original_to));
		spool_add(s->out, "\r\n", 2);
	}
	if (!s->has->date) {
		clock_date(time(NULL), date);
		put_formatted(s->out, "Date: %s", date);
	}
	if (!s->has->from) {
		put_from(s);
		if (s->c->from_header == FROM_REPLACE)
			put_reply_to(s);
	}
	if (!s->has->message_id) {
		put_formatted(s->out, "Message-ID: <%llx.%lx.%016llx@%s>",
			      (unsigned long long)time(NULL),
			      (unsigned long)getpid(),
			      (unsigned long long)clock_chance(),
			      s->c->id_domain);
	}
	if (s->body == BODY_QUOTED && !s->has->mime_version)
		put_formatted(s->out, "MIME-Version: 1.0");
	if (s->body == BODY_QUOTED && !s->has->encoding_set)
		put_encoding(s);
}

/* --- fields of the message --- */

/* A field into which "@domain" is put after every local part that stands
 * alone. */
struct qualifier {
	const struct field *f;
	const char *domain;
	struct buf b;
	size_t from;           /* what of the value is not yet in b */
};

static bool visit_unqualified(struct mailbox *b, void *context)
{
	struct qualifier *q = context;

	if (b->qualified || mailbox_is_name(b) || b->at < q->from ||
	    b->at > q->f->value_len)
		return true;
	buf_add(&q->b, q->f->value + q->from, b->at - q->from);
	buf_addf(&q->b, "@%s", q->domain);
	q->from = b->at;
	return true;
}

static void put_addresses(struct completer *s, const struct field *f)
{
	struct qualifier q = { .f = f, .domain = s->c->domain,
				.b = BUF(4 * (size_t)FIELD_MAX) };
	size_t lead = (size_t)(f->value - f->raw);
	char *text = field_flatten(f);
	struct outcome ignored;
	bool good;

	buf_add(&q.b, f->raw, lead);
	good = address_each(text, f->value_len, FAULTS_PASS,
			    visit_unqualified, &q, &ignored);
	if (good && q.from) {
		buf_add(&q.b, f->value + q.from, f->raw_len - lead - q.from);
		good = !q.b.full;
	}
	if (good && q.from)
		refold_field(s->out, q.b.data, q.b.len);
	else
		refold_field(s->out, f->raw, f->raw_len);
	buf_release(&q.b);
	free(text);
}

/* A field too long to be held is refolded as it streams by. */
static bool put_huge(struct completer *s, int64_t start, int64_t end)
{
	struct refolder r = { .out = s->out, .width = LINE_LONGEST };
	struct part p = s->m->header;
	const char *data;
	int64_t at;
	long n;

	p.size = end;
	for (at = start; (n = part_bytes(&p, at, &data)) > 0; at += n)
		refold(&r, data, (size_t)n);
	refold_held(&r);
	return n == 0;
}

/* Fields that say nothing and of which a better one is there. */
static bool is_void(struct completer *s, const struct field *f)
{
	char *name;
	bool from;

	if (field_is(f, "Date") || field_is(f, "Message-ID"))
		return field_is_blank(f);
	if (field_is(f, "MIME-Version"))
		return s->body == BODY_QUOTED && field_is_blank(f);
	if (field_is(f, "Reply-To"))
		return s->authors.len && !s->has->reply_to &&
		       field_is_blank(f);
	if (!field_is(f, "From"))
		return false;
	from = field_has_author(f, &name);
	free(name);
	return !from;
}

/* From becomes the account's. */
static bool is_author_replaced(struct completer *s, const struct field *f)
{
	if (s->c->from_header != FROM_REPLACE)
		return false;
	if (field_is(f, "Sender"))
		return true;
	if (!field_is(f, "From"))
		return false;
	if (s->c->keep_own && !s->from_done && !s->authors.len &&
	    note_authors(s, f)) {
		s->from_done = true;
		return false;
	}
	if (!s->from_done) {
		put_from(s);
		put_reply_to(s);
	}
	return true;
}

/* Whether another field stands in the place of this one, or none. */
static bool is_replaced(struct completer *s, const struct field *f)
{
	if (field_is(f, "Bcc") || field_is(f, "Resent-Bcc") ||
	    field_is(f, "Return-Path") || field_is(f, "Content-Length") ||
	    is_void(s, f) || is_author_replaced(s, f))
		return true;
	if (s->c->undisclosed_recipients &&
	    (field_is(f, "To") || field_is(f, "Cc"))) {
		put_undisclosed(s);
		return true;
	}
	if (s->body == BODY_QUOTED &&
	    field_is(f, "Content-Transfer-Encoding")) {
		put_encoding(s);
		return true;
	}
	return false;
}

static bool put_fields(struct completer *s)
{
	const char *domain = s->c->domain;
	struct field_walk w = { .m = s->m };
	struct field f;

	while (!w.failed && field_next(&w, &f)) {
		if (is_replaced(s, &f))
			continue;
		if (f.cut)
			w.failed = !put_huge(s, w.start, w.at);
		else if (domain && *domain && f.addresses)
			put_addresses(s, &f);
		else
			refold_field(s->out, f.raw, f.raw_len);
	}
	field_walk_release(&w);
	return !w.failed;
}

/* --- the whole --- */

static bool put_body(struct completer *s)
{
	struct qp q = { .out = s->out };
	struct base64_lines w = { .out = s->out };
	const char *data, *nul;
	int64_t at;
	long n, len;

	for (at = 0; (n = part_bytes(&s->m->body, at, &data)) > 0; at += n) {
		if (s->body == BODY_QUOTED) {
			qp_add(&q, data, (size_t)n);
			continue;
		}
		if (s->body == BODY_WRAPPED) {
			base64_lines_add(&w, data, (size_t)n);
			continue;
		}
		for (len = n; (nul = memchr(data, '\0', (size_t)len));) {
			spool_add(s->out, data, (size_t)(nul - data));
			len -= nul + 1 - data;
			data = nul + 1;
		}
		spool_add(s->out, data, (size_t)len);
	}
	qp_end(&q);
	base64_lines_end(&w);
	return n == 0;
}

/* The completed message; a body that stays still lies where it was. */
static bool assemble(struct completer *s, struct message *done,
		     struct outcome *why)
{
	struct spool *out = s->out;

	put_missing(s);
	if (!put_fields(s))
		return message_unreadable(s->m->header.store, why);
	if (s->c->undisclosed_recipients)
		put_undisclosed(s);
	spool_add(out, "\r\n", 2);
	done->header = (struct part){ .store = out, .size = out->size };
	done->body = s->m->body;
	done->body_wide = s->m->body_wide;
	done->body_long = s->m->body_long;
	if (s->body != BODY_STAYS) {
		if (!put_body(s))
			return message_unreadable(s->m->body.store, why);
		done->body = (struct part){
			.store = out, .at = done->header.size,
			.size = out->size - done->header.size };
	}
	if (!spool_flush(out))
		return message_unwritable(out, why);
	return s->body == BODY_STAYS || body_survey(done) ||
	       message_unreadable(out, why);
}

bool message_complete(struct message **m, const struct completion *c,
		      struct outcome *why)
{
	struct completer s = {
		.m = *m, .c = c, .has = &(*m)->has,
		.body = choose_treatment(*m),
		.authors = BUF(2 * (size_t)ADDRESS_FIELD_MAX),
	};
	struct message *done = NULL, *old = *m;
	bool good = true;

	if (!s.has->from || c->from_header == FROM_REPLACE)
		good = message_fields(*m, note_from, &s, why);
	if (good) {
		s.out = spool_new();
		done = mem_alloc(sizeof(*done));
		good = assemble(&s, done, why) && message_survey(done, why);
	}
	if (good) {
		if (s.body == BODY_NULS_LEFT_OUT)
			log_say(LOG_AT_INFO, "the message has NUL bytes that "
				"its type does not let us encode: they were "
				"left out");
		if (done->facts.long_lines)
			log_say(LOG_AT_INFO, "the message has lines over %d "
				"octets that had to stay as they are",
				LINE_LONGEST);
		/* a body that stays has a new owner */
		if (old->body.store == done->body.store) {
			if (old->header.store == old->body.store)
				old->header.store = NULL;
			old->body.store = NULL;
		}
		message_free(old);
		*m = done;
	} else {
		spool_free(s.out);
		free(done);
	}
	buf_release(&s.authors);
	free(s.name_alone);
	return good;
}
