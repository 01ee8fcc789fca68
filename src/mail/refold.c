/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/refold.h"

#include <string.h>

enum { LINE_WANTED = 78 };

/* A break comes before white space, never so that a line of white space
 * alone is left, and after a lone "Name:" only if nothing else helps. */
void refold_held(struct refolder *r)
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

void refold(struct refolder *r, const char *data, size_t n)
{
	const char *end = data + n;
	char c;

	for (; data < end; data++) {
		c = *data;
		/* the name and its colon stay together */
		if (!r->colon) {
			spool_add(r->out, &c, 1);
			r->line++;
			r->colon = r->solid = r->name_only = c == ':';
			continue;
		}
		if (c == '\n') {
			refold_held(r);
			spool_add(r->out, "\r\n", 2);
			r->line = 0;
			r->solid = r->name_only = false;
		}
		if (c == '\r' || c == '\n')
			continue;
		if (r->held == sizeof(r->text) || (r->word && is_wsp(c)))
			refold_held(r);
		r->text[r->held++] = c;
		r->word = r->word || !is_wsp(c);
	}
}

void refold_field(struct spool *out, const char *data, size_t n)
{
	struct refolder r = { .out = out, .width = LINE_WANTED };
	const char *end = data + n, *lf;
	size_t len;

	for (; data < end; data += len) {
		lf = memchr(data, '\n', (size_t)(end - data));
		len = lf ? (size_t)(lf + 1 - data) : (size_t)(end - data);
		if (len > LINE_LONGEST + 2) {
			refold(&r, data, len);
		} else {
			spool_add(out, data, len);
			r.colon = true;
		}
	}
	refold_held(&r);
}
