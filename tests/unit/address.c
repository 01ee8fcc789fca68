/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "mail/address.h"

/* Addresses of a list, joined by blanks; "!" for an error. */
static char *parsed(const char *text, size_t n)
{
	struct mailboxes m;
	struct outcome why;
	struct buf b = BUF(1 << 24);
	size_t i;

	if (!address_list(text, n, &m, &why)) {
		assert_int_equal(why.exit, EX_DATAERR);
		assert_int_equal(why.stage, STAGE_LOCAL);
		assert_true(why.text[0]);
		buf_addc(&b, '!');
	} else {
		for (i = 0; i < m.n; i++) {
			buf_addf(&b, "%s%s", i ? " " : "", m.box[i].address);
			assert_true(m.box[i].qualified ==
				    (*address_domain(m.box[i].address) != 0));
		}
	}
	mailboxes_release(&m);
	return buf_take(&b);
}

static void test_lists(void **state)
{
	static const struct {
		const char *text, *want;
	} row[] = {
		{ "", "" },
		{ " \t ", "" },
		{ ",, ,", "" },
		{ "(only a comment)", "" },
		{ "a@x", "a@x" },
		{ "root", "root" },
		{ "root (Cron Daemon)", "root" },
		{ "(c) root", "root" },
		{ ",a@x,, b@y ,", "a@x b@y" },
		{ "<a@x>", "a@x" },
		{ "<root>", "root" },
		{ "Name <a@X.Example>", "a@x.example" },
		{ "John Q. Public <j@x>", "j@x" },
		{ "J. <j@x>", "j@x" },
		{ "\"Q, x\" <c@x.example>, d@x.example (cmt), "
		  "grp: e@x.example, f@x.example;",
		  "c@x.example d@x.example e@x.example f@x.example" },
		{ "undisclosed-recipients:;", "" },
		{ "undisclosed-recipients: ;, a@x", "a@x" },
		{ "undisclosed-recipients:", "" },
		{ "g:a@x,,b@x;,h: ;", "a@x b@x" },
		{ "a(b(c\\)d)e)@(f)x(g).(h)y", "a@x.y" },
		{ "a . b @ x . y", "a.b@x.y" },
		{ "a\r\n @\r\n\tx", "a@x" },
		{ "<@r.x,@s.y:a@x>", "a@x" },
		{ "<@r.x,,@s.y : a@x>", "a@x" },
		{ "\"a\"@x", "a@x" },
		{ "\"a.b\"@x", "a.b@x" },
		{ "\"a b\"@x", "\"a b\"@x" },
		{ "\"a\\b\"@x", "ab@x" },
		{ "\"a\\\"\\\\b\"@x", "\"a\\\"\\\\b\"@x" },
		{ "\"a@b\"@x", "\"a@b\"@x" },
		{ "\"a@b\"", "\"a@b\"" },
		{ "\"\"@x", "\"\"@x" },
		{ "a.\"b c\".d@x", "\"a.b c.d\"@x" },
		{ "a..b@x", "\"a..b\"@x" },
		{ "a.@x", "\"a.\"@x" },
		{ "a@[192.0.2.1]", "a@[192.0.2.1]" },
		{ "a@[ 192.0.2.1 ]", "a@[192.0.2.1]" },
		{ "a@[ipv6:2001:DB8::0:1]", "a@[IPv6:2001:db8::1]" },
		{ "a@b\xc3\xbc" "cher.example", "a@xn--bcher-kva.example" },
		{ "a@stra\xc3\x9f" "e.de", "a@xn--strae-oqa.de" },
		{ "j\xc3\xbcrgen@x", "j\xc3\xbcrgen@x" },
		{ "a@ex_ample.com", "a@ex_ample.com" },
		{ "A@X, a@x", "A@x a@x" },
		{ "a@x <a@x>", "a@x" },
		{ "a@x <a@X>, b@x", "a@x b@x" },
		{ "=?UTF-8?Q?J=C3=BCrgen?= <j@x>", "j@x" },
		{ "J\xfcrgen <j@x>", "j@x" },
		{ "a!b%c@x", "a!b%c@x" },
		/* names that are none by the letter: the address counts */
		{ "[JIRA] Bob <b@x>, a@x", "b@x a@x" },
		{ "M\xc3\xbcller [extern] <b@x>", "b@x" },
		{ "Bob @ Work <b@x>,a@x", "b@x a@x" },
		{ "<<b@x>>", "b@x" },
		{ "<<<b@x>>> , a@x", "b@x a@x" },
		{ "a@x <b@x>", "b@x" },
		{ "12:30: Bob <b@x>", "b@x" },
		{ ":-) <b@x>", "b@x" },
		{ "Bob (work <b@x>, a@x", "b@x a@x" },
		{ "(work <b@x>, a@x", "b@x a@x" },
		{ "Bob \\ <b@x> (c)", "b@x" },
		{ "Bob; Sons <b@x>", "b@x" },
		{ "g: [x] <b@x>; c@x", "b@x c@x" },
		{ "Bob <work> <b@x>", "b@x" },
		{ "Bob \\(a, (b) \\) <c@x>) <b@x>, d@x", "b@x d@x" },
		{ "Bob] (a, b) \"c, <d@x>\" <b@x>", "b@x" },
		{ "N\x1b[31m <a@x>", "a@x" },
		{ "[x] <root>", "root" },
		/* encoded words are never split */
		{ "=?UTF-8?Q?M=C3=BCller,_Hans?= <h@x>, a@x", "h@x a@x" },
		{ "=?iso-8859-1?q?Doe, J. (x?= <h@x>", "h@x" },
		{ "[a] =?utf-8?q?b,_c?= <h@x>", "h@x" },
		{ "=?utf-8?q?a?=, =?utf-8?q?b?= <h@x>", "!" },
		{ "=?utf-8?q?a <h@x>, b@x", "h@x b@x" },
		{ "=?utf-8?q?b?=@x", "=?utf-8?q?b?=@x" },
		/* a no-break space is white space */
		{ "\xc2\xa0" "a@x\xc2\xa0,\xc2\xa0" "B\xc2\xa0" "B <b@x>",
		  "a@x b@x" },
		{ "a@x\xc2\xa0.y", "a@x.y" },
		{ "\xc2\xa0", "" },
		/* a trailing dot of a domain is dropped */
		{ "a@x.", "a@x" },
		{ "a@X.Example. , <b@b\xc3\xbc" "cher.>",
		  "a@x.example b@xn--bcher-kva" },
		/* errors */
		{ "a@.", "!" },
		{ "a\xc2\xa0" "b@x", "!" },
		{ "\"a\xc2\xa0" "b\"@x", "!" },
		{ "Bob \" <b@x>", "!" },
		{ "\"Doe, John <j@x>, k@x", "!" },
		{ "[x] <b@@x>", "!" },
		{ "[x] <b@x> y", "!" },
		{ "[x] b@x", "!" },
		{ "[x] <b@x>>y", "!" },
		{ "[x] <b@x>> (\x01)", "!" },
		{ "[x] <b@x>\"", "!" },
		{ "[x] <b@x", "!" },
		{ "[x] <>", "!" },
		{ "<a@x> [x] <b@x>", "!" },
		{ "<@a, <b@x>", "!" },
		{ "a@[192.0.2.1, 2] <b@x>", "!" },
		{ "[x] <b\x01@x>", "!" },
		{ "b@@x", "!" },
		{ "@x", "!" },
		{ "a@", "!" },
		{ "a@x b", "!" },
		{ "a b@x", "!" },
		{ "Full Name", "!" },
		{ "a@x; b@x", "!" },
		{ "a@x;", "!" },
		{ "N <a@x>;", "!" },
		{ "N <mailto:a@x>", "!" },
		{ "<a@x", "!" },
		{ "a@x>", "!" },
		{ "<>", "!" },
		{ "<a@x> b", "!" },
		{ "<a@x><b@x>", "!" },
		{ "<@r.x a@x>", "!" },
		{ "(a", "!" },
		{ "a@x (b\\)", "!" },
		{ "a@x)", "!" },
		{ "\"a", "!" },
		{ "\"a\\", "!" },
		{ "\"a\"b@x", "!" },
		{ ":a@x;", "!" },
		{ "g: h: a@x;;", "!" },
		{ "a@x..y", "!" },
		{ "a@.x", "!" },
		{ "a@x..", "!" },
		{ "a@x!y", "!" },
		{ "a@[192.0.2.256]", "!" },
		{ "a@[IPv6:2001:db8::1::2]", "!" },
		{ "a@[2001:db8::1]", "!" },
		{ "a@[192.0.2.1", "!" },
		{ "a@[]", "!" },
		{ "a@[x]y", "!" },
		{ "a\x01@x", "!" },
		{ "a@x\x7f", "!" },
		{ "\"a\x7f\"@x", "!" },
		{ "\"a\tb\"@x", "!" },
		{ "N <a\x1b[31m@x>", "!" },
		{ "a@x\nb@y", "!" },
		{ "a@x\r", "!" },
		{ "a\xc2\x85@x", "!" },
		{ "j\xfcrgen@x", "!" },
		{ "a@b\xfc" "cher", "!" },
		{ "a\xc0\xae@x", "!" },
		{ "\\a@x", "!" },
	};
	size_t i;
	char *got;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		got = parsed(row[i].text, strlen(row[i].text));
		if (strcmp(got, row[i].want))
			fail_msg("\"%s\": \"%s\", not \"%s\"", row[i].text,
				 got, row[i].want);
		free(got);
	}
	got = parsed("a\0b@x", 5);
	assert_string_equal(got, "!");
	free(got);
}

static void test_names_and_places(void **state)
{
	static const struct {
		const char *text, *name;
		size_t at;
	} row[] = {
		{ "root", NULL, 4 },
		{ "root (Cron Daemon)", NULL, 4 },
		{ " (x) root ", NULL, 9 },
		{ "Cron Daemon <root>", "Cron Daemon", 17 },
		{ "Cron  \t Daemon (c) < root (y) >", "Cron Daemon", 25 },
		{ "\"Q, \\\"x\\\"\" <\"c d\">", "Q, \"x\"", 17 },
		{ "John Q. Public <j@x>", "John Q. Public", 17 },
		{ "\"\" <j@x>", NULL, 5 },
		{ "g: a;", NULL, 4 },
		{ "a . b", NULL, 5 },
		{ "a@x <a@x>", "a@x", 6 },
		{ "[JIRA] Bob  <j (c) >", "[JIRA] Bob", 14 },
		{ "<<j>>", NULL, 3 },
		{ "N\xc2\xa0M <j>", "N M", 7 },
	};
	struct mailboxes m;
	struct outcome why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		assert_true(address_list(row[i].text, strlen(row[i].text), &m,
					 &why));
		assert_int_equal(m.n, 1);
		if (row[i].name)
			assert_string_equal(m.box[0].name, row[i].name);
		else
			assert_null(m.box[0].name);
		if (m.box[0].at != row[i].at)
			fail_msg("%s: at %zu", row[i].text, m.box[0].at);
		mailboxes_release(&m);
	}
}

static void test_one(void **state)
{
	static const struct {
		const char *text, *want;
		bool qualified;
	} row[] = {
		{ "", "", false },
		{ "<>", "", false },
		{ " < > ", "", false },
		{ "a@x", "a@x", true },
		{ "<a@x>", "a@x", true },
		{ "Full Name <e@x.example>", "e@x.example", true },
		{ "fred", "fred", false },
		{ "<@r:a@x>", "a@x", true },
		{ "[JIRA] Bob <b@x>", "b@x", true },
		{ "a@x.", "a@x", true },
		{ "[JIRA] Bob <b@x>, a@x", NULL, false },
		{ "N\x1b <a@x>", NULL, false },
		{ "a@x, b@x", NULL, false },
		{ "a@x,", NULL, false },
		{ ",a@x", NULL, false },
		{ "g: a@x;", NULL, false },
		{ "g:;", NULL, false },
		{ "a@x b", NULL, false },
		{ "a@x;", NULL, false },
		{ "<a@x", NULL, false },
		{ "<mailto:a@x>", NULL, false },
		{ "<> a", NULL, false },
		{ "a@x\n b", NULL, false },
		{ "a@\r\n x", NULL, false },
		{ "a@x>\r\nRCPT TO:<b@x", NULL, false },
	};
	struct outcome why;
	bool qualified, ok;
	char *address;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		ok = address_one(row[i].text, &address, &qualified, &why);
		if (ok != (row[i].want != NULL))
			fail_msg("%s: %d", row[i].text, ok);
		if (ok) {
			assert_string_equal(address, row[i].want);
			assert_true(qualified == row[i].qualified);
		} else {
			assert_int_equal(why.exit, EX_DATAERR);
			assert_null(address);
		}
		free(address);
	}
}

static void test_parts(void **state)
{
	char *s;

	(void)state;
	assert_string_equal(address_domain("a@x"), "x");
	assert_string_equal(address_domain("\"a@b\"@x"), "x");
	assert_string_equal(address_domain("\"a@b\""), "");
	assert_string_equal(address_domain(""), "");
	assert_true(address_equal("a@X", "a@x"));
	assert_false(address_equal("A@x", "a@x"));
	assert_false(address_equal("a@x", "a@xy"));
	assert_false(address_equal("a", "a@x"));
	assert_true(address_equal("", ""));
	assert_true(address_is_utf8("\xc3\xbc@x"));
	assert_false(address_is_utf8("u@\xc3\xbc"));
	assert_true(domain_is_literal("[192.0.2.1]"));
	assert_false(domain_is_literal("x"));
	s = address_qualify("a", "x");
	assert_string_equal(s, "a@x");
	free(s);
}

static void test_domains(void **state)
{
	char text[600], *out;
	struct outcome why;

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_true(domain_normalise(text, 63, &out, &why));
	free(out);
	assert_false(domain_normalise(text, 64, &out, &why));
	assert_null(out);
	text[63] = text[127] = text[191] = text[255] = '.';
	assert_true(domain_normalise(text, 255, &out, &why));
	free(out);
	assert_false(domain_normalise(text, 257, &out, &why));
	assert_false(domain_normalise("a b", 3, &out, &why));
	assert_false(domain_normalise("a\0b", 3, &out, &why));
	assert_false(domain_normalise("", 0, &out, &why));
	assert_false(domain_normalise(".", 1, &out, &why));
	assert_true(domain_normalise("B\xc3\x9c" "cher.DE", 10, &out, &why));
	assert_string_equal(out, "xn--bcher-kva.de");
	free(out);
	/* a full-width slash must not become one */
	assert_false(domain_normalise("a\xef\xbc\x8f" "b", 5, &out, &why));
	/* other full stops are label ends, and may not make empty ones */
	assert_false(domain_normalise("\xc3\xbc\xe3\x80\x82\xe3\x80\x82" "b",
				      9, &out, &why));
}

static char *encoded(const char *name)
{
	struct buf b = BUF(1 << 20);

	name_encode(&b, name);
	return buf_take(&b);
}

static void test_name_encode(void **state)
{
	static const struct {
		const char *name, *want;
	} row[] = {
		{ "", "" },
		{ "John Doe", "John Doe" },
		{ "John Q. Public", "\"John Q. Public\"" },
		{ "Doe, \"J\" \\", "\"Doe, \\\"J\\\" \\\\\"" },
		{ " a", "\" a\"" },
		{ "a  b", "\"a  b\"" },
		{ "a\r\nBcc: x", "\"a  Bcc: x\"" },
		{ "a\x7f" "b", "a b" },
		{ "=?UTF-8?Q?x?=", "\"=?UTF-8?Q?x?=\"" },
		{ "J\xc3\xbcrgen M", "=?UTF-8?Q?J=C3=BCrgen_M?=" },
		{ "J\xfcrgen", "=?ISO-8859-1?Q?J=FCrgen?=" },
		{ "\xe6\x97\xa5\xe6\x9c\xac", "=?UTF-8?B?5pel5pys?=" },
		{ "\xe6\x97\xa5", "=?UTF-8?B?5pel?=" },
		{ "\xc3\xbc\xc3\xbc", "=?UTF-8?B?w7zDvA==?=" },
	};
	size_t i;
	char *got;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		got = encoded(row[i].name);
		assert_string_equal(got, row[i].want);
		free(got);
	}
}

/* Long names: every word at most 75 characters, no character split. */
static void test_name_words(void **state)
{
	static const char *const piece[] = {
		"\xe6\x97\xa5", "\xf0\x9f\x98\x80", "abcdef\xc3\xbc", "\xfc.,;"
	};
	struct buf b = BUF(4096);
	char *got, *word, *save = NULL;
	size_t i, k, words;

	(void)state;
	for (i = 0; i < sizeof(piece) / sizeof(*piece); i++) {
		for (k = 0; k < 40; k++)
			buf_adds(&b, piece[i]);
		got = encoded(buf_text(&b));
		words = 0;
		for (word = strtok_r(got, "\r\n ", &save); word;
		     word = strtok_r(NULL, "\r\n ", &save)) {
			assert_true(strlen(word) <= 75);
			assert_memory_equal(word, "=?", 2);
			words++;
			/* base64 of whole characters of three bytes */
			if (i == 0)
				assert_null(strstr(word, "=?="));
		}
		assert_true(words > 1);
		free(got);
		buf_release(&b);
	}
}

/* An encoded word counts in its own line alone. */
static void test_name_address(void **state)
{
	static const char *const name[] = {
		"=?u?q?a?= <x@y>,\r\n \"", "=?u?q?a?= \"",
	};
	char word[70] = "";
	struct buf b = BUF(4096);
	size_t i;

	(void)state;
	memset(word, 'x', sizeof(word) - 1);
	for (i = 0; i < sizeof(name) / sizeof(*name); i++) {
		buf_reset(&b);
		buf_addf(&b, "%s%s\"", name[i], word);
		name_add_address(&b, "a@b.example");
		assert_int_equal(strstr(buf_text(&b), "\r\n <a@b") != NULL,
				 i == 1);
	}
	buf_release(&b);
}

static bool add_address(struct mailbox *b, void *context)
{
	buf_addf(context, "%s ", b->address);
	return strcmp(b->address, "stop") != 0;
}

/* Elements that are no addresses, passed over. */
static void test_each(void **state)
{
	static const struct {
		const char *text, *want;
	} row[] = {
		{ "a@x, b b, c@x", "a@x c@x " },
		{ "b@@x, [x] <c@x>, \"d, e@x", "c@x " },
		{ "(a, (b, c@x", "c@x " },
		{ "b], g: d e, f@x; [,] , h@x", "f@x h@x " },
		{ "a@x, stop, b@x", "a@x stop " },
		{ "Full Name", "" },
		{ "a\x01@x", "" },
		/* an end that is wrong */
		{ "N <a@x>;", "a@x " },
		{ "N <a@x>., b@x;", "a@x b@x " },
		{ "N <a@x, b@x", "a@x b@x " },
		{ "<a@x", "a@x " },
		{ "[x] <b@x", "b@x " },
		{ "[x] <b@x.;", "b@x " },
		{ "N <a@x> y, <b@x> M M", "a@x b@x " },
		{ "N <mailto:a@x>, <MAILTO:b@x", "a@x b@x " },
		{ "mailto:a@x, N <mailto:root>", "a@x root " },
		{ "a@x>", "a@x " },
		{ "a@x>, g: b@x>; c@x", "a@x b@x c@x " },
		{ "a@x (b, c@x", "a@x c@x " },
		{ "a@x (b\\)", "a@x " },
		{ "N <a@x> (b, c@x", "a@x c@x " },
		{ "N <a@x> b@x, N <root> y, a@x y", "" },
		{ "a@x; b@x, a@x (b@x, N <a@x>; b@x, N <a@x> b@x", "" },
		{ "N <a@x b, N <root, root;, N <mailto:root", "" },
		{ "N \" <a@x", "" },
		{ "a@[192.0.2.1] (b, c@x", "a@[192.0.2.1] c@x " },
		{ "a@[192.0.2.1, b@x", "b@x " },
		{ "N <a@x>, N <b@x>\" ", "a@x b@x " },
		{ "N <a@x>\", N <b@x>\"", "" },
		{ "N <a@x>\" y, b@x", "" },
		{ "N <b@x>> (\x01), N <c@x>>(\x7f)>", "" },
		/* half an address is not one */
		{ "N <a@x,y>", "" },
		{ "N <a@x, y>, <b@x>", "b@x " },
		{ "N <y, z> <b@x>", "b@x " },
		{ "N <a,c@x> z", "" },
		{ "N <a,b@x>, c@x>", "c@x " },
		{ "N <a, b, c@x> (d), N <e@x", "b e@x " },
		{ "g: N <a@x;y>, b@x", "b@x " },
		{ "N <a@x., b@x, N <c@x>", "a@x b@x c@x " },
		/* a comma that was read over parts nothing */
		{ "a@[1,b@y], c@x", "c@x " },
		{ "N <@a, <b@x>, c@x", "c@x " },
		{ "<@r.x,a@x,b@x>, c@x", "c@x " },
	};
	struct outcome why;
	struct buf b = BUF(1 << 20);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		buf_reset(&b);
		assert_true(address_each(row[i].text, strlen(row[i].text),
					 FAULTS_PASS, add_address, &b, &why));
		if (strcmp(buf_text(&b), row[i].want))
			fail_msg("%s: %s", row[i].text, buf_text(&b));
	}
	buf_release(&b);
}

/* What a random choice of the characters that count makes of the parser:
 * it ends, and what it gives reads back as itself. */
static bool reads_back(struct mailbox *b, void *context)
{
	const struct buf *text = context;
	struct outcome why;
	bool qualified;
	char *again;

	assert_true(b->start <= b->at && b->at <= b->end &&
		    b->end <= text->len);
	assert_true(address_one(b->address, &again, &qualified, &why));
	assert_string_equal(again, b->address);
	assert_int_equal(qualified, b->qualified);
	free(again);
	return true;
}

static void test_random(void **state)
{
	static const char *const piece[] = {
		"a", "@", "<", ">", ",", ";", ":", "(", ")", "\"", "\\", "[",
		"]", ".", " ", "\t", "\r\n ", "=?u?q?", "?=", "\xc2\xa0", "x",
		"\xc3\xbc", "\xff", "\x01", "b@x", "<b@x>", "[192.0.2.1]",
	};
	enum { PIECES = sizeof(piece) / sizeof(*piece), ROUNDS = 60000 };
	struct buf b = BUF(1 << 16);
	uint32_t seed = 1;
	struct outcome why;
	unsigned round, k;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		buf_reset(&b);
		for (k = round % 20 + 1; k; k--) {
			seed = seed * 1664525 + 1013904223;
			buf_adds(&b, piece[(seed >> 8) % PIECES]);
		}
		assert_true(address_each(b.data, b.len, FAULTS_PASS,
					 reads_back, &b, &why));
	}
	buf_release(&b);
}

/* The worst input: deep, long, many. */
static void test_worst(void **state)
{
	static const struct {
		const char *piece, *end, *want;
	} row[] = {
		{ "(", "", "!" }, { "<", "", "!" }, { "\"", "", "!" },
		{ "a.", "b@x", "!" }, { "g:", "", "!" }, { "@x,", "", "!" },
		{ "(a)", "b@x", "b@x" }, { ",", "b@x", "b@x" },
		{ "\\", "", "!" }, { "[", "", "!" }, { "a ", "<b@x>", "b@x" },
		{ "a@", "b", "!" }, { "\"\" ", "<b@x>", "b@x" },
	};
	static const char *const many[] = {
		"(a<b@x>,", "(,", "\"<", "<", "=?u?q?", "[<a>", "@x,", "\\,",
		"g:", "\xc2\xa0,",
	};
	enum { TIMES = 300000 };
	struct buf b = BUF(1 << 22);
	struct outcome why;
	size_t i, k;
	char *got;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		buf_reset(&b);
		for (k = 0; k < TIMES; k++)
			buf_adds(&b, row[i].piece);
		buf_adds(&b, row[i].end);
		got = parsed(b.data, b.len);
		if (strcmp(got, row[i].want))
			fail_msg("%s...: %.80s", row[i].piece, got);
		free(got);
	}
	buf_reset(&b);
	for (k = 0; k < TIMES; k++)
		buf_adds(&b, "a@x,");
	got = parsed(b.data, b.len);
	assert_int_equal(strlen(got), 4 * TIMES - 1);
	free(got);
	for (i = 0; i < sizeof(many) / sizeof(*many); i++) {
		buf_reset(&b);
		for (k = 0; k < TIMES; k++)
			buf_adds(&b, many[i]);
		assert_true(address_each(b.data, b.len, FAULTS_PASS,
					 reads_back, &b, &why));
	}
	buf_release(&b);
}

/* The processor's time for a list of a beginning, what is repeated up to a
 * size, what then is as often, and an end: the least of some rounds. */
static clock_t cost(const char *const part[4], size_t size)
{
	enum { ROUNDS = 5 };
	struct buf b = BUF(1 << 22);
	clock_t least = 0, spent;
	struct outcome why;
	unsigned round, times = 0;

	buf_adds(&b, part[0]);
	while (b.len < size) {
		buf_adds(&b, part[1]);
		times++;
	}
	while (times--)
		buf_adds(&b, part[2]);
	buf_adds(&b, part[3]);
	for (round = 0; round < ROUNDS; round++) {
		spent = clock();
		assert_true(address_each(b.data, b.len, FAULTS_PASS,
					 reads_back, &b, &why));
		spent = clock() - spent;
		if (!round || spent < least)
			least = spent;
	}
	buf_release(&b);
	return least;
}

/* Comments that nothing closes, however many, take nothing from one that is
 * closed. */
static void test_unclosed(void **state)
{
	enum { TIMES = 100 };
	struct buf b = BUF(1 << 16);
	unsigned i;
	char *got;

	(void)state;
	for (i = 0; i < TIMES; i++)
		buf_adds(&b, "N (M <a@x>, ");
	buf_adds(&b, "b@x (N (M \\) (N))), \\(N <d@x>");
	got = parsed(b.data, b.len);
	assert_int_equal(strlen(got), TIMES * strlen("a@x ") +
				      strlen("b@x d@x"));
	assert_string_equal(got + TIMES * strlen("a@x "), "b@x d@x");
	free(got);
	buf_release(&b);
}

/* What has no end is looked for once, not for each beginning: such a list costs
 * about as much as one of the same shape without them. */
static void test_no_end(void **state)
{
	static const struct {
		const char *part[4], *harmless[4];
	} row[] = {
		{ { "", "(,", "", "" }, { "", "),", "", "" } },
		{ { "", "(,", "", ")" }, { "", "),", "", ")" } },
		{ { "", "((((((((((((((((((((((((((((((((((,", "", ")" },
		  { "", ")))))))))))))))))))))))))))))))))),", "", "" } },
		{ { "", "=?a?q?x", "", " <a@b>" },
		  { "", "=!a?q?x", "", " <a@b>" } },
		{ { "[", "=?a?q?x", "", " <a@b>" },
		  { "[", "=!a?q?x", "", " <a@b>" } },
		{ { "", "a@[,", "", "" }, { "", "a@],", "", "" } },
		/* what an encoded word hides and what is parsed disagree */
		{ { "", "x=?a?q?(?=,", ")", ")" },
		  { "", "x=?a?q?)?=,", ")", ")" } },
		{ { "", "a@=?a?q?(?=,", ")", ")" },
		  { "", "a@=?a?q?)?=,", ")", ")" } },
		{ { "", "x=?a?q?(?=,=?a?q?)?=", "", "" },
		  { "", "x=?a?q?)?=,=?a?q?)?=", "", "" } },
		{ { "", "<a@b,", "", "" }, { "", "<a@b>,", "", "" } },
		{ { "", "\\\\\\\\(,", "", "" },
		  { "", "\\\\\\\\),", "", "" } },
	};
	enum { SIZE = 32 * 1024, FACTOR = 20 };
	clock_t spent, harmless;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		harmless = cost(row[i].harmless, SIZE);
		spent = cost(row[i].part, SIZE);
		if (spent > FACTOR * harmless)
			fail_msg("%s...: %ld us, not %ld", row[i].part[1],
				 (long)spent, (long)harmless);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_names_and_places),
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_name_encode),
		cmocka_unit_test(test_name_words),
		cmocka_unit_test(test_name_address),
		cmocka_unit_test(test_worst),
		cmocka_unit_test(test_unclosed),
		cmocka_unit_test(test_no_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
