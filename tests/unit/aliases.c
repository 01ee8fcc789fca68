/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/log.h"
#include "mail/aliases.h"

static struct aliases *load(const char *text, size_t n)
{
	char path[] = "/tmp/aliases-XXXXXX";
	struct aliases *a;
	struct outcome why;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), (ssize_t)n);
	close(fd);
	assert_true(aliases_load(path, true, &a, &why));
	unlink(path);
	return a;
}

static char *expanded(const struct aliases *a, const char *local)
{
	struct list l = {0};
	char *s;

	if (!aliases_expand(a, local, &l)) {
		assert_int_equal(l.n, 0);
		return mem_string("-");
	}
	s = list_join(&l, " ");
	list_release(&l);
	return s;
}

static void check(const char *text, const char *local, const char *want)
{
	struct aliases *a = load(text, strlen(text));
	char *got = expanded(a, local);

	if (strcmp(got, want))
		fail_msg("%s of \"%s\": \"%s\", not \"%s\"", local, text, got,
			 want);
	free(got);
	aliases_free(a);
}

static void test_expand(void **state)
{
	static const struct {
		const char *text, *local, *want;
	} row[] = {
		{ "", "root", "-" },
		{ "root: a@x\n", "root", "a@x" },
		{ "root: a@x\n", "ROOT", "a@x" },
		{ "root: a@x\n", "other", "-" },
		{ "root : a@x", "root", "a@x" },
		{ "root: a@x, b@y\n", "root", "a@x b@y" },
		{ "root: a@x,\n\tb@y\n", "root", "a@x b@y" },
		{ "root: a@x,\r\n\tb@y\r\n", "root", "a@x b@y" },
		{ "root: a@x,\n# note\n\n  b@y\n", "root", "a@x b@y" },
		{ "# root: a@x\nroot: b@x # not this\n", "root", "b@x" },
		{ "root: \"a #b\"@x\n", "root", "\"a #b\"@x" },
		{ "root: joe\njoe: a@x\n", "root", "a@x" },
		{ "root: joe\n", "root", "joe" },
		{ "root: \\joe\njoe: a@x\n", "root", "joe" },
		{ "root: \\root, a@x\n", "root", "root a@x" },
		{ "a: b, c\nb: d\nc: d\nd: e@x\n", "a", "e@x" },
		/* loops */
		{ "a: b\nb: a\n", "a", "-" },
		{ "a: b, x@x\nb: a\n", "a", "x@x" },
		{ "a: a\n", "a", "-" },
		{ "a: a, x@x\n", "a", "x@x" },
		/* default */
		{ "default: d@x\n", "joe", "d@x" },
		{ "joe: j@x\ndefault: d@x\n", "joe", "j@x" },
		{ "joe: /dev/null\ndefault: d@x\n", "joe", "d@x" },
		{ "root: joe\njoe: /dev/null\n", "root", "-" },
		{ "joe: sue\ndefault: d@x\n", "joe", "d@x" },
		{ "default: root\n", "joe", "root" },
		{ "default: root\nroot: a@x\n", "joe", "a@x" },
		/* what is not followed */
		{ "a: |/bin/false\n", "a", "-" },
		{ "a: \"|/bin/false x, y\", b@x\n", "a", "b@x" },
		{ "a: /var/mail/a, b@x\n", "a", "b@x" },
		{ "a: :include:/etc/list, b@x\n", "a", "b@x" },
		{ "a: \":include:/etc/list\"\n", "a", "-" },
		{ "a:\n", "a", "-" },
		{ "a: b@@x, c@x\n", "a", "c@x" },
		{ "a: Joe <j@x>, \"S, T\" <s@x>\n", "a", "j@x s@x" },
		/* lines that are none */
		{ "nonsense\na: b@x\n", "a", "b@x" },
		{ ": x@x\na: b@x\n", "a", "b@x" },
		{ " lost: x@x\na: b@x\n", "a", "b@x" },
		{ "a: b@x\na: c@x\n", "a", "b@x" },
		{ "\"a b\": c@x\n", "\"a b\"", "c@x" },
		{ "a: m\xc3\xbcller@x\n", "a", "m\xc3\xbcller@x" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		check(row[i].text, row[i].local, row[i].want);
}

static void test_missing(void **state)
{
	struct aliases *a;
	struct outcome why;

	(void)state;
	assert_false(aliases_load("/nonexistent/aliases", true, &a, &why));
	assert_int_equal(why.exit, EX_CONFIG);
	assert_null(a);
	assert_true(aliases_load("/nonexistent/aliases", false, &a, &why));
	assert_false(aliases_expand(a, "root", &(struct list){0}));
	aliases_free(a);
	assert_false(aliases_load("/", true, &a, &why));
	assert_int_equal(why.exit, EX_CONFIG);
	aliases_free(NULL);
}

/* Long chains, many aliases, many addresses: no deep stack, no endless run */
static void test_worst(void **state)
{
	struct buf b = BUF(1 << 24);
	struct aliases *a;
	char *got;
	int i;

	(void)state;
	for (i = 0; i < 50000; i++)
		buf_addf(&b, "a%d: a%d, a%d\n", i, i + 1, (i * 7) % 50000);
	buf_adds(&b, "many: ");
	for (i = 0; i < 50000; i++)
		buf_adds(&b, "x@x,");
	buf_adds(&b, "\nnul: x@x");
	buf_addc(&b, '\0');
	a = load(b.data, b.len);
	got = expanded(a, "a0");
	free(got);
	got = expanded(a, "many");
	assert_int_equal(strlen(got), 4 * 50000 - 1);
	free(got);
	aliases_free(a);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_worst),
	};

	log_open(&(struct log_settings){ .to = "none" });
	return cmocka_run_group_tests(tests, NULL, NULL);
}
