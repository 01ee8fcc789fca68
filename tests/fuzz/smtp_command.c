/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a client of -bs may write. The first byte chooses: MAIL and RCPT, whose
 * results are clean enough for an envelope, or a message, whose end is where
 * its line end says and nowhere else, however the input is cut.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "mail/lines.h"
#include "mail/smtp_command.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static void want(int condition)
{
	if (!condition)
		abort();
}

static void want_clean(const char *text)
{
	for (; text && *text; text++)
		want(((unsigned char)*text >= ' ' || *text == '\t') &&
		     *text != 0x7f);
}

static void try_command(const char *line, size_t n)
{
	struct smtp_mail mail;
	struct smtp_rcpt rcpt;

	if (!smtp_line_is_clean(line, n))
		return;
	if (!smtp_mail_parse(line, &mail)) {
		want(mail.path && mail.size >= 0);
		want_clean(mail.path);
		want_clean(mail.envid);
	}
	smtp_mail_release(&mail);
	if (!smtp_rcpt_parse(line, &rcpt)) {
		want(rcpt.path && *rcpt.path);
		want_clean(rcpt.path);
		want(!rcpt.wish.orcpt || !strpbrk(rcpt.wish.orcpt, " \t"));
	}
	smtp_rcpt_release(&rcpt);
}

/* Where the end is, by the book; n without one. */
static size_t end_of(const char *in, size_t n, bool crlf)
{
	const char *mark = crlf ? "\r\n.\r\n" : "\n.\n";
	size_t len = strlen(mark), first = crlf ? 2 : 1;
	const char *found;

	/* the line end of DATA counts as the first one */
	if (n >= len - first && !memcmp(in, mark + first, len - first))
		return len - first;
	found = memmem(in, n, mark, len);
	return found ? (size_t)(found - in) + len : n;
}

static size_t unstuff_all(const char *in, size_t n, bool crlf, size_t step,
			  struct buf *out)
{
	struct unstuffer u = { .crlf = crlf };
	size_t at, part, len, used;

	*out = BUF(2 * n + 2);
	for (at = 0; at < n && !u.ended; at += used) {
		part = n - at < step ? n - at : step;
		used = unstuff(&u, in + at, part,
			       buf_room(out, UNSTUFFED_MAX(part)), &len);
		want(len <= UNSTUFFED_MAX(part));
		want(used == part || u.ended);
		out->len += len;
	}
	return at;
}

static void try_message(const char *in, size_t n, bool crlf)
{
	struct buf whole, pieces;

	want(unstuff_all(in, n, crlf, n + 1, &whole) == end_of(in, n, crlf));
	unstuff_all(in, n, crlf, 1, &pieces);
	want(whole.len == pieces.len);
	want(!whole.len || !memcmp(whole.data, pieces.data, whole.len));
	buf_release(&whole);
	buf_release(&pieces);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	char *text;

	if (!n)
		return 0;
	text = mem_stringn((const char *)data + 1, n - 1);
	if (*data % 4 < 2)
		try_command(text, strlen(text));
	else
		try_message((const char *)data + 1, n - 1, *data % 4 == 2);
	free(text);
	return 0;
}
