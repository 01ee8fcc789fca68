/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Folding of header fields whose lines are too long (RFC 5322 2.2.3). */
#include <string.h>

#include "mail/message_parts.h"

enum { LINE_WANTED = 78 };

/* A break comes before white space, never so that a line of white space
 * alone is left, and after a lone "Name:" only if nothing else helps. */
static void put_held(struct refolder *r)
{
	size_t most = r->name_only ? LINE_LONGEST : r->width;

	if (!r->held)
		return;
	if (r->solid && r->word && is_wsp(*r->text) &&
	    r->line + r->held > most) {
		spool_add(r->out, "\r\n", 2);
		r->line = 0;
		r->solid = false;
	}
	spool_add(r->out, r->text, r->held);
	r->line += r->held;
	r->solid = r->solid || r->word;
	r->name_only = false;
	r->word = false;
	r->held = 0;
}

static void line_end(struct refolder *r)
{
	put_held(r);
	spool_add(r->out, "\r\n", 2);
	r->line = 0;
	r->solid = r->name_only = false;
}

/* The name and its colon stay together. */
static void take_name(struct refolder *r, char c)
{
	spool_add(r->out, &c, 1);
	r->line++;
	r->colon = r->solid = r->name_only = c == ':';
}

void refold(struct refolder *r, const char *data, size_t n)
{
	const char *end = data + n;
	char c;

	for (; data < end; data++) {
		c = *data;
		if (!r->colon) {
			take_name(r, c);
			continue;
		}
		if (c == '\n')
			line_end(r);
		if (c == '\r' || c == '\n')
			continue;
		if (r->held == sizeof(r->text) || (r->word && is_wsp(c)))
			put_held(r);
		r->text[r->held++] = c;
		r->word = r->word || !is_wsp(c);
	}
}

void refold_end(struct refolder *r)
{
	put_held(r);
}

static bool has_long_line(const char *data, size_t n)
{
	const char *end = data + n, *lf;

	for (; (lf = memchr(data, '\n', (size_t)(end - data))); data = lf + 1)
		if (lf + 1 - data > LINE_LONGEST + 2)
			return true;
	return end - data > LINE_LONGEST;
}

void refold_field(struct spool *out, const char *data, size_t n)
{
	struct refolder r = { .out = out, .width = LINE_WANTED };
	const char *end = data + n, *lf;
	size_t len;

	if (!has_long_line(data, n)) {
		spool_add(out, data, n);
		return;
	}
	for (; (lf = memchr(data, '\n', (size_t)(end - data))); data += len) {
		len = (size_t)(lf + 1 - data);
		if (len > LINE_LONGEST + 2) {
			refold(&r, data, len);
		} else {
			spool_add(out, data, len);
			r.colon = true;
		}
	}
}
