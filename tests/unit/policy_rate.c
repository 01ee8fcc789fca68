/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rates: who may go, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/policy.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, DAY = 24 * 60 * MINUTE };
static const int64_t begin = (int64_t)1800000000 * SECOND;

/* One after the other, each taken and answered at once: what each waits. */
static void test_waits(void **state)
{
	static const struct {
		int64_t most[RATE_UNITS];
		struct { int64_t at, n; bool goes; } step[8];
	} row[] = {
		{ { 2 }, { { 0, 1, true }, { 0, 1, true }, { 0, 1, false },
			   { 900, 1, false }, { 1050, 1, true },
			   { 1050, 1, true }, { 1060, 1, false } } },
		/* those of one second that are spread over it */
		{ { 2 }, { { 0, 1, true }, { 800, 1, true },
			   { 1050, 1, true }, { 1100, 1, false },
			   { 1850, 1, true } } },
		/* several at once */
		{ { 3 }, { { 0, 2, true }, { 10, 2, false }, { 10, 1, true },
			   { 20, 1, false }, { 1050, 3, true } } },
		/* the tighter one counts */
		{ { 2, 3 }, { { 0, 2, true }, { 1050, 2, false },
			      { 1050, 1, true }, { 3000, 1, false },
			      { 61300, 2, true }, { 62500, 1, true },
			      { 64000, 1, false } } },
		{ { 0, 0, 0, 2 }, { { 0, 2, true }, { DAY - SECOND, 1, false },
				    { DAY + 30 * MINUTE, 2, true } } },
		/* a clock that was set back holds nobody up for longer than
		 * the unit */
		{ { 1 }, { { 365LL * DAY, 1, true }, { 0, 1, false },
			   { 1050, 1, true } } },
		{ { 0, 1 }, { { 365LL * DAY, 1, true }, { 0, 1, false },
			      { 62 * SECOND, 1, true } } },
		/* and one that was set forward forgets */
		{ { 1 }, { { 0, 1, true }, { 5 * DAY, 1, true } } },
	};
	struct rate_state s;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		s = (struct rate_state){ 0 };
		for (j = 0; j < 8 && row[i].step[j].n; j++) {
			int64_t now = begin + row[i].step[j].at;
			int64_t wait = policy_rate_take(&s, row[i].most, now,
							row[i].step[j].n);

			if (!wait != row[i].step[j].goes || wait < 0)
				fail_msg("row %zu step %zu: waits %lld", i, j,
					 (long long)wait);
			if (!wait)
				policy_rate_done(&s, row[i].most, now, now,
						 row[i].step[j].n);
		}
	}
}

/* Whoever waits as long as he is told goes then. */
static void test_wait_is_right(void **state)
{
	static const int64_t rates[][RATE_UNITS] = {
		{ 14 }, { 0, 100 }, { 0, 0, 7 }, { 0, 0, 0, 2000 }, { 14, 20 },
	};
	struct rate_state s;
	int64_t now, wait;
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		s = (struct rate_state){ 0 };
		for (n = 0, now = begin; n < 3000; n++, now += 3) {
			wait = policy_rate_take(&s, rates[i], now, 1);
			if (wait) {
				now += wait;
				wait = policy_rate_take(&s, rates[i], now, 1);
			}
			assert_int_equal(wait, 0);
			policy_rate_done(&s, rates[i], now, now, 1);
		}
	}
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Whatever happens between a transaction's beginning and its end, and whenever
 * the server counts it: no second has more. */
static void test_no_second_has_more(void **state)
{
	enum { MOST = 14, SENDERS = 40, MANY = 3000 };
	static const int64_t most[RATE_UNITS] = { MOST };
	struct { int64_t taken, ends; bool under_way; } sender[SENDERS] = { 0 };
	int64_t *counted = calloc(MANY, sizeof(*counted)), now = begin;
	struct rate_state s = { 0 };
	size_t n = 0, i;

	(void)state;
	srand(7);
	assert_non_null(counted);
	for (; n < MANY; now += rand() % 5) {
		i = (size_t)rand() % SENDERS;
		if (sender[i].under_way && now >= sender[i].ends) {
			policy_rate_done(&s, most, sender[i].taken, now, 1);
			counted[n++] = sender[i].taken +
				       rand() % (now - sender[i].taken + 1);
			sender[i].under_way = false;
		} else if (!sender[i].under_way &&
			   !policy_rate_take(&s, most, now, 1)) {
			sender[i].taken = now;
			sender[i].ends = now + rand() % 3000;
			sender[i].under_way = true;
		}
	}
	qsort(counted, n, sizeof(*counted), by_time);
	for (i = MOST; i < n; i++)
		assert_true(counted[i] - counted[i - MOST] >= SECOND);
	/* and it is not much slower than that: a second and the answer's time
	 * for each */
	assert_true(now - begin < (int64_t)n * 3 * SECOND / MOST);
	free(counted);
}

/* One whose end nobody tells is counted for some seconds, then forgotten. */
static void test_lost(void **state)
{
	static const int64_t most[RATE_UNITS] = { 1 };
	struct rate_state s = { 0 };

	(void)state;
	assert_int_equal(policy_rate_take(&s, most, begin, 1), 0);
	assert_in_range(policy_rate_take(&s, most, begin + 9 * SECOND, 1), 1,
			1100);
	assert_int_equal(policy_rate_take(&s, most, begin + 13 * SECOND, 1),
			 0);
}

/* Whatever a file held. */
static void test_nonsense(void **state)
{
	static const int64_t most[RATE_UNITS] = { 5, 50, 500, 5000 };
	struct rate_state s;
	size_t i, j, u;
	int64_t wait;

	(void)state;
	srand(11);
	for (i = 0; i < 200; i++) {
		s = (struct rate_state){ 0 };
		for (u = 0; u < RATE_UNITS; u++) {
			s.row[u].used = (size_t)rand() % (RATE_SLOTS + 1);
			for (j = 0; j < s.row[u].used; j++) {
				s.row[u].slot[j] = (int64_t)j *
					(rand() % 1000000) * 100000;
				s.row[u].n[j] = rand() % 1000;
			}
		}
		s.pace = (struct pace){ INT64_MAX / 4, INT64_MAX / 4 };
		wait = policy_rate_take(&s, most, begin, 1);
		assert_in_range(wait, 1, DAY + 30 * MINUTE);
		assert_int_equal(policy_rate_take(&s, most, begin + DAY +
						  DAY / 20, 1), 0);
	}
}

/* A clock that is set back makes no pause longer than it was; one that is set
 * forward ends it. */
static void test_pause_and_clock(void **state)
{
	static const int64_t most[RATE_UNITS] = { 100 };
	struct rate_state s = { 0 };

	(void)state;
	policy_slow_down(&s.pace, begin + DAY);
	policy_slow_down(&s.pace, begin + DAY);
	assert_int_equal(policy_rate_take(&s, most, begin + DAY, 1),
			 2 * SECOND);
	assert_int_equal(policy_rate_take(&s, most, begin, 1), 2 * SECOND);
	assert_int_equal(policy_rate_take(&s, most, begin + SECOND, 1),
			 SECOND);
	assert_int_equal(policy_rate_take(&s, most, begin + 2 * SECOND, 1), 0);
	policy_slow_down(&s.pace, begin);
	assert_int_equal(policy_rate_take(&s, most, begin + DAY, 1), 0);
}

static void test_least_and_turn(void **state)
{
	static const int64_t most[RATE_UNITS] = { 14, 0, 0, 10000 };
	static const struct { int64_t before, want; } row[] = {
		{ 0, 0 }, { 13, 0 }, { 14, SECOND }, { 140, 10 * SECOND },
		{ 9999, 714 * SECOND }, { 10000, DAY },
	};
	size_t i;

	(void)state;
	assert_int_equal(policy_rate_least(most), 14);
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		assert_int_equal(policy_rate_turn(most, row[i].before),
				 row[i].want);
}

static void test_slows(void **state)
{
	static const struct {
		struct outcome o;
		bool want;
	} row[] = {
		{ { .stage = STAGE_HELLO, .code = 421 }, true },
		{ { .stage = STAGE_DOT, .code = 421, .status = "4.3.2" },
		  true },
		{ { .stage = STAGE_RCPT, .code = 454, .status = "4.7.0" },
		  true },
		{ { .stage = STAGE_DOT, .code = 454 }, true },
		/* those are of STARTTLS and AUTH */
		{ { .stage = STAGE_TLS, .code = 454 }, false },
		{ { .stage = STAGE_AUTH, .code = 454 }, false },
		{ { .stage = STAGE_RCPT, .code = 454, .status = "4.7.1" },
		  false },
		{ { .stage = STAGE_RCPT, .code = 450, .status = "4.2.0" },
		  false },
		{ { .stage = STAGE_CONNECT }, false },
		{ { .stage = STAGE_DOT, .code = 250 }, false },
	};
	struct pace p = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		if (policy_slows(&row[i].o) != row[i].want)
			fail_msg("row %zu", i);
	policy_slow_down(&p, 0);
	assert_int_equal(p.until, SECOND);
	policy_slow_down(&p, 5000);
	assert_int_equal(p.until, 5000 + 2 * SECOND);
	for (i = 0; i < 100; i++)
		policy_slow_down(&p, 0);
	assert_int_equal(p.until, 5 * MINUTE);
	for (i = 0; i < 100; i++)
		policy_speed_up(&p);
	policy_slow_down(&p, 0);
	assert_int_equal(p.until, SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_wait_is_right),
		cmocka_unit_test(test_no_second_has_more),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_pause_and_clock),
		cmocka_unit_test(test_least_and_turn),
		cmocka_unit_test(test_slows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
