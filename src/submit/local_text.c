/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/local.h"

#include <string.h>

enum { HEAD_MAX = 1024 * 1024, PIECE_MAX = 128 * 1024 };

/* A message has no CR but before an LF. */
static void add_without_cr(struct buf *out, const char *data, size_t n)
{
	const char *cr;

	while ((cr = memchr(data, '\r', n))) {
		buf_add(out, data, (size_t)(cr - data));
		n -= (size_t)(cr + 1 - data);
		data = cr + 1;
	}
	buf_add(out, data, n);
}

long local_text_next(void *context, const char **data)
{
	struct local_text *t = context;
	const struct local *l = t->l;
	long n;

	buf_release(&t->piece);
	if (t->at < 0) {
		t->piece = BUF(HEAD_MAX);
		buf_addf(&t->piece, "Return-Path: <%s>\n", l->sender);
		if (t->delivered_to)
			buf_addf(&t->piece, "Delivered-To: %s\n",
				 l->recipient);
		if (l->prefix)
			add_without_cr(&t->piece, l->prefix,
				       strlen(l->prefix));
		t->at = 0;
	} else {
		n = message_bytes(l->message, t->at, data);
		t->failed = n < 0;
		if (n <= 0)
			return n;
		t->piece = BUF(PIECE_MAX);
		add_without_cr(&t->piece, *data, (size_t)n);
		t->at += n;
		/* a lone CR, whose LF is in the next piece */
		if (!t->piece.len)
			return local_text_next(context, data);
	}
	*data = t->piece.data;
	return (long)t->piece.len;
}

void local_text_release(struct local_text *t)
{
	buf_release(&t->piece);
}
