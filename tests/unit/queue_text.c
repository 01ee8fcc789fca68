/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "queue/format.h"

#define FIRST "posthaste-queue 1\n"

static void checksum_is_crc64(void **state)
{
	unsigned char much[100003];
	uint64_t sum = 0;
	size_t i, n;

	(void)state;
	/* the check value of CRC-64/XZ */
	assert_true(text_sum(0, "123456789", 9) == 0x995dc9bbdf1939fa);
	assert_true(text_sum(text_sum(0, "1234", 4), "56789", 5) ==
		    0x995dc9bbdf1939fa);
	/* much at once is added up in another way than little */
	for (i = 0; i < sizeof(much); i++)
		much[i] = (unsigned char)(i * i >> 3);
	for (i = 0; i < sizeof(much); i += n) {
		n = sizeof(much) - i < 1000 ? sizeof(much) - i : 1000;
		sum = text_sum(sum, much + i, n);
	}
	assert_true(text_sum(0, much, sizeof(much)) == sum);
	assert_true(text_sum(text_sum(0, much, 8191), much + 8191,
			     sizeof(much) - 8191) == sum);
}

static bool reads(const char *text, size_t n, struct entry *e)
{
	struct outcome why = { 0 };
	const char *end = n ? memmem(text, n, "\n\n", 2) : NULL;

	if (!end)
		return false;
	if (text_read_header(text, (size_t)(end - text) + 2, e, &why))
		return true;
	assert_int_equal(why.exit, EX_DATAERR);
	return false;
}

static void headers(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{ FIRST "sender\nrcpt a\nsize 0\n\n", true },
		{ FIRST "sender a@b\nrcpt a@c\nrcpt b@c\nsize 99\n\n", true },
		{ "", false },
		{ "\n\n", false },
		{ FIRST "\n", false },
		{ "posthaste-queue 2\nsender\nrcpt a\nsize 0\n\n", false },
		{ FIRST "sender\nrcpt a\nsize 0\n", false },
		{ FIRST "sender\nrcpt a\n\n", false },
		{ FIRST "sender\nsize 0\n\n", false },
		{ FIRST "rcpt a\nsize 0\n\n", false },
		{ FIRST "sender\nrcpt\nsize 0\n\n", false },
		{ FIRST "sender\nrcpt \nsize 0\n\n", false },
		{ FIRST "sender a\nsender b\nrcpt a\nsize 0\n\n", false },
		{ FIRST "sender\nrcpt a\nsize -1\n\n", false },
		{ FIRST "sender\nrcpt a\nsize 007\n\n", false },
		{ FIRST "sender\nrcpt a\nsize 99999999999999999999\n\n",
		  false },
		{ FIRST "sender\nrcpt a\nsize 1\nrcpt b\n\n", false },
		{ FIRST "sender\nrcpt a%0d%0aDATA\nsize 1\n\n", false },
		{ FIRST "sender a%\nrcpt a\nsize 1\n\n", false },
		{ FIRST "sender a%4\nrcpt a\nsize 1\n\n", false },
		{ FIRST "sender a%00\nrcpt a\nsize 1\n\n", false },
		{ FIRST "sender a%GG\nrcpt a\nsize 1\n\n", false },
		{ FIRST "sender\nrcpt a orcpt=a%20b\nsize 1\n\n", false },
		{ FIRST "sender\nenvid a%20BODY\nrcpt a\nsize 1\n\n", false },
		{ FIRST "sender\nrcpt a orcpt=x orcpt=y\nsize 1\n\n", false },
		{ FIRST "sender\nrcpt a notify=all\nsize 1\n\n", false },
		{ FIRST "sender\nrcpt a bogus=1\nsize 1\n\n", false },
		{ FIRST "sender\nbogus\nrcpt a\nsize 1\n\n", false },
		{ FIRST "sender\nbody 9bit\nrcpt a\nsize 1\n\n", false },
		{ FIRST "sender\nreturn all\nrcpt a\nsize 1\n\n", false },
		{ FIRST "uid 4294967296\nsender\nrcpt a\nsize 1\n\n", false },
		{ FIRST "cause ../x\nsender\nrcpt a\nsize 1\n\n", false },
	};
	static const char far[] = FIRST "queued 9223372036854775807\n"
		"account work\ntransport relay\ncause x\nsender\n"
		"envid y\nrcpt a orcpt=z\nsize 1\n\n";
	static const char nul[] = FIRST "sender\0\nrcpt a\nsize 1\n\n";
	struct entry e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		e = (struct entry){ 0 };
		if (reads(cases[i].text, strlen(cases[i].text), &e) !=
		    cases[i].good)
			fail_msg("case %zu: %s", i, cases[i].text);
		text_release(&e);
	}
	e = (struct entry){ 0 };
	/* a time that can be reckoned with, whatever it says */
	assert_true(reads(far, strlen(far), &e));
	assert_true(e.queued > 0 && e.queued < INT64_MAX / 1000000);
	assert_string_equal(e.envelope.transport, "relay");
	text_release(&e);
	assert_false(reads(nul, sizeof(nul) - 1, &e));
	text_release(&e);
}

static void names(void **state)
{
	static const struct {
		const char *name;
		bool good;
	} cases[] = {
		{ "a,0", true }, { "a,1764060317", true }, { "a,h", true },
		{ "1ab-f1.0,5", true }, { "a", false }, { "a,", false },
		{ ",0", false }, { "a,-1", false }, { "a,01", false },
		{ "a,0,0", false }, { "a,hh", false }, { "a/b,0", false },
		{ "..,0", false }, { ".a,0", false }, { "-a,0", false },
		{ "a b,0", false }, { "a,99999999999999999999", false },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaaaaaaaaaaaaaaaa,0", false },
	};
	char id[QUEUE_ID_SIZE], name[QUEUE_NAME_SIZE];
	int64_t next;
	bool held;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (text_read_name(cases[i].name, id, &next, &held) !=
		    cases[i].good)
			fail_msg("%s", cases[i].name);
		if (!cases[i].good)
			continue;
		text_name(name, id, next, held);
		assert_string_equal(name, cases[i].name);
	}
}

/* Lengths and checksums are put before each line. */
static bool journal(const char *lines, struct entry *e)
{
	struct buf text = BUF(TEXT_JOURNAL_MAX);
	struct outcome why;
	size_t n, whole;
	bool good;

	for (; *lines; lines += n) {
		n = strcspn(lines, "\n") + 1;
		buf_addf(&text, "%05zu %016llx ", n + 23,
			 (unsigned long long)text_sum(0, lines, n));
		buf_add(&text, lines, n);
	}
	good = text_read_journal(buf_text(&text), text.len, e, &whole, &why);
	if (good)
		assert_int_equal(whole, text.len);
	buf_release(&text);
	return good;
}

static void journals(void **state)
{
	static const struct {
		const char *lines;
		bool good;
	} cases[] = {
		{ "", true },
		{ "1 begin 0 1\n2 dot 0\n3 dot 1\n", true },
		{ "1 begin\n", true },
		{ "1 sent 0 text=\n", true },
		{ "1 begin 2\n", false },
		{ "1 begin -1\n", false },
		{ "1 begin x\n", false },
		{ "1 sent 2 text=\n", false },
		{ "1 sent 0\n", false },
		{ "1 sent 0 bogus text=\n", false },
		{ "1 sent 0 attempts=9999999 text=\n", false },
		{ "1 sent 0 code=1000 text=\n", false },
		{ "1 sent 0 dsn=5.1.1.1.1.1.1 text=\n", false },
		{ "1 sent 0 dsn=\t text=\n", false },
		{ "1 sent 0 dsn= text=\n", false },
		{ "1 sent 0 dsn=5.1.x text=\n", false },
		{ "1 bogus 0\n", false },
		{ "x begin 0\n", false },
		{ "1\n", false },
		{ "\n", false },
	};
	struct entry e = { 0 };
	const char *text = FIRST "sender\nrcpt a\nrcpt b\nsize 0\n\n";
	size_t i;

	(void)state;
	assert_true(reads(text, strlen(text), &e));
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (journal(cases[i].lines, &e) != cases[i].good)
			fail_msg("case %zu: %s", i, cases[i].lines);
	assert_true(journal("1 begin 0 1\n2 dot 1\n3 sent 0 text=x\n", &e));
	assert_false(e.progress[0].begun || e.progress[0].dot);
	assert_true(e.progress[1].begun && e.progress[1].dot);
	/* what is not tried waits since before */
	assert_true(journal("5 deferred 0 attempts=1 text=x\n"
			    "7 deferred 0 attempts=1 not-before=9 text=x\n"
			    "8 wait 99 0\n8 wait 77 1\n9 missed 3 0 1\n"
			    "11 missed 4 1\n12 begin 0\n", &e));
	assert_int_equal(e.progress[0].wait, 99);
	assert_int_equal(e.progress[1].wait, 77);
	assert_int_equal(e.progress[0].missed, 3);
	assert_int_equal(e.progress[1].missed, 7);
	assert_int_equal(e.progress[0].since, 9);
	assert_int_equal(e.progress[1].since, 11);
	assert_true(journal("5 deferred 0 attempts=1 text=x\n"
			    "7 deferred 0 attempts=1 not-before=9 text=x\n",
			    &e));
	assert_int_equal(e.progress[0].since, 5);
	assert_int_equal(e.progress[0].wait, 0);
	/* no sum goes round */
	assert_true(journal("9 missed 1000000 0\n9 missed 1000000 0\n", &e));
	assert_int_equal(e.progress[0].missed, 1000000);
	assert_false(journal("9 missed 1000001 0\n", &e));
	assert_false(journal("9 missed 0\n9 missed x 0\n", &e));
	assert_false(journal("9 wait -1 0\n", &e));
	assert_false(journal("9 wait 1 2\n", &e));
	text_release(&e);
}

/* A recipient list longer than one line can hold comes back whole. */
static void many_recipients(void **state)
{
	enum { MANY = 5000 };
	struct buf text = BUF(TEXT_HEADER_MAX), log = BUF(TEXT_JOURNAL_MAX);
	size_t rcpt[MANY], i, whole;
	struct entry e = { 0 };
	struct outcome why;

	(void)state;
	buf_adds(&text, FIRST "sender\n");
	for (i = 0; i < MANY; i++) {
		rcpt[i] = i;
		buf_addf(&text, "rcpt r%zu@example.net\n", i);
	}
	buf_adds(&text, "size 0\n\n");
	assert_true(reads(text.data, text.len, &e));
	text_begin(&log, 1, rcpt, MANY);
	text_dot(&log, 1, rcpt, MANY);
	text_reported(&log, 1, REPORT_DELAY, rcpt, MANY);
	assert_true(text_read_journal(log.data, log.len, &e, &whole, &why));
	for (i = 0; i < MANY; i++)
		assert_true(e.progress[i].dot && e.progress[i].delay_reported);
	text_release(&e);
	buf_release(&text);
	buf_release(&log);
}

/* The longest and strangest outcome fits a line and comes back. */
static void longest_outcome(void **state)
{
	struct entry e = { 0 };
	struct recipient r = { .attempts = 7 };
	struct buf log = BUF(TEXT_JOURNAL_MAX);
	const char *text = FIRST "sender\nrcpt a\nsize 0\n\n";
	struct outcome why;
	size_t whole;

	(void)state;
	memset(r.last.text, 'x', sizeof(r.last.text) - 1);
	memset(r.last.host, 'h', sizeof(r.last.host) - 1);
	r.last.host[3] = ' ';
	r.last.host[4] = '%';
	r.last.text[5] = '\n';
	strcpy(r.last.status, "5.123.12345");
	assert_true(reads(text, strlen(text), &e));
	text_result(&log, INT64_MAX, 0, &r);
	assert_true(log.len < 1200);
	assert_true(text_read_journal(log.data, log.len, &e, &whole, &why));
	assert_int_equal(strlen(e.envelope.rcpt[0].last.text), 511);
	assert_int_equal(e.envelope.rcpt[0].last.text[5], '?');
	assert_string_equal(e.envelope.rcpt[0].last.status, "5.123.12345");
	assert_string_equal(e.envelope.rcpt[0].last.host, r.last.host);
	assert_int_equal(e.attempts, 7);
	text_release(&e);
	buf_release(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksum_is_crc64),
		cmocka_unit_test(headers),
		cmocka_unit_test(names),
		cmocka_unit_test(journals),
		cmocka_unit_test(many_recipients),
		cmocka_unit_test(longest_outcome),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
