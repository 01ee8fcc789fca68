/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "config/config.h"
#include "mail/smtp_command.h"

static void assert_same(const char *found, const char *want)
{
	if (want && found)
		assert_string_equal(found, want);
	else
		assert_true(found == want);
}

/* --- paths; MAIL and RCPT read the same ones --- */

static void test_paths(void **state)
{
	static const struct {
		const char *text, *path;   /* NULL: refused */
	} rows[] = {
		{ "<a@example.org>", "<a@example.org>" },
		{ "<root>", "<root>" },
		{ "a@example.org", "<a@example.org>" },
		{ "<(long) a@Example.org (and more) >", "<a@example.org>" },
		{ "<\"a b\"@example.org>", "<\"a b\"@example.org>" },
		{ "<\"a>b\"@example.org>", "<\"a>b\"@example.org>" },
		{ "<\"a\\\"> b\"@example.org>",
		  "<\"a\\\"> b\"@example.org>" },
		{ "\"a b\"@example.org", "<\"a b\"@example.org>" },
		{ "<@x.example,@y.example:a@example.org>",
		  "<a@example.org>" },
		{ "<a@[192.0.2.1]>", "<a@[192.0.2.1]>" },
		{ "<j\xc3\xb6rg@example.org>", "<j\xc3\xb6rg@example.org>" },
		{ "", NULL }, { "<", NULL }, { "<a@example.org", NULL },
		{ "root", NULL }, { "<>x", NULL }, { "< >", NULL },
		{ "<()>", NULL }, { "<a b@example.org>", NULL },
		{ "<a@example.org>x", NULL }, { "<a@>", NULL },
		{ "<@example.org>", NULL }, { "<a@b@example.org>", NULL },
		{ "<a@example.org,b@example.org>", NULL },
		{ "<<a@example.org>>", NULL }, { "<\"a@example.org>", NULL },
		{ "<a@exa mple.org>", NULL }, { "<a@.example>", NULL },
		{ "<x:a@example.org;>", NULL },
	};
	struct smtp_mail mail;
	struct smtp_rcpt rcpt;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		bool bad = !rows[i].path;

		assert_int_equal(!!smtp_mail_parse(rows[i].text, &mail), bad);
		assert_same(mail.path, rows[i].path);
		assert_int_equal(!!smtp_rcpt_parse(rows[i].text, &rcpt), bad);
		assert_same(rcpt.path, rows[i].path);
		smtp_mail_release(&mail);
		smtp_rcpt_release(&rcpt);
	}
}

static void test_null_path(void **state)
{
	struct smtp_mail mail;
	struct smtp_rcpt rcpt;

	(void)state;
	assert_null(smtp_mail_parse("<>", &mail));
	assert_string_equal(mail.path, "<>");
	assert_non_null(smtp_rcpt_parse("<>", &rcpt));
	smtp_mail_release(&mail);
	smtp_rcpt_release(&rcpt);
}

/* --- parameters --- */

static void test_mail_parameters(void **state)
{
	static const struct {
		const char *text;
		struct smtp_mail want;
	} rows[] = {
		{ "", { .size = 0 } },
		{ " SIZE=1234", { .size = 1234 } },
		{ "   size=0  body=8bitmime ", { .body = BODY_8BITMIME } },
		{ " BODY=7BIT SMTPUTF8", { .body = BODY_7BIT, .utf8 = true } },
		{ " RET=HDRS", { .dsn_return = RETURN_HDRS } },
		{ " RET=full ENVID=a+20b+2Bc",
		  { .dsn_return = RETURN_FULL, .envid = (char *)"a b+c" } },
	};
	struct smtp_mail m;
	char text[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		strcpy(text, "<a@example.org>");
		strcat(text, rows[i].text);
		assert_null(smtp_mail_parse(text, &m));
		assert_int_equal(m.size, rows[i].want.size);
		assert_int_equal(m.body, rows[i].want.body);
		assert_int_equal(m.utf8, rows[i].want.utf8);
		assert_int_equal(m.dsn_return, rows[i].want.dsn_return);
		assert_same(m.envid, rows[i].want.envid);
		smtp_mail_release(&m);
	}
}

static void test_bad_mail_parameters(void **state)
{
	static const char *const rows[] = {
		"SIZE", "SIZE=", "SIZE=1x", "SIZE=-1", "SIZE=1 SIZE=2",
		"SIZE=9999999999999999999", "BODY", "BODY=BINARYMIME",
		"SMTPUTF8=yes", "RET", "RET=some", "ENVID", "ENVID=",
		"ENVID=a=b", "ENVID=+2", "ENVID=+2b", "ENVID=a+00b",
		"ENVID=a+0Db", "ENVID=a+C3+A4", "NOTIFY=NEVER", "AUTH=<>",
		"=", "=x", "BOGUS",
		("ENVID=0123456789012345678901234567890123456789012345678901"
		 "2345678901234567890123456789012345678901234567890"),
	};
	struct smtp_mail m;
	char text[400];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		strcpy(text, "<a@example.org> ");
		strcat(text, rows[i]);
		if (!smtp_mail_parse(text, &m))
			fail_msg("%s was taken", rows[i]);
		smtp_mail_release(&m);
	}
}

static void test_rcpt_parameters(void **state)
{
	static const struct {
		const char *text;
		unsigned notify;       /* 0 and no orcpt: refused */
		const char *orcpt;
	} rows[] = {
		{ "NOTIFY=NEVER", NOTIFY_NEVER, NULL },
		{ "notify=success,FAILURE", NOTIFY_SUCCESS | NOTIFY_FAILURE,
		  NULL },
		{ "NOTIFY=DELAY ORCPT=rfc822;a+2Bb@example.org", NOTIFY_DELAY,
		  "rfc822;a+2Bb@example.org" },
		{ "ORCPT=utf-8;\\x{E4}@example.org", 0,
		  "utf-8;\\x{E4}@example.org" },
		{ "NOTIFY", 0, NULL }, { "NOTIFY=", 0, NULL },
		{ "NOTIFY=NEVER,DELAY", 0, NULL }, { "NOTIFY=x", 0, NULL },
		{ "NOTIFY=DELAY NOTIFY=DELAY", 0, NULL },
		{ "ORCPT", 0, NULL }, { "ORCPT=rfc822", 0, NULL },
		{ "ORCPT=;a@b", 0, NULL }, { "ORCPT=rfc822;", 0, NULL },
		{ "ORCPT=rfc822;a+b", 0, NULL },
		{ "ORCPT=rfc 822;a", 0, NULL },
		{ "ORCPT=rfc822;a=b", 0, NULL },
		{ "ORCPT=rfc822;\xc3\xa4", 0, NULL },
		{ "ORCPT=r(822;a", 0, NULL }, { "SIZE=1", 0, NULL },
	};
	struct smtp_rcpt r;
	char text[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		bool bad = !rows[i].notify && !rows[i].orcpt;

		strcpy(text, "<a@example.org> ");
		strcat(text, rows[i].text);
		if (!!smtp_rcpt_parse(text, &r) != bad)
			fail_msg("%s", rows[i].text);
		if (!bad) {
			assert_int_equal(r.wish.notify, rows[i].notify);
			assert_same(r.wish.orcpt, rows[i].orcpt);
		}
		smtp_rcpt_release(&r);
	}
}

static void test_long_orcpt(void **state)
{
	char text[700] = "<a@example.org> ORCPT=rfc822;";
	size_t n = strlen(text);
	struct smtp_rcpt r;

	(void)state;
	memset(text + n, 'x', 493);
	assert_null(smtp_rcpt_parse(text, &r));
	smtp_rcpt_release(&r);
	text[n + 493] = 'x';
	assert_non_null(smtp_rcpt_parse(text, &r));
	smtp_rcpt_release(&r);
}

/* --- words and lines --- */

static void test_words(void **state)
{
	(void)state;
	assert_same(smtp_word("QUIT", "QUIT"), "");
	assert_same(smtp_word("quit ", "QUIT"), "");
	assert_same(smtp_word("NOOP  x y", "NOOP"), "x y");
	assert_same(smtp_word("mail from:<a>", "MAIL FROM:"), "<a>");
	assert_same(smtp_word("MAIL FROM: <a>", "MAIL FROM:"), "<a>");
	assert_same(smtp_word("MAIL FROM", "MAIL FROM:"), NULL);
	assert_same(smtp_word("QUITE", "QUIT"), NULL);
	assert_same(smtp_word("QUI", "QUIT"), NULL);
	assert_same(smtp_word("", "QUIT"), NULL);
}

static void test_clean(void **state)
{
	(void)state;
	assert_true(smtp_line_is_clean("", 0));
	assert_true(smtp_line_is_clean("a\tb", 3));
	assert_true(smtp_line_is_clean("\xc3\xa4", 2));
	assert_false(smtp_line_is_clean("a\0b", 3));
	assert_false(smtp_line_is_clean("a\rb", 3));
	assert_false(smtp_line_is_clean("a\x7f", 2));
	assert_false(smtp_line_is_clean("a\x1b[2J", 5));
	assert_false(smtp_line_is_clean("\xc3", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_null_path),
		cmocka_unit_test(test_mail_parameters),
		cmocka_unit_test(test_bad_mail_parameters),
		cmocka_unit_test(test_rcpt_parameters),
		cmocka_unit_test(test_long_orcpt),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
