/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "mail/complete.h"
#include "submit/compose.h"

static char domain[] = "lab.example", hostname[] = "host.lab.example";
static char login[] = "joe", gecos[] = "Joe Doe";
static struct caller caller = {
	.uid = 1000, .login = login, .gecos = gecos,
};

static struct message *message(const char *text)
{
	struct message *m;
	struct outcome why;

	assert_true(message_from_text(text, strlen(text), &m, &why));
	return m;
}

static struct config config_of(struct account *a, size_t n)
{
	return (struct config){
		.general = { .domain = domain, .hostname = hostname },
		.account = a, .accounts = n,
	};
}

static void test_sender(void **state)
{
	static char name[] = "default", from[] = "acc@x.org", own[] = "y.org";
	enum { FORCE = 1, FROM = 2, HEADER = 4, DOMAIN = 8, NONE = 16 };
	static const struct {
		unsigned account;
		const char *given, *want;   /* NULL want: EX_USAGE */
	} row[] = {
		{ NONE, NULL, "joe@lab.example" },
		{ NONE, "a@b.org", "a@b.org" },
		{ NONE, "fred", "fred@lab.example" },
		{ NONE, "<>", "" }, { NONE, "", "" },
		{ NONE, "Full Name <e@X.example>", "e@x.example" },
		{ NONE, "a@@b", NULL }, { NONE, "a@b\nX: y", NULL },
		{ NONE, "a@b, c@d", NULL },
		{ 0, NULL, "joe@lab.example" },
		{ DOMAIN, NULL, "joe@y.org" },
		{ DOMAIN, "fred", "fred@y.org" },
		{ FROM, NULL, "acc@x.org" },
		{ FROM, "a@b.org", "a@b.org" },
		{ FROM, "", "" },
		{ FROM | FORCE, "a@b.org", "acc@x.org" },
		{ FROM | FORCE, "", "acc@x.org" },
		{ FORCE, "a@b.org", "joe@lab.example" },
		{ FROM | FORCE, "a@@b", NULL },
		{ HEADER, NULL, "h@z.org" },
		{ HEADER, "a@b.org", "a@b.org" },
		{ HEADER | FROM, NULL, "acc@x.org" },
		{ HEADER | FORCE, "a@b.org", "h@z.org" },
	};
	struct message *m = message("From: H <h@z.org>, i@z.org\n\nb\n");
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		unsigned how = row[i].account;
		struct account a = { .name = name,
			.from = how & FROM ? from : NULL,
			.force_from = how & FORCE,
			.sender_from_header = how & HEADER,
			.domain = how & DOMAIN ? own : NULL };
		struct config c = config_of(&a, how & NONE ? 0 : 1);
		struct request r = { .caller = &caller,
				     .sender = row[i].given };
		const struct account *got;
		struct outcome why;
		char *sender;
		bool ok = compose_sender(&c, &r, m, &got, &sender, &why);

		if (ok != !!row[i].want ||
		    (ok && strcmp(sender, row[i].want)))
			fail_msg("row %zu: %s", i, ok ? sender : why.text);
		if (ok)
			assert_true((got == NULL) == !!(how & NONE));
		else
			assert_int_equal(why.exit, EX_USAGE);
		free(sender);
	}
	message_free(m);
}

static void test_account(void **state)
{
	static char work[] = "work", play[] = "play";
	struct account a[2] = { { .name = work }, { .name = play } };
	struct config c = config_of(a, 2);
	struct request r = { .caller = &caller, .account = "play" };
	const struct account *got;
	struct outcome why;
	char *sender;

	(void)state;
	list_add(&a[0].match_from, "lab.example");
	assert_true(compose_sender(&c, &r, NULL, &got, &sender, &why));
	assert_ptr_equal(got, &a[1]);
	free(sender);
	r.account = "nobody";
	assert_false(compose_sender(&c, &r, NULL, &got, &sender, &why));
	assert_int_equal(why.exit, EX_CONFIG);
	r.account = NULL;
	assert_true(compose_sender(&c, &r, NULL, &got, &sender, &why));
	assert_ptr_equal(got, &a[0]);
	free(sender);
	/* what -f says decides, also bare */
	r.sender = "x@other";
	assert_true(compose_sender(&c, &r, NULL, &got, &sender, &why));
	assert_null(got);
	free(sender);
	list_release(&a[0].match_from);
}

/* The From field of what is composed. */
static char *from_of(const struct account *account, const char *sender,
		     const char *full_name, const char *text)
{
	struct account a = *account;
	struct config c = config_of(&a, 1);
	char rcpt[] = "r@x";
	char *operand[] = { rcpt };
	struct request r = { .caller = &caller, .sender = sender,
		.full_name = full_name, .operand = operand, .operands = 1 };
	struct message *m = message(text);
	struct envelope e = {0};
	struct outcome why;
	const struct account *got;
	char *from;

	assert_true(compose(&c, &r, &m, &e, &got, &why));
	from = message_field(m, "From");
	envelope_release(&e);
	message_free(m);
	return from;
}

static void test_from(void **state)
{
	static char name[] = "default", from[] = "acc@x.org", full[] = "Ac C";
	const struct account bare = { .name = name };
	const struct account set = { .name = name, .from = from,
				     .full_name = full };
	const struct account other = { .name = name, .from = from,
				       .from_header = FROM_REPLACE };
	const struct {
		const struct account *account;
		const char *sender, *full_name, *text, *want;
	} row[] = {
		{ &bare, NULL, NULL, "S: x\n\n",
		  "Joe Doe <joe@lab.example>" },
		{ &bare, "a@b", "N. N", "S: x\n\n", "\"N. N\" <a@b>" },
		{ &bare, "", NULL, "S: x\n\n", "Joe Doe <joe@lab.example>" },
		{ &set, "", NULL, "S: x\n\n", "Ac C <acc@x.org>" },
		{ &set, NULL, "F", "S: x\n\n", "F <acc@x.org>" },
		{ &set, "a@b", NULL, "From: h@z\n\n", "h@z" },
		{ &other, "a@b", NULL, "From: h@z\n\n",
		  "Joe Doe <acc@x.org>" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		char *got = from_of(row[i].account, row[i].sender,
				    row[i].full_name, row[i].text);

		if (!got || strcmp(got, row[i].want))
			fail_msg("row %zu: %s", i, got ? got : "-");
		free(got);
	}
}

static void test_envelope(void **state)
{
	static char name[] = "default";
	struct account a = { .name = name, .notify = NOTIFY_NEVER,
			     .dsn_return = RETURN_HDRS };
	struct config c = config_of(&a, 1);
	struct request r = { .caller = &caller, .from_header = true,
			     .envid = "a b+", .require_tls = true };
	struct message *m = message("To: a@x\nBcc: b@x\nTLS-Required: No\n"
				    "\n\xc3\xbc\n");
	const struct rcpt_wish wish = { .notify = NOTIFY_SUCCESS };
	char *const operand = (char *)"c@x";
	struct envelope e = {0};
	const struct account *got;
	struct outcome why;

	(void)state;
	assert_true(compose(&c, &r, &m, &e, &got, &why));
	assert_int_equal(e.n, 2);
	assert_string_equal(e.rcpt[1].address, "b@x");
	assert_int_equal(e.rcpt[1].notify, NOTIFY_NEVER);
	assert_int_equal(e.dsn_return, RETURN_HDRS);
	assert_string_equal(e.envid, "a+20b+2B");
	assert_string_equal(e.account, "default");
	assert_true(e.eight_bit && e.require_tls);
	assert_false(e.utf8 || e.tls_required_no || e.seven_bit);
	assert_null(message_field(m, "Bcc"));
	envelope_release(&e);
	message_free(m);

	r = (struct request){ .caller = &caller, .from_header = true,
		.notify = NOTIFY_DELAY, .dsn_return = RETURN_FULL,
		.sender = "j\xc3\xbc@x", .body = BODY_7BIT };
	m = message("To: a@x\nTLS-Required: no\n\nb\n");
	assert_true(compose(&c, &r, &m, &e, &got, &why));
	assert_true(e.utf8 && e.seven_bit && e.tls_required_no);
	assert_int_equal(e.rcpt[0].notify, NOTIFY_DELAY);
	assert_int_equal(e.dsn_return, RETURN_FULL);
	assert_null(e.envid);
	envelope_release(&e);
	message_free(m);

	r.wish = &wish;
	r.operand = &operand;
	r.operands = 1;
	m = message("To: a@x\n\nb\n");
	assert_true(compose(&c, &r, &m, &e, &got, &why));
	assert_int_equal(e.n, 2);
	assert_int_equal(e.rcpt[0].notify, NOTIFY_SUCCESS);
	assert_int_equal(e.rcpt[1].notify, NOTIFY_DELAY);
	envelope_release(&e);
	message_free(m);
	r.operands = 0;

	m = message("Subject: x\n\n");
	assert_false(compose(&c, &r, &m, &e, &got, &why));
	assert_int_equal(why.exit, EX_USAGE);
	envelope_release(&e);
	message_free(m);
}

static void test_caller(void **state)
{
	struct caller root = { 0 }, nobody = { .uid = 3999999999U };
	struct caller named = { .name = "Someone Else" };
	struct caller empty = { .name = "" };
	const char *name;

	(void)state;
	assert_string_equal(caller_login(&root), "root");
	name = caller_full_name(&root);
	assert_null(name ? strchr(name, ',') : NULL);
	assert_string_equal(caller_login(&nobody), "3999999999");
	assert_null(caller_full_name(&nobody));
	assert_string_equal(caller_full_name(&named), "Someone Else");
	empty.uid = nobody.uid;
	assert_null(caller_full_name(&empty));
	caller_release(&root);
	caller_release(&nobody);
	caller_release(&named);
	caller_release(&empty);
}

/* Nobody asks for the caller's name: nor is the user database asked. */
static void test_caller_unasked(void **state)
{
	static const struct { const char *sender, *text; bool asked; } row[] = {
		{ "a@b.example", "From: c@d.example\n\nhi\n", false },
		{ "a@b.example", "Subject: s\n\nhi\n", true },
		{ NULL, "From: c@d.example\n\nhi\n", true },
	};
	struct config c = config_of(NULL, 0);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		char operand[] = "x@y.example", *operands[] = { operand };
		struct caller who = { .uid = 3999999999U };
		struct request r = { .caller = &who, .sender = row[i].sender,
				     .operand = operands, .operands = 1 };
		struct message *m = message(row[i].text);
		struct envelope e = { 0 };
		const struct account *got;
		struct outcome why;

		assert_true(compose(&c, &r, &m, &e, &got, &why));
		assert_int_equal(who.login != NULL, row[i].asked);
		caller_release(&who);
		envelope_release(&e);
		message_free(m);
	}
}

/* "RECIPIENTS|X-Original-To|From" of what is composed. */
static char *diverted(struct account *a, const char *rcpt, const char *login_)
{
	struct config c = config_of(a, 1);
	struct caller who = { .uid = 1000, .login = mem_string(login_) };
	char *operand = mem_string(rcpt), *to, *from;
	struct request r = { .caller = &who, .operand = &operand,
			     .operands = 1 };
	struct message *m = message("Subject: s\n\n");
	struct envelope e = { 0 };
	struct buf b = BUF(4096);
	const struct account *got;
	struct outcome why;
	size_t i;

	assert_true(compose(&c, &r, &m, &e, &got, &why));
	for (i = 0; i < e.n; i++)
		buf_addf(&b, "%s%s", i ? " " : "", e.rcpt[i].address);
	to = message_field(m, "X-Original-To");
	from = message_field(m, "From");
	buf_addf(&b, "|%s|%s", to ? to : "", from);
	free(to);
	free(from);
	free(operand);
	caller_release(&who);
	envelope_release(&e);
	message_free(m);
	return buf_take(&b);
}

static void test_diverted(void **state)
{
	static char name[] = "default", stage[] = "t@stage", a1[] = "arch@x",
		    a2[] = "b@y", from[] = "%u-%h@%H", full[] = "%u%% on %H";
	char *copies[] = { a1, a2 };
	const struct {
		bool bcc, redirect, pattern;
		const char *login, *want;
	} row[] = {
		{ false, false, false, "joe", "b@y c@y||joe@lab.example" },
		{ true, false, false, "joe",
		  "b@y c@y arch@x||joe@lab.example" },
		{ true, true, false, "joe",
		  "t@stage|b@y, c@y|joe@lab.example" },
		{ false, false, true, "joe",
		  "b@y c@y||\"joe% on host.lab.example\" "
		  "<joe-host@host.lab.example>" },
		{ false, false, true, "j e",
		  "b@y c@y||\"j e% on host.lab.example\" "
		  "<\"j e-host\"@host.lab.example>" },
	};
	size_t i;
	char *got;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct account a = { .name = name,
			.redirect = row[i].redirect ? stage : NULL,
			.bcc = { copies, row[i].bcc ? 2 : 0 },
			.from = row[i].pattern ? from : NULL,
			.full_name = row[i].pattern ? full : NULL };

		got = diverted(&a, "b@y, c@y", row[i].login);
		if (strcmp(got, row[i].want))
			fail_msg("row %zu: %s", i, got);
		free(got);
	}
}

/* Whoever is left out by aliases is; the copies go all the same. */
static void test_discarded(void **state)
{
	static char name[] = "default", copy[] = "arch@x", local[] = "here";
	static const char text[] = "*: /dev/null\n";
	char path[] = "/tmp/compose-XXXXXX", rcpt[] = "root@here";
	char *copies[] = { copy }, *names[] = { local }, *operand = rcpt;
	struct account a = { .name = name };
	struct config c = config_of(&a, 1);
	struct request r = { .caller = &caller, .operand = &operand,
			     .operands = 1 };
	int fd = mkstemp(path);
	const struct account *got;
	struct outcome why;
	unsigned round;

	(void)state;
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	c.general.aliases = path;
	c.general.local_names = (struct list){ names, 1 };
	for (round = 0; round < 2; round++) {
		struct message *m = message("Subject: s\n\n");
		struct envelope e = { 0 };

		a.bcc = (struct list){ copies, round };
		assert_true(compose(&c, &r, &m, &e, &got, &why));
		assert_int_equal(e.n, round);
		envelope_release(&e);
		message_free(m);
	}
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sender),
		cmocka_unit_test(test_account),
		cmocka_unit_test(test_from),
		cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_diverted),
		cmocka_unit_test(test_discarded),
		cmocka_unit_test(test_caller),
		cmocka_unit_test(test_caller_unasked),
	};

	log_open(&(struct log_settings){ .to = "none" });
	return cmocka_run_group_tests(tests, NULL, NULL);
}
