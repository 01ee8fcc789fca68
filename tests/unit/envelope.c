/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/log.h"
#include "mail/envelope.h"
#include "mail/recipients.h"

static char aliases_path[] = "/tmp/envelope-XXXXXX";

static char *joined(const struct envelope *e)
{
	struct buf b = BUF(1 << 20);
	size_t i;

	for (i = 0; i < e->n; i++)
		buf_addf(&b, "%s%s", i ? " " : "", e->rcpt[i].address);
	return buf_take(&b);
}

struct row {
	const char *operand[4];
	const char *message;    /* NULL: no -t */
	const char *fallback;
	bool aliases;
	const char *want;       /* NULL: fails */
	int exit;
};

static void check(const struct row *r, size_t i)
{
	static char localhost[] = "localhost", here[] = "web1.example";
	static char *names[] = { localhost, here };
	const struct list local = { names, 2 };
	struct recipient_rules rules = { .domain = "lab.example",
		.local_names = &local,
		.default_recipient = r->fallback,
		.aliases = r->aliases ? aliases_path : NULL,
		.aliases_named = true };
	char *operand[4];
	struct envelope e = {0};
	struct message *m = NULL;
	struct outcome why = {0};
	size_t n;
	char *got;
	bool ok;

	for (n = 0; n < 4 && r->operand[n]; n++)
		operand[n] = mem_string(r->operand[n]);
	if (r->message)
		assert_true(message_from_text(r->message, strlen(r->message),
					      &m, &why));
	ok = envelope_recipients(&e, &rules, operand, n, r->message != NULL, m,
				 &why);
	got = joined(&e);
	if (ok != (r->want != NULL) || (ok && strcmp(got, r->want)))
		fail_msg("row %zu: %d \"%s\" %s", i, ok, got, why.text);
	if (!ok)
		assert_int_equal(why.exit, r->exit);
	free(got);
	envelope_release(&e);
	if (m)
		message_free(m);
	while (n)
		free(operand[--n]);
}

static void test_recipients(void **state)
{
	static const struct row row[] = {
		{ .operand = { "d@x" }, .want = "d@x" },
		{ .operand = { "d@x,e@y", "f@z" }, .want = "d@x e@y f@z" },
		{ .operand = { "d@x", "d@X", "D@x", "d@x" },
		  .want = "d@x D@x" },
		{ .operand = { "Name <d@x>", ",," }, .want = "d@x" },
		{ .operand = { "root" }, .want = "root@lab.example" },
		{ .operand = { "root" }, .fallback = "admin@x",
		  .want = "admin@x" },
		{ .operand = { "root" }, .fallback = "admin",
		  .want = "admin@lab.example" },
		{ .operand = { "root", "joe" }, .aliases = true,
		  .want = "a@x b@x joe@lab.example" },
		{ .operand = { "root", "joe" }, .aliases = true,
		  .fallback = "f@x", .want = "a@x b@x f@x" },
		{ .operand = { "bare" }, .aliases = true, .fallback = "f@x",
		  .want = "f@x" },
		{ .operand = { "null" }, .aliases = true,
		  .want = "null@lab.example" },
		/* names of this host are none */
		{ .operand = { "root@localhost", "joe@Web1.Example." },
		  .aliases = true, .want = "a@x b@x joe@lab.example" },
		{ .operand = { "joe@localhost" }, .fallback = "f@x",
		  .want = "f@x" },
		{ .operand = { "joe@localhost" }, .want = "joe@lab.example" },
		{ .operand = { "root@lab.example", "root@x" }, .aliases = true,
		  .fallback = "f@x", .want = "root@lab.example root@x" },
		{ .message = "To: root@localhost\nCc: d@x\n\n",
		  .aliases = true, .want = "a@x b@x d@x" },
		/* discarded */
		{ .operand = { "void", "d@x" }, .aliases = true,
		  .want = "d@x" },
		{ .operand = { "void@localhost" }, .aliases = true,
		  .fallback = "f@x", .want = "" },
		/* keys with domains */
		{ .operand = { "sue@k", "zoe@k", "zoe@m" }, .aliases = true,
		  .want = "s@x a@x b@x zoe@m" },
		{ .operand = { "[JIRA] Bob <d@x>, e@x" }, .want = "d@x e@x" },
		{ .operand = { "N\x1b <d@x>" }, .exit = EX_USAGE },
		{ .message = "To: [JIRA] Bob <d@x>, e@x\n\n",
		  .want = "d@x e@x" },
		{ .message = "To: d@x, \"Bob <e@x>\n\n", .exit = EX_DATAERR },
		{ .operand = { "b@@x" }, .exit = EX_USAGE },
		{ .operand = { "d@x", "b@x\nc@x" }, .exit = EX_USAGE },
		{ .operand = { "d@x,\r\n e@x" }, .exit = EX_USAGE },
		{ .operand = { "d\x01@x" }, .exit = EX_USAGE },
		{ .operand = { "" }, .exit = EX_USAGE },
		{ .operand = { NULL }, .exit = EX_USAGE },
		{ .message = "To: a@x\nCC: b@x\nbcc : c@x\nTo: d@x\n\nb\n",
		  .want = "a@x b@x c@x d@x" },
		{ .operand = { "o@x", "a@x" },
		  .message = "To: a@x,\n b@x\n\nTo: no@x\n",
		  .want = "o@x a@x b@x" },
		{ .message = "From: f@x\n\n", .exit = EX_USAGE },
		{ .message = "To: undisclosed-recipients:;\n\n",
		  .exit = EX_USAGE },
		{ .message = "To: undisclosed-recipients:;\nBcc: c@x\n\n",
		  .want = "c@x" },
		{ .message = "To: b@@x\n\n", .exit = EX_DATAERR },
		{ .message = "To: a\x01@x\n\n", .exit = EX_DATAERR },
		{ .message = "To: a@x\nResent-To: r@x\nResent-Cc: s@x\n"
			     "Resent-To: t@x\nResent-Bcc: u@x\n\n",
		  .want = "r@x s@x t@x u@x" },
		{ .message = "Resent-From: f@x\nTo: a@x\n\n",
		  .exit = EX_USAGE },
		{ .operand = { "o@x" },
		  .message = "Resent-From: f@x\nTo: a@x\n\n",
		  .want = "o@x" },
		/* not used, so not looked at */
		{ .message = "To: b@@x\nResent-To: r@x\n\n", .want = "r@x" },
		{ .message = "To: a@x\nReply-To: @@\n\n", .want = "a@x" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		check(&row[i], i);
}

static void test_aliases_missing(void **state)
{
	struct recipient_rules rules = { .domain = "x",
		.aliases = "/nonexistent/aliases", .aliases_named = true };
	char root[] = "root", qualified[] = "a@x";
	char *operand[] = { qualified, root };
	struct envelope e = {0};
	struct outcome why = {0};

	(void)state;
	/* it may have keys for all addresses */
	assert_false(envelope_recipients(&e, &rules, operand, 1, false, NULL,
					 &why));
	assert_int_equal(why.exit, EX_CONFIG);
	envelope_release(&e);
	assert_false(envelope_recipients(&e, &rules, operand, 2, false, NULL,
					 &why));
	assert_int_equal(why.exit, EX_CONFIG);
	envelope_release(&e);
	/* one that nobody named stops who has no domain alone */
	rules.aliases = "/";
	rules.aliases_named = false;
	assert_true(envelope_recipients(&e, &rules, operand, 1, false, NULL,
					&why));
	envelope_release(&e);
	assert_false(envelope_recipients(&e, &rules, operand, 2, false, NULL,
					 &why));
	assert_int_equal(why.exit, EX_CONFIG);
	envelope_release(&e);
}

static void test_many(void **state)
{
	const struct recipient_rules rules = { .domain = "x" };
	struct buf b = BUF(1 << 24);
	struct envelope e = {0};
	struct outcome why = {0};
	char *operand[1];
	int i;

	(void)state;
	for (i = 0; i < 60000; i++)
		buf_addf(&b, "u%d@x,u%d@X,", i, i);
	operand[0] = b.data;
	assert_true(envelope_recipients(&e, &rules, operand, 1, false, NULL,
					&why));
	assert_int_equal(e.n, 60000);
	for (; i < 70000; i++)
		buf_addf(&b, "u%d@x,", i);
	operand[0] = b.data;
	assert_false(envelope_recipients(&e, &rules, operand, 1, false, NULL,
					 &why));
	assert_int_equal(why.exit, EX_DATAERR);
	envelope_release(&e);
	buf_release(&b);
}

/* Addresses that differ in case alone are many, and no two are one; a table
 * that took them for alike would look at each for each. */
static void test_alike(void **state)
{
	enum { LETTERS = 16, ALL = 1 << LETTERS };
	char *operand[1], address[LETTERS + 16];
	struct buf list = BUF(4 * 1024 * 1024);
	const struct recipient_rules rules = { .domain = "x.example" };
	struct envelope e = { 0 };
	struct outcome why;
	clock_t begun;
	int i, j;

	(void)state;
	for (i = 0; i < ALL; i++) {
		for (j = 0; j < LETTERS; j++)
			address[j] = (char)((i >> j & 1 ? 'A' : 'a') + j);
		strcpy(address + LETTERS, "@x.example");
		buf_addf(&list, "%s%s", i ? "," : "", address);
	}
	operand[0] = buf_take(&list);
	begun = clock();
	assert_true(envelope_recipients(&e, &rules, operand, 1, false, NULL,
					&why));
	assert_int_equal(e.n, ALL);
	assert_true(clock() - begun < 5 * CLOCKS_PER_SEC);
	envelope_release(&e);
	free(operand[0]);
}

static void test_xtext(void **state)
{
	char *s;

	(void)state;
	s = xtext("a+b=c d\xc3\xbc~!");
	assert_string_equal(s, "a+2Bb+3Dc+20d+C3+BC~!");
	free(s);
	s = xtext("");
	assert_string_equal(s, "");
	free(s);
}

static void test_xtext_decode(void **state)
{
	static const char *const bad[] = { "a b", "a=", "+", "+4", "+4g",
					   "+2b", "a+00", "\xc3", "\t" };
	char *s;
	size_t i;

	(void)state;
	assert_true(xtext_decode("a+2Bb+3Dc+20d+C3+BC~!", &s));
	assert_string_equal(s, "a+b=c d\xc3\xbc~!");
	free(s);
	assert_true(xtext_decode("", &s));
	assert_string_equal(s, "");
	free(s);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(xtext_decode(bad[i], &s));
}

/* What is asked for with an operand holds for all that it stands for. */
static void test_wishes(void **state)
{
	char *const operand[] = { (char *)"root", (char *)"c@x",
				  (char *)"b@x" };
	const struct rcpt_wish wish[] = {
		{ .notify = NOTIFY_NEVER, .orcpt = (char *)"rfc822;root" },
		{ 0 }, { .notify = NOTIFY_DELAY },
	};
	const struct recipient_rules rules = {
		.domain = "x", .aliases = aliases_path,
		.aliases_named = true, .wish = wish,
	};
	struct envelope e = {0};
	struct outcome why;

	(void)state;
	assert_true(envelope_recipients(&e, &rules, operand, 3, false, NULL,
					&why));
	assert_int_equal(e.n, 3);
	assert_int_equal(e.rcpt[0].notify, NOTIFY_NEVER);
	assert_string_equal(e.rcpt[0].orcpt, "rfc822;root");
	assert_string_equal(e.rcpt[1].address, "b@x");
	assert_int_equal(e.rcpt[1].notify, NOTIFY_NEVER);
	assert_string_equal(e.rcpt[1].orcpt, "rfc822;root");
	assert_int_equal(e.rcpt[2].notify, 0);
	assert_null(e.rcpt[2].orcpt);
	envelope_release(&e);
}

static int setup(void **state)
{
	static const char text[] = "root: a@x, b@x\nnull: |no\n"
				   "bare: other\nvoid: /dev/null\n"
				   "sue@k: s@x\n@k: root\n";
	int fd = mkstemp(aliases_path);

	(void)state;
	if (fd < 0)
		return -1;
	if (write(fd, text, sizeof(text) - 1) != sizeof(text) - 1)
		return -1;
	return close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(aliases_path);
}

/* What is written is read again as the same. */
static void test_words(void **state)
{
	unsigned notify, bits;
	enum body_type body = BODY_UNSET;
	struct buf b = BUF(100);
	int value = 0;
	size_t i;

	(void)state;
	for (bits = 1; bits < 16; bits++) {
		buf_reset(&b);
		notify_add(&b, bits, bits & 1 ? ',' : ' ', bits & 2);
		notify = 0;
		/* "never" stands alone */
		assert_int_equal(notify_parse(buf_text(&b), &notify),
				 bits == NOTIFY_NEVER ||
				 !(bits & NOTIFY_NEVER));
		assert_int_equal(notify, bits & NOTIFY_NEVER && bits > 1 ? 0 :
				 bits);
	}
	assert_string_equal(buf_text(&b), "NEVER,SUCCESS,FAILURE,DELAY");
	for (i = 1; return_words[i]; i++) {
		assert_true(return_parse(return_words[i], &value));
		assert_int_equal(value, i);
	}
	for (i = 1; body_words[i]; i++) {
		buf_reset(&b);
		word_add_upper(&b, body_words[i]);
		assert_true(body_parse(buf_text(&b), &body));
		assert_int_equal(body, i);
	}
	assert_string_equal(buf_text(&b), "8BITMIME");
	assert_false(return_parse("", &value));
	assert_false(body_parse("", &body));
	assert_false(body_parse("8bit", &body));
	assert_false(notify_parse("", &notify));
	assert_false(notify_parse("delay fail", &notify));
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_aliases_missing),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_alike),
		cmocka_unit_test(test_xtext),
		cmocka_unit_test(test_xtext_decode),
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_words),
	};

	log_open(&(struct log_settings){ .to = "none" });
	return cmocka_run_group_tests(tests, setup, teardown);
}
