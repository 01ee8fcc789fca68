/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The text of a queue entry, header and journal, as a hostile user may have
 * written it. Journal lines need right checksums, so a line that begins with
 * "!" is given its length and checksum here first. What was read must be
 * read alike when it is written again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "queue/format.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static void add_sealed(struct buf *b, const char *line, size_t n)
{
	buf_addf(b, "%05zu %016llx ", n + 23,
		 (unsigned long long)text_sum(0, line, n));
	buf_add(b, line, n);
}

static void make_journal(struct buf *b, const char *text, size_t n)
{
	const char *end;
	size_t length;

	for (; n; text += length, n -= length) {
		end = memchr(text, '\n', n);
		length = end ? (size_t)(end - text) + 1 : n;
		if (*text == '!' && length < 90000)
			add_sealed(b, text + 1, length - 1);
		else
			buf_add(b, text, length);
	}
}

/* Whatever can be written of these recipients. */
static void write_events(struct buf *journal, const struct entry *e)
{
	const size_t n = e->envelope.n < 60 ? e->envelope.n : 60;
	size_t which[60], i;

	for (i = 0; i < n; i++)
		which[i] = i;
	text_begin(journal, 1, which, n);
	text_dot(journal, 2, which, n);
	text_reported(journal, 3, REPORT_DELAY, which, n);
	text_reported(journal, 4, REPORT_FAILURE, which, n);
	text_wait(journal, 5, 99, which, n);
	text_missed(journal, 6, 7, which, n);
	text_transport(journal, 7, e->transport ? e->transport : "t", true);
	text_regular(journal, 8, 9);
	for (i = 0; i < e->envelope.n; i++)
		text_result(journal, 1, i, &e->envelope.rcpt[i]);
}

static void write_again(struct entry *e)
{
	struct buf header = BUF(TEXT_HEADER_MAX);
	struct buf journal = BUF(TEXT_JOURNAL_MAX);
	struct entry again = { 0 };
	struct outcome why;
	size_t i, whole;

	text_header(&header, e);
	write_events(&journal, e);
	if (!text_read_header(header.data, header.len, &again, &why) ||
	    !text_read_journal(buf_text(&journal), journal.len, &again,
			       &whole, &why) ||
	    whole != journal.len || again.envelope.n != e->envelope.n)
		abort();
	for (i = 0; i < e->envelope.n; i++)
		if (strcmp(again.envelope.rcpt[i].address,
			   e->envelope.rcpt[i].address) != 0 ||
		    again.envelope.rcpt[i].state != e->envelope.rcpt[i].state)
			abort();
	text_release(&again);
	buf_release(&header);
	buf_release(&journal);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	char *text = mem_stringn((const char *)data, n);
	struct buf journal = BUF(TEXT_JOURNAL_MAX);
	struct entry e = { 0 };
	struct outcome why;
	char id[QUEUE_ID_SIZE];
	const char *end = memmem(text, n, "\n\n", 2);
	size_t length = end ? (size_t)(end - text) + 2 : 0, whole;
	int64_t next;
	bool held;

	text_read_name(text, id, &next, &held);
	if (end && text_read_header(text, length, &e, &why)) {
		make_journal(&journal, text + length, n - length);
		if (text_read_journal(buf_text(&journal), journal.len, &e,
				      &whole, &why) && whole > journal.len)
			abort();
		write_again(&e);
	}
	text_release(&e);
	buf_release(&journal);
	free(text);
	return 0;
}
