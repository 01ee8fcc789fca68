/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a message lacks, and what it must not have (SPEC 3 and 4). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "mail/address.h"
#include "mail/lines.h"
#include "mail/message_parts.h"

/* What the header says already. */
struct present {
	bool date, message_id, from, mime_version, encoding;
	bool to_or_cc;
	bool opaque;       /* the body's bytes must stay as they are */
	bool content_type;
};

struct completing {
	struct message *m;
	const struct completion *c;
	struct present has;
	bool encode;            /* the body becomes quoted-printable */
	bool from_done, to_done, encoding_done;
	struct spool *out;
};

/* --- what is there --- */

static bool value_is_in(const struct field *f, const char *const *words)
{
	char *value = field_unfold(f);
	bool found = false;

	for (; *words && !found; words++)
		found = !strcasecmp(value, *words);
	free(value);
	return found;
}

static bool is_text(const struct field *f)
{
	char *value = field_unfold(f);
	bool text = !strncasecmp(value, "text/", 5);

	free(value);
	return text;
}

/* Another encoding's lines, a part of several, or something signed may not
 * be re-encoded. */
static bool forbids_encoding(const struct present *has, const struct field *f)
{
	static const char *const identity[] = {
		"7bit", "8bit", "binary", "", NULL
	};

	if (field_is(f, "Content-Type"))
		return has->content_type || !is_text(f);
	if (field_is(f, "Content-Transfer-Encoding"))
		return !value_is_in(f, identity);
	return field_is(f, "DKIM-Signature") ||
	       field_is(f, "ARC-Message-Signature");
}

static bool note_field(const struct field *f, void *context)
{
	struct present *has = context;

	has->opaque = has->opaque || forbids_encoding(has, f);
	has->date |= field_is(f, "Date");
	has->message_id |= field_is(f, "Message-ID");
	has->from |= field_is(f, "From");
	has->to_or_cc |= field_is(f, "To") || field_is(f, "Cc");
	has->mime_version |= field_is(f, "MIME-Version");
	has->content_type |= field_is(f, "Content-Type");
	has->encoding |= field_is(f, "Content-Transfer-Encoding");
	return true;
}

/* --- fields of ours --- */

static void put_from(struct completing *s)
{
	enum { MOST = 64 * 1024 };
	const char *name = s->c->full_name;
	struct buf b = BUF(MOST);

	buf_adds(&b, "From: ");
	if (name && *name) {
		name_encode(&b, name);
		buf_addf(&b, " <%s>\r\n", s->c->from);
	} else {
		buf_addf(&b, "%s\r\n", s->c->from);
	}
	if (b.full) {
		buf_reset(&b);
		buf_addf(&b, "From: %s\r\n", s->c->from);
	}
	refold_field(s->out, buf_text(&b), b.len);
	buf_release(&b);
	s->from_done = true;
}

static void put_line(struct spool *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void put_line(struct spool *out, const char *format, ...)
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

static void put_message_id(struct completing *s)
{
	unsigned char raw[8];
	uint64_t random = 0;

	if (getrandom(raw, sizeof(raw), GRND_NONBLOCK) == sizeof(raw))
		memcpy(&random, raw, sizeof(raw));
	else
		random = (uint64_t)clock_now();
	put_line(s->out, "Message-ID: <%llx.%lx.%016llx@%s>",
		 (unsigned long long)time(NULL), (unsigned long)getpid(),
		 (unsigned long long)random, s->c->id_domain);
}

static void put_undisclosed(struct completing *s)
{
	if (!s->to_done)
		put_line(s->out, "To: undisclosed-recipients:;");
	s->to_done = true;
}

static void put_encoding(struct completing *s)
{
	if (!s->encoding_done)
		put_line(s->out,
			 "Content-Transfer-Encoding: quoted-printable");
	s->encoding_done = true;
}

static void put_missing(struct completing *s)
{
	char date[CLOCK_DATE_SIZE];

	if (!s->has.date) {
		clock_date(time(NULL), date);
		put_line(s->out, "Date: %s", date);
	}
	if (!s->has.from)
		put_from(s);
	if (!s->has.message_id)
		put_message_id(s);
	if (s->encode && !s->has.mime_version)
		put_line(s->out, "MIME-Version: 1.0");
	if (s->encode && !s->has.encoding)
		put_encoding(s);
}

/* --- fields of the message --- */

static bool is_removed(const struct field *f)
{
	return field_is(f, "Bcc") || field_is(f, "Resent-Bcc") ||
	       field_is(f, "Return-Path") || field_is(f, "Content-Length");
}

/* The field with "@domain" behind every local part that stands alone. */
static void put_qualified(struct completing *s, const struct field *f,
			  const struct mailboxes *list)
{
	struct buf b = BUF(4 * (size_t)FIELD_MAX);
	size_t i, from = 0, lead = (size_t)(f->value - f->raw);

	buf_add(&b, f->raw, lead);
	for (i = 0; i < list->n; i++) {
		if (list->box[i].qualified || list->box[i].at < from ||
		    list->box[i].at > f->value_len)
			continue;
		buf_add(&b, f->value + from, list->box[i].at - from);
		from = list->box[i].at;
		buf_addf(&b, "@%s", s->c->domain);
	}
	buf_add(&b, f->value + from, f->raw_len - lead - from);
	if (b.full)
		refold_field(s->out, f->raw, f->raw_len);
	else
		refold_field(s->out, b.data, b.len);
	buf_release(&b);
}

static bool lacks_domain(const struct mailboxes *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (!list->box[i].qualified)
			return true;
	return false;
}

static void put_addresses(struct completing *s, const struct field *f)
{
	struct mailboxes list = {0};
	struct outcome ignored;
	char *text = field_flatten(f);

	if (address_list(text, f->value_len, &list, &ignored) &&
	    lacks_domain(&list))
		put_qualified(s, f, &list);
	else
		refold_field(s->out, f->raw, f->raw_len);
	mailboxes_release(&list);
	free(text);
}

/* A field too long to be held is refolded as it streams by. */
static bool put_huge(struct completing *s, int64_t start, int64_t end)
{
	struct refolder r = { .out = s->out, .width = LINE_LONGEST };
	struct part p = s->m->header;
	const char *data;
	int64_t at;
	long n;

	p.size = end;
	for (at = start; (n = part_bytes(&p, at, &data)) > 0; at += n)
		refold(&r, data, (size_t)n);
	refold_end(&r);
	return n == 0;
}

/* Whether another field stands in the place of this one, or none. */
static bool is_replaced(struct completing *s, const struct field *f)
{
	if (is_removed(f))
		return true;
	if (s->c->from_header == FROM_REPLACE && field_is(f, "From")) {
		if (!s->from_done)
			put_from(s);
		return true;
	}
	if (s->c->undisclosed_recipients &&
	    (field_is(f, "To") || field_is(f, "Cc"))) {
		put_undisclosed(s);
		return true;
	}
	if (s->encode && field_is(f, "Content-Transfer-Encoding")) {
		put_encoding(s);
		return true;
	}
	return false;
}

static bool put_fields(struct completing *s)
{
	const char *domain = s->c->domain;
	struct field_walk w = { .m = s->m };
	struct field f;

	while (!w.failed && field_next(&w, &f)) {
		if (is_replaced(s, &f))
			continue;
		if (f.cut)
			w.failed = !put_huge(s, w.start, w.at);
		else if (domain && *domain && f.raw_len <= ADDRESS_FIELD_MAX &&
			 field_has_addresses(&f))
			put_addresses(s, &f);
		else
			refold_field(s->out, f.raw, f.raw_len);
	}
	field_walk_release(&w);
	return !w.failed;
}

/* --- the whole --- */

static bool put_encoded_body(struct completing *s)
{
	struct qp q = { .out = s->out };
	const char *data;
	int64_t at;
	long n;

	for (at = 0; (n = part_bytes(&s->m->body, at, &data)) > 0; at += n)
		qp_encode(&q, data, (size_t)n);
	qp_end(&q);
	return n == 0;
}

/* The completed message; its body, unless encoded, still lies where it
 * was. */
static bool assemble(struct completing *s, struct message *done,
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
	if (s->encode) {
		if (!put_encoded_body(s))
			return message_unreadable(s->m->body.store, why);
		done->body = (struct part){
			.store = out, .at = done->header.size,
			.size = out->size - done->header.size };
		done->body_wide = done->body_long = false;
	}
	return spool_flush(out) || message_unwritable(out, why);
}

/* The old message's body has a new owner. */
static void replace(struct message **m, struct message *done)
{
	struct message *old = *m;

	if (old->body.store == done->body.store) {
		if (old->header.store == old->body.store)
			old->header.store = NULL;
		old->body.store = NULL;
	}
	message_free(old);
	*m = done;
}

bool message_complete(struct message **m, const struct completion *c,
		      struct outcome *why)
{
	struct completing s = { .m = *m, .c = c };
	struct message *done;

	if (!message_fields(*m, note_field, &s.has, why))
		return false;
	s.encode = (*m)->body_long && !s.has.opaque;
	s.out = spool_new();
	done = mem_alloc(sizeof(*done));
	if (!assemble(&s, done, why) || !message_survey(done, why)) {
		spool_free(s.out);
		free(done);
		return false;
	}
	free(s.out->out);
	s.out->out = NULL;
	if (done->facts.long_lines)
		log_say(LOG_AT_INFO, "the message has lines over %d octets "
			"that had to stay as they are", LINE_LONGEST);
	replace(m, done);
	return true;
}
