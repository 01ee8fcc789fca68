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
	struct list local = {0};
	struct aliases *a;
	struct outcome why;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), (ssize_t)n);
	close(fd);
	list_add(&local, "here");
	assert_true(aliases_load(path, true, &local, NULL, &a, &why));
	list_release(&local);
	unlink(path);
	return a;
}

static char *expanded(struct aliases *a, const char *local)
{
	struct outcome why;
	struct list l = {0};
	bool found;
	char *s;

	if (!aliases_expand(a, local, 1000000, &l, &found, &why)) {
		assert_int_equal(why.exit, EX_CONFIG);
		assert_int_equal(l.n, 0);
		s = strchr(why.text, ':');
		assert_non_null(s);
		return mem_printf("#%d", atoi(s + 1));
	}
	if (!found) {
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
		{ "\xef\xbb\xbfroot: a@x\n", "root", "a@x" },
		{ "\xef\xbb\xbf", "root", "-" },
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
		{ "a: a, x@x\n", "a", "x@x a" },
		{ "a: A@here, x@x\n", "A", "x@x a" },
		{ "b: a\na: x@x, a\n", "b", "x@x a" },
		{ "a: a, /dev/null\n", "a", "a" },
		{ "a: a, |x\n", "a", "-" },
		/* default */
		{ "default: d@x\n", "joe", "d@x" },
		{ "joe: j@x\ndefault: d@x\n", "joe", "j@x" },
		{ "joe: |x\ndefault: d@x\n", "joe", "d@x" },
		{ "root: joe\njoe: |x\n", "root", "-" },
		{ "*: d@x\n", "joe", "d@x" },
		{ "joe: j@x\n* : d@x\n", "joe", "j@x" },
		{ "DEFAULT: d@x\n*: e@x\n", "joe", "d@x" },
		{ "*: d@x\n", "joe@x", "-" },
		/* discarded */
		{ "root: /dev/null\n", "root", "" },
		{ "root: \"/dev/null\"\n", "root", "" },
		{ "root: :blackhole:\n", "root", "" },
		{ "root: :BlackHole: no such thing\n", "root", "" },
		{ "root: /dev/null, a@x\n", "root", "a@x" },
		{ "joe: /dev/null\ndefault: d@x\n", "joe", "" },
		{ "root: joe\njoe: /dev/null\n", "root", "" },
		{ "*: /dev/null\n", "anybody", "" },
		{ "a: b\n*: /dev/null\n", "a", "" },
		/* names of this host */
		{ "root: a@x\n", "root@here", "-" },
		{ "root@here: a@x\n", "root", "a@x" },
		{ "root@HERE.: a@x\n", "root", "a@x" },
		{ "root: joe@here\njoe: j@x\n", "root", "j@x" },
		{ "root: joe@here\n", "root", "joe" },
		{ "root: \\joe@here\njoe: j@x\n", "root", "joe" },
		{ "@here: a@x\n", "root", "a@x" },
		/* keys with a domain */
		{ "joe@y: a@x\n", "joe@y", "a@x" },
		{ "joe@Y: a@x\n", "JOE@y", "a@x" },
		{ "joe@y: a@x\n", "sue@y", "-" },
		{ "@y: a@x\n", "sue@y", "a@x" },
		{ "@y: a@x\nsue@y: s@x\n", "sue@y", "s@x" },
		{ "@y: a@x\nsue@y: |x\n", "sue@y", "a@x" },
		{ "@y: /dev/null\n", "sue@y", "" },
		{ "@y: a@x\n", "root", "-" },
		{ "@y: a@x\n", "a@sub.y", "-" },
		{ "@B\xc3\xbc" "cher: a@x\n", "a@xn--bcher-kva", "a@x" },
		{ "joe@y: root\nroot: a@x\n", "joe@y", "a@x" },
		{ "root: joe@y, sue@y\njoe@y: a@x\n", "root", "a@x sue@y" },
		{ "@y: me@y\n", "sue@y", "me@y" },
		{ "@y: me@y\n", "me@y", "me@y" },
		{ "me@y: me@y, you@z\n", "me@y", "me@y you@z" },
		{ "a@y: b@y\nb@y: a@y\n", "a@y", "a@y" },
		{ "root: \\joe@y\njoe@y: a@x\n", "root", "joe@y" },
		{ "\"a@y\": q@x\n", "\"a@y\"", "q@x" },
		{ "joe: sue\ndefault: d@x\n", "joe", "d@x" },
		{ "default: root\n", "joe", "root" },
		{ "default: root\nroot: a@x\n", "joe", "a@x" },
		/* what is not followed */
		{ "a: |/bin/false\n", "a", "-" },
		{ "a: \"|/bin/false x, y\", b@x\n", "a", "b@x" },
		{ "a: /var/mail/a, b@x\n", "a", "b@x" },
		{ "a: :include:/etc/list, b@x\n", "a", "b@x" },
		{ "a: \":include:/etc/list\"\n", "a", "-" },
		{ "a: error:550 5.1.1 gone\n", "a", "-" },
		{ "a: ERROR:gone, b@x\n", "a", "b@x" },
		{ "a:\n", "a", "-" },
		{ "a: b@@x, c@x\n", "a", "c@x" },
		{ "a: Joe <j@x>, \"S, T\" <s@x>\n", "a", "j@x s@x" },
		/* comments and groups hold commas, too */
		{ "a: b@x (B, the first), c@x\n", "a", "b@x c@x" },
		{ "a: b@x (B (\\) # 1), 2), c@x\n", "a", "b@x c@x" },
		{ "a: b@x (B, c@x\n", "a", "c@x" },
		{ "a (b: c, d): e@x\n", "a", "e@x" },
		{ "a: all: b@x, \"c;d\"@x, e;, f@x\ne: g@x\n", "a",
		  "b@x \"c;d\"@x g@x f@x" },
		{ "a: all: b@x, c@x\n", "a", "b@x c@x" },
		{ "a: all: b@x, \\c, |f\n", "a", "b@x c" },
		{ "a: |f x:y, b@x, c;d\n", "a", "b@x" },
		{ "a: b@x, all: c@x, d@x;, \"/f\", e@x\n", "a",
		  "b@x c@x d@x e@x" },
		{ "a: b@[IPv6:::1], \\c, all: d@x;\n", "a",
		  "b@[IPv6:::1] c d@x" },
		{ "a: b@[IPv6:::1], |f;, c@x\n", "a", "b@[IPv6:::1] c@x" },
		/* lines that are none */
		{ "nonsense\na: b@x\n", "a", "b@x" },
		{ ": x@x\na: b@x\n", "a", "b@x" },
		{ " lost: x@x\na: b@x\n", "a", "b@x" },
		{ "a: b@x\na: c@x\n", "a", "b@x" },
		/* they concern whoever they begin with, who gets the line */
		{ "root a@x\n", "root", "#1" },
		{ "root a@x\nb: c@x\n", "b", "c@x" },
		{ "b: c@x\nROOT = a@x\n", "root", "#2" },
		{ "root a@x\nroot: b@x\n", "root", "b@x" },
		{ "b: root\nroot\n", "b", "#2" },
		{ "b: root, c@x\nroot a@x\n", "b", "#2" },
		{ "b: \\root\nroot a@x\n", "b", "root" },
		{ "a b: c@x\n*: d@x\n", "a", "#1" },
		{ "default a@x\n", "joe", "#1" },
		{ "a@y b@x\n", "a@y", "#1" },
		{ "a@y b@x\n", "c@y", "-" },
		{ "\"a b\": c@x\n", "\"a b\"", "c@x" },
		{ "a: m\xc3\xbcller@x\n", "a", "m\xc3\xbcller@x" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		check(row[i].text, row[i].local, row[i].want);
}

static void count_fault(void *context, size_t line, bool foreign,
			const char *words)
{
	struct buf *b = context;

	assert_true(*words);
	buf_addf(b, "%zu%s ", line, foreign ? "f" : "");
}

/* Every line that is not understood is told of, and no other. */
static void test_check(void **state)
{
	static const struct {
		const char *text, *want;
	} row[] = {
		{ "a: b@x\n@y: c\nd: /dev/null\n*: :blackhole:\n# x\n\n", "" },
		{ "a: b@x,\n\t\\c, \"D, E\" <d@x>\n", "" },
		{ "nonsense\n", "1 " },
		{ "\n: x\na b: c\n", "2 3 " },
		{ " lost: x@x\na: b\n", "1 " },
		{ "a:\nb: ,\n", "1 2 " },
		{ "a: |x, b@x\n", "1f " },
		{ "a: \"|x, y\",\n /var/mail/a, :include:/l, :fail: no\n",
		  "1f 1f 1f 1f " },
		{ "a: b@@x, c d\n@: x\n", "2 1 1 " },
		{ "a: error:550 5.1.1 no such name\n", "1f " },
		{ "a: \"error:550 gone, for good\", b@x\n", "1f " },
		{ "a: b@x\nc: d@x\nA: e@x\na: f@x\n", "3f 4f " },
		{ "default: b@x\n*: c@x\n", "2f " },
		{ "a@b: c@x\nb: c@x\na@c: c@x\n", "" },
	};
	char path[] = "/tmp/aliases-XXXXXX";
	struct buf b = BUF(4096);
	const struct alias_faults faults = { count_fault, &b };
	struct aliases *a;
	struct outcome why;
	int fd = mkstemp(path);
	size_t i, n;

	(void)state;
	assert_true(fd >= 0);
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		n = strlen(row[i].text);
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, row[i].text, n, 0), (ssize_t)n);
		buf_reset(&b);
		assert_true(aliases_load(path, true, NULL, &faults, &a, &why));
		aliases_check(a, &faults);
		aliases_free(a);
		if (strcmp(buf_text(&b), row[i].want))
			fail_msg("%s: %s", row[i].text, buf_text(&b));
	}
	close(fd);
	unlink(path);
	buf_release(&b);
}

static void test_missing(void **state)
{
	struct aliases *a;
	struct outcome why;
	bool found;

	(void)state;
	assert_false(aliases_load("/nonexistent/aliases", true, NULL, NULL, &a,
				  &why));
	assert_int_equal(why.exit, EX_CONFIG);
	assert_null(a);
	assert_true(aliases_load("/nonexistent/aliases", false, NULL, NULL, &a,
				 &why));
	assert_true(aliases_expand(a, "root", 1, &(struct list){0}, &found,
				   &why));
	assert_false(found);
	aliases_free(a);
	assert_false(aliases_load("/", true, NULL, NULL, &a, &why));
	assert_int_equal(why.exit, EX_CONFIG);
	aliases_free(NULL);
}

/* Long chains, many aliases, many addresses: no deep stack, no endless run */
static void test_worst(void **state)
{
	struct buf b = BUF(1 << 24);
	struct list few = {0};
	struct outcome why;
	struct aliases *a;
	bool found;
	char *got;
	int i;

	(void)state;
	for (i = 0; i < 50000; i++)
		buf_addf(&b, "a%d: a%d, a%d\n", i, i + 1, (i * 7) % 50000);
	buf_adds(&b, "many: ");
	for (i = 0; i < 50000; i++)
		buf_adds(&b, "x@x,");
	buf_adds(&b, "\nopen: ");
	for (i = 0; i < 50000; i++)
		buf_adds(&b, "(,");
	buf_adds(&b, "\ngroups: ");
	for (i = 0; i < 200000; i++)
		buf_adds(&b, "g:,");
	buf_adds(&b, "\nnul: x@x");
	buf_addc(&b, '\0');
	a = load(b.data, b.len);
	got = expanded(a, "a0");
	free(got);
	got = expanded(a, "many");
	assert_int_equal(strlen(got), 4 * 50000 - 1);
	free(got);
	got = expanded(a, "open");
	assert_string_equal(got, "-");
	free(got);
	got = expanded(a, "groups");
	assert_string_equal(got, "-");
	free(got);
	/* no more than was asked for, more or less */
	assert_true(aliases_expand(a, "many", 100, &few, &found, &why));
	assert_true(found);
	assert_int_equal(few.n, 101);
	list_release(&few);
	aliases_free(a);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_worst),
	};

	log_open(&(struct log_settings){ .to = "none" });
	return cmocka_run_group_tests(tests, NULL, NULL);
}
