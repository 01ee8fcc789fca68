/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A message: its bytes, its fields, who wrote it. */
#include "mail/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/scan.h"
#include "mail/address.h"
#include "mail/lines.h"
#include "mail/message_parts.h"

void message_free(struct message *m)
{
	if (!m)
		return;
	spool_free(m->header.store);
	if (m->body.store != m->header.store)
		spool_free(m->body.store);
	free(m);
}

void message_descriptors(const struct message *m, int fd[2])
{
	fd[0] = m && m->header.store ? m->header.store->fd : -1;
	fd[1] = m && m->body.store ? m->body.store->fd : -1;
}

int64_t message_size(const struct message *m)
{
	return m->header.size + m->body.size;
}

int64_t message_header_size(const struct message *m)
{
	return m->header.size;
}

const struct message_facts *message_facts(const struct message *m)
{
	return &m->facts;
}

long part_bytes(const struct part *p, int64_t offset, const char **data)
{
	int64_t left = p->size - offset;
	long n;

	if (left <= 0)
		return 0;
	n = spool_bytes(p->store, p->at + offset, data);
	return n < left ? n : (long)left;
}

long message_bytes(struct message *m, int64_t offset, const char **data)
{
	struct part whole = m->header;
	long n;

	if (m->body.store == m->header.store &&
	    m->body.at == m->header.at + m->header.size)
		whole.size += m->body.size;
	if (offset < whole.size)
		n = part_bytes(&whole, offset, data);
	else
		n = part_bytes(&m->body, offset - m->header.size, data);
	return n < SPOOL_WINDOW ? n : SPOOL_WINDOW;
}

bool message_unreadable(const struct spool *s, struct outcome *why)
{
	return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
			    "cannot read the message back: %s",
			    strerror(s->error));
}

bool message_unwritable(const struct spool *s, struct outcome *why)
{
	return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
			    "cannot write a temporary file in %s: %s (TMPDIR "
			    "chooses another directory)",
			    s->directory ? s->directory : "memory",
			    strerror(s->error));
}

/* --- fields --- */

/* Where the fields end and the empty line begins. */
static int64_t fields_end(const struct message *m)
{
	return m->header.size - 2;
}

/* The end of the field that begins at w->at: after the first line end that
 * no white space follows; -1 when the file cannot be read. */
static int64_t field_end(const struct field_walk *w)
{
	const struct part *header = &w->m->header;
	int64_t at, end = fields_end(w->m);
	const char *data, *p, *stop;
	bool line_end = false;
	long n;

	for (at = w->at; at < end; at += n) {
		n = part_bytes(header, at, &data);
		if (n <= 0)
			return -1;
		if (line_end && !is_wsp(*data))
			return at;
		line_end = false;
		stop = data + n;
		for (p = data; (p = memchr(p, '\n', (size_t)(stop - p)));) {
			if (++p == stop)
				line_end = true;
			else if (!is_wsp(*p))
				return at + (p - data);
		}
	}
	return end;
}

/* The bytes of a field, in one piece; at most FIELD_MAX of them. */
static const char *field_piece(struct field_walk *w, size_t n)
{
	const char *data;
	size_t part;
	long got;

	got = part_bytes(&w->m->header, w->start, &data);
	if (got >= (long)n)
		return data;
	buf_reset(&w->copy);
	while (w->copy.len < n) {
		got = part_bytes(&w->m->header,
				 w->start + (int64_t)w->copy.len, &data);
		if (got <= 0)
			return NULL;
		part = n - w->copy.len;
		part = part < (size_t)got ? part : (size_t)got;
		if (!buf_add(&w->copy, data, part))
			return NULL;
	}
	return w->copy.data;
}

bool field_is(const struct field *f, const char *name)
{
	/* most are told apart by their first letter, and quickly */
	if (!f->name_len || ((*f->name ^ *name) & ~0x20))
		return false;
	return strlen(name) == f->name_len &&
	       !strncasecmp(f->name, name, f->name_len);
}

static bool field_has_addresses(const struct field *f)
{
	static const char *const names[] = {
		"From", "Sender", "Reply-To", "To", "Cc", "Resent-From",
		"Resent-Sender", "Resent-Reply-To", "Resent-To", "Resent-Cc",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (field_is(f, names[i]))
			return true;
	return false;
}

/* Whether there is still time for the addresses in a field of this size. Who
 * wrote it is asked whatever else there is, and what is left as it is costs
 * nothing. */
static bool addresses_fit(struct field_walk *w, const struct field *f,
			  int64_t size)
{
	const bool from = field_is(f, "From");
	const int64_t most = from ? ADDRESS_FIELD_MAX : ADDRESS_FIELDS_MAX;
	int64_t *parsed = from ? &w->authors : &w->addresses;

	if (size > ADDRESS_FIELD_MAX || size > most - *parsed)
		return false;
	*parsed += size;
	return true;
}

bool field_next(struct field_walk *w, struct field *f)
{
	const char *colon, *last;
	int64_t end, size;

	if (w->failed || w->at >= fields_end(w->m))
		return false;
	w->copy.max = FIELD_MAX;
	end = field_end(w);
	size = end - w->at;
	w->start = w->at;
	*f = (struct field){ .at = w->at, .cut = size > FIELD_MAX };
	f->raw_len = f->cut ? FIELD_MAX : (size_t)size;
	f->raw = end < 0 ? NULL : field_piece(w, f->raw_len);
	if (!f->raw) {
		w->failed = true;
		return false;
	}
	w->at = end;
	last = f->raw + f->raw_len - (f->cut || f->raw_len < 2 ? 0 : 2);
	colon = memchr(f->raw, ':', f->raw_len);
	/* what message_open was given need not have one */
	if (!colon)
		colon = last;
	f->name = f->raw;
	f->name_len = (size_t)(colon - f->raw);
	while (f->name_len && is_wsp(f->name[f->name_len - 1]))
		f->name_len--;
	f->value = colon < last ? colon + 1 : last;
	f->value_len = (size_t)(last - f->value);
	f->addresses = field_has_addresses(f) && addresses_fit(w, f, size);
	return true;
}

void field_walk_release(struct field_walk *w)
{
	buf_release(&w->copy);
}

bool field_is_blank(const struct field *f)
{
	struct scan value = scan_bytes(f->value, f->value_len);

	scan_skip_blanks(&value);
	return !scan_left(&value);
}

char *field_unfold(const struct field *f)
{
	struct scan value = scan_bytes(f->value, f->value_len);
	char *text, *to;

	scan_trim(&value);
	text = to = mem_alloc(scan_left(&value) + 1);
	for (; value.p < value.end; value.p++)
		if (*value.p != '\r' && *value.p != '\n')
			*to++ = *value.p;
	return text;
}

char *field_flatten(const struct field *f)
{
	char *text = mem_stringn(f->value, f->value_len);
	size_t i;

	for (i = 0; i < f->value_len; i++)
		if (text[i] == '\r' || text[i] == '\n')
			text[i] = ' ';
	return text;
}

bool message_fields(struct message *m, field_visit *visit, void *context,
		    struct outcome *why)
{
	struct field_walk w = { .m = m };
	struct field f;

	while (field_next(&w, &f) && visit(&f, context))
		;
	field_walk_release(&w);
	return !w.failed || message_unreadable(m->header.store, why);
}

bool message_field_at(struct message *m, int64_t at, field_visit *visit,
		      void *context, struct outcome *why)
{
	struct field_walk w = { .m = m, .at = at };
	struct field f;

	if (field_next(&w, &f))
		visit(&f, context);
	field_walk_release(&w);
	return !w.failed || message_unreadable(m->header.store, why);
}

char *message_field(struct message *m, const char *name)
{
	struct field_walk w = { .m = m };
	char *value = NULL;
	struct field f;

	while (!value && field_next(&w, &f))
		if (field_is(&f, name))
			value = field_unfold(&f);
	field_walk_release(&w);
	return value;
}

char *message_id(struct message *m)
{
	char *value = message_field(m, "Message-ID"), *id = NULL;
	size_t n = value ? strlen(value) : 0;

	if (n > 2 && value[0] == '<' && value[n - 1] == '>')
		id = mem_stringn(value + 1, n - 2);
	else if (n)
		id = mem_string(value);
	if (id && strlen(id) > 500)
		id[500] = '\0';
	free(value);
	return id;
}

/* --- who wrote it --- */

bool mailbox_is_author(const struct mailbox *b)
{
	return b->qualified ||
	       (!mailbox_is_name(b) && (b->name || !b->quoted));
}

static bool visit_author(struct mailbox *b, void *context)
{
	bool *found = context;

	*found = mailbox_is_author(b);
	return !*found;
}

bool field_has_author(const struct field *f, char **name)
{
	struct outcome ignored;
	bool found = false;
	char *text;

	*name = NULL;
	/* more of From than is looked at, and surely not nothing */
	if (!f->addresses)
		return true;
	text = field_flatten(f);
	if (!address_each(text, f->value_len, FAULTS_PASS, visit_author,
			  &found, &ignored))
		found = false;
	free(text);
	if (found)
		return true;
	text = field_unfold(f);
	*name = address_phrase(text, strlen(text));
	free(text);
	return false;
}

static bool visit_first(struct mailbox *b, void *context)
{
	char **address = context;

	if (!mailbox_is_author(b))
		return true;
	*address = b->address;
	b->address = NULL;
	return false;
}

char *message_from(struct message *m)
{
	struct field_walk w = { .m = m };
	struct outcome ignored;
	char *first = NULL, *text;
	struct field f;

	while (!first && field_next(&w, &f)) {
		if (!field_is(&f, "From") || !f.addresses)
			continue;
		text = field_unfold(&f);
		if (!address_each(text, strlen(text), FAULTS_PASS,
				  visit_first, &first, &ignored))
			first = NULL;
		free(text);
	}
	field_walk_release(&w);
	return first ? first : mem_string("");
}
