/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Base64 whose lines are too long (RFC 2045 6.8). */
#include "mail/message_parts.h"

enum { WRAP_LINE = 76 };

static void wrap_put(struct wrapper *w)
{
	w->text[w->line++] = '\r';
	w->text[w->line++] = '\n';
	spool_add(w->out, w->text, w->line);
	w->line = 0;
}

void wrap(struct wrapper *w, const char *data, size_t n)
{
	const char *end = data + n;

	for (; data < end; data++) {
		if (!*data || is_wsp(*data) || *data == '\r' || *data == '\n')
			continue;
		w->text[w->line++] = *data;
		if (w->line == WRAP_LINE)
			wrap_put(w);
	}
}

void wrap_end(struct wrapper *w)
{
	if (w->line)
		wrap_put(w);
}
