/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/encode.h"

#include <string.h>

#include "base/scan.h"
#include "mail/lines.h"

enum {
	QP_LINE = 75,           /* and the "=" of a soft line break */
	BASE64_LINE = 76
};

static void qp_line(struct qp *q, const char *end)
{
	size_t n = strlen(end);

	memcpy(q->text + q->line, end, n);
	spool_add(q->out, q->text, q->line + n);
	q->line = 0;
}

static void qp_token(struct qp *q, const char *token, size_t n)
{
	if (q->line + n > QP_LINE)
		qp_line(q, "=\r\n");
	memcpy(q->text + q->line, token, n);
	q->line += n;
}

static void qp_hex(struct qp *q, char c)
{
	static const char digits[] = "0123456789ABCDEF";
	unsigned char u = (unsigned char)c;
	char token[] = { '=', digits[u >> 4], digits[u & 15] };

	qp_token(q, token, sizeof(token));
}

/* White space must not stand at the end of an encoded line. */
static void qp_blank(struct qp *q, bool last)
{
	if (!q->blank)
		return;
	if (last)
		qp_hex(q, q->blank);
	else
		qp_token(q, &q->blank, 1);
	q->blank = '\0';
}

void qp_add(struct qp *q, const char *data, size_t n)
{
	const char *end = data + n;
	char c;

	for (; data < end; data++) {
		c = *data;
		if (c == '\r')
			continue;
		qp_blank(q, c == '\n');
		if (c == '\n')
			qp_line(q, "\r\n");
		else if (is_wsp(c))
			q->blank = c;
		else if (c > ' ' && c < 0x7f && c != '=')
			qp_token(q, &c, 1);
		else
			qp_hex(q, c);
	}
}

void qp_end(struct qp *q)
{
	qp_blank(q, true);
	if (q->line)
		qp_line(q, "");
}

static void base64_line(struct base64_lines *w)
{
	w->text[w->line++] = '\r';
	w->text[w->line++] = '\n';
	spool_add(w->out, w->text, w->line);
	w->line = 0;
}

void base64_lines_add(struct base64_lines *w, const char *data, size_t n)
{
	const char *end = data + n;

	for (; data < end; data++) {
		if (!*data || scan_is_blank(*data))
			continue;
		w->text[w->line++] = *data;
		if (w->line == BASE64_LINE)
			base64_line(w);
	}
}

void base64_lines_end(struct base64_lines *w)
{
	if (w->line)
		base64_line(w);
}
