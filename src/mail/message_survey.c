/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The facts about a message. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mail/lines.h"
#include "mail/message_parts.h"

/* FIELDS_MAX: far more than anybody writes, one for each recipient that a
 * message may have included; a header is walked through several times, and in
 * the queue others wait meanwhile. */
enum { RECEIVED_MAX = 50, FIELDS_MAX = 100000 };

static bool visit_utf8(struct mailbox *b, void *context)
{
	bool *found = context;

	*found = b->qualified && address_is_utf8(b->address);
	return !*found;
}

/* The beginning of a value of structured text: comments, quotes and white
 * space taken away, in lower case. */
static void plain_words(const struct field *f, char *out, size_t size)
{
	size_t i, n = 0, depth = 0;
	char c;

	for (i = 0; i < f->value_len && n + 1 < size; i++) {
		c = f->value[i];
		if (c == '\\' && i + 1 < f->value_len && depth) {
			i++;
		} else if (c == '(') {
			depth++;
		} else if (c == ')' && depth) {
			depth--;
		} else if (!depth && !strchr(" \t\r\n\"", c)) {
			out[n++] = c >= 'A' && c <= 'Z' ?
				   (char)(c + ('a' - 'A')) : c;
		}
	}
	out[n] = '\0';
}

/* However it is spelt: "8bit", "8-bit", "8bits", "\"8BIT\" (really)". */
static enum encoding read_encoding(const struct field *f)
{
	char text[64], word[64];
	size_t i, n = 0;

	plain_words(f, text, sizeof(text));
	for (i = 0; text[i] && text[i] != ';'; i++)
		if (text[i] != '-' && text[i] != '_')
			word[n++] = text[i];
	word[n] = '\0';
	if (n > 3 && !strcmp(word + n - 4, "bits"))
		word[n - 1] = '\0';
	if (!*word || !strcmp(word, "7bit") || !strcmp(word, "8bit") ||
	    !strcmp(word, "binary"))
		return ENCODING_IDENTITY;
	return !strcmp(word, "base64") ? ENCODING_BASE64 : ENCODING_OTHER;
}

/* With or without a subtype, which old programs leave out. */
static bool is_type(const char *value, const char *type)
{
	size_t n = strlen(type);

	return !strncmp(value, type, n) &&
	       (!value[n] || value[n] == '/' || value[n] == ';');
}

static void survey_mime(struct message *m, const struct field *f)
{
	struct present *has = &m->has;
	enum encoding encoding;
	char type[32] = "";

	if (field_is(f, "Content-Type") && !field_is_blank(f)) {
		plain_words(f, type, sizeof(type));
		has->several_types = has->content_type;
		has->content_type = true;
		has->text = !strncmp(type, "text/", 5);
		has->single = !is_type(type, "multipart") &&
			      !is_type(type, "message");
	} else if (field_is(f, "Content-Transfer-Encoding")) {
		encoding = read_encoding(f);
		if (has->encoding_set && encoding != has->encoding)
			encoding = ENCODING_OTHER;
		has->encoding = encoding;
		has->encoding_set = true;
	} else if (field_is(f, "MIME-Version")) {
		has->mime_version |= !field_is_blank(f);
	} else if (field_is(f, "DKIM-Signature") ||
		   field_is(f, "ARC-Message-Signature")) {
		m->facts.signature = true;
	}
}

static void survey_field(struct message *m, const struct field *f)
{
	struct present *has = &m->has;
	char *text = NULL;
	struct outcome ignored;
	bool found = false;

	if (!m->facts.utf8_address && f->addresses &&
	    bytes_wide(f->value, f->value_len)) {
		text = field_flatten(f);
		m->facts.utf8_address = address_each(text, f->value_len,
						     FAULTS_PASS, visit_utf8,
						     &found, &ignored) &&
					found;
		free(text);
		text = NULL;
	}
	if (f->name_len > 7 && !strncasecmp(f->name, "Resent-", 7))
		m->facts.resent = true;
	else if (field_is(f, "TLS-Required")) {
		text = field_unfold(f);
		m->facts.tls_required_no = !strcasecmp(text, "no");
	} else if (field_is(f, "Date"))
		has->date |= !field_is_blank(f);
	else if (field_is(f, "Message-ID"))
		has->message_id |= !field_is_blank(f);
	else if (field_is(f, "Reply-To"))
		has->reply_to |= !field_is_blank(f);
	else if (field_is(f, "From"))
		has->from |= field_has_author(f, &text);
	else
		survey_mime(m, f);
	free(text);
}

/* Facts about bytes, whatever they mean. */
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

bool body_survey(struct message *m)
{
	const char *data;
	int64_t at;
	long n;

	m->body_wide = m->body_long = m->body_nul = false;
	for (at = 0; (n = part_bytes(&m->body, at, &data)) > 0; at += n)
		m->body_nul = m->body_nul || memchr(data, '\0', (size_t)n);
	return n == 0 &&
	       survey_lines(&m->body, &m->body_wide, &m->body_long);
}

bool message_survey(struct message *m, struct outcome *why)
{
	struct field_walk w = { .m = m };
	unsigned received = 0, fields = 0;
	struct field f;

	m->has = (struct present){ .text = true, .single = true };
	m->facts = (struct message_facts){
		.size = message_size(m), .eight_bit = m->body_wide,
		.long_lines = m->body_long,
	};
	while (fields <= FIELDS_MAX && field_next(&w, &f)) {
		fields++;
		survey_field(m, &f);
		received += field_is(&f, "Received");
	}
	field_walk_release(&w);
	if (w.failed || !survey_lines(&m->header, &m->facts.eight_bit,
				      &m->facts.long_lines))
		return message_unreadable(m->header.store, why);
	m->facts.from = m->has.from;
	if (fields > FIELDS_MAX)
		return outcome_fail_status(why, STAGE_LOCAL, EX_DATAERR,
			"5.6.0", "the header has more than %d fields",
			FIELDS_MAX);
	if (received > RECEIVED_MAX)
		return outcome_fail_status(why, STAGE_LOCAL, EX_UNAVAILABLE,
			"5.4.6", "more than %d Received fields: the message "
			"goes round in a loop", RECEIVED_MAX);
	return true;
}
