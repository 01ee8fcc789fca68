/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether the queue is used, what is said of its mail, and to whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/policy.h"

static void test_use(void **state)
{
	static const struct {
		int mode;
		bool directory, asked;
		enum queue_use want;
	} row[] = {
		{ QUEUE_UNSET, true, false, USE_IF_TENDED },
		{ QUEUE_UNSET, true, true, USE_ASKED },
		{ QUEUE_UNSET, false, true, USE_NONE },
		{ QUEUE_ON_FAILURE, true, false, USE_PROMISED },
		{ QUEUE_ON_FAILURE, true, true, USE_PROMISED },
		{ QUEUE_ALWAYS, true, false, USE_PROMISED },
		{ QUEUE_ALWAYS, false, false, USE_NONE },
		{ QUEUE_NEVER, true, true, USE_NONE },
	};
	static char directory[] = "/q";
	struct config c = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		c.queue.queue = row[i].mode;
		c.queue.directory = row[i].directory ? directory : NULL;
		if (policy_queue_use(&c, row[i].asked) != row[i].want)
			fail_msg("row %zu", i);
	}
}

static void test_first(void **state)
{
	static const struct {
		int queue;
		enum delivery_mode mode;
		bool want;
	} row[] = {
		{ QUEUE_UNSET, MODE_UNSET, false },
		{ QUEUE_ON_FAILURE, MODE_UNSET, false },
		{ QUEUE_ALWAYS, MODE_UNSET, true },
		{ QUEUE_ALWAYS, MODE_NOW, false },
		{ QUEUE_NEVER, MODE_BACKGROUND, true },
		{ QUEUE_UNSET, MODE_QUEUE, true },
	};
	struct config c = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		c.queue.queue = row[i].queue;
		if (policy_queues_first(&c, row[i].mode) != row[i].want)
			fail_msg("row %zu", i);
	}
}

/* A queue that failed is what the caller hears of, unless somebody has the
 * message already. */
static void test_unheld(void **state)
{
	const struct outcome later = { .exit = EX_TEMPFAIL },
		full = { .exit = EX_IOERR }, sent = { .exit = EX_OK };
	struct tally t = { .unheld = EX_CANTCREAT };

	(void)state;
	assert_int_equal(tally_exit(&t), EX_OK);
	tally_add(&t, &later, false);
	assert_int_equal(tally_exit(&t), EX_CANTCREAT);
	tally_add(&t, &full, false);
	assert_int_equal(tally_exit(&t), EX_IOERR);
	tally_add(&t, &sent, false);
	assert_int_equal(tally_exit(&t), EX_UNAVAILABLE);
}

static void test_reply(void **state)
{
	static const struct {
		struct outcome o;
		bool temporary;
		int code;
		const char *status;
	} row[] = {
		{ { STAGE_RCPT, .code = 550, .status = "5.1.1" }, false, 550,
		  "5.1.1" },
		{ { STAGE_RCPT, .code = 550, .status = "5.1.1" }, true, 451,
		  "4.0.0" },
		{ { STAGE_RCPT, .code = 451, .status = "4.7.1" }, true, 451,
		  "4.7.1" },
		{ { STAGE_MAIL, .code = 503, .status = "5.5.1" }, false, 554,
		  "5.5.1" },
		/* about the session or the login, not about the mail */
		{ { STAGE_AUTH, .code = 535, .status = "5.7.8" }, false, 554,
		  "5.0.0" },
		{ { STAGE_HELLO, .code = 550, .status = "5.7.1" }, false,
		  554, "5.0.0" },
		{ { STAGE_CONNECT, .code = 0, .status = "" }, true, 451,
		  "4.0.0" },
		/* too large, as we found */
		{ { STAGE_LOCAL, .status = "5.3.4" }, false, 552, "5.3.4" },
		{ { STAGE_LOCAL, .status = "5.3.4" }, true, 451, "4.0.0" },
		{ { STAGE_LOCAL, .status = "" }, false, 554, "5.0.0" },
	};
	char status[12];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		if (policy_reply(&row[i].o, row[i].temporary, status) !=
		    row[i].code || strcmp(status, row[i].status))
			fail_msg("row %zu: %s", i, status);
}

static void test_refusals(void **state)
{
	static const struct {
		int exit;
		bool now;
	} row[] = {
		{ EX_TEMPFAIL, true }, { EX_CONFIG, true },
		{ EX_IOERR, true }, { EX_CANTCREAT, true },
		{ EX_DATAERR, false }, { EX_USAGE, false },
		{ EX_NOUSER, false }, { EX_UNAVAILABLE, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const struct outcome o = { .exit = row[i].exit };

		if (policy_refused_for_now(&o) != row[i].now)
			fail_msg("row %zu", i);
	}
	assert_int_equal(policy_broken_off(true, true), EX_UNAVAILABLE);
	assert_int_equal(policy_broken_off(true, false), EX_UNAVAILABLE);
	assert_int_equal(policy_broken_off(false, true), EX_IOERR);
	assert_int_equal(policy_broken_off(false, false), EX_NOINPUT);
}

/* When an entry is tried next: by the schedule, or when it would have been had
 * nobody asked for it by hand. */
static void test_next(void **state)
{
	int64_t step[] = { 600 * 1000, 3600 * 1000 };
	struct config c = { .queue = { .step = step, .steps = 2 } };
	static const struct {
		int64_t regular, want;
	} row[] = {
		{ 0, 0 }, { 999, 0 }, { 1000, 0 }, { 1001, 1001 },
		{ 1000 + 3600 + 360 + 60, 1000 + 3600 + 360 + 60 },
		/* only a changed clock explains it */
		{ 1000 + 3600 + 360 + 61, 0 },
	};
	size_t i;

	(void)state;
	assert_int_equal(policy_longest_wait(&c), 3600 + 360 + 60);
	assert_int_equal(policy_next(&c, 1, 1000, 300), 1600);
	assert_int_equal(policy_next(&c, 9, 1000, 300), 4600);
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		if (policy_regular(&c, 1000, row[i].regular) != row[i].want)
			fail_msg("row %zu", i);
	c.queue.steps = 0;
	assert_int_equal(policy_longest_wait(&c), 60);
}

static void test_report_wanted(void **state)
{
	static const struct {
		const char *sender;
		unsigned notify;
		bool failure, delay;
	} row[] = {
		{ "", 0, false, false },
		{ "", NOTIFY_FAILURE | NOTIFY_DELAY, false, false },
		{ "a@x.org", 0, true, true },
		{ "a@x.org", NOTIFY_FAILURE, true, false },
		{ "a@x.org", NOTIFY_DELAY, false, true },
		{ "a@x.org", NOTIFY_SUCCESS, false, false },
		{ "a@x.org", NOTIFY_NEVER, false, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		if (policy_wants_report(row[i].sender, row[i].notify,
					false) != row[i].failure ||
		    policy_wants_report(row[i].sender, row[i].notify,
					true) != row[i].delay)
			fail_msg("row %zu", i);
}

static void test_report_status(void **state)
{
	static const struct {
		struct outcome o;
		const char *failure, *delay, *advice;
	} row[] = {
		{ { .exit = EX_NOUSER, .code = 550, .status = "5.1.1" },
		  "5.1.1", "4.0.0", "spelling" },
		{ { .exit = EX_NOUSER, .code = 550 }, "5.1.1", "4.0.0",
		  "spelling" },
		{ { .exit = EX_NOHOST }, "5.1.2", "4.4.1", "after the @" },
		{ { .exit = EX_UNAVAILABLE, .code = 550, .status = "5.1.2" },
		  "5.1.2", "4.0.0", "after the @" },
		{ { .exit = EX_DATAERR }, "5.6.0", "4.4.1", "tell why" },
		{ { .exit = EX_DATAERR, .status = "5.3.4" }, "5.3.4", "4.4.1",
		  "smaller" },
		{ { .exit = EX_UNAVAILABLE, .code = 552, .status = "5.2.2" },
		  "5.2.2", "4.0.0", "mailbox is full" },
		{ { .exit = EX_UNAVAILABLE, .code = 554, .status = "5.7.1" },
		  "5.7.1", "4.0.0", "does not want it" },
		{ { .exit = EX_TEMPFAIL, .code = 451, .status = "4.7.1" },
		  "4.4.7", "4.7.1", "time was up" },
		{ { .exit = EX_UNAVAILABLE, .status = "4.4.7" }, "4.4.7",
		  "4.4.7", "time was up" },
		{ { .exit = EX_NOPERM, .code = 535, .status = "5.7.8" },
		  "5.7.8", "4.0.0", "time was up" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const struct outcome *o = &row[i].o;

		if (strcmp(policy_report_status(o, false), row[i].failure) ||
		    strcmp(policy_report_status(o, true), row[i].delay) ||
		    !strstr(policy_report_advice(o), row[i].advice))
			fail_msg("row %zu", i);
	}
}

static void test_report_parts(void **state)
{
	static char ascii[] = "a@x.org", wide[] = "\xc3\xa4@x.org";
	struct recipient rcpt[2] = { { .address = ascii },
				     { .address = wide } };
	struct envelope e = { .sender = ascii, .rcpt = rcpt, .n = 2,
			      .dsn_return = RETURN_FULL };
	const size_t both[] = { 0, 1 };

	(void)state;
	assert_true(policy_returns_body(&e, false, REPORT_FULL_MAX));
	assert_false(policy_returns_body(&e, false, REPORT_FULL_MAX + 1));
	assert_false(policy_returns_body(&e, true, 1));
	e.require_tls = true;
	assert_false(policy_returns_body(&e, false, 1));
	e.require_tls = false;
	e.dsn_return = RETURN_HDRS;
	assert_false(policy_returns_body(&e, false, 1));
	assert_false(policy_report_is_global(&e, both, 2));
	e.utf8 = true;
	assert_true(policy_report_is_global(&e, both, 2));
	/* what would not take the cause */
	strcpy(rcpt[1].last.status, "5.6.7");
	assert_false(policy_report_is_global(&e, both, 2));
	assert_true(policy_report_is_global(&e, both, 1));
	e.sender = wide;
	assert_true(policy_report_is_global(&e, both, 2));
}

/* --- who waits for something else than his schedule --- */

static struct config scheduled(int64_t *step, size_t steps)
{
	struct config c = { 0 };

	c.queue.step = step;
	c.queue.steps = steps;
	c.queue.lifetime = (int64_t)5 * 24 * 3600 * 1000;
	return c;
}

static void test_missed(void **state)
{
	enum { M = 60, H = 3600 };
	static const struct {
		unsigned attempts;
		int64_t waited;
		unsigned want;
	} row[] = {
		{ 0, -5, 0 }, { 0, 0, 0 }, { 0, 449, 0 }, { 0, 450, 1 },
		{ 0, 15 * M - 1, 1 }, { 0, 15 * M, 2 }, { 0, 8 * H, 7 },
		{ 4, H - 1, 0 }, { 4, H, 1 }, { 30, 8 * H - 1, 0 },
		{ 30, 8 * H, 1 },
		/* a clock that jumped by years */
		{ 0, INT64_MAX, 7 }, { 30, INT64_MAX, 1 },
	};
	int64_t step[] = { 450000, 900000, 1800000, 3600000, 7200000,
			   14400000, 28800000 }, zero[] = { 0 };
	struct config c = scheduled(step, 7);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		if (policy_missed(&c, row[i].attempts, row[i].waited) !=
		    row[i].want)
			fail_msg("row %zu: %u", i,
				 policy_missed(&c, row[i].attempts,
					       row[i].waited));
	c = scheduled(zero, 1);
	assert_int_equal(policy_missed(&c, 0, 59), 0);
	assert_int_equal(policy_missed(&c, 0, INT64_MAX), 1);
}

static void test_retry(void **state)
{
	enum { NOW = 1000000 };
	static const struct {
		struct retry_facts f;
		int64_t want;
	} row[] = {
		{ { 0 }, NOW + 100 }, { { .attempts = 1 }, NOW + 100 },
		{ { .attempts = 2 }, NOW + 1000 },
		{ { .attempts = 9, .turn = NOW + 7 }, NOW + 7 },
		{ { .turn = NOW - 7 }, NOW - 7 },
		/* it would pass for one of a changed clock */
		{ { .turn = NOW + 99999 }, NOW + 1160 },
		{ { .attempts = 1, .wait = NOW + 500 }, NOW + 500 },
		{ { .turn = NOW + 7, .wait = NOW + 500 }, NOW + 500 },
		{ { .attempts = 1, .wait = NOW }, NOW + 100 },
		{ { .attempts = 1, .wait = NOW + 99999 }, NOW + 100 },
		{ { .attempts = 1, .regular = NOW + 600 }, NOW + 600 },
		{ { .wait = NOW + 500, .regular = NOW + 600 }, NOW + 500 },
		{ { .turn = NOW + 7, .regular = NOW + 600 }, NOW + 7 },
	};
	int64_t step[] = { 100000, 1000000 };
	struct config c = scheduled(step, 2);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		if (policy_retry(&c, &row[i].f, NOW, 300) != row[i].want)
			fail_msg("row %zu: %lld", i, (long long)
				 policy_retry(&c, &row[i].f, NOW, 300));
}

/* --- mail that stands still --- */

static void test_still_from(void **state)
{
	enum { AFTER = 4 * 3600 };
	static const struct {
		int64_t after;
		struct still_facts f;
		int64_t want;
	} row[] = {
		{ AFTER, { .pending = 1, .queued = 1000 }, 1000 + AFTER },
		{ 0, { .pending = 1, .queued = 1000 }, 0 },
		{ AFTER, { .queued = 1000 }, 0 },
		{ AFTER, { .pending = 1, .queued = 1000, .held = true }, 0 },
		{ AFTER, { .pending = 1, .queued = 1000, .report = true }, 0 },
		/* so long a rate may be used up */
		{ AFTER, { .pending = 2, .limited = 2, .queued = 1000 },
		  1000 + AFTER + 24 * 3600 },
		{ AFTER, { .pending = 2, .limited = 1, .queued = 1000 },
		  1000 + AFTER },
		{ AFTER, { .pending = 1, .queued = INT64_MAX }, 0 },
	};
	struct config c = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		c.queue.alarm_after = row[i].after * 1000;
		if (policy_still_from(&c, &row[i].f) != row[i].want)
			fail_msg("row %zu", i);
	}
}

static void test_alarm_due(void **state)
{
	static const struct {
		int64_t last, now;
		bool want;
	} row[] = {
		{ 0, 1000000, true }, { 1000000, 1000000, false },
		{ 1000000, 1086399, false }, { 1000000, 1086400, true },
		/* a clock that was set back by a little, and by much */
		{ 1000000, 999000, false }, { 1000000, 900000, true },
	};
	struct config c = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		c.queue.alarm_after = 1;
		if (policy_alarm_due(&c, row[i].last, row[i].now) !=
		    row[i].want)
			fail_msg("row %zu", i);
		c.queue.alarm_after = 0;
		assert_false(policy_alarm_due(&c, row[i].last, row[i].now));
	}
}

/* Transports 0 to 3: two relays, one that refuses, a maildir. */
static void test_alarm_way(void **state)
{
	static char relay[] = "relay", backup[] = "backup", no[] = "no",
		box[] = "box";
	struct transport t[] = {
		{ .name = relay, .kind = KIND_SMTP },
		{ .name = backup, .kind = KIND_SMTP },
		{ .name = no, .kind = KIND_FAIL },
		{ .name = box, .kind = KIND_MAILDIR },
	};
	static const struct {
		const char *first, *later;  /* of the routes' transports */
		const char *still;
		int want;                   /* -1: as ever */
	} row[] = {
		{ "0", "", "0", -1 }, { "01", "", "0", 1 },
		{ "01", "", "1", -1 }, { "01", "", "", -1 },
		{ "01", "", "01", -1 }, { "013", "", "01", 3 },
		/* a route for later attempts */
		{ "0", "3", "0", 3 }, { "0", "2", "0", -1 },
		{ "02", "13", "0", 1 }, { "02", "13", "01", 3 },
	};
	const struct transport *way[2][5], *still[5];
	struct route route[2] = { { .way = way[1], .minimum_attempts = 2 },
				  { .way = way[0] } };
	struct config c = { .route = route, .routes = 2 };
	const struct transport *got;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		memset(way, 0, sizeof(way));
		memset(still, 0, sizeof(still));
		for (j = 0; row[i].first[j]; j++)
			way[0][j] = &t[row[i].first[j] - '0'];
		for (j = 0; row[i].later[j]; j++)
			way[1][j] = &t[row[i].later[j] - '0'];
		for (j = 0; row[i].still[j]; j++)
			still[j] = &t[row[i].still[j] - '0'];
		c.route = row[i].later[0] ? route : &route[1];
		c.routes = row[i].later[0] ? 2 : 1;
		got = policy_alarm_way(&c, NULL, "postmaster@example.org",
				       still);
		if (got != (row[i].want < 0 ? NULL : &t[row[i].want]))
			fail_msg("row %zu: %s", i, got ? got->name : "none");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_use),
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_unheld),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_report_wanted),
		cmocka_unit_test(test_report_status),
		cmocka_unit_test(test_report_parts),
		cmocka_unit_test(test_missed),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_still_from),
		cmocka_unit_test(test_alarm_due),
		cmocka_unit_test(test_alarm_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
