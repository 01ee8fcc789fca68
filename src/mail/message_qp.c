/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quoted-printable (RFC 2045 6.7). */
#include <string.h>

#include "mail/message_parts.h"

enum { QP_LINE = 75 }; /* and the "=" of a soft line break */

static void put_line(struct qp *q, const char *end)
{
	size_t n = strlen(end);

	memcpy(q->text + q->line, end, n);
	spool_add(q->out, q->text, q->line + n);
	q->line = 0;
}

static void put_token(struct qp *q, const char *token, size_t n)
{
	if (q->line + n > QP_LINE)
		put_line(q, "=\r\n");
	memcpy(q->text + q->line, token, n);
	q->line += n;
}

static void put_encoded(struct qp *q, char c)
{
	static const char digits[] = "0123456789ABCDEF";
	unsigned char u = (unsigned char)c;
	char token[] = { '=', digits[u >> 4], digits[u & 15] };

	put_token(q, token, sizeof(token));
}

/* White space must not stand at the end of an encoded line. */
static void put_blank(struct qp *q, bool last)
{
	if (!q->blank)
		return;
	if (last)
		put_encoded(q, q->blank);
	else
		put_token(q, &q->blank, 1);
	q->blank = '\0';
}

void qp_encode(struct qp *q, const char *data, size_t n)
{
	const char *end = data + n;
	char c;

	for (; data < end; data++) {
		c = *data;
		if (c == '\r')
			continue;
		put_blank(q, c == '\n');
		if (c == '\n')
			put_line(q, "\r\n");
		else if (c == ' ' || c == '\t')
			q->blank = c;
		else if (c > ' ' && c < 0x7f && c != '=')
			put_token(q, &c, 1);
		else
			put_encoded(q, c);
	}
}

void qp_end(struct qp *q)
{
	put_blank(q, true);
	if (q->line)
		put_line(q, "");
}
