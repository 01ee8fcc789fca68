/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "policy/policy.h"
#include "submit/report.h"

static const char cause_text[] =
	"From: a@example.org\r\nTo: b@example.net\r\n"
	"Message-ID: <cause@example.org>\r\nSubject: th\xc3\xa4t\r\n\r\n"
	"the body\r\n";

static struct report_place place = {
	.hostname = "relay.example.org", .from = "postmaster@example.org",
	.now = 1764060317, .retry_until = 1764490000,
};

/* An entry as queue_take would give it. */
struct cause {
	struct recipient rcpt[3];
	struct progress progress[3];
	struct entry e;
	struct message *m;
};

static char *str(const char *s)
{
	return (char *)(uintptr_t)s;
}

static void cause_init(struct cause *c)
{
	struct outcome why;

	*c = (struct cause){ .e = { .id = "1abc", .queued = 1764000000 } };
	c->e.envelope.rcpt = c->rcpt;
	c->e.envelope.n = 3;
	c->e.envelope.sender = str("a@example.org");
	c->e.envelope.account = str("work");
	c->e.progress = c->progress;
	c->rcpt[0].address = str("b@example.net");
	c->rcpt[0].state = RCPT_FAILED;
	c->rcpt[0].attempts = 1;
	c->rcpt[0].last = (struct outcome){
		.stage = STAGE_RCPT, .exit = EX_NOUSER, .code = 550,
		.status = "5.1.1", .host = "mx1.example.net",
		.text = "no such user, caf\xc3\xa9" };
	c->rcpt[1].address = str("c@example.net");
	c->rcpt[1].state = RCPT_FAILED;
	c->rcpt[1].attempts = 30;
	c->rcpt[1].last = (struct outcome){
		.stage = STAGE_CONNECT, .exit = EX_TEMPFAIL,
		.text = "connection refused" };
	c->rcpt[2].address = str("d@example.net");
	assert_true(message_from_text(cause_text, strlen(cause_text), &c->m,
				      &why));
}

static char *bytes(struct message *m)
{
	struct buf b = BUF(16 * 1024 * 1024);
	int64_t at;
	const char *data;
	long n;

	for (at = 0; (n = message_bytes(m, at, &data)) > 0; at += n)
		buf_add(&b, data, (size_t)n);
	return buf_take(&b);
}

static char *make(struct cause *c, enum report_kind kind, const size_t *rcpt,
		  size_t n, struct envelope *v)
{
	char id[QUEUE_ID_SIZE];
	struct outcome why;
	struct message *m;
	char *text;

	assert_true(report_make(&c->e, c->m, &place, kind, rcpt, n, id, &m, v,
				&why));
	text = bytes(m);
	message_free(m);
	return text;
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" is in:\n%s", part, text);
}

static void failure(void **state)
{
	const size_t rcpt[] = { 0, 1 };
	struct envelope v;
	struct cause c;
	char *text;

	(void)state;
	cause_init(&c);
	c.rcpt[0].orcpt = str("rfc822;B+2Bx@example.net");
	c.e.envelope.envid = str("QQ+3D314");
	text = make(&c, REPORT_FAILURE, rcpt, 2, &v);
	assert_string_equal(v.sender, "");
	assert_string_equal(v.account, "work");
	assert_int_equal(v.n, 1);
	assert_string_equal(v.rcpt[0].address, "a@example.org");
	assert_true(v.eight_bit);
	assert_false(v.utf8);
	has(text, "From: Mail Delivery System <postmaster@example.org>\r\n");
	has(text, "To: <a@example.org>\r\n");
	has(text, "Message-ID: <1abc-f1.0@relay.example.org>\r\n");
	has(text, "In-Reply-To: <cause@example.org>\r\n");
	has(text, "Auto-Submitted: auto-replied\r\n");
	has(text, "report-type=delivery-status;");
	has(text, "  b@example.net\r\n    refused by mx1.example.net: 550 "
		  "5.1.1 no such user");
	has(text, "Reporting-MTA: dns; relay.example.org\r\n");
	has(text, "Original-Envelope-Id: QQ=314\r\n");
	has(text, "Original-Recipient: rfc822;B+x@example.net\r\n"
		  "Final-Recipient: rfc822; b@example.net\r\n"
		  "Action: failed\r\nStatus: 5.1.1\r\n"
		  "Remote-MTA: dns; mx1.example.net\r\n"
		  "Diagnostic-Code: smtp; 550 5.1.1 no such user, caf??\r\n");
	has(text, "Final-Recipient: rfc822; c@example.net\r\n"
		  "Action: failed\r\nStatus: 4.4.7\r\n"
		  "Diagnostic-Code: x-posthaste; connection refused\r\n");
	has(text, "text/rfc822-headers");
	has(text, "Subject: th\xc3\xa4t\r\n");
	lacks(text, "the body");
	lacks(text, "Will-Retry-Until");
	lacks(text, "d@example.net");
	free(text);
	envelope_release(&v);
	message_free(c.m);
}

static void failure_returns_the_whole(void **state)
{
	const size_t rcpt[] = { 0 };
	struct envelope v;
	struct cause c;
	char *text;

	(void)state;
	cause_init(&c);
	c.e.envelope.dsn_return = RETURN_FULL;
	text = make(&c, REPORT_FAILURE, rcpt, 1, &v);
	has(text, "Content-Type: message/rfc822\r\n");
	has(text, "the body\r\n");
	free(text);
	envelope_release(&v);
	/* what asked for REQUIRETLS does not come back without */
	c.e.envelope.require_tls = true;
	text = make(&c, REPORT_FAILURE, rcpt, 1, &v);
	has(text, "text/rfc822-headers\r\n");
	lacks(text, "the body\r\n");
	free(text);
	envelope_release(&v);
	c.e.envelope.require_tls = false;
	/* a delay never returns it */
	text = make(&c, REPORT_DELAY, &(const size_t){ 2 }, 1, &v);
	lacks(text, "the body\r\n");
	free(text);
	envelope_release(&v);
	message_free(c.m);
}

static void large_cause_is_cut(void **state)
{
	struct buf big = BUF(2 * 1024 * 1024);
	const size_t rcpt[] = { 0 };
	struct envelope v;
	struct outcome why;
	struct cause c;
	char *text;

	(void)state;
	cause_init(&c);
	message_free(c.m);
	buf_adds(&big, "From: a@example.org\r\n");
	while (big.len < REPORT_HEADER_MAX + 1000)
		buf_adds(&big, "X-Filler: 0123456789012345678901234567\r\n");
	buf_adds(&big, "X-Last: here\r\n\r\n");
	while (big.len < REPORT_FULL_MAX + 1000)
		buf_adds(&big, "the body of it, the body of it\r\n");
	assert_true(message_from_text(big.data, big.len, &c.m, &why));
	c.e.envelope.dsn_return = RETURN_FULL;
	text = make(&c, REPORT_FAILURE, rcpt, 1, &v);
	has(text, "text/rfc822-headers");
	lacks(text, "X-Last: here");
	lacks(text, "the body of it");
	has(text, "34567\r\n\r\n--=_1abc-f1.0--\r\n");
	free(text);
	buf_release(&big);
	envelope_release(&v);
	message_free(c.m);
}

static void delay(void **state)
{
	const size_t rcpt[] = { 2 };
	struct envelope v;
	struct cause c;
	char *text;

	(void)state;
	cause_init(&c);
	c.rcpt[2].last = (struct outcome){
		.stage = STAGE_RCPT, .exit = EX_TEMPFAIL, .code = 450,
		.host = "mx2.example.net", .text = "later" };
	setenv("TZ", "UTC0", 1);
	text = make(&c, REPORT_DELAY, rcpt, 1, &v);
	has(text, "Message-ID: <1abc-d2@");
	has(text, "Action: delayed\r\nStatus: 4.0.0\r\n");
	has(text, "Diagnostic-Code: smtp; 450 later\r\n");
	has(text, "Will-Retry-Until: Sun, 30 Nov 2025 08:06:40 +0000\r\n");
	has(text, "given up on Sun, 30 Nov 2025 08:06:40 +0000");
	has(text, "you will be told then.");
	has(text, "need not do anything");
	free(text);
	envelope_release(&v);
	message_free(c.m);
}

/* What a delay report promises: nothing of a time that is past, nor a word at
 * the end to who asked for none. */
static void delay_promises(void **state)
{
	const struct report_place before = place;
	const size_t rcpt[] = { 2 };
	struct envelope v;
	struct cause c;
	char *text;

	(void)state;
	cause_init(&c);
	c.rcpt[2].notify = NOTIFY_DELAY;
	text = make(&c, REPORT_DELAY, rcpt, 1, &v);
	has(text, "given up on Sun, 30 Nov 2025");
	lacks(text, "be told then");
	free(text);
	envelope_release(&v);
	c.rcpt[2].notify = 0;
	place.now = place.retry_until + 86400;
	text = make(&c, REPORT_DELAY, rcpt, 1, &v);
	has(text, "is tried again");
	lacks(text, "given up on");
	lacks(text, "Will-Retry-Until");
	free(text);
	envelope_release(&v);
	place = before;
	message_free(c.m);
}

static void international(void **state)
{
	const size_t rcpt[] = { 0 };
	struct envelope v;
	struct cause c;
	char *text;

	(void)state;
	cause_init(&c);
	c.e.envelope.utf8 = true;
	c.rcpt[0].address = str("d\xc3\xb6rte@example.net");
	text = make(&c, REPORT_FAILURE, rcpt, 1, &v);
	assert_true(v.utf8);
	has(text, "report-type=global-delivery-status;");
	has(text, "message/global-delivery-status");
	has(text, "message/global-headers");
	has(text, "Final-Recipient: utf-8; d\xc3\xb6rte@example.net\r\n");
	has(text, "no such user, caf\xc3\xa9\r\n");
	free(text);
	envelope_release(&v);
	message_free(c.m);
}

/* What failed for want of SMTPUTF8 is reported without. */
static void international_in_ascii(void **state)
{
	const size_t rcpt[] = { 0 };
	struct envelope v;
	struct cause c;
	char *text;

	(void)state;
	cause_init(&c);
	c.e.envelope.utf8 = true;
	c.rcpt[0].address = str("d\xc3\xb6\xf0\x9f\x98\x80@example.net");
	c.rcpt[0].last = (struct outcome){
		.stage = STAGE_MAIL, .exit = EX_DATAERR, .status = "5.6.7",
		.text = "no SMTPUTF8" };
	text = make(&c, REPORT_FAILURE, rcpt, 1, &v);
	assert_false(v.utf8);
	has(text, "report-type=delivery-status;");
	has(text, "Content-Type: message/delivery-status\r\n");
	has(text, "Final-Recipient: utf-8; d\\x{F6}\\x{1F600}@example.net\r\n");
	free(text);
	envelope_release(&v);
	message_free(c.m);
}

/* Time is up: that is the status, but the server's words stay its own. */
static void given_up(void **state)
{
	static const struct {
		int code;
		const char *status, *want, *diagnostic;
	} cases[] = {
		{ 450, "4.2.1", "Status: 4.4.7\r\n",
		  "Diagnostic-Code: smtp; 450 4.2.1 busy\r\n" },
		{ 0, "4.4.7", "Status: 4.4.7\r\n",
		  "Diagnostic-Code: x-posthaste; busy\r\n" },
		{ 535, "5.7.8", "Status: 5.7.8\r\n",
		  "Diagnostic-Code: smtp; 535 5.7.8 busy\r\n" },
	};
	const size_t rcpt[] = { 0 };
	struct envelope v;
	struct cause c;
	char *text;
	size_t i;

	(void)state;
	cause_init(&c);
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		c.rcpt[0].attempts = 7;
		c.rcpt[0].last = (struct outcome){
			.stage = STAGE_RCPT, .exit = EX_UNAVAILABLE,
			.code = cases[i].code, .text = "busy" };
		strcpy(c.rcpt[0].last.status, cases[i].status);
		text = make(&c, REPORT_FAILURE, rcpt, 1, &v);
		has(text, cases[i].want);
		has(text, cases[i].diagnostic);
		if (cases[i].code != 535)
			has(text, "Given up after 7 attempts.\r\n");
		free(text);
		envelope_release(&v);
	}
	message_free(c.m);
}

static void notify_is_honoured(void **state)
{
	static const struct {
		unsigned notify;
		size_t failure, delay;
	} cases[] = {
		{ 0, 1, 1 }, { NOTIFY_NEVER, 0, 0 }, { NOTIFY_SUCCESS, 0, 0 },
		{ NOTIFY_FAILURE, 1, 0 }, { NOTIFY_DELAY, 0, 1 },
		{ NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, 1, 1 },
	};
	const size_t rcpt[] = { 0 };
	size_t wanted[1], i;
	struct cause c;

	(void)state;
	cause_init(&c);
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		c.rcpt[0].notify = cases[i].notify;
		assert_int_equal(report_wanted(&c.e, REPORT_FAILURE, rcpt, 1,
					       wanted), cases[i].failure);
		assert_int_equal(report_wanted(&c.e, REPORT_DELAY, rcpt, 1,
					       wanted), cases[i].delay);
	}
	c.rcpt[0].notify = 0;
	c.e.envelope.sender = str("");
	assert_int_equal(report_wanted(&c.e, REPORT_FAILURE, rcpt, 1, wanted),
			 0);
	message_free(c.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failure),
		cmocka_unit_test(failure_returns_the_whole),
		cmocka_unit_test(large_cause_is_cut),
		cmocka_unit_test(delay),
		cmocka_unit_test(delay_promises),
		cmocka_unit_test(international),
		cmocka_unit_test(international_in_ascii),
		cmocka_unit_test(given_up),
		cmocka_unit_test(notify_is_honoured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
