/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/scan.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static bool equal(const struct scan *s, const char *text)
{
	return scan_left(s) == strlen(text) &&
	       !memcmp(s->p ? s->p : "", text, strlen(text));
}

static void pairs(void **state)
{
	static const struct {
		const char *in;
		const char *name[4], *value[4]; /* value NULL: no "=" */
	} cases[] = {
		{ "v=STSv1; id=2026;", { "v", "id" }, { "STSv1", "2026" } },
		{ " a = b = c ;; d", { "a", "d" }, { "b = c", NULL } },
		{ "a=", { "a" }, { "" } },
		{ "=b", { "" }, { "b" } },
		{ "", { NULL }, { NULL } },
		{ " ; ;\t;", { NULL }, { NULL } },
		{ "a\t=\r\n b", { "a" }, { "b" } },
	};
	struct scan s, name, value;
	size_t i, k;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		s = scan_text(cases[i].in);
		for (k = 0; cases[i].name[k]; k++) {
			if (!scan_pair(&s, ';', &name, &value) ||
			    !equal(&name, cases[i].name[k]) ||
			    !value.p != !cases[i].value[k] ||
			    (value.p && !equal(&value, cases[i].value[k])))
				fail_msg("\"%s\" %zu", cases[i].in, k);
		}
		assert_false(scan_pair(&s, ';', &name, &value));
	}
}

static void lines_and_words(void **state)
{
	struct scan s = scan_bytes("one\r\n\ntwo\0x\rthree", 17), part;
	char field[4];
	char *copy;

	(void)state;
	assert_true(scan_line(&s, &part) && equal(&part, "one"));
	assert_true(scan_copy_to(&part, field, sizeof(field)));
	assert_string_equal(field, "one");
	assert_false(scan_copy_to(&part, field, 3));
	assert_true(scan_line(&s, &part) && equal(&part, ""));
	assert_true(scan_line(&s, &part));
	assert_int_equal(scan_left(&part), 11);
	assert_false(scan_copy_to(&part, field, sizeof(field)));
	assert_false(scan_line(&s, &part));

	s = scan_text(" \t two  words ");
	assert_true(scan_word(&s, " \t", &part) && equal(&part, "two"));
	assert_true(scan_word(&s, " \t", &part) && equal(&part, "words"));
	assert_false(scan_word(&s, " \t", &part));
	/* a NUL is a byte like another, not the end of the separators */
	s = scan_bytes("a\0b", 3);
	assert_true(scan_word(&s, " ", &part));
	assert_int_equal(scan_left(&part), 3);

	s = scan_text(" \r\n x y\t");
	scan_trim(&s);
	assert_true(equal(&s, "x y"));
	s = scan_text(" \t");
	scan_trim(&s);
	assert_int_equal(scan_left(&s), 0);
	copy = scan_copy(&s);
	assert_string_equal(copy, "");
	free(copy);
}

/* Nothing was there at all. */
static void emptiness(void **state)
{
	struct scan s = { 0 }, part;
	int64_t n;

	(void)state;
	assert_int_equal(scan_left(&s), 0);
	assert_false(scan_until(&s, ',', &part));
	assert_false(scan_word(&s, ",", &part));
	assert_false(scan_skip(&s, "a"));
	assert_true(scan_skip(&s, ""));
	assert_true(scan_is(&s, ""));
	assert_false(scan_is_nocase(&s, "a"));
	assert_false(scan_number(&s, 10, &n));
	scan_trim(&s);
}

static void words_and_prefixes(void **state)
{
	struct scan s = scan_text("Max_Age:5");

	(void)state;
	assert_false(scan_skip(&s, "max_age"));
	assert_true(scan_is_nocase(&s, "mAX_aGE:5"));
	assert_false(scan_is(&s, "max_age:5"));
	assert_false(scan_is_nocase(&s, "max_age:55"));
	assert_true(scan_skip_nocase(&s, "max_age:"));
	assert_true(scan_is(&s, "5"));
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		int64_t most, value;    /* -1: refused */
	} cases[] = {
		{ "0", 9, 0 }, { "9", 9, 9 }, { "10", 9, -1 },
		{ "9223372036854775807", INT64_MAX, INT64_MAX },
		{ "9223372036854775808", INT64_MAX, -1 },
		{ "99999999999999999999999", INT64_MAX, -1 },
		{ "", 9, -1 }, { "00", 9, -1 }, { "01", 9, -1 },
		{ "-1", 9, -1 }, { "+1", 9, -1 }, { " 1", 9, -1 },
		{ "1x", 100, -1 }, { "5", 0, -1 }, { "0", 0, 0 },
	};
	struct scan s;
	int64_t n;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		s = scan_text(cases[i].text);
		if (scan_number(&s, cases[i].most, &n) !=
		    (cases[i].value >= 0) ||
		    (cases[i].value >= 0 && n != cases[i].value))
			fail_msg("\"%s\"", cases[i].text);
	}
}

static void percent(void **state)
{
	static const struct { const char *in, *out; bool blanks; } cases[] = {
		{ "a%20b", NULL, false }, { "a%20b", "a b", true },
		{ "%", NULL, true }, { "%4", NULL, true },
		{ "%4G", NULL, true }, { "%0a", NULL, true },
		{ "%7f", NULL, true },
		{ "%00", NULL, true }, { "%c3%a9", "\303\251", true },
		{ "%41", "A", true }, { "%4A", NULL, true }, { "", "", true },
	};
	struct scan s;
	char *out, *text;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		s = scan_text(cases[i].in);
		out = NULL;
		if (scan_decode(&s, cases[i].blanks, &out) != !!cases[i].out)
			fail_msg("\"%s\"", cases[i].in);
		if (out)
			assert_string_equal(out, cases[i].out);
		free(out);
	}
	text = mem_alloc(2002);
	memset(text, 'x', 2001);
	s = scan_text(text);
	out = NULL;
	assert_false(scan_decode(&s, false, &out));
	s.end--;
	assert_true(scan_decode(&s, false, &out));
	/* a field that was there already */
	assert_false(scan_decode(&s, false, &out));
	free(out);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs),
		cmocka_unit_test(lines_and_words),
		cmocka_unit_test(emptiness),
		cmocka_unit_test(words_and_prefixes),
		cmocka_unit_test(numbers),
		cmocka_unit_test(percent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
