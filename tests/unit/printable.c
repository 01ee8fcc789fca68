/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text of unknown origin on its way out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/outcome.h"
#include "base/utf8.h"

static const struct {
	const char *in, *out, *json;
} row[] = {
	{ "plain \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
	  "plain \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
	  "plain \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
	{ "a\tb", "a b", "a\\u0009b" },
	{ "\r\n\v\f", "????", "\\u000d\\n\\u000b\\u000c" },
	{ "\x1b]0;title\x07\x1b[31m", "?]0;title??[31m",
	  "\\u001b]0;title\\u0007\\u001b[31m" },
	{ "\x7f", "?", "\\u007f" },
	{ "\xc2\x9b" "31m", "?31m", "\\u009b31m" },         /* CSI */
	{ "\xc2\x85\xc2\x80\xc2\x9f", "???", "\\u0085\\u0080\\u009f" },
	{ "\x9b" "31m", "?31m", "\xef\xbf\xbd" "31m" },     /* no UTF-8 */
	{ "\xc3", "?", "\xef\xbf\xbd" },
	{ "\xc0\xaf", "??", "\xef\xbf\xbd\xef\xbf\xbd" },   /* overlong */
	{ "\xed\xa0\x80", "???",
	  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },         /* surrogate */
	{ "\xe2\x80\xae" "gpj", "?gpj", "\\u202egpj" },     /* override */
	{ "\xe2\x80\xaa\xe2\x80\xab\xe2\x80\xac\xe2\x80\xad", "????",
	  "\\u202a\\u202b\\u202c\\u202d" },
	{ "\xe2\x81\xa6\xe2\x81\xa7\xe2\x81\xa8\xe2\x81\xa9", "????",
	  "\\u2066\\u2067\\u2068\\u2069" },
	{ "\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c", "???",
	  "\\u200e\\u200f\\u061c" },
	{ "\xe2\x80\xa8\xe2\x80\xa9", "??", "\\u2028\\u2029" },
	{ "\xef\xbb\xbf\xe2\x80\x8b", "??", "\\ufeff\\u200b" },
	{ "\xf3\xa0\x81\x81", "?", "\\udb40\\udc41" },      /* a tag */
	{ "\"\\", "\"\\", "\\\"\\\\" },
};

static void test_printable(void **state)
{
	char out[100];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		text_printable(out, sizeof(out), row[i].in,
			       strlen(row[i].in));
		if (strcmp(out, row[i].out))
			fail_msg("row %zu: %s", i, out);
	}
	text_printable(out, sizeof(out), "a\0b", 3);
	assert_string_equal(out, "a?b");
	/* cut between two characters */
	text_printable(out, 4, "ab\xe2\x82\xac", 5);
	assert_string_equal(out, "ab");
	out[0] = 'x';
	text_printable(out, 0, "a", 1);
	assert_int_equal(out[0], 'x');
}

static void test_json(void **state)
{
	struct buf b = BUF(1000);
	char want[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		buf_reset(&b);
		json_quote(&b, row[i].in);
		snprintf(want, sizeof(want), "\"%s\"", row[i].json);
		if (strcmp(buf_text(&b), want))
			fail_msg("row %zu: %s", i, buf_text(&b));
	}
	buf_release(&b);
}

static void test_words(void **state)
{
	static const struct {
		struct outcome o;
		const char *words;
	} say[] = {
		{ { .code = 550, .status = "5.1.1", .host = "mx1.example.org",
		    .text = "no such user" },
		  "refused by mx1.example.org: 550 5.1.1 no such user" },
		{ { .code = 450, .host = "mx", .text = "later" },
		  "refused for now by mx: 450 later" },
		{ { .code = 550, .host = "mx" }, "refused by mx: 550" },
		{ { .code = 550, .status = "5.7.1" },
		  "refused by the server: 550 5.7.1" },
		{ { .host = "mx", .text = "no answer" }, "mx: no answer" },
		{ { .text = "no route" }, "no route" },
	};
	char words[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(say) / sizeof(*say); i++) {
		outcome_words(&say[i].o, words, sizeof(words));
		assert_string_equal(words, say[i].words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
