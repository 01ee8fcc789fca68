/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "mail/lines.h"

enum { MOST = 1024 * 1024 };

static bool put(void *context, const char *data, size_t n)
{
	return buf_add(context, data, n);
}

/* The input in two pieces, cut at split, or in pieces of one byte. */
static void feed(struct normaliser *s, struct buf *out, const char *in,
		 size_t n, size_t split)
{
	size_t at, part;

	*out = BUF(MOST);
	s->put = put;
	s->context = out;
	for (at = 0; at < n && !s->ended && !s->nul; at += part) {
		part = split > n ? 1 : at < split ? split - at : n - at;
		normalise(s, in + at, part);
	}
	if (!s->nul)
		normalise_end(s);
}

struct row {
	const char *in;
	const char *header, *body;   /* without the empty line between */
	bool no_dot;
};

static const struct row rows[] = {
	/* line ends */
	{ "A: b\n\nhi\n", "A: b\r\n", "hi\r\n", false },
	{ "A: b\r\n\r\nhi\r\n", "A: b\r\n", "hi\r\n", false },
	{ "A: b\nC: d\r\n\r\nhi\nyou\r\n", "A: b\r\nC: d\r\n",
	  "hi\r\nyou\r\n", false },
	{ "A: b\r\r\r\n\r\r\nhi\r\r\n", "A: b\r\n", "hi\r\n", false },
	{ "A: b\n\r\nhi\r\nx\ny\r\nz\r\n\r\n", "A: b\r\n",
	  "hi\r\nx\r\ny\r\nz\r\n\r\n", false },
	/* a CR elsewhere */
	{ "A: b\rc\r\rd\n\nx\ry\r\rz\n", "A: b c  d\r\n",
	  "x\r\ny\r\n\r\nz\r\n", false },
	{ "A\r: b\n\n", "A : b\r\n", "", false },
	{ "A: b\n\rC: d\n\n", "A: b\r\n C: d\r\n", "", false },
	{ "hello\rworld\n", "", "hello\r\nworld\r\n", false },
	{ "hello world\ra:\r\rb\n", "",
	  "hello world\r\na:\r\n\r\nb\r\n", false },
	{ "A: b\n\n\rx\n\r\r\ny", "A: b\r\n", "\r\nx\r\n\r\ny\r\n", false },
	{ "\rA: b\n", "", "\r\nA: b\r\n", false },
	/* it makes no lone dot */
	{ "A: b\n\na\r.\rb\n", "A: b\r\n", "a\r\n.\r\nb\r\n", false },
	{ "A: b\n\na\r.\nb\n", "A: b\r\n", "a\r\n.\r\nb\r\n", false },
	{ "A: b\n\n.\rb\nc\n", "A: b\r\n", ".\r\nb\r\nc\r\n", false },
	{ "A: b\n\n\r.\nc\n", "A: b\r\n", "\r\n.\r\nc\r\n", false },
	{ "A: b\r\n\r\nx\r\n\r.\r\nc\r\n", "A: b\r\n",
	  "x\r\n\r\n.\r\nc\r\n", false },
	{ "A: b\n\r.\nC: d\n\n", "A: b\r\n .\r\nC: d\r\n", "", false },
	{ "A: b\n.\rC: d\n.\n", "A: b\r\n", ".\r\nC: d\r\n", false },
	/* a lone dot */
	{ "A: b\n\nhi\n.\nmore\n", "A: b\r\n", "hi\r\n", false },
	{ "A: b\r\n\r\nhi\r\n.\r\nmore\r\n", "A: b\r\n", "hi\r\n", false },
	{ "A: b\n\nhi\n.\r\r\r\nmore\n", "A: b\r\n", "hi\r\n", false },
	{ "A: b\n\nhi\n.", "A: b\r\n", "hi\r\n", false },
	{ "A: b\n\nhi\n.\r", "A: b\r\n", "hi\r\n", false },
	{ "A: b\n.\n\nhi\n", "A: b\r\n", "", false },
	{ ".\nA: b\n", "", "", false },
	{ "From x\n.\nA: b\n", "", "", false },
	{ "A: b\n\n..\n.x\n. \n...\n", "A: b\r\n",
	  "..\r\n.x\r\n. \r\n...\r\n", false },
	{ "A: b\r\n\r\nx\r\n..\r\n.x\r\n.", "A: b\r\n",
	  "x\r\n..\r\n.x\r\n", false },
	{ ".: b\n\n", ".: b\r\n", "", false },
	{ "A: b\n\nhi\n.\nmore\n", "A: b\r\n", "hi\r\n.\r\nmore\r\n", true },
	{ "A: b\r\n\r\nhi\r\n.\r\nm\r\n.", "A: b\r\n",
	  "hi\r\n.\r\nm\r\n.\r\n", true },
	{ ".\nx\n", "", ".\r\nx\r\n", true },
	/* the end */
	{ "", "", "", false },
	{ "\n", "", "", false },
	{ "\r", "", "", false },
	{ "A: b", "A: b\r\n", "", false },
	{ "A: b\r", "A: b\r\n", "", false },
	{ "A: b\n\r", "A: b\r\n", "", false },
	{ "A: b\n", "A: b\r\n", "", false },
	{ "A: b\n\n\n", "A: b\r\n", "\r\n", false },
	{ "A: b\n\nhi", "A: b\r\n", "hi\r\n", false },
	{ "A: b\n\nhi\r\r", "A: b\r\n", "hi\r\n", false },
	{ "hi", "", "hi\r\n", false },
	/* separators of mailboxes */
	{ "From a@x Mon Jan  1 00:00:00 2024\nA: b\n\n", "A: b\r\n", "",
	  false },
	{ "From x\n>From y\r\n>From z\nA: b\n\n", "A: b\r\n", "", false },
	{ "From : a@b\n\n", "From : a@b\r\n", "", false },
	{ "From \t : a@b\n\n", "From \t : a@b\r\n", "", false },
	{ ">From : a@b\n\n", ">From : a@b\r\n", "", false },
	{ "From : a@b\nFrom x\n\n", "From : a@b\r\n", "From x\r\n\r\n",
	  false },
	{ "A: b\n\nFrom x\n", "A: b\r\n", "From x\r\n", false },
	{ "From \nx: y\n", "x: y\r\n", "", false },
	{ "From \r\nx: y\n", "x: y\r\n", "", false },
	{ "From\nx: y\n", "", "From\r\nx: y\r\n", false },
	{ "From x\n\nFrom y\n", "", "From y\r\n", false },
	{ "From x", "", "", false },
	{ "Fromage x\n", "", "Fromage x\r\n", false },
	/* a byte order mark */
	{ "\xef\xbb\xbf" "A: b\n\nhi\n", "A: b\r\n", "hi\r\n", false },
	{ "\xef\xbb\xbf" "From x\nA: b\n\n", "A: b\r\n", "", false },
	{ "From x\n\xef\xbb\xbf" "A: b\n\n", "A: b\r\n", "", false },
	{ "\xef\xbb\xbf\r\n\xef\xbb\xbfhi\n", "",
	  "\xef\xbb\xbfhi\r\n", false },
	{ "\xef\xbb\xbfjust text\n", "", "just text\r\n", false },
	{ "\xef\xbb\xbf", "", "", false },
	{ "\xef\xbb\xbf.\nA: b\n", "", "", false },
	{ "\xef\xbb" "A: b\n", "", "\xef\xbb" "A: b\r\n", false },
	{ "\xef\xbb", "", "\xef\xbb\r\n", false },
	{ "\xef\r\xbb\n", "", "\xef\r\n\xbb\r\n", false },
	{ "A: b\n\xef\xbb\xbf" "C: d\n", "A: b\r\n",
	  "\xef\xbb\xbf" "C: d\r\n", false },
	/* where the header ends */
	{ "just text\nline2\n", "", "just text\r\nline2\r\n", false },
	{ "A: b\ntext: is\nno field\nC: d\n", "A: b\r\ntext: is\r\n",
	  "no field\r\nC: d\r\n", false },
	{ "A: b\n \n\t\n c\nD: e\n\nx\n",
	  "A: b\r\n \r\n\t\r\n c\r\nD: e\r\n", "x\r\n", false },
	{ " A: b\nC: d\n", "", " A: b\r\nC: d\r\n", false },
	{ " \nA: b\n", "", " \r\nA: b\r\n", false },
	{ "From x\n A: b\n", "", " A: b\r\n", false },
	{ "A :b\nC\t : d\n\n", "A :b\r\nC\t : d\r\n", "", false },
	{ ": b\n", "", ": b\r\n", false },
	{ "A: b\n: c\n", "A: b\r\n", ": c\r\n", false },
	{ "A b: c\n", "", "A b: c\r\n", false },
	{ "A\xc3\xa4: c\n", "", "A\xc3\xa4: c\r\n", false },
	{ "http://x/\n\ny\n", "http://x/\r\n", "y\r\n", false },
	{ "A:\n\n", "A:\r\n", "", false },
};

static void check_row(const struct row *row, size_t split)
{
	struct normaliser s = { .dot_ends = !row->no_dot };
	struct buf out, want = BUF(MOST);

	buf_addf(&want, "%s\r\n%s", row->header, row->body);
	feed(&s, &out, row->in, strlen(row->in), split);
	assert_string_equal(buf_text(&out), buf_text(&want));
	assert_int_equal(s.header_size, strlen(row->header) + 2);
	assert_int_equal(s.size, out.len);
	buf_release(&out);
	buf_release(&want);
}

static void test_rows(void **state)
{
	size_t i, split;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		for (split = 0; split < strlen(rows[i].in) + 2; split++)
			check_row(&rows[i], split);
}

/* In a field it is the end; in the body it is noted. */
static void test_nul(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		bool nul, body_nul;
	} cases[] = {
		{ "A: b\n\na\0b\n", 9, false, true },
		{ "A: \0\n\n", 6, true, false },
		{ "A: b\n \0\n\n", 9, true, false },
		{ "A: b\r\0\n\n", 8, true, false },
		{ "A: b\0", 5, true, false },
		{ "A: b\n\0", 6, false, true },
		/* what is no field is body */
		{ "A\0: b\n\n", 7, false, true },
		{ "\0", 1, false, true },
		{ "cron says\0hi\n", 13, false, true },
		{ "From \0\nA: b\n", 12, false, false },
		{ "A: b\n\n.\0\nx", 10, false, true },
		{ "A: b\n\nx\n\0", 9, false, true },
		{ "A: b\r\n\r\nx\r\n\0\r\ny\r\n", 17, false, true },
		{ "A: b\n\nx\n.\n\0", 11, false, false },
	};
	size_t i, split;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (split = 0; split < cases[i].n + 2; split++) {
			struct normaliser s = { .dot_ends = true };
			struct buf out;

			feed(&s, &out, cases[i].in, cases[i].n, split);
			assert_int_equal(s.nul, cases[i].nul);
			assert_int_equal(s.body_nul, cases[i].body_nul);
			assert_int_equal(!s.nul && out.len &&
					 memchr(out.data, '\0', out.len),
					 s.body_nul);
			buf_release(&out);
		}
	}
}

/* Endless runs of CRs and endless names keep nothing in memory. */
static void test_long_runs(void **state)
{
	struct buf in = BUF(MOST), out;
	struct normaliser s = {0};
	size_t i;

	(void)state;
	buf_adds(&in, "A: b\n\n");
	for (i = 0; i < 10000; i++)
		buf_addc(&in, '\r');
	buf_adds(&in, "x\r\n");
	feed(&s, &out, in.data, in.len, SIZE_MAX);
	assert_int_equal(out.len, 8 + 20000 + 3);
	assert_memory_equal(out.data + out.len - 5, "\r\nx\r\n", 5);
	assert_false(s.body_long);
	buf_release(&in);
	buf_release(&out);

	for (i = 0; i < FIELD_NAME_MAX; i++)
		buf_addc(&in, 'n');
	buf_adds(&in, ": v\n");
	s = (struct normaliser){0};
	feed(&s, &out, in.data, in.len, 100);
	assert_int_equal(s.header_size, out.len);
	buf_release(&out);
	in.data[FIELD_NAME_MAX] = 'n';
	s = (struct normaliser){0};
	feed(&s, &out, in.data, in.len, 100);
	assert_int_equal(s.header_size, 2);
	buf_release(&in);
	buf_release(&out);
}

static void check_facts(const char *text, size_t fill, bool wide, bool is_long)
{
	struct buf in = BUF(MOST), out;
	size_t i, split;

	buf_adds(&in, "A: \xc3\xa4\n\nx\n");
	for (i = 0; i < fill; i++)
		buf_addc(&in, 'x');
	buf_adds(&in, text);
	for (split = 0; split < in.len + 2; split += 1 + split / 3) {
		struct normaliser s = {0};

		feed(&s, &out, in.data, in.len, split);
		assert_int_equal(s.body_wide, wide);
		assert_int_equal(s.body_long, is_long);
		buf_release(&out);
	}
	buf_release(&in);
}

/* What could become a byte order mark is text, whatever piece it came in. */
static void test_half_a_mark(void **state)
{
	static const char *const texts[] = { "\xef", "\xef\n", "\xef\xbb",
					     "\xef\xbbx: y\n\nz\n" };
	struct buf out;
	size_t i, split;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		for (split = 0; split <= strlen(texts[i]); split++) {
			struct normaliser s = {0};

			feed(&s, &out, texts[i], strlen(texts[i]), split);
			assert_true(s.body_wide);
			buf_release(&out);
		}
}

static void test_facts(void **state)
{
	(void)state;
	check_facts("\n", 998, false, false);
	check_facts("\r\r\n", 998, false, false);
	check_facts("\r", 998, false, false);
	check_facts("\rx\n", 998, false, false);
	check_facts("", 998, false, false);
	check_facts("\n", 999, false, true);
	check_facts("\r\n", 999, false, true);
	check_facts("\rx\n", 999, false, true);
	check_facts("", 999, false, true);
	check_facts("\r\nx\r\n\xe4\r\nx\r\n", 0, true, false);
	check_facts("\n\xe4", 0, true, false);
	check_facts("\xe4", 40, true, false);
	check_facts("\r\ny\r\nz", 999, false, true);
}

static bool put_little(void *context, const char *data, size_t n)
{
	struct buf *b = context;

	return b->len < 10 && buf_add(b, data, n);
}

static void test_stops(void **state)
{
	struct buf out = BUF(MOST);
	struct normaliser s = { .put = put_little, .context = &out };

	(void)state;
	assert_false(normalise(&s, "A: b\n\nlong\r\rtext\n\n\n", 19));
	assert_true(s.stopped);
	buf_release(&out);
}

static void check_stuffed(const char *in, const char *want)
{
	size_t n = strlen(in), split, len;
	char out[64];

	for (split = 0; split <= n; split++) {
		struct stuffer s = {0};

		len = stuff(&s, in, split, out);
		assert_true(len <= STUFFED_MAX(split));
		len += stuff(&s, in + split, n - split, out + len);
		assert_int_equal(len, strlen(want));
		assert_memory_equal(out, want, len);
	}
}

static void test_stuffer(void **state)
{
	(void)state;
	check_stuffed("", "");
	check_stuffed(".\r\n", "..\r\n");
	check_stuffed("..\r\n", "...\r\n");
	check_stuffed("a.\r\n.b\r\n\r\n.\r\n", "a.\r\n..b\r\n\r\n..\r\n");
	check_stuffed("a\r\n.\r\n.\r\n", "a\r\n..\r\n..\r\n");
	check_stuffed("....\r\n....\r\n", ".....\r\n.....\r\n");
}

/* What a server makes of it, cut anywhere, or byte by byte. rest: what is
 * not looked at; NULL: no end came. */
static void check_unstuffed(bool crlf, const char *in, const char *want,
			    const char *rest)
{
	size_t n = strlen(in), split, at, part, used, len, total;
	char out[256];

	for (split = 0; split <= n + 1; split++) {
		struct unstuffer u = { .crlf = crlf };

		for (at = total = 0; at < n && !u.ended; at += used) {
			part = split > n ? 1 : at < split ? split - at :
			       n - at;
			used = unstuff(&u, in + at, part, out + total, &len);
			assert_true(len <= UNSTUFFED_MAX(part));
			assert_true(used == part || u.ended);
			total += len;
		}
		assert_int_equal(u.ended, rest != NULL);
		assert_int_equal(total, strlen(want));
		assert_memory_equal(out, want, total);
		if (rest)
			assert_string_equal(in + at, rest);
	}
}

static void test_unstuffer_crlf(void **state)
{
	(void)state;
	check_unstuffed(true, ".\r\nQUIT\r\n", "", "QUIT\r\n");
	check_unstuffed(true, "a\r\n.\r\n", "a\r\n", "");
	check_unstuffed(true, "a\r\n..\r\n.b\r\n...\r\n.\r\n",
			"a\r\n.\r\nb\r\n..\r\n", "");
	check_unstuffed(true, "a\r\r\n.\r\nx", "a\r\r\n", "x");
	/* no other line end counts */
	check_unstuffed(true, "a\n.\nb", "a\n.\nb", NULL);
	check_unstuffed(true, "a\n.\r\nb", "a\n.\r\nb", NULL);
	check_unstuffed(true, "a\r\n.\nb", "a\r\n\nb", NULL);
	check_unstuffed(true, "a\r.\rb", "a\r.\rb", NULL);
	check_unstuffed(true, "a\r.\r\nb", "a\r.\r\nb", NULL);
	check_unstuffed(true, "a\r\n.\rb", "a\r\n\rb", NULL);
	check_unstuffed(true, "a\r\n.\r\r\nb", "a\r\n\r\r\nb", NULL);
	check_unstuffed(true, "a\r\n.\r.\r\nb", "a\r\n\r.\r\nb", NULL);
	check_unstuffed(true, "a\n\r\n.\r\nb", "a\n\r\n", "b");
	check_unstuffed(true, "a\r\n.", "a\r\n", NULL);
	check_unstuffed(true, "a\r\n. \r\nb", "a\r\n \r\nb", NULL);
}

static void test_unstuffer_lf(void **state)
{
	(void)state;
	check_unstuffed(false, ".\nQUIT\n", "", "QUIT\n");
	check_unstuffed(false, "a\n..\n.b\n.\nx", "a\n.\nb\n", "x");
	check_unstuffed(false, "a\r\n.\nx", "a\r\n", "x");
	check_unstuffed(false, "a\r\n.\r\nb", "a\r\n\r\nb", NULL);
	check_unstuffed(false, "a\n.\r\nb", "a\n\r\nb", NULL);
	check_unstuffed(false, "a\r.\rb", "a\r.\rb", NULL);
	check_unstuffed(false, "a\r.\nb", "a\r.\nb", NULL);
}

static void test_commands(void **state)
{
	static const struct {
		const char *text;
		bool want;
	} row[] = {
		{ "hi\r\n", false }, { "", false }, { "RSET\r\n", true },
		{ "rset", true }, { "x\r\n \t\vMaIl FROM:<a@b>\r\n", true },
		{ "MAIL\tFROM:<a>\r\n", true }, { "mailfrom:<a>\r\n", true },
		{ "Mailing lists\r\n", false }, { "RCPT TO:<a>\r\n", true },
		{ "rcptto:<a>\r\n", true }, { "Data: x\r\n", true },
		{ "Database\r\n", false }, { "Sender: a\r\n", false },
		{ "Authentication-Results: x\r\n", false },
		{ "Mail-Followup-To: x\r\n", false },
		{ "QUIT\r\n", true }, { "Quite so\r\n", false },
		{ "STARTTLS\n", true }, { "BDAT 10 LAST\r\n", true },
		{ "bdat\0\r\n", true }, { "XCLIENT A=b\r\n", true },
		{ "x RSET\r\n", false }, { "\xa0RSET\r\n", true },
		{ "Help me\r\n", false }, { "vrfy x\r\n", false },
		{ "a: b\r\n\tEHLO x\r\n", true },
	};
	char line[2048];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		if (text_has_command(row[i].text, strlen(row[i].text)) !=
		    row[i].want)
			fail_msg("row %zu", i);
	/* where a server with a short buffer would cut the line */
	memset(line, 'x', sizeof(line));
	memcpy(line + 511, "RSET\r\n", 6);
	assert_true(text_has_command(line, 517));
	memset(line, 'x', sizeof(line));
	memcpy(line + 400, "RSET ", 5);
	assert_false(text_has_command(line, 998));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_long_runs),
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_half_a_mark),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_stops),
		cmocka_unit_test(test_stuffer),
		cmocka_unit_test(test_unstuffer_crlf),
		cmocka_unit_test(test_unstuffer_lf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
