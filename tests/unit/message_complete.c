/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/log.h"
#include "mail/complete.h"

enum { MOST = 64 * 1024 * 1024 };

#define FULL "Date: d\nMessage-ID: <i>\n"
#define FULL_OUT "Date: d\r\nMessage-ID: <i>\r\n"

static const struct completion usual = {
	.sender = "s@x.example", .from = "f@x.example",
	.domain = "d.example", .id_domain = "i.example"
};

static void all_bytes(struct message *m, struct buf *out)
{
	const char *data;
	int64_t at;
	long n;

	*out = BUF(MOST);
	for (at = 0; (n = message_bytes(m, at, &data)) > 0; at += n)
		assert_true(buf_add(out, data, (size_t)n));
	assert_int_equal(n, 0);
	assert_int_equal(at, message_size(m));
	assert_int_equal(at, message_facts(m)->size);
}

/* Completes it, and then once more, which must change nothing. */
static struct message *completed(const char *in, size_t n,
				 const struct completion *c)
{
	struct message *m;
	struct buf once, twice;
	struct outcome why;

	assert_true(message_from_text(in, n, &m, &why));
	assert_true(message_complete(&m, c, &why));
	all_bytes(m, &once);
	assert_memory_equal(once.data + message_header_size(m) - 2, "\r\n", 2);
	assert_true(message_complete(&m, c, &why));
	all_bytes(m, &twice);
	assert_string_equal(twice.data, once.data);
	buf_release(&once);
	buf_release(&twice);
	return m;
}

static void check(const char *in, const struct completion *c, const char *want)
{
	struct message *m = completed(in, strlen(in), c);
	struct buf got;

	all_bytes(m, &got);
	assert_string_equal(got.data, want);
	buf_release(&got);
	message_free(m);
}

struct row {
	const char *in, *want;
};

static void check_rows(const struct row *row, size_t n,
		       const struct completion *c)
{
	struct buf in = BUF(MOST), want = BUF(MOST);

	for (; n; n--, row++) {
		buf_reset(&in);
		buf_reset(&want);
		buf_addf(&in, FULL "%s", row->in);
		buf_addf(&want, FULL_OUT "%s", row->want);
		check(in.data, c, want.data);
	}
	buf_release(&in);
	buf_release(&want);
}

#define ROWS(table) (table), sizeof(table) / sizeof(*(table))

static void test_removed(void **state)
{
	static const struct row rows[] = {
		{ "From: a@b\nBcc: x@y,\n z@y\nTo: c@d\n\nBcc: hi\n",
		  "From: a@b\r\nTo: c@d\r\n\r\nBcc: hi\r\n" },
		{ "BCC : x\n \nRESENT-bcc: y\n\t\nReturn-Path: <x>\n"
		  "content-length: 5\nFrom: a@b\n\nhi\n",
		  "From: a@b\r\n\r\nhi\r\n" },
		{ "From: a@b\nBcc2: x\nX-Bcc: y\n\n",
		  "From: a@b\r\nBcc2: x\r\nX-Bcc: y\r\n\r\n" },
		{ "From: a@b\nBcc: x@y", "From: a@b\r\n\r\n" },
		{ "From: a@b\nReply-To:\nX:\n\n",
		  "From: a@b\r\nReply-To:\r\nX:\r\n\r\n" },
	};

	(void)state;
	check_rows(ROWS(rows), &usual);
}

static unsigned occurrences(const char *text, const char *word)
{
	unsigned n = 0;

	for (; (text = strstr(text, word)); text++)
		n++;
	return n;
}

static void check_added(const char *in, const struct completion *c,
			const char *from, bool date, bool id)
{
	struct message *m = completed(in, strlen(in), c);
	char *value = message_field(m, "From");
	struct buf got;

	assert_string_equal(value, from);
	free(value);
	all_bytes(m, &got);
	assert_int_equal(occurrences(got.data, "\nDate: ") +
			 !strncmp(got.data, "Date: ", 6), date);
	assert_int_equal(occurrences(got.data, "Message-ID: <"), id);
	assert_int_equal(occurrences(got.data, "@i.example>\r\n"), id);
	/* all that was there is there, in order */
	assert_non_null(strstr(got.data, "X: y\r\nZ: z\r\n"));
	assert_non_null(strstr(got.data, "\r\n\r\nbody\r\n"));
	buf_release(&got);
	message_free(m);
}

static void test_added(void **state)
{
	struct completion c = usual;

	(void)state;
	check_added("X: y\nZ: z\n\nbody\n", &c, "f@x.example", true, true);
	check_added("dATE : x\nX: y\nZ: z\n\nbody\n", &c, "f@x.example",
		    false, true);
	check_added("message-id: <1@x>\nX: y\nZ: z\n\nbody\n", &c,
		    "f@x.example", true, false);
	/* what is there and empty does not count */
	check_added("Message-ID:\nX: y\nZ: z\nDate: \n\t\nFrom:\n\nbody\n",
		    &c, "f@x.example", true, true);
	check_added("X: y\nZ: z\nFROM: a@b\n\nbody\n", &c, "a@b", true, true);
	check_added("From : a@b\nX: y\nZ: z\n\nbody\n", &c, "a@b",
		    true, true);
	check_added("Resent-From: a@b\nResent-Date: q\nX: y\nZ: z\n\nbody\n",
		    &c, "f@x.example", true, true);
	c.full_name = "";
	check_added("X: y\nZ: z\n\nbody\n", &c, "f@x.example", true, true);
	c.full_name = "Full Name";
	check_added("X: y\nZ: z\n\nbody\n", &c, "Full Name <f@x.example>",
		    true, true);
	c.full_name = "Dr. \"X\", Y";
	check_added("X: y\nZ: z\n\nbody\n", &c,
		    "\"Dr. \\\"X\\\", Y\" <f@x.example>", true, true);
	c.from_header = FROM_KEEP;
	check_added("X: y\nZ: z\n\nbody\n", &c,
		    "\"Dr. \\\"X\\\", Y\" <f@x.example>", true, true);
}

static void test_message_id(void **state)
{
	struct message *a = completed("\n", 1, &usual);
	struct message *b = completed("\n", 1, &usual);
	char *x = message_field(a, "Message-ID");
	char *y = message_field(b, "Message-ID");
	char *date = message_field(a, "Date");

	(void)state;
	assert_string_not_equal(x, y);
	assert_true(strlen(date) >= 26);
	free(x);
	free(y);
	free(date);
	message_free(a);
	message_free(b);
}

static void test_qualified(void **state)
{
	static const struct row rows[] = {
		{ "From: root (Cron Daemon)\nTo: root\n\n",
		  "From: root@d.example (Cron Daemon)\r\n"
		  "To: root@d.example\r\n\r\n" },
		{ "From: \"(Cron Daemon)\" <root>\n\n",
		  "From: \"(Cron Daemon)\" <root@d.example>\r\n\r\n" },
		{ "From: a@b\nTo:  x ,\n\ty@z,  Z  <w>\n\n",
		  "From: a@b\r\nTo:  x@d.example ,\r\n\ty@z,"
		  "  Z  <w@d.example>\r\n\r\n" },
		{ "From: a@b\nTo:\n x\n\n",
		  "From: a@b\r\nTo:\r\n x@d.example\r\n\r\n" },
		{ "From: a@b\nTo: g: x, y@z;, \"q r\"\n\n",
		  "From: a@b\r\nTo: g: x@d.example, y@z;, "
		  "\"q r\"@d.example\r\n\r\n" },
		{ "From: a@b\nTo: undisclosed-recipients:;\n\n",
		  "From: a@b\r\nTo: undisclosed-recipients:;\r\n\r\n" },
		{ "From: a\nSENDER : s\nReply-To: r\nTo: t\nCc: c\n"
		  "Resent-From: a\nResent-Sender: s\nResent-Reply-To: r\n"
		  "Resent-To: t\nResent-Cc: c\nX-To: x\n\n",
		  "From: a@d.example\r\nSENDER : s@d.example\r\n"
		  "Reply-To: r@d.example\r\nTo: t@d.example\r\n"
		  "Cc: c@d.example\r\nResent-From: a@d.example\r\n"
		  "Resent-Sender: s@d.example\r\n"
		  "Resent-Reply-To: r@d.example\r\n"
		  "Resent-To: t@d.example\r\nResent-Cc: c@d.example\r\n"
		  "X-To: x\r\n\r\n" },
		/* no list: it stays as it is */
		{ "From: a@b\nTo: b@@x\nCc: (\nReply-To: x y\n\n",
		  "From: a@b\r\nTo: b@@x\r\nCc: (\r\nReply-To: x y\r\n"
		  "\r\n" },
		/* a word with letters beyond ASCII is a name */
		{ "From: a@b\nTo: M\xc3\xbcller, y\nCc: \"M\xc3\xbcller\"\n"
		  "Reply-To: <M\xc3\xbcller>\nSender: M\xfcller\n"
		  "Resent-To: M\xc3\xbc <w>\n\n",
		  "From: a@b\r\nTo: M\xc3\xbcller, y@d.example\r\n"
		  "Cc: \"M\xc3\xbcller\"\r\nReply-To: <M\xc3\xbcller>\r\n"
		  "Sender: M\xfcller\r\n"
		  "Resent-To: M\xc3\xbc <w@d.example>\r\n\r\n" },
		{ "From: a@b\nTo: J. Smith, y\n\n",
		  "From: a@b\r\nTo: J. Smith, y@d.example\r\n\r\n" },
		/* but one that is none spoils no other */
		{ "From: a@b\nTo: b@@x, y, [z] <w>\n\n",
		  "From: a@b\r\nTo: b@@x, y@d.example, [z] <w@d.example>\r\n"
		  "\r\n" },
	};
	struct completion c = usual;

	(void)state;
	check_rows(ROWS(rows), &usual);
	c.domain = NULL;
	check(FULL "From: root\n\n", &c, FULL_OUT "From: root\r\n\r\n");
}

static void test_from_replaced(void **state)
{
	static const struct row rows[] = {
		/* who wrote it stays, all of them */
		{ "A: b\nFrom : X Y  <x@y> ,\n z@y\nTo: c@d\n"
		  "From: again\n\n",
		  "A: b\r\nFrom: N <f@x.example>\r\n"
		  "Reply-To: X Y  <x@y>,\r\n z@y,\r\n again@d.example\r\n"
		  "To: c@d\r\n\r\n" },
		{ "From: g: x@y, Me <F@X.Example>, f@x.example;\n\n",
		  "From: N <f@x.example>\r\nReply-To: x@y,\r\n"
		  " Me <F@X.Example>\r\n\r\n" },
		{ "Reply-To: r@y\nFrom: =?u?q?a,b?= <x@y>\nSender: s@y\n\n",
		  "Reply-To: r@y\r\nFrom: N <f@x.example>\r\n\r\n" },
		{ "Reply-To:\nFrom: =?u?q?a,b?= <x@y>\nsender : s@y\n\n",
		  "From: N <f@x.example>\r\n"
		  "Reply-To: =?u?q?a,b?= <x@y>\r\n\r\n" },
		{ "From: Me <f@X.example>\n\n",
		  "From: N <f@x.example>\r\n\r\n" },
		{ "From: N <f@x.example>\n\n",
		  "From: N <f@x.example>\r\n\r\n" },
		{ "From: V W. <v@y>;, \"A, B\" <mailto:a@b, <w@y> Q\n\n",
		  "From: N <f@x.example>\r\nReply-To: \"V W.\" <v@y>,\r\n"
		  " \"A, B\" <a@b>,\r\n w@y\r\n\r\n" },
		{ "From: V <v@y>\"\n\n",
		  "From: N <f@x.example>\r\nReply-To: V <v@y>\r\n\r\n" },
		/* nobody is reached by a name alone */
		{ "From: J. X, \"X Y\", z\n\n",
		  "From: N <f@x.example>\r\nReply-To: z@d.example\r\n\r\n" },
	};
	struct completion c = usual;

	(void)state;
	c.from_header = FROM_REPLACE;
	c.full_name = "N";
	check_rows(ROWS(rows), &c);
	check_added("X: y\nZ: z\n\nbody\n", &c, "N <f@x.example>", true,
		    true);
	check(FULL "Sender: s@y\nFrom: just a name\n\n", &c,
	      "From: N <f@x.example>\r\n" FULL_OUT "\r\n");
	check(FULL "From: \"X Y\", J. Z\n\n", &c,
	      "From: N <f@x.example>\r\n" FULL_OUT "\r\n");
	/* nor by half an address, which may be somebody else's */
	check(FULL "From: V <v@y,example>\n\n", &c,
	      "From: N <f@x.example>\r\n" FULL_OUT "\r\n");
	check(FULL "From: V <v,w@y>\n\n", &c,
	      "From: N <f@x.example>\r\n" FULL_OUT "\r\n");
	/* when it was replaced before, the name that was given then stays */
	c.keep_own = true;
	check(FULL "From: Me <f@x.example>\n\n", &c,
	      FULL_OUT "From: Me <f@x.example>\r\n\r\n");
	check(FULL "From: Me <f@x.example>, y@z\n\n", &c,
	      FULL_OUT "From: N <f@x.example>\r\nReply-To: y@z\r\n\r\n");
	check(FULL "From: f@x.example\nFrom: y@z\n\n", &c,
	      FULL_OUT "From: N <f@x.example>\r\nReply-To: y@z\r\n\r\n");
}

/* A From without any address: a name alone is the display name. */
static void test_name_alone(void **state)
{
	static const char *const rows[][2] = {
		{ "", "f@x.example" },
		{ " \n\t", "f@x.example" },
		{ "<>", "f@x.example" },
		{ "(Cron Daemon)", "f@x.example" },
		{ ",", "f@x.example" },
		{ "Alice Example", "Alice Example <f@x.example>" },
		{ "Alice\n Example <>", "Alice Example <f@x.example>" },
		{ "Alice Q. Example", "\"Alice Q. Example\" <f@x.example>" },
		{ "\"Cron Daemon\"", "Cron Daemon <f@x.example>" },
		{ "\"Backup\"", "Backup <f@x.example>" },
		{ "Alice [work]", "\"Alice [work]\" <f@x.example>" },
		{ "A team:;", "A team <f@x.example>" },
		{ "=?UTF-8?Q?J=C3=BC?=", "=?UTF-8?Q?J=C3=BC?= <f@x.example>" },
		{ "=?UTF-8?Q?J=C3=BC?= Foo",
		  "=?UTF-8?Q?J=C3=BC?= Foo <f@x.example>" },
		/* a comma in one would part two mailboxes for others */
		{ "=?UTF-8?Q?Doe, John?=",
		  "=?UTF-8?Q?Doe=2C_John?= <f@x.example>" },
		{ "X =?u?q?a(\xc3_b=40.?=  =?u?B?w7w=?=",
		  "X =?u?q?a=28=C3_b=40=2E?= =?u?B?w7w=?= <f@x.example>" },
		{ "=?UTF-8?B?w7w, w7w=?=",
		  "\"=?UTF-8?B?w7w, w7w=?=\" <f@x.example>" },
		{ "J\xc3\xbc\xc3\xbc Foo",
		  "=?UTF-8?Q?J=C3=BC=C3=BC_Foo?= <f@x.example>" },
		{ "J\xc3\xbcrgen", "=?UTF-8?Q?J=C3=BCrgen?= <f@x.example>" },
		{ "J\xc3\xbcrgen <j\xc3\xbcrgen>",
		  "=?UTF-8?Q?J=C3=BCrgen?= <f@x.example>" },
		{ "J. Example", "\"J. Example\" <f@x.example>" },
		{ "Dr.\n A. Example (x)", "\"Dr. A. Example\" <f@x.example>" },
		{ "Al\x1b[31m ice", "\"Al [31m ice\" <f@x.example>" },
		/* an address, in one way or another */
		{ "root", "root@d.example" },
		{ "j.example", "j.example@d.example" },
		{ "root (J. Example)", "root@d.example (J. Example)" },
		{ "Alice <root>", "Alice <root@d.example>" },
		{ "\"A B\" <\"c d\">", "\"A B\" <\"c d\"@d.example>" },
		{ "\"Backup\"@y", "\"Backup\"@y" },
		{ "Alice Example, b@y", "Alice Example, b@y" },
		{ "Alice <b@y>;", "Alice <b@y>;" },
		{ "Alice <b@y>.", "Alice <b@y>." },
		{ "Alice <b@y> x", "Alice <b@y> x" },
		{ "<b@y> Alice", "<b@y> Alice" },
		{ "Alice <b@y", "Alice <b@y" },
		{ "Alice <mailto:b@y>", "Alice <mailto:b@y>" },
		{ "b@y;", "b@y;" },
		{ "b@y (x", "b@y (x" },
		{ "b@y; c@y", "\"b@y; c@y\" <f@x.example>" },
	};
	struct buf in = BUF(MOST);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		buf_reset(&in);
		buf_addf(&in, "From: %s\nX: y\nZ: z\n\nbody\n", rows[i][0]);
		check_added(in.data, &usual, rows[i][1], true, true);
	}
	/* with an address elsewhere */
	check_added("From: Alice E\nX: y\nZ: z\nFrom: b@y\n\nbody\n",
		    &usual, "b@y", true, true);
	buf_release(&in);
}

static void test_original_to(void **state)
{
	struct completion c = usual;
	struct message *m;
	struct outcome why;
	char *value;

	(void)state;
	c.original_to = "a@x,\r\n b@y";
	assert_true(message_from_text("To: z\n\n", 7, &m, &why));
	assert_true(message_complete(&m, &c, &why));
	value = message_field(m, "X-Original-To");
	assert_string_equal(value, "a@x, b@y");
	free(value);
	message_free(m);
}

static void test_undisclosed(void **state)
{
	static const struct row rows[] = {
		{ "From: a@b\nCc: x@y,\n z\nA: b\nTo: x\ncc: q\n\nhi\n",
		  "From: a@b\r\nTo: undisclosed-recipients:;\r\nA: b\r\n"
		  "\r\nhi\r\n" },
		{ "From: a@b\nResent-To: x@y\n\n",
		  "From: a@b\r\nResent-To: x@y\r\n"
		  "To: undisclosed-recipients:;\r\n\r\n" },
	};
	struct completion c = usual;

	(void)state;
	c.undisclosed_recipients = true;
	check_rows(ROWS(rows), &c);
}

/* --- long lines --- */

static void add_run(struct buf *b, char c, size_t n)
{
	while (n--)
		buf_addc(b, c);
}

static size_t longest_line(const char *text)
{
	size_t longest = 0, n;

	for (; *text; text += n + 2) {
		n = strcspn(text, "\r");
		longest = n > longest ? n : longest;
		assert_memory_equal(text + n, "\r\n", 2);
	}
	return longest;
}

/* A line with an encoded word has 76 octets at most (RFC 2047 2). */
static void test_encoded_lines(void **state)
{
	struct completion c = usual;
	struct buf name = BUF(MOST), got;
	struct message *m;
	int i, j;

	(void)state;
	c.full_name = "";
	for (i = 0; i < 120; i++) {
		buf_adds(&name, i % 7 ? "a" : "\xc3\xbc ");
		c.full_name = buf_text(&name);
		for (j = 0; j < 2; j++) {
			c.from = j ? "f@x.example" :
				 "somebody-with-a-longer-name@mail.x.example";
			m = completed(FULL "\n", strlen(FULL "\n"), &c);
			all_bytes(m, &got);
			assert_true(longest_line(got.data) <= 76);
			buf_release(&got);
			message_free(m);
		}
	}
	buf_release(&name);
}

/* No field has a line of blanks alone, and unfolded the text is the same. */
static void check_refolded(const struct buf *field, size_t longest)
{
	struct buf in = BUF(MOST), got;
	struct message *m, *before;
	struct outcome why;
	char *a, *b, *p;

	buf_addf(&in, FULL "From: a@b\n%s\nLast: x\n\n", field->data);
	m = completed(in.data, in.len, &usual);
	all_bytes(m, &got);
	assert_true(longest_line(got.data) <= longest);
	assert_int_equal(message_facts(m)->long_lines, longest > 998);
	for (p = got.data; (p = strstr(p, "\r\n")) && p[2] != '\r'; p += 2)
		assert_true(strcspn(p + 2, "\r") > strspn(p + 2, " \t"));
	assert_true(message_from_text(in.data, in.len, &before, &why));
	a = message_field(m, "Long");
	b = message_field(before, "Long");
	assert_string_equal(a, b);
	free(a);
	free(b);
	buf_release(&got);
	buf_release(&in);
	message_free(m);
	message_free(before);
}

static void test_refolded(void **state)
{
	struct buf b = BUF(MOST);
	size_t i, words;

	(void)state;
	for (words = 1; words < 2000; words += 1 + words / 2) {
		buf_reset(&b);
		buf_adds(&b, "Long :");
		for (i = 0; i < words; i++)
			buf_addf(&b, "%s<%zu@x>", i % 3 ? " " : "\t  ", i);
		check_refolded(&b, 998);
	}
	/* one word alone: it helps to break behind the name, or nothing */
	for (i = 985; i < 1005; i++) {
		buf_reset(&b);
		buf_adds(&b, "Long: ");
		add_run(&b, 'x', i);
		check_refolded(&b, i <= 997 ? 998 : i + 6);
		buf_adds(&b, " and more");
		check_refolded(&b, i <= 997 ? 998 : i + 6);
	}
	/* blanks at the end, and many of them within */
	buf_reset(&b);
	buf_adds(&b, "Long: x");
	add_run(&b, ' ', 900);
	buf_adds(&b, "y\n ");
	add_run(&b, 'z', 900);
	add_run(&b, ' ', 97);
	check_refolded(&b, 998);
	add_run(&b, ' ', 2000);
	check_refolded(&b, 2998);
	buf_adds(&b, "w w w");
	check_refolded(&b, 2998 + 2);
	buf_reset(&b);
	buf_adds(&b, "Long: x\n");
	add_run(&b, ' ', 3000);
	buf_adds(&b, "w w w");
	check_refolded(&b, 3001);
	buf_release(&b);
}

/* The first word stays beside the name, though it is longer than one would
 * like; a line that was short enough stays as it was. */
static void test_refold_exactly(void **state)
{
	struct buf word = BUF(MOST), in = BUF(MOST), want = BUF(MOST);
	size_t i;

	(void)state;
	add_run(&word, 'x', 99);
	buf_addf(&in, FULL "From: a@b\nX: %s", word.data);
	buf_addf(&want, FULL_OUT "From: a@b\r\nX: %s", word.data);
	for (i = 0; i < 10; i++) {
		buf_addf(&in, " %s", word.data);
		buf_addf(&want, "\r\n %s", word.data);
	}
	buf_addf(&in, "\n\t%s %s\n\n", word.data, word.data);
	buf_addf(&want, "\r\n\t%s %s\r\n\r\n", word.data, word.data);
	check(in.data, &usual, want.data);
	buf_release(&word);
	buf_release(&in);
	buf_release(&want);
}

/* A field that was in order is not touched. */
static void test_refold_leaves(void **state)
{
	struct buf in = BUF(MOST), want = BUF(MOST);

	(void)state;
	buf_adds(&in, FULL "From: a@b\nX: ");
	add_run(&in, 'x', 494);
	buf_addc(&in, ' ');
	add_run(&in, 'x', 500);
	buf_adds(&in, "\n\n");
	buf_adds(&want, FULL_OUT "From: a@b\r\nX: ");
	add_run(&want, 'x', 494);
	buf_addc(&want, ' ');
	add_run(&want, 'x', 500);
	buf_adds(&want, "\r\n\r\n");
	check(in.data, &usual, want.data);
	buf_release(&in);
	buf_release(&want);
}

static int digit(char c)
{
	const char *digits = "0123456789ABCDEF", *p = strchr(digits, c);

	assert_true(c && p);
	return (int)(p - digits);
}

/* RFC 2045 6.7, strictly. */
static void qp_decode(const char *in, struct buf *out)
{
	*out = BUF(MOST);
	assert_true(longest_line(in) <= 76);
	for (; *in; in++) {
		if ((*in == ' ' || *in == '\t') && in[1] == '\r')
			fail();
		assert_true((unsigned char)*in < 0x7f);
		if (*in != '=') {
			assert_true(*in >= ' ' || strchr("\t\r\n", *in));
			buf_addc(out, *in);
		} else if (in[1] == '\r') {
			in += 2;
		} else {
			buf_addc(out, (char)(digit(in[1]) << 4 |
					     digit(in[2])));
			in += 2;
		}
	}
}

static void check_encoded(const char *header, const char *body, size_t n,
			  const char *want_header)
{
	struct buf in = BUF(MOST), got, decoded, want;
	struct message *m, *before;
	struct outcome why;

	buf_addf(&in, FULL "From: a@b\n%s\n", header);
	buf_add(&in, body, n);
	assert_true(message_from_text(in.data, in.len, &before, &why));
	all_bytes(before, &want);
	m = completed(in.data, in.len, &usual);
	all_bytes(m, &got);
	assert_memory_equal(got.data, want_header, strlen(want_header));
	qp_decode(got.data + message_header_size(m), &decoded);
	assert_string_equal(decoded.data,
			    want.data + message_header_size(before));
	assert_false(message_facts(m)->long_lines);
	assert_false(message_facts(m)->eight_bit);
	message_free(m);
	message_free(before);
	buf_release(&in);
	buf_release(&got);
	buf_release(&want);
	buf_release(&decoded);
}

static void long_body(struct buf *b, unsigned seed)
{
	size_t i;

	*b = BUF(MOST);
	for (i = 0; i < 3000; i++) {
		seed = seed * 1103515245u + 12345;
		buf_addc(b, "ab \t=.\xc3\xa4~\x7f\x01\r\n"[seed >> 16 & 7 ||
			 i % 7 ? (seed >> 20) % 11 : (seed >> 20) % 13]);
	}
	buf_adds(b, "\n.\n..x\nFrom y\n ");
	add_run(b, 'x', 999);
	buf_adds(b, "\nblanks  \n\t\nend \t");
}

static void test_encoded(void **state)
{
	struct buf b;
	unsigned seed;

	(void)state;
	for (seed = 1; seed < 30; seed++) {
		long_body(&b, seed);
		check_encoded("", b.data, b.len,
			"MIME-Version: 1.0\r\n"
			"Content-Transfer-Encoding: quoted-printable\r\n"
			FULL_OUT "From: a@b\r\n\r\n");
		check_encoded("MIME-version: 1.0\nContent-type: Text/html;\n"
			" charset=utf-8\ncontent-transfer-encoding :\n 8BIT\n"
			"X: y\n", b.data, b.len,
			FULL_OUT "From: a@b\r\nMIME-version: 1.0\r\n"
			"Content-type: Text/html;\r\n charset=utf-8\r\n"
			"Content-Transfer-Encoding: quoted-printable\r\n"
			"X: y\r\n\r\n");
		check_encoded("Content-Transfer-Encoding: binary\n", b.data,
			b.len, "MIME-Version: 1.0\r\n" FULL_OUT
			"From: a@b\r\n"
			"Content-Transfer-Encoding: quoted-printable\r\n"
			"\r\n");
		check_encoded("Content-Transfer-Encoding: 7bit\n", b.data,
			b.len, "MIME-Version: 1.0\r\n");
		check_encoded("MIME-Version:\nContent-Type: \n", b.data,
			b.len, "MIME-Version: 1.0\r\n"
			"Content-Transfer-Encoding: quoted-printable\r\n"
			FULL_OUT "From: a@b\r\nContent-Type: \r\n\r\n");
		buf_release(&b);
	}
}

/* Every way to write that nothing is encoded. */
static void test_encoding_spelt(void **state)
{
	static const char *const values[] = {
		"\"7bit\"", "7bit (plain)", "8-bit", "8Bits", " ( a (b) ) 7BIT",
		"8_bit;", "bin\"ary\"", "(\\))7bit", "", "7\n bit", "8bit; x",
	};
	struct buf header = BUF(4096), b = BUF(MOST);
	size_t i;

	(void)state;
	add_run(&b, 'x', 999);
	buf_addc(&b, '\n');
	for (i = 0; i < sizeof(values) / sizeof(*values); i++) {
		buf_reset(&header);
		buf_addf(&header, "Content-Transfer-Encoding: %s\n"
			 "Content-Type: (x) \"text\" / plain; a=\"b\"\n",
			 values[i]);
		check_encoded(header.data, b.data, b.len,
			"MIME-Version: 1.0\r\n" FULL_OUT "From: a@b\r\n"
			"Content-Transfer-Encoding: quoted-printable\r\n");
	}
	buf_release(&header);
	buf_release(&b);
}

/* Types as people write them: what is not text of some kind stays. */
static void test_types_spelt(void **state)
{
	static const struct { const char *type; bool text; } rows[] = {
		{ "text", false }, { "TEXT; charset=utf-8", false },
		{ "text/html", true }, { "\"text/plain\"", true },
		{ "TEXT (old) / x", true }, { " text ;", false },
		{ "text/", true }, { "textile", false },
		{ "multipart", false }, { "message", false },
		{ "multipart/mixed; boundary=x", false }, { "plain", false },
		{ "application/octet-stream", false },
	};
	struct buf in = BUF(MOST), got;
	struct message *m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		buf_reset(&in);
		buf_addf(&in, FULL "From: a@b\nContent-Type: %s\n\n",
			 rows[i].type);
		add_run(&in, 'x', 1000);
		buf_addc(&in, '\n');
		m = completed(in.data, in.len, &usual);
		all_bytes(m, &got);
		if (!!strstr(got.data, "quoted-printable") != rows[i].text)
			fail_msg("%s", rows[i].type);
		if (!rows[i].text)
			assert_memory_equal(got.data + got.len - 1002,
					    in.data + in.len - 1001, 1000);
		message_free(m);
		buf_release(&got);
	}
	buf_release(&in);
}

static void check_body(const char *header, const char *body, size_t n,
		       const char *want)
{
	struct buf in = BUF(MOST), got;
	struct message *m;

	buf_addf(&in, FULL "From: a@b\n%s\n", header);
	buf_add(&in, body, n);
	m = completed(in.data, in.len, &usual);
	all_bytes(m, &got);
	assert_int_equal(strlen(got.data), got.len);
	assert_string_equal(got.data + message_header_size(m), want);
	message_free(m);
	buf_release(&in);
	buf_release(&got);
}

/* A body of base64 gets lines of their proper length, and else stays. */
static void test_wrapped(void **state)
{
	static const char *const headers[] = {
		"Content-Transfer-Encoding: base64\n",
		"Content-Type: application/pdf\n"
		"Content-Transfer-Encoding: (x) \"BASE64\"\n",
		"Content-Transfer-Encoding: base-64\n"
		"Content-Transfer-Encoding: base64;\n",
	};
	static const char several[] = "Content-Type: multipart\n"
		"Content-Transfer-Encoding: base64\n";
	struct buf in = BUF(MOST), want = BUF(MOST);
	size_t i;

	(void)state;
	for (i = 0; i < 2000; i++) {
		buf_addc(&in, "AbC+/9"[i % 6]);
		buf_addc(&want, "AbC+/9"[i % 6]);
		if (i % 76 == 75)
			buf_adds(&want, "\r\n");
	}
	buf_adds(&in, "=\r\n-- \n\n=\n");
	buf_adds(&want, "=--=\r\n");
	for (i = 0; i < sizeof(headers) / sizeof(*headers); i++)
		check_body(headers[i], in.data, in.len, want.data);
	/* but not what is only called so, or may be several parts */
	buf_reset(&want);
	buf_add(&want, in.data, 2000);
	buf_adds(&want, "=\r\n-- \r\n\r\n=\r\n");
	check_body(several, in.data, in.len, want.data);
	buf_adds(&in, "a footer\r\n");
	for (i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		buf_reset(&want);
		buf_add(&want, in.data, 2000);
		buf_adds(&want, "=\r\n-- \r\n\r\n=\r\na footer\r\n");
		check_body(headers[i], in.data, in.len, want.data);
	}
	buf_release(&in);
	buf_release(&want);
}

/* NULs are encoded where the type permits, and else left out. */
static void test_nuls(void **state)
{
	static const char body[] = "a\0b\n\0\n.\0\nc\0";

	(void)state;
	check_body("", body, sizeof(body),
		   "a=00b\r\n=00\r\n.=00\r\nc=00=00\r\n");
	check_body("Content-Type: text/plain\n", "\0", 1, "=00\r\n");
	check_body("Content-Transfer-Encoding: base64\n", "YQ\0==\n\0Yg==",
		   12, "YQ==Yg==\r\n");
	check_body("Content-Type: multipart/mixed; boundary=x\n", body,
		   sizeof(body), "ab\r\n\r\n.\r\nc\r\n");
	check_body("DKIM-Signature: v=1\n", body, sizeof(body),
		   "ab\r\n\r\n.\r\nc\r\n");
	check_body("Content-Transfer-Encoding: quoted-printable\n", body,
		   sizeof(body), "ab\r\n\r\n.\r\nc\r\n");
}

static void check_untouched(const char *header, const char *body)
{
	struct buf in = BUF(MOST), got, want;
	struct message *m;
	struct outcome why;

	buf_addf(&in, FULL "From: a@b\n%s\n%s", header, body);
	assert_true(message_from_text(in.data, in.len, &m, &why));
	all_bytes(m, &want);
	message_free(m);
	m = completed(in.data, in.len, &usual);
	all_bytes(m, &got);
	assert_string_equal(got.data, want.data);
	assert_int_equal(message_facts(m)->long_lines,
			 strlen(body) > 1001);
	message_free(m);
	buf_release(&in);
	buf_release(&got);
	buf_release(&want);
}

static void test_not_encoded(void **state)
{
	static const char *const headers[] = {
		"Content-Type: multipart/mixed; boundary=x\n",
		"Content-Type: application/pdf\n",
		"Content-Type: textual/plain\n",
		"Content-Type: text\n",
		"Content-Type: text/plain\nContent-Type: text/html\n",
		"Content-Transfer-Encoding: base64\nDKIM-Signature: v=1\n",
		"Content-Transfer-Encoding: base64\n"
		"Content-Type: multipart/mixed; boundary=x\n",
		"Content-Transfer-Encoding: base64\n"
		"Content-Type: message/rfc822\n",
		"Content-Transfer-Encoding: base64\n"
		"Content-Transfer-Encoding: 7bit\n",
		"Content-Transfer-Encoding: quoted-printable\n",
		"Content-Transfer-Encoding: x-strange\n",
		"DKIM-Signature: v=1\n",
	};
	struct buf b = BUF(MOST);
	size_t i;

	(void)state;
	add_run(&b, 'x', 998);
	buf_adds(&b, "\n\xe4");
	check_untouched("", b.data);
	buf_reset(&b);
	add_run(&b, 'x', 999);
	buf_adds(&b, "\n\xe4\n");
	for (i = 0; i < sizeof(headers) / sizeof(*headers); i++)
		check_untouched(headers[i], b.data);
	buf_release(&b);
}

/* --- the rest --- */

static void test_facts_anew(void **state)
{
	static const char in[] = FULL "From: a@b\nBcc: \xc3\xa4@x\n\nhi\n";
	struct message *m = completed(in, strlen(in), &usual);

	(void)state;
	assert_false(message_facts(m)->eight_bit);
	message_free(m);
}

/* Fields and body that lie in a file. */
static void test_big(void **state)
{
	struct buf in = BUF(MOST), want = BUF(MOST);
	size_t i;

	(void)state;
	buf_adds(&in, FULL "From: a@b\nTo: ");
	buf_adds(&want, FULL_OUT "From: a@b\r\nTo: ");
	for (i = 0; i < 60000; i++) { /* 0.5 MB become 1.2 */
		buf_addf(&in, "%su%zu", i ? ",\n " : "", i);
		buf_addf(&want, "%su%zu@d.example", i ? ",\r\n " : "", i);
	}
	buf_adds(&in, "\nBcc: u\n\n");
	buf_adds(&want, "\r\n\r\n");
	for (i = 0; i < 100000; i++) {
		buf_addf(&in, "line %zu\n", i);
		buf_addf(&want, "line %zu\r\n", i);
	}
	check(in.data, &usual, want.data);
	buf_release(&in);
	buf_release(&want);
}

static int quiet(void **state)
{
	const struct log_settings none = { .to = "none" };

	(void)state;
	log_open(&none);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_added),
		cmocka_unit_test(test_message_id),
		cmocka_unit_test(test_qualified),
		cmocka_unit_test(test_from_replaced),
		cmocka_unit_test(test_name_alone),
		cmocka_unit_test(test_encoded_lines),
		cmocka_unit_test(test_original_to),
		cmocka_unit_test(test_undisclosed),
		cmocka_unit_test(test_refolded),
		cmocka_unit_test(test_refold_exactly),
		cmocka_unit_test(test_refold_leaves),
		cmocka_unit_test(test_encoded),
		cmocka_unit_test(test_encoding_spelt),
		cmocka_unit_test(test_types_spelt),
		cmocka_unit_test(test_wrapped),
		cmocka_unit_test(test_nuls),
		cmocka_unit_test(test_not_encoded),
		cmocka_unit_test(test_facts_anew),
		cmocka_unit_test(test_big),
	};

	return cmocka_run_group_tests(tests, quiet, NULL);
}
