/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The decisions of the walk over hosts and of a transaction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/policy.h"

#define ROWS(a) (sizeof(a) / sizeof(*(a)))

/* What became of one try, by a short name. */
static struct outcome said(const char *name)
{
	static const struct {
		const char *name;
		struct outcome o;
	} row[] = {
		{ "ok", { .stage = STAGE_DOT, .code = 250 } },
		{ "doubt", { .stage = STAGE_DOT, .exit = EX_TEMPFAIL,
			     .in_doubt = true } },
		{ "greylisted", { .stage = STAGE_RCPT, .exit = EX_TEMPFAIL,
				  .code = 450, .status = "4.2.0" } },
		{ "no PTR", { .stage = STAGE_RCPT, .exit = EX_TEMPFAIL,
			      .code = 450, .status = "4.7.25" } },
		{ "mail 451", { .stage = STAGE_MAIL, .exit = EX_TEMPFAIL,
				.code = 451 } },
		{ "mail 503", { .stage = STAGE_MAIL, .exit = EX_UNAVAILABLE,
				.code = 503 } },
		{ "mail nested", { .stage = STAGE_MAIL, .code = 550,
				   .exit = EX_UNAVAILABLE,
				   .status = "5.5.1" } },
		{ "mail unknown", { .stage = STAGE_MAIL, .code = 500,
				    .exit = EX_UNAVAILABLE } },
		{ "mail refused", { .stage = STAGE_MAIL, .code = 550,
				    .exit = EX_UNAVAILABLE,
				    .status = "5.7.1" } },
		{ "mail 421", { .stage = STAGE_MAIL, .exit = EX_TEMPFAIL,
				.code = 421 } },
		{ "no user", { .stage = STAGE_RCPT, .exit = EX_NOUSER,
			       .code = 550, .status = "5.1.1" } },
		{ "policy", { .stage = STAGE_RCPT, .exit = EX_UNAVAILABLE,
			      .code = 550, .status = "5.7.1" } },
		{ "unreachable", { .stage = STAGE_CONNECT,
				   .exit = EX_TEMPFAIL } },
		{ "left alone", { .stage = STAGE_CONNECT, .exit = EX_TEMPFAIL,
				  .unasked = true } },
		{ "no look-up", { .stage = STAGE_DNS, .exit = EX_TEMPFAIL } },
		{ "here: no greeting", { .stage = STAGE_HELLO, .code = 554,
					 .exit = EX_UNAVAILABLE,
					 .host = "here" } },
		{ "here: lacks", { .stage = STAGE_MAIL, .exit = EX_DATAERR,
				   .lacking = true, .host = "here" } },
		{ "here: unreachable", { .stage = STAGE_CONNECT,
					 .exit = EX_TEMPFAIL,
					 .host = "here" } },
		{ "there: unreachable", { .stage = STAGE_CONNECT,
					  .exit = EX_TEMPFAIL,
					  .host = "there" } },
		{ "closed", { .stage = STAGE_RCPT, .exit = EX_TEMPFAIL } },
		{ "no greeting", { .stage = STAGE_HELLO, .code = 554,
				   .exit = EX_UNAVAILABLE } },
		{ "busy", { .stage = STAGE_HELLO, .code = 421,
			    .exit = EX_TEMPFAIL } },
		{ "garbage", { .stage = STAGE_HELLO, .exit = EX_PROTOCOL } },
		{ "login", { .stage = STAGE_AUTH, .code = 535,
			     .exit = EX_NOPERM } },
		{ "no relay", { .stage = STAGE_DNS, .exit = EX_NOHOST } },
		{ "no domain", { .stage = STAGE_DNS, .exit = EX_NOHOST,
				 .status = "5.1.2" } },
		{ "lacks", { .stage = STAGE_MAIL, .exit = EX_DATAERR,
			     .lacking = true, .status = "5.6.7" } },
		{ "key", { .stage = STAGE_LOCAL, .exit = EX_TEMPFAIL } },
		{ "put off", { .stage = STAGE_LOCAL, .exit = EX_TEMPFAIL,
			       .not_before = 1 } },
		{ "configuration", { .stage = STAGE_TLS, .exit = EX_CONFIG } },
	};
	size_t i;

	for (i = 0; i < ROWS(row); i++)
		if (!strcmp(row[i].name, name))
			return row[i].o;
	fail_msg("no outcome %s", name);
	return row[0].o;
}

static void test_replaces(void **state)
{
	static const struct {
		const char *old, *new;
		bool want;
	} row[] = {
		/* for now stands against the session and the way alone */
		{ "greylisted", "no greeting", false },
		{ "greylisted", "garbage", false },
		{ "greylisted", "no relay", false },
		{ "greylisted", "login", false },
		{ "greylisted", "lacks", false },
		{ "greylisted", "mail 503", false },
		{ "greylisted", "unreachable", false },
		{ "unreachable", "no greeting", false },
		{ "unreachable", "lacks", false },
		/* a refusal of the message ends it */
		{ "greylisted", "no user", true },
		{ "unreachable", "policy", true },
		{ "greylisted", "no domain", true },
		{ "greylisted", "ok", true },
		{ "greylisted", "doubt", true },
		{ "no greeting", "ok", true },
		/* the one that came further is told */
		{ "unreachable", "greylisted", true },
		{ "unreachable", "unreachable", true },
		{ "mail 451", "closed", true },
		{ "closed", "busy", false },
		/* what is no refusal of the message gives way to "for now" */
		{ "no greeting", "unreachable", true },
		{ "garbage", "greylisted", true },
		{ "lacks", "unreachable", true },
		{ "lacks", "no greeting", true },
		{ "lacks", "lacks", true },
		{ "no greeting", "lacks", false },
		{ "no greeting", "garbage", true },
		/* unless it is the same host, which spoke */
		{ "here: no greeting", "here: unreachable", false },
		{ "here: lacks", "here: unreachable", false },
		{ "here: no greeting", "there: unreachable", true },
		{ "here: unreachable", "here: no greeting", true },
		{ "there: unreachable", "here: no greeting", false },
		/* what is wrong here is so everywhere */
		{ "key", "unreachable", false },
		{ "key", "no greeting", false },
		{ "key", "no user", true },
		{ "key", "ok", true },
		{ "put off", "unreachable", true },
		/* whoever was not asked this time says nothing new */
		{ "unreachable", "left alone", false },
		{ "no look-up", "left alone", false },
		{ "greylisted", "left alone", false },
		{ "no user", "left alone", false },
		{ "left alone", "unreachable", true },
		{ "left alone", "no look-up", true },
		{ "left alone", "no user", true },
		{ "left alone", "login", false },
		{ "login", "left alone", true },
		{ "put off", "left alone", false },
		/* refused for good, then asked by the other family */
		{ "policy", "unreachable", false },
		{ "policy", "no greeting", false },
		{ "policy", "greylisted", true },
		{ "policy", "policy", true },
		{ "policy", "ok", true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(row); i++) {
		const struct outcome old = said(row[i].old);
		const struct outcome new = said(row[i].new);

		if (policy_replaces(&old, &new) != row[i].want)
			fail_msg("%s, then %s", row[i].old, row[i].new);
	}
}

static void test_next(void **state)
{
	static const struct {
		const char *name;
		bool address, family;
	} row[] = {
		{ "ok", false, false }, { "doubt", false, false },
		{ "greylisted", true, false }, { "no PTR", true, true },
		{ "mail 451", true, false }, { "no user", false, false },
		{ "policy", false, true }, { "unreachable", true, false },
		{ "closed", true, false }, { "no greeting", true, true },
		{ "busy", true, true }, { "garbage", true, false },
		{ "login", false, false }, { "lacks", true, false },
		{ "configuration", false, false }, { "mail 503", true, false },
		{ "no domain", false, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(row); i++) {
		const struct outcome o = said(row[i].name);

		if (policy_next_address(&o) != row[i].address)
			fail_msg("next address after: %s", row[i].name);
		if (policy_other_family(&o) != row[i].family)
			fail_msg("other family after: %s", row[i].name);
	}
}

static void test_needs_mending(void **state)
{
	const struct outcome login = said("login"), busy = said("busy");
	const struct outcome file = said("configuration");
	const struct outcome garbage = said("garbage");

	(void)state;
	assert_true(policy_needs_mending(&login));
	assert_true(policy_needs_mending(&file));
	assert_false(policy_needs_mending(&busy));
	assert_false(policy_needs_mending(&garbage));
}

/* Not so a mechanism that is lacking, for which nobody was asked. */
static void test_refuses_login(void **state)
{
	struct outcome o = said("login");

	(void)state;
	o.code = 535;
	assert_true(policy_refuses_login(&o));
	o.code = 0;
	assert_false(policy_refuses_login(&o));
	o.code = 454;
	o.exit = EX_TEMPFAIL;
	assert_false(policy_refuses_login(&o));
}

static void test_addresses(void **state)
{
	(void)state;
	assert_int_equal(policy_addresses(3, 0, 20), 3);
	assert_int_equal(policy_addresses(30, 0, 20), 20);
	assert_int_equal(policy_addresses(30, 9, 20), 11);
	assert_int_equal(policy_addresses(5, 3, 4), 1);
	assert_int_equal(policy_addresses(5, 9, 1), 1);
}

static void test_lacks(void **state)
{
	static const struct {
		struct features f;
		struct message_needs need;
		bool verified;
		const char *status;
	} row[] = {
		{ { .size = true, .size_limit = 10 }, { .size = 10 }, 0, "" },
		{ { .size = true, .size_limit = 10 }, { .size = 11 }, 0,
		  "5.3.4" },
		{ { .size = true }, { .size = 11 }, 0, "" },
		{ { .size = false, .size_limit = 1 }, { .size = 11 }, 0, "" },
		{ { .smtputf8 = true }, { .utf8 = true }, 0, "" },
		{ { .smtputf8 = false }, { .utf8 = true }, 0, "5.6.7" },
		{ { .require_tls = true }, { .require_tls = true }, true, "" },
		{ { .require_tls = true }, { .require_tls = true }, false,
		  "5.7.30" },
		{ { .require_tls = false }, { .require_tls = true }, true,
		  "5.7.30" },
	};
	struct outcome why;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(row); i++) {
		why = (struct outcome){ 0 };
		if (policy_lacks(&row[i].f, &row[i].need, row[i].verified,
				 &why) != (*row[i].status != '\0') ||
		    strcmp(why.status, row[i].status) ||
		    why.lacking != (*row[i].status != '\0'))
			fail_msg("row %zu", i);
	}
}

static void test_one_flight(void **state)
{
	static const struct {
		struct flight_facts f;
		bool want;
	} row[] = {
		{ { true, true, false, false, 65536 }, true },
		{ { true, true, false, false, 65537 }, false },
		{ { true, true, false, true, 1 }, false },
		{ { true, true, true, false, 1 }, false },
		{ { true, false, false, false, 1 }, false },
		{ { false, true, false, false, 1 }, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(row); i++)
		if (policy_one_flight(&row[i].f) != row[i].want)
			fail_msg("row %zu", i);
	assert_true(policy_bdat_ahead(0, false));
	assert_false(policy_bdat_ahead(1, false));
	assert_true(policy_bdat_ahead(2, false));
	assert_false(policy_bdat_ahead(2, true));
	assert_true(policy_chunking_is_broken(502, 1));
	assert_false(policy_chunking_is_broken(502, 0));
	assert_false(policy_chunking_is_broken(554, 1));
	assert_false(policy_chunking_is_broken(421, 1));
}

static void test_too_many(void **state)
{
	static const struct {
		int code;
		const char *status;
		size_t accepted;
		bool want;
	} row[] = {
		{ 452, "4.5.3", 1, true }, { 452, "4.5.3", 0, false },
		{ 452, "", 1, true }, { 552, "5.5.3", 2, true },
		{ 552, "", 1, true }, { 452, "4.2.2", 1, false },
		{ 552, "5.2.2", 1, false }, { 452, "4.1.1", 1, false },
		{ 452, "4.3.1", 1, true }, { 450, "4.5.3", 1, false },
		{ 550, "5.5.3", 1, false },
	};
	static const struct {
		struct rcpt_answers a;
		bool want;
	} learn[] = {
		{ { 10, 5, false, false }, true },
		{ { 10, 1, false, true }, true },
		{ { 10, 1, false, false }, false },
		{ { 10, 5, true, true }, false },
		{ { 0, 5, false, true }, false },
		{ { 10, 0, false, false }, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(row); i++) {
		struct outcome o = { .code = row[i].code };

		snprintf(o.status, sizeof(o.status), "%s", row[i].status);
		if (policy_too_many(&o, row[i].accepted) != row[i].want)
			fail_msg("row %zu", i);
	}
	for (i = 0; i < ROWS(learn); i++)
		if (policy_learns_limit(&learn[i].a) != learn[i].want)
			fail_msg("learn %zu", i);
}

static void test_spent(void **state)
{
	static const struct {
		const char *name;
		struct session_end end;
		bool want;
	} row[] = {
		{ "closed", { .carried = 1 }, true },
		{ "closed", { 0 }, false },
		{ "closed", { .carried = 1, .accepted = 1 }, false },
		{ "mail 421", { .carried = 1 }, true },
		{ "mail 421", { 0 }, false },
		{ "mail 451", { .carried = 3 }, true },
		{ "mail 503", { .carried = 1 }, true },
		{ "mail 503", { 0 }, false },
		{ "mail nested", { .carried = 1 }, true },
		{ "mail nested", { 0 }, false },
		{ "mail unknown", { .carried = 1 }, true },
		{ "mail refused", { .carried = 1 }, false },
		{ "no user", { .carried = 1 }, false },
		{ "doubt", { .carried = 1 }, false },
		{ "ok", { .carried = 1 }, false },
		/* it leaves for the recipients that it refused */
		{ "closed", { .refused = true, .left = true }, true },
		{ "closed", { .accepted = 1, .refused = true, .left = true },
		  true },
		{ "closed", { .accepted = 1, .refused = true }, false },
		{ "closed", { .accepted = 1, .left = true }, false },
		{ "doubt", { .accepted = 1, .refused = true, .left = true },
		  false },
		{ "key", { .refused = true, .left = true }, false },
	};
	struct outcome o;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(row); i++) {
		o = said(row[i].name);
		if (policy_session_is_spent(&row[i].end, &o) != row[i].want)
			fail_msg("row %zu", i);
	}
	o = said("mail 503");
	assert_int_equal(policy_verdict(&o, true), RCPT_PENDING);
	assert_true(policy_goes_on(&o));
	o = said("lacks");
	assert_false(policy_goes_on(&o));
	assert_true(policy_try_elsewhere(&o));
	assert_int_equal(policy_verdict(&o, true), RCPT_FAILED);
}

static void test_doubts(void **state)
{
	struct outcome o = { .stage = STAGE_DOT, .code = 250,
			     .status = "2.1.5" };

	(void)state;
	assert_true(policy_doubts_answer(&o, false));
	assert_false(policy_doubts_answer(&o, true));
	memcpy(o.status, "2.0.0", 6);
	assert_false(policy_doubts_answer(&o, false));
	memcpy(o.status, "5.1.1", 6);
	o.exit = EX_NOUSER;
	assert_false(policy_doubts_answer(&o, false));
	assert_true(policy_doubts_refusal(&o, 2));
	assert_false(policy_doubts_refusal(&o, 1));
	o.exit = EX_OK;
	assert_false(policy_doubts_refusal(&o, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replaces),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_needs_mending),
		cmocka_unit_test(test_refuses_login),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_lacks),
		cmocka_unit_test(test_one_flight),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_spent),
		cmocka_unit_test(test_doubts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
