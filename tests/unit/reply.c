/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mail/reply.h"

/* Feeds text line by line; the state of the last line fed. */
static enum reply_state feed(struct reply *r, const char *text)
{
	enum reply_state state = REPLY_MORE;
	size_t n;

	reply_reset(r);
	while (*text && state == REPLY_MORE) {
		n = strcspn(text, "\n");
		state = reply_line(r, text, n);
		text += n + (text[n] != '\0');
	}
	return state;
}

static void test_lines(void **state)
{
	static const struct {
		const char *text;
		enum reply_state state;
		int code;
		const char *joined;
	} row[] = {
		{ "250 ok", REPLY_DONE, 250, "ok" },
		{ "250", REPLY_DONE, 250, "" },
		{ "250 ", REPLY_DONE, 250, "" },
		{ "250-a\n250 b", REPLY_DONE, 250, "a\nb" },
		{ "250-a\n250-\n250", REPLY_DONE, 250, "a\n\n" },
		{ "250-a", REPLY_MORE, 250, "a" },
		{ "250-a\n251 b", REPLY_BAD, 0, NULL },
		{ "250-a\nhello", REPLY_BAD, 0, NULL },
		{ "550 \x1b[2J", REPLY_DONE, 550, "\x1b[2J" },
		{ "150 a", REPLY_BAD, 0, NULL },
		{ "600 a", REPLY_BAD, 0, NULL },
		{ "25", REPLY_BAD, 0, NULL },
		{ "\n", REPLY_BAD, 0, NULL },
		{ "2500 a", REPLY_BAD, 0, NULL },
		{ "250\ta", REPLY_BAD, 0, NULL },
		{ "2a0 a", REPLY_BAD, 0, NULL },
		{ " 250 a", REPLY_BAD, 0, NULL },
		{ "-25 a", REPLY_BAD, 0, NULL },
		{ "HTTP/1.1 400 Bad", REPLY_BAD, 0, NULL },
		{ "599 x", REPLY_DONE, 599, "x" },
	};
	struct reply r = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		if (feed(&r, row[i].text) != row[i].state)
			fail_msg("row %zu: %s", i, row[i].text);
		if (row[i].state == REPLY_BAD)
			continue;
		assert_int_equal(r.code, row[i].code);
		assert_int_equal(reply_class(&r), row[i].code / 100);
		assert_string_equal(buf_text(&r.text), row[i].joined);
	}
	reply_reset(&r);
	assert_int_equal(reply_line(&r, "250 a\0b", 7), REPLY_DONE);
	assert_string_equal(buf_text(&r.text), "a?b");
	reply_release(&r);
}

static void test_limits(void **state)
{
	static char line[REPLY_BYTES + 1];
	struct reply r = {0};
	int i;

	(void)state;
	for (i = 0; i < REPLY_LINES; i++)
		assert_int_equal(reply_line(&r, "250-x", 5), REPLY_MORE);
	assert_int_equal(reply_line(&r, "250 x", 5), REPLY_BAD);
	reply_reset(&r);
	memset(line, 'x', sizeof(line));
	memcpy(line, "250-", 4);
	assert_int_equal(reply_line(&r, line, REPLY_BYTES), REPLY_MORE);
	assert_int_equal(r.text.len, REPLY_BYTES - 4);
	assert_int_equal(reply_line(&r, "250 x", 5), REPLY_BAD);
	reply_reset(&r);
	assert_int_equal(reply_line(&r, line, REPLY_BYTES + 1), REPLY_BAD);
	reply_release(&r);
}

static void test_outcome(void **state)
{
	static const struct {
		const char *text, *status, *words;
	} row[] = {
		{ "550 5.1.1 no such user", "5.1.1", "no such user" },
		{ "550 5.7.1 no", "5.7.1", "no" },
		{ "550 4.7.1 no", "", "4.7.1 no" },
		{ "550 5.7.1", "5.7.1", "" },
		{ "550 5.7.1no", "", "5.7.1no" },
		{ "550 5.7.1234 x", "", "5.7.1234 x" },
		{ "550 5.123.456 x", "5.123.456", "x" },
		{ "550 5.7 x", "", "5.7 x" },
		{ "550", "", "" },
		/* all lines in order, the status once */
		{ "550-5.1.1 first\n550-5.1.1 second\n550 5.1.1 ",
		  "5.1.1", "first second" },
		{ "550-first\n550 last", "", "first last" },
		{ "550-5.7.26 Blocked.\n550-5.7.26 SPF did not pass\n"
		  "550 5.7.26  https://x.example a1-2 - gsmtp", "5.7.26",
		  "Blocked. SPF did not pass https://x.example a1-2 - gsmtp" },
		{ "550-\n550- a \n550-\n550 b\r", "", "a b" },
		{ "550-5.7.1 a\n550-b\n550 c", "5.7.1", "a b c" },
		{ "550-a\n550 5.7.1 b", "5.7.1", "a b" },
		/* another status is part of the words */
		{ "550-5.7.1 a\n550 5.1.1 b", "5.7.1", "a 5.1.1 b" },
		{ "550-5.7.1 a\n550 5.7.10 b", "5.7.1", "a 5.7.10 b" },
		{ "250 2.1.5 fine", "2.1.5", "fine" },
		{ "550 5.1.1 \x1b[2J\xff", "5.1.1", "?[2J?" },
		{ "550 5.1.1 \xe2\x80\xae" "evil\xc2\x9b", "5.1.1", "?evil?" },
	};
	struct reply r = {0};
	struct outcome o;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		assert_int_equal(feed(&r, row[i].text), REPLY_DONE);
		reply_describe(&r, STAGE_RCPT, "mx.x", &o);
		assert_string_equal(o.status, row[i].status);
		assert_string_equal(o.text, row[i].words);
		assert_string_equal(o.host, "mx.x");
		assert_int_equal(o.code, r.code);
		assert_int_equal(o.stage, STAGE_RCPT);
	}
	reply_release(&r);
}

/* The reason comes first: what is too long loses its end, and no character
 * is cut in two. */
static void test_long_words(void **state)
{
	struct reply r = {0};
	struct outcome o;
	char line[80];
	int i;

	(void)state;
	for (i = 1; i < REPLY_LINES; i++) {
		snprintf(line, sizeof(line), "550-5.7.1 line %d of many "
			 "\xc3\xa4\xc3\xb6\xc3\xbc", i);
		assert_int_equal(reply_line(&r, line, strlen(line)),
				 REPLY_MORE);
	}
	assert_int_equal(reply_line(&r, "550 5.7.1 end", 13), REPLY_DONE);
	reply_describe(&r, STAGE_DOT, "mx.x", &o);
	assert_memory_equal(o.text, "line 1 of many \xc3\xa4", 17);
	assert_non_null(strstr(o.text, "line 10 of many"));
	assert_true(strlen(o.text) > sizeof(o.text) - 4);
	assert_null(strchr(o.text, '?'));
	reply_release(&r);
}

/* Whoever parses a reply sees all of it, whoever reads it what may be
 * shown. */
static void test_masked(void **state)
{
	struct mask secrets = {0};
	struct features f = {0};
	struct reply r = {0};
	struct outcome o;

	(void)state;
	mask_add_secret(&secrets, "pipelining");
	assert_int_equal(feed(&r, "250-x\n250-PIPELINING\n250 SIZE 5"),
			 REPLY_DONE);
	reply_mask(&r, &secrets);
	features_read(&f, &r);
	assert_true(f.pipelining);
	assert_int_equal(f.size_limit, 5);
	assert_int_equal(f.lines.n, 2);
	assert_string_equal(f.lines.item[0], "********");
	assert_string_equal(f.lines.item[1], "SIZE 5");
	mask_add_secret(&secrets, "Secret-4711");
	assert_int_equal(feed(&r, "250-x\n250-AUTH PLAIN SECRET-4711 X-OTHER\n"
		"250 AUTH X-OTHER"), REPLY_DONE);
	reply_mask(&r, &secrets);
	features_read(&f, &r);
	assert_int_equal(f.mechanisms.n, 2);
	assert_string_equal(f.mechanisms.item[0], "PLAIN");
	assert_string_equal(f.mechanisms.item[1], "X-OTHER");
	assert_int_equal(feed(&r, "535-5.7.8 not\n535 5.7.8 pipelining!"),
			 REPLY_DONE);
	reply_mask(&r, &secrets);
	reply_describe(&r, STAGE_AUTH, "mx.x", &o);
	assert_string_equal(o.text, "not ********!");
	assert_string_equal(o.status, "5.7.8");
	features_release(&f);
	reply_release(&r);
	mask_release(&secrets);
}

static void test_features(void **state)
{
	struct reply r = {0};
	struct features f = {0};
	char *s;

	(void)state;
	assert_int_equal(feed(&r, "250-mx.x PIPELINING\n250-pipelining\n"
		"250-Chunking\n250-8BITMIME\n250-SMTPUTF8\n250-DSN\n"
		"250-ENHANCEDSTATUSCODES\n250-STARTTLS\n250-REQUIRETLS\n"
		"250-SIZE 1000\n250-AUTH plain LOGIN\n250-AUTH=LOGIN X-1\n"
		"250-LIMITS RCPTMAX=20 mailmax=5 RCPTDOMAINMAX=3\n"
		"250 XODD a b"), REPLY_DONE);
	features_read(&f, &r);
	assert_true(f.esmtp && f.pipelining && f.chunking &&
		    f.eight_bit_mime && f.smtputf8 && f.dsn &&
		    f.enhanced_status_codes && f.starttls && f.require_tls &&
		    f.size && f.auth);
	assert_int_equal(f.size_limit, 1000);
	assert_int_equal(f.rcpt_max, 20);
	assert_int_equal(f.mail_max, 5);
	assert_int_equal(f.rcpt_domain_max, 3);
	s = list_join(&f.mechanisms, " ");
	assert_string_equal(s, "PLAIN LOGIN X-1");
	free(s);
	assert_int_equal(f.lines.n, 13);
	assert_string_equal(f.lines.item[12], "XODD a b");
	/* everything is forgotten when it is read anew */
	assert_int_equal(feed(&r, "250 STARTTLS"), REPLY_DONE);
	features_read(&f, &r);
	assert_true(f.esmtp);
	assert_false(f.pipelining || f.starttls || f.auth || f.size);
	assert_int_equal(f.mechanisms.n + f.lines.n, 0);
	features_release(&f);
	reply_release(&r);
}

static void test_feature_values(void **state)
{
	static const struct {
		const char *text;
		int64_t size;
		unsigned rcpt, mail;
		size_t mechanisms;
	} row[] = {
		{ "250-x\n250 SIZE", 0, 0, 0, 0 },
		{ "250-x\n250 SIZE 0", 0, 0, 0, 0 },
		{ "250-x\n250 SIZE -1", 0, 0, 0, 0 },
		{ "250-x\n250 SIZE 99999999999999999999", 0, 0, 0, 0 },
		{ "250-x\n250 SIZE 12k", 0, 0, 0, 0 },
		{ "250-x\n250 LIMITS RCPTMAX=7 RCPTMAX=8 MAILMAX=1", 0, 0, 0,
		  0 },
		{ "250-x\n250 LIMITS rcptmax=7 RCPTMAX=7", 0, 0, 0, 0 },
		{ "250-x\n250 LIMITS RCPTMAX=7 M!=8", 0, 0, 0, 0 },
		{ "250-x\n250 LIMITS RCPTMAX= MAILMAX=2", 0, 0, 0, 0 },
		{ "250-x\n250 LIMITS RCPTMAX=a MAILMAX=2", 0, 0, 2, 0 },
		{ "250-x\n250 LIMITS RCPTMAX=1234567 MAILMAX=2", 0, 0, 2, 0 },
		{ "250-x\n250 LIMITS RCPTMAX=3 NEW MAILMAX=2", 0, 3, 2, 0 },
		{ "250-x\n250 LIMITS", 0, 0, 0, 0 },
		{ "250-x\n250 AUTH", 0, 0, 0, 0 },
		{ "250-x\n250 AUTH PL\x01IN LOGIN ABCDEFGHIJKLMNOPQRSTU", 0,
		  0, 0, 1 },
		{ "250-x\n250 AUTH=", 0, 0, 0, 0 },
		{ "250-x\n250-\n250   ", 0, 0, 0, 0 },
	};
	struct reply r = {0};
	struct features f = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		assert_int_equal(feed(&r, row[i].text), REPLY_DONE);
		features_read(&f, &r);
		if (f.size_limit != row[i].size || f.rcpt_max != row[i].rcpt ||
		    f.mail_max != row[i].mail ||
		    f.mechanisms.n != row[i].mechanisms)
			fail_msg("row %zu: %s", i, row[i].text);
	}
	features_release(&f);
	reply_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_outcome),
		cmocka_unit_test(test_long_words),
		cmocka_unit_test(test_masked),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_feature_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
