/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/pairs.h"
#include "submit/login_answer.h"
#include "submit/token_file.h"

#define ISSUER "https://login.example"

static void test_answers(void **state)
{
	static const struct {
		const char *address;
		bool sends_iss;
		enum login_verdict verdict;
		const char *code;       /* or a word of the refusal */
	} rows[] = {
		{ "/?code=a&state=s1", false, ANSWER_CODE, "a" },
		{ "http://127.0.0.1:1/?state=s1&code=a%2Fb+c#x", false,
		  ANSWER_CODE, "a/b c" },
		{ "code=a&state=s1\n", false, ANSWER_CODE, "a" },
		{ "/?code=a&state=s1&iss=https%3A%2F%2Flogin.example", true,
		  ANSWER_CODE, "a" },
		{ "/?code=a&state=s1&iss=https%3a%2f%2flogin.example", false,
		  ANSWER_CODE, "a" },
		/* not an answer to this question */
		{ "", false, ANSWER_NONE, NULL },
		{ "/favicon.ico", false, ANSWER_NONE, NULL },
		{ "/?code=a", false, ANSWER_NONE, NULL },
		{ "/?code=a&state=s2", false, ANSWER_NONE, NULL },
		{ "/?code=a&state=", false, ANSWER_NONE, NULL },
		{ "/?code=a&state=s1&state=s1", false, ANSWER_NONE, NULL },
		{ "/?code=a&state=s1&code=b", false, ANSWER_NONE, NULL },
		{ "/?code=&state=s1", false, ANSWER_NONE, NULL },
		{ "/?code=%00a&state=s1", false, ANSWER_NONE, NULL },
		{ "/?code=%0aa&state=s1", false, ANSWER_NONE, NULL },
		{ "/?code=%a&state=s1", false, ANSWER_NONE, NULL },
		{ "/?code=%zz&state=s1", false, ANSWER_NONE, NULL },
		{ "/?code=a&state=s1%", false, ANSWER_NONE, NULL },
		{ "/?error=access_denied&state=s2", false, ANSWER_NONE,
		  NULL },
		/* refused, or another's */
		{ "/?error=access_denied&state=s1", false, ANSWER_REFUSED,
		  "access_denied" },
		{ "/?code=a&error=x&state=s1", false, ANSWER_REFUSED, "x" },
		/* as Microsoft ends its words */
		{ "/?error=x&error_description=no+consent.%0d%0aTrace+ID&"
		  "state=s1", false, ANSWER_REFUSED, "no consent. Trace ID" },
		{ "/?code=a&state=s1", true, ANSWER_REFUSED,
		  "does not come from" },
		{ "/?code=a&state=s1&iss=https%3A%2F%2Fevil.example", false,
		  ANSWER_REFUSED, "does not come from" },
		{ "/?code=a&state=s1&iss=https://login.example/", true,
		  ANSWER_REFUSED, "does not come from" },
		{ "/?error=x&state=s1&iss=https://evil.example", true,
		  ANSWER_REFUSED, "does not come from" },
	};
	struct outcome why;
	char *code;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct login_question q = { "s1", ISSUER,
						  rows[i].sends_iss };

		why = (struct outcome){ 0 };
		if (login_answer(rows[i].address, &q, &code, &why) !=
		    rows[i].verdict)
			fail_msg("%s", rows[i].address);
		if (rows[i].verdict == ANSWER_CODE) {
			assert_string_equal(code, rows[i].code);
		} else {
			assert_null(code);
		}
		if (rows[i].verdict == ANSWER_REFUSED) {
			assert_int_equal(why.exit, EX_NOPERM);
			assert_non_null(strstr(why.text, rows[i].code));
		}
		mem_wipe_string(code);
	}
}

static void test_ages(void **state)
{
	enum { NOW = 1000000 };
	static const struct {
		int64_t obtained, expires;
		enum token_age age;
	} rows[] = {
		{ NOW, NOW + 3600, TOKEN_HOLDS },
		{ NOW - 3000, NOW + 600, TOKEN_HOLDS },
		{ NOW - 3480, NOW + 121, TOKEN_HOLDS },
		{ NOW - 3480, NOW + 120, TOKEN_AGES },
		{ NOW - 3599, NOW + 1, TOKEN_AGES },
		{ NOW - 3600, NOW, TOKEN_OVER },
		{ NOW - 100000, NOW - 90000, TOKEN_OVER },
		/* short lives have short ends */
		{ NOW, NOW + 60, TOKEN_HOLDS },
		{ NOW - 44, NOW + 16, TOKEN_HOLDS },
		{ NOW - 45, NOW + 15, TOKEN_AGES },
		/* the end is not known */
		{ NOW, 0, TOKEN_HOLDS },
		{ NOW - 3599, 0, TOKEN_HOLDS },
		{ NOW - 3600, 0, TOKEN_AGES },
		/* the clock went back since */
		{ NOW + 59, NOW + 3600, TOKEN_HOLDS },
		{ NOW + 61, NOW + 3600, TOKEN_AGES },
		{ NOW + 100000, NOW + 103600, TOKEN_AGES },
		{ NOW + 100000, 0, TOKEN_AGES },
	};
	char word[] = "t";
	struct token t = { .access = word };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		t.obtained = rows[i].obtained;
		t.expires = rows[i].expires;
		if (token_age(&t, NOW) != rows[i].age)
			fail_msg("row %zu", i);
	}
	t.access = NULL;
	assert_int_equal(token_age(&t, NOW), TOKEN_OVER);
	t.refused = NOW - 1;
	assert_true(token_is_refused(&t, NOW));
	t.refused = NOW - 601;
	assert_false(token_is_refused(&t, NOW));
	t.refused = NOW + 10000;
	assert_false(token_is_refused(&t, NOW));
	t.refused = 0;
	assert_false(token_is_refused(&t, NOW));
}

#define LOGIN "posthaste-login 1\nissuer " ISSUER "\nclient_id c\n" \
	"method none\nendpoint " ISSUER "/t\n"

static void test_file(void **state)
{
	static const char *const bad[] = {
		"", "posthaste-login 2\n", LOGIN, LOGIN "end",
		"posthaste-login 1\nend\n",
		"issuer " ISSUER "\n" LOGIN "end\n",
	};
	struct buf text = BUF_SECRET(TOKEN_FILE_MAX);
	struct token t;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(token_parse(bad[i], &t));
	assert_true(token_parse(LOGIN "access_token a b\nexpires 12\n"
				"obtained -1\nunknown x\nend\n", &t));
	assert_string_equal(t.access, "a b");
	assert_int_equal(t.expires, 12);
	assert_int_equal(t.obtained, 0);
	assert_null(t.refresh);
	assert_true(token_is_for(&t, ISSUER, NULL));
	assert_false(token_is_for(&t, ISSUER, "c"));
	assert_false(token_is_for(&t, ISSUER "/", NULL));
	t.client = mem_string("c");
	assert_true(token_is_for(&t, ISSUER, "c"));
	assert_false(token_is_for(&t, ISSUER, NULL));
	assert_true(token_write(&t, &text));
	token_release(&t);
	assert_true(token_parse(buf_text(&text), &t));
	assert_string_equal(t.client, "c");
	assert_string_equal(t.access, "a b");
	assert_int_equal(t.expires, 12);
	/* a line of its own cannot be smuggled in */
	free(t.scope);
	t.scope = mem_string("x\naccess_token evil");
	buf_reset(&text);
	assert_false(token_write(&t, &text));
	token_release(&t);
	buf_release(&text);
}

static void test_pairs(void **state)
{
	struct buf b = BUF(64);
	char *value;

	(void)state;
	assert_true(pairs_add(&b, "a", "1 2"));
	assert_true(pairs_add(&b, "ab", "3"));
	assert_true(pairs_add(&b, "none", NULL));
	assert_true(pairs_add(&b, "none", ""));
	assert_false(pairs_add(&b, "x", "a\nb"));
	assert_false(pairs_add(&b, "x", "a\x7f"));
	assert_true(pairs_add_number(&b, "n", 17));
	assert_string_equal(buf_text(&b), "a 1 2\nab 3\nn 17\n");
	value = pairs_get(buf_text(&b), "a");
	assert_string_equal(value, "1 2");
	free(value);
	value = pairs_get(buf_text(&b), "ab");
	assert_string_equal(value, "3");
	free(value);
	assert_null(pairs_get(buf_text(&b), "b"));
	assert_null(pairs_get("a \n", "a"));
	assert_int_equal(pairs_number(buf_text(&b), "n"), 17);
	assert_int_equal(pairs_number(buf_text(&b), "a"), 0);
	assert_int_equal(pairs_number("n -5\n", "n"), 0);
	assert_int_equal(pairs_number("n 99999999999999999999\n", "n"), 0);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_ages),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
