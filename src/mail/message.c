/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A message's bytes and the facts about it. */
#include "mail/message.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mail/address.h"
#include "mail/lines.h"
#include "mail/message_parts.h"

enum { RECEIVED_MAX = 50 };

void message_free(struct message *m)
{
	if (!m)
		return;
	spool_free(m->header.store);
	if (m->body.store != m->header.store)
		spool_free(m->body.store);
	free(m);
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

static bool in_one_piece(const struct message *m)
{
	return m->body.store == m->header.store &&
	       m->body.at == m->header.at + m->header.size;
}

long message_bytes(struct message *m, int64_t offset, const char **data)
{
	struct part whole = m->header;
	long n;

	if (in_one_piece(m))
		whole.size += m->body.size;
	if (offset < whole.size)
		n = part_bytes(&whole, offset, data);
	else
		n = part_bytes(&m->body, offset - m->header.size, data);
	return n < STORE_WINDOW ? n : STORE_WINDOW;
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
			    "cannot write a temporary file: %s",
			    strerror(s->error));
}

static bool has_utf8_address(const struct field *f)
{
	struct mailboxes list = {0};
	struct outcome ignored;
	char *text = field_flatten(f);
	bool found = false;
	size_t i;

	if (address_list(text, f->value_len, &list, &ignored))
		for (i = 0; i < list.n && !found; i++)
			found = address_is_utf8(list.box[i].address);
	mailboxes_release(&list);
	free(text);
	return found;
}

static bool says_no(const struct field *f)
{
	char *value = field_unfold(f);
	bool no = !strcasecmp(value, "no");

	free(value);
	return no;
}

static void survey_field(struct message_facts *facts, const struct field *f)
{
	if (!facts->utf8_address && f->raw_len <= ADDRESS_FIELD_MAX &&
	    bytes_wide(f->value, f->value_len) && field_has_addresses(f))
		facts->utf8_address = has_utf8_address(f);
	else if (field_is(f, "TLS-Required"))
		facts->tls_required_no = says_no(f);
}

/* Byte facts of the header, whatever its fields are. */
static bool survey_lines(const struct part *p, bool *wide, bool *is_long)
{
	int64_t at, line = 0;
	const char *data, *from, *lf;
	long n;

	for (at = 0; (n = part_bytes(p, at, &data)) > 0; at += n) {
		*wide = *wide || bytes_wide(data, (size_t)n);
		from = data;
		while ((lf = memchr(from, '\n', (size_t)(data + n - from)))) {
			line += lf + 1 - from;
			*is_long = *is_long || line > LINE_LONGEST + 2;
			line = 0;
			from = lf + 1;
		}
		line += data + n - from;
	}
	return n == 0;
}

bool message_survey(struct message *m, struct outcome *why)
{
	struct message_facts facts = { .size = message_size(m) };
	struct field_walk w = { .m = m };
	unsigned received = 0;
	struct field f;

	facts.eight_bit = m->body_wide;
	facts.long_lines = m->body_long;
	while (field_next(&w, &f)) {
		survey_field(&facts, &f);
		received += field_is(&f, "Received");
	}
	field_walk_release(&w);
	if (w.failed || !survey_lines(&m->header, &facts.eight_bit,
				      &facts.long_lines))
		return message_unreadable(m->header.store, why);
	m->facts = facts;
	if (received > RECEIVED_MAX)
		return outcome_fail_status(why, STAGE_LOCAL, EX_UNAVAILABLE,
			"5.4.6", "more than %d Received fields: the message "
			"goes round in a loop", RECEIVED_MAX);
	return true;
}

/* Where the header ends: behind the first empty line; 0: it does not. */
static int64_t header_end(struct spool *s)
{
	struct part whole = { .store = s, .size = s->size };
	int64_t at, line = 0;
	const char *data, *from, *lf;
	long n;

	for (at = 0; (n = part_bytes(&whole, at, &data)) > 0; at += n) {
		from = data;
		while ((lf = memchr(from, '\n', (size_t)(data + n - from)))) {
			line += lf + 1 - from;
			if (line == 2)
				return at + (lf + 1 - data);
			line = 0;
			from = lf + 1;
		}
		line += data + n - from;
	}
	return 0;
}

bool message_open(int fd, int64_t offset, int64_t size, struct message **out,
		  struct outcome *why)
{
	struct spool *s = spool_over(fd, offset, size);
	struct message *m = mem_alloc(sizeof(*m));
	int64_t header = header_end(s);
	bool done = false;

	m->header = (struct part){ .store = s, .size = header };
	m->body = (struct part){ .store = s, .at = header,
				 .size = size - header };
	if (s->error)
		message_unreadable(s, why);
	else if (!header)
		outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
			     "the message's header has no end");
	else if (!survey_lines(&m->body, &m->body_wide, &m->body_long))
		message_unreadable(s, why);
	else
		done = message_survey(m, why);
	if (!done) {
		message_free(m);
		return false;
	}
	*out = m;
	return true;
}
