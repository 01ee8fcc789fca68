/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "mail/mechanism.h"
#include "policy/policy.h"

static struct list words(const char *s)
{
	struct list l = {0};

	list_split(&l, s, " ");
	return l;
}

/* --- accounts and routes --- */

static void test_domain_matches(void **state)
{
	static const struct {
		const char *list, *domain;
		bool want;
	} row[] = {
		{ "", "x", true }, { "", "", true },
		{ "example.org", "example.org", true },
		{ "example.org", "EXAMPLE.org", true },
		{ "example.org", "a.example.org", false },
		{ ".example.org", "example.org", true },
		{ ".example.org", "a.b.example.org", true },
		{ ".example.org", "badexample.org", false },
		{ ".example.org", "org", false },
		{ ".example.org", "", false },
		{ ".", "", true }, { ".", "x", false },
		{ ".", "[192.0.2.1]", true },
		{ "[192.0.2.1]", "[192.0.2.1]", false },
		{ "a.x b.x", "b.x", true }, { "a.x b.x", "c.x", false },
		{ ".xn--bcher-kva.de", "www.xn--bcher-kva.de", true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct list l = words(row[i].list);

		if (policy_domain_matches(&l, row[i].domain) != row[i].want)
			fail_msg("row %zu", i);
		list_release(&l);
	}
}

static void test_account(void **state)
{
	static char names[][8] = { "web", "byname", "default", "any", "null" };
	struct account a[5] = {0};
	struct config c = { .account = a, .accounts = 5 };
	static const struct {
		const char *user, *sender, *want;
	} row[] = {
		{ "www", "a@x.org", "web" }, { "www", "a@sub.x.org", "web" },
		{ "www", "b@y.org", "web" }, { "www", "B@y.org", "default" },
		{ "joe", "a@x.org", "default" }, { "joe", "a@z.org", "any" },
		{ "joe", "", "null" }, { "joe", "a@[192.0.2.1]", "null" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++)
		a[i].name = names[i];
	a[0].user = words("root www");
	a[0].match_from = words(".x.org b@y.org");
	a[3].match_from = words("z.org");
	a[4].user = words("joe");
	a[4].match_from = words(".");
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		assert_string_equal(policy_account(&c, row[i].user,
						   row[i].sender)->name,
				    row[i].want);
	names[2][0] = 'D';
	assert_null(policy_account(&c, "joe", "a@x.org"));
	for (i = 0; i < 5; i++) {
		list_release(&a[i].user);
		list_release(&a[i].match_from);
	}
}

/* By name: an account that lists the user, or that a sender leads him to. */
static void test_by_name(void **state)
{
	static char names[][8] = { "alice", "null", "below", "last", "free" };
	struct account a[5] = {0};
	struct config c = { .account = a, .accounts = 5 };
	static const struct {
		const char *user;
		size_t account;
		bool users, leads;
	} row[] = {
		{ "alice", 0, true, false }, { "bob", 0, false, false },
		{ "bob", 1, false, true }, { "bob", 2, false, true },
		{ "bob", 3, false, false },   /* all its senders are below's */
		{ "bob", 4, false, false },
		/* hers takes whatever sender */
		{ "alice", 1, false, false }, { "alice", 2, false, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++)
		a[i].name = names[i];
	a[0].user = words("alice");
	a[1].match_from = words(".");
	a[2].match_from = words(".x.org");
	a[3].match_from = words("b@x.org sub.x.org");
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		if (policy_is_users(&a[row[i].account], row[i].user) !=
		    row[i].users ||
		    policy_leads_to(&c, &a[row[i].account], row[i].user) !=
		    row[i].leads)
			fail_msg("row %zu", i);
	assert_false(policy_is_users(NULL, "bob"));
	assert_false(policy_leads_to(&c, NULL, "bob"));
	for (i = 0; i < 5; i++) {
		list_release(&a[i].user);
		list_release(&a[i].match_from);
	}
}

static void test_route(void **state)
{
	static char names[][4] = { "g1", "d1", "a1", "ad", "g2", "a0" };
	char work[] = "work", other[] = "other", dom[] = "x.org";
	struct route r[6] = {0};
	struct config c = { .route = r, .routes = 6 };
	struct account acc = { .name = work };
	static const struct {
		bool account;
		const char *from, *to;
		unsigned attempts;
		const char *want, *transports;
	} row[] = {
		{ true, "a@x.org", "r@t.org", 0, "ad", "three" },
		{ true, "a@x.org", "r@t.org", 1, "a1", "one two" },
		{ true, "a@x.org", "r@t.org", 3, "a1", "one two" },
		{ true, "a@y.org", "r@t.org", 0, "g2", "direct" },
		{ true, "a@y.org", "r@t.org", 1, "a1", "one two" },
		{ false, "a@x.org", "r@t.org", 0, "d1", "direct" },
		{ false, "a@X.ORG", "r@t.org", 0, "d1", "direct" },
		{ false, "a@y.org", "r@t.org", 0, "g2", "direct" },
		{ false, "", "r@t.org", 0, "g1", "direct" },
		{ false, "a@[192.0.2.1]", "r@t.org", 0, "g1", "direct" },
		{ false, "a@y.org", "r@sub.t.org", 0, "g2", "direct" },
		{ false, "a@y.org", "r@u.org", 0, NULL, "direct" },
		{ false, "a@y.org", "r@[192.0.2.1]", 0, NULL, "direct" },
	};
	static char one[] = "one", two[] = "two", three[] = "three";
	static const struct transport t[] = {
		{ .name = one }, { .name = two }, { .name = three },
	};
	const struct transport *first[] = { &t[0], &t[1], NULL };
	const struct transport *second[] = { &t[2], NULL };
	const struct transport *direct[] = { config_direct(), NULL };
	const struct transport *const *way;
	const struct route *got;
	struct list names_got = {0};
	char *s;
	size_t i;

	(void)state;
	for (i = 0; i < 6; i++) {
		r[i].name = names[i];
		r[i].way = direct;
	}
	r[0].from_domain = words(".");          /* g1: null sender */
	r[1].domain = dom;
	r[2].account = work;
	r[2].minimum_attempts = 1;
	r[2].way = first;
	r[3].account = work;
	r[3].domain = dom;
	r[3].way = second;
	r[4].to_domain = words(".t.org");
	r[5].account = other;
	/* a1 comes before ad in the file, and applies from attempt 1 */
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		way = policy_transports(&c, NULL, row[i].account ? &acc : NULL,
					row[i].from, row[i].to,
					row[i].attempts, &got);
		for (; *way; way++)
			list_add(&names_got, (*way)->name);
		s = list_join(&names_got, " ");
		if (!!got != !!row[i].want ||
		    (got && strcmp(got->name, row[i].want)) ||
		    strcmp(s, row[i].transports))
			fail_msg("row %zu: %s, %s", i, got ? got->name : "-",
				 s);
		free(s);
		list_release(&names_got);
	}
	/* --transport: whatever the routes say */
	assert_ptr_equal(policy_transports(&c, second, &acc, "a@s.org",
					   "b@t.org", 1, &got), second);
	assert_null(got);
	/* and none said */
	assert_ptr_equal(policy_transports(&c, second + 1, NULL, "a@y.org",
					   "r@u.org", 0, &got),
			 config_direct_way());
	for (i = 0; i < 6; i++) {
		list_release(&r[i].from_domain);
		list_release(&r[i].to_domain);
	}
}

/* --- TLS --- */

static char letter(enum tls_demand demand)
{
	return "NOEV"[demand];
}

static void test_tls_relays(void **state)
{
	static const struct {
		int kind;
		/* plain, skip_verify, no_starttls; on a host, a socket */
		char host[3], socket[3];
	} row[] = {
		{ KIND_SUBMISSIONS, { 'V', 'V', 'V' }, { 'V', 'V', 'V' } },
		{ KIND_SUBMISSION, { 'V', 'E', 'N' }, { 'V', 'E', 'N' } },
		{ KIND_SMTP, { 'V', 'E', 'N' }, { 'N', 'E', 'N' } },
		{ KIND_LMTP, { 'O', 'E', 'N' }, { 'N', 'N', 'N' } },
		{ KIND_FAIL, { 'N', 'N', 'N' }, { 'N', 'N', 'N' } },
	};
	struct tls_evidence all = {
		.dane_records = true, .dane_usable = true, .sts_enforce = true,
	};
	char name[] = "mx.x";
	size_t i, k, relaxed;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct transport t = { .kind = row[i].kind };

		assert_true(policy_tls_implicit(&t) ==
			    (t.kind == KIND_SUBMISSIONS));
		for (k = 0; k < 3; k++) {
			t.starttls_insecure_skip_verify = k == 1;
			t.no_starttls = k == 2;
			for (relaxed = 0; relaxed < 2; relaxed++) {
				assert_int_equal(letter(policy_tls(&t, false,
					&all, relaxed)), row[i].host[k]);
				assert_int_equal(letter(policy_tls(&t, true,
					NULL, relaxed)), row[i].socket[k]);
			}
		}
	}
	/* who says what a certificate must be wants one */
	assert_int_equal(policy_tls(&(struct transport){ .kind = KIND_LMTP,
		.tls_name = name }, false, NULL, true), DEMAND_VERIFIED);
	assert_int_equal(policy_tls(&(struct transport){ .kind = KIND_SMTP,
		.tls_name = name }, true, NULL, true), DEMAND_VERIFIED);
}

static void test_tls_direct(void **state)
{
	static const int kind[] = { KIND_DIRECT, KIND_SOCKS };
	enum tls_demand want, base;
	unsigned bits, k, how;

	(void)state;
	for (bits = 0; bits < 16; bits++) {
		struct tls_evidence e = { .dane_records = bits & 1,
			.dane_usable = bits & 2, .sts_enforce = bits & 4 };
		bool relaxed = bits & 8;

		for (k = 0; k < 2; k++) for (how = 0; how < 3; how++) {
			struct transport t = { .kind = kind[k],
				.no_starttls = how == 1,
				.starttls_insecure_skip_verify = how == 2 };

			base = how == 0 ? DEMAND_OPPORTUNISTIC :
			       how == 1 ? DEMAND_NONE : DEMAND_ENCRYPTED;
			want = DEMAND_NONE;
			if (!relaxed && (bits & 6))
				want = DEMAND_VERIFIED;
			else if (!relaxed && (bits & 1))
				want = DEMAND_ENCRYPTED;
			if (base > want)
				want = base;
			assert_int_equal(policy_tls(&t, false, &e, relaxed),
					 want);
			assert_int_equal(policy_tls(&t, false, NULL, relaxed),
					 base);
		}
	}
	assert_string_equal(demand_name(DEMAND_VERIFIED), "verified");
	assert_string_equal(demand_name(DEMAND_NONE), "none");
}

/* --- mechanisms --- */

static const char everything[] =
	"LOGIN PLAIN NTLM DIGEST-MD5 CRAM-MD5 GSSAPI SCRAM-SHA-1 "
	"SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS EXTERNAL XOAUTH2 "
	"OAUTHBEARER";

static struct auth_facts facts_of(unsigned bits)
{
	return (struct auth_facts){ .tls = bits & 1, .verified = bits & 2,
		.binding = bits & 4, .username = bits & 8,
		.password = bits & 16, .token = bits & 32,
		.certificate = bits & 64, .ticket = bits & 128 };
}

/* The best of everything, in words and not by a table. */
static const char *best(const struct auth_facts *f)
{
	bool safe = f->tls && f->verified, pass = f->username && f->password;

	if (f->token && safe)
		return "OAUTHBEARER";
	if (f->certificate && !f->password && f->tls)
		return "EXTERNAL";
	if (pass && f->binding && f->tls)
		return "SCRAM-SHA-256-PLUS";
	if (pass)
		return "SCRAM-SHA-256";
	if (f->ticket && !f->password && f->tls)
		return "GSSAPI";
	return NULL;
}

static void test_mechanism_facts(void **state)
{
	struct list offered = words(everything), none = {0};
	struct outcome why;
	const char *got, *want;
	unsigned bits;

	(void)state;
	for (bits = 0; bits < 256; bits++) {
		struct auth_facts f = facts_of(bits);

		got = policy_mechanism(&offered, &none, &f, &why);
		want = best(&f);
		if (!!got != !!want || (got && strcmp(got, want)))
			fail_msg("facts %u: %s, not %s", bits,
				 got ? got : "-", want ? want : "-");
		if (!got) {
			assert_int_equal(why.exit, EX_NOPERM);
			assert_int_equal(why.stage, STAGE_AUTH);
			assert_non_null(strstr(why.text, "OAUTHBEARER"));
		}
	}
	list_release(&offered);
}

static void test_mechanism_choice(void **state)
{
	enum { CLEAR = 8 + 16, TLS = 1 + CLEAR, SAFE = 2 + TLS,
	       BOUND = 4 + SAFE };
	static const struct {
		const char *offered, *configured;
		unsigned facts;
		const char *want;
	} row[] = {
		{ "plain login", "", SAFE, "PLAIN" },
		{ "LOGIN PLAIN", "", SAFE, "PLAIN" },
		{ "LOGIN", "", SAFE, "LOGIN" },
		{ "PLAIN LOGIN", "", TLS, NULL },
		{ "PLAIN LOGIN", "", CLEAR, NULL },
		{ "PLAIN CRAM-MD5", "", SAFE, "CRAM-MD5" },
		{ "PLAIN CRAM-MD5", "", CLEAR, "CRAM-MD5" },
		{ "DIGEST-MD5", "", CLEAR, "DIGEST-MD5" },
		{ "DIGEST-MD5 CRAM-MD5 scram-sha-1", "", SAFE,
		  "SCRAM-SHA-1" },
		{ "SCRAM-SHA-1-PLUS SCRAM-SHA-256", "", BOUND,
		  "SCRAM-SHA-1-PLUS" },
		{ "SCRAM-SHA-1-PLUS SCRAM-SHA-256", "", SAFE,
		  "SCRAM-SHA-256" },
		{ "SCRAM-SHA-1-PLUS", "", SAFE, NULL },
		{ "XOAUTH2 PLAIN", "", SAFE + 32, "XOAUTH2" },
		{ "XOAUTH2 PLAIN", "", SAFE, "PLAIN" },
		{ "XOAUTH2", "", TLS + 32, NULL },
		{ "XOAUTH2", "XOAUTH2", TLS + 32, "XOAUTH2" },
		{ "NTLM", "", SAFE, NULL },
		{ "ntlm", "NTLM", SAFE, "NTLM" },
		{ "PLAIN", "NTLM", SAFE, NULL },
		{ "PLAIN SCRAM-SHA-256", "PLAIN", SAFE, "PLAIN" },
		{ "PLAIN", "PLAIN", TLS, "PLAIN" },
		{ "PLAIN", "PLAIN", CLEAR, "PLAIN" },
		{ "LOGIN PLAIN", "LOGIN PLAIN", SAFE, "LOGIN" },
		{ "PLAIN LOGIN", "LOGIN PLAIN", SAFE, "LOGIN" },
		{ "EXTERNAL PLAIN", "EXTERNAL", SAFE + 64, "EXTERNAL" },
		{ "EXTERNAL", "EXTERNAL", SAFE, NULL },
		{ "EXTERNAL PLAIN", "", SAFE + 64, "PLAIN" },
		{ "GSSAPI", "GSSAPI", CLEAR + 128, "GSSAPI" },
		{ "", "", SAFE, NULL },
		{ "FOO BAR", "", SAFE, NULL },
	};
	struct outcome why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct list offered = words(row[i].offered);
		struct list configured = words(row[i].configured);
		struct auth_facts f = facts_of(row[i].facts);
		const char *got = policy_mechanism(&offered, &configured, &f,
						   &why);

		if (!!got != !!row[i].want ||
		    (got && strcmp(got, row[i].want)))
			fail_msg("row %zu: %s", i, got ? got : "-");
		f.downgraded = true;
		got = policy_mechanism(&offered, &configured, &f, &why);
		if (got && !f.tls)
			assert_false(mechanism_find(got)->needs & SHOWS_SECRET);
		list_release(&offered);
		list_release(&configured);
	}
}

static void test_second_mechanism(void **state)
{
	static const struct {
		const char *refused, *offered, *configured;
		unsigned facts;
		const char *want;
	} row[] = {
		{ "CRAM-MD5", "CRAM-MD5 LOGIN PLAIN", "", 27, "PLAIN" },
		{ "DIGEST-MD5", "DIGEST-MD5 login", "", 27, "LOGIN" },
		{ "CRAM-MD5", "CRAM-MD5", "", 27, NULL },
		{ "CRAM-MD5", "CRAM-MD5 PLAIN", "", 25, NULL },
		{ "CRAM-MD5", "CRAM-MD5 PLAIN", "", 24, NULL },
		{ "CRAM-MD5", "CRAM-MD5 PLAIN", "CRAM-MD5 PLAIN", 27, NULL },
		{ "SCRAM-SHA-1", "SCRAM-SHA-1 PLAIN", "", 27, NULL },
		{ "PLAIN", "PLAIN LOGIN", "", 27, NULL },
		{ "XOAUTH2", "XOAUTH2 PLAIN", "", 59, NULL },
		{ "EXTERNAL", "EXTERNAL PLAIN", "", 91, NULL },
		{ "cram-md5", "plain", "", 27, "PLAIN" },
		{ "NTLM", "NTLM PLAIN", "", 27, NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct list offered = words(row[i].offered);
		struct list configured = words(row[i].configured);
		struct auth_facts f = facts_of(row[i].facts);
		const char *got = policy_second_mechanism(row[i].refused,
			&offered, &configured, &f);

		if (!!got != !!row[i].want ||
		    (got && strcmp(got, row[i].want)))
			fail_msg("row %zu: %s", i, got ? got : "-");
		list_release(&offered);
		list_release(&configured);
	}
	assert_string_equal(mechanism_row(0)->name, "OAUTHBEARER");
	assert_string_equal(mechanism_row(11)->name, "LOGIN");
	assert_true(mechanism_row(12)->needs & NEED_NAMING);
	assert_true(mechanism_find("plain")->needs & SHOWS_SECRET);
	assert_false(mechanism_find("SCRAM-SHA-1")->needs & SHOWS_SECRET);
	assert_null(mechanism_find("PLAINER"));
}

static void test_unknown_mechanism(void **state)
{
	static const struct {
		int code;
		const char *status;
		bool want;
	} row[] = {
		{ 504, "", true }, { 504, "5.5.4", true },
		{ 501, "5.5.4", true }, { 535, "5.7.8", false },
		{ 535, "", false }, { 502, "5.5.1", false },
		{ 534, "5.7.9", false }, { 454, "4.7.0", false },
	};
	struct outcome o = { .exit = EX_NOPERM };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		o.code = row[i].code;
		snprintf(o.status, sizeof(o.status), "%s", row[i].status);
		assert_int_equal(policy_is_unknown(&o), row[i].want);
	}
}

/* --- results --- */

static void test_exit(void **state)
{
	static const struct {
		enum stage stage;
		int code;
		const char *status;
		int exit;
	} row[] = {
		{ STAGE_RCPT, 250, "2.1.5", EX_OK },
		{ STAGE_RCPT, 251, "", EX_OK },
		{ STAGE_RCPT, 252, "", EX_OK },
		{ STAGE_RCPT, 354, "", EX_PROTOCOL },
		{ STAGE_HELLO, 421, "", EX_TEMPFAIL },
		{ STAGE_HELLO, 554, "", EX_UNAVAILABLE },
		{ STAGE_HELLO, 502, "", EX_UNAVAILABLE },
		{ STAGE_CONNECT, 554, "", EX_UNAVAILABLE },
		{ STAGE_TLS, 554, "", EX_TEMPFAIL },
		{ STAGE_AUTH, 535, "5.7.8", EX_NOPERM },
		{ STAGE_AUTH, 504, "", EX_NOPERM },
		{ STAGE_AUTH, 454, "4.7.0", EX_TEMPFAIL },
		{ STAGE_MAIL, 451, "", EX_TEMPFAIL },
		{ STAGE_MAIL, 550, "", EX_UNAVAILABLE },
		{ STAGE_MAIL, 553, "5.1.8", EX_UNAVAILABLE },
		{ STAGE_MAIL, 550, "5.1.1", EX_UNAVAILABLE },
		{ STAGE_MAIL, 552, "5.3.4", EX_UNAVAILABLE },
		{ STAGE_MAIL, 550, "5.6.7", EX_DATAERR },
		{ STAGE_RCPT, 450, "4.1.1", EX_TEMPFAIL },
		{ STAGE_RCPT, 452, "4.5.3", EX_TEMPFAIL },
		{ STAGE_RCPT, 550, "", EX_NOUSER },
		{ STAGE_RCPT, 551, "", EX_NOUSER },
		{ STAGE_RCPT, 553, "", EX_NOUSER },
		{ STAGE_RCPT, 552, "", EX_UNAVAILABLE },
		{ STAGE_RCPT, 554, "", EX_UNAVAILABLE },
		{ STAGE_RCPT, 550, "5.1.1", EX_NOUSER },
		{ STAGE_RCPT, 554, "5.1.1", EX_NOUSER },
		{ STAGE_RCPT, 550, "5.1.2", EX_NOUSER },
		{ STAGE_RCPT, 550, "5.1.7", EX_UNAVAILABLE },
		{ STAGE_RCPT, 550, "5.1.8", EX_UNAVAILABLE },
		{ STAGE_RCPT, 556, "5.1.10", EX_NOHOST },
		{ STAGE_RCPT, 550, "5.7.1", EX_UNAVAILABLE },
		{ STAGE_RCPT, 550, "5.2.1", EX_UNAVAILABLE },
		{ STAGE_RCPT, 553, "5.6.7", EX_DATAERR },
		{ STAGE_DATA, 550, "", EX_UNAVAILABLE },
		{ STAGE_DATA, 554, "5.7.1", EX_UNAVAILABLE },
		{ STAGE_DOT, 552, "5.3.4", EX_UNAVAILABLE },
		{ STAGE_DOT, 550, "5.1.1", EX_NOUSER },
		{ STAGE_DOT, 550, "5.6.7", EX_DATAERR },
		{ STAGE_DOT, 451, "4.3.0", EX_TEMPFAIL },
		{ STAGE_DOT, 421, "4.3.2", EX_TEMPFAIL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		int got = policy_exit(row[i].stage, row[i].code, row[i].status);

		if (got != row[i].exit)
			fail_msg("%s %d %s: %d", stage_name(row[i].stage),
				 row[i].code, row[i].status, got);
	}
}

/* An answer as it came: a status of another class, or one that is none, does
 * not count; of several the first does. */
static void test_answer(void **state)
{
	static const struct {
		const char *text, *status;
		int exit;
	} row[] = {
		{ "250 2.1.5 fine", "2.1.5", EX_OK },
		{ "550", "", EX_NOUSER },
		{ "550 5.1.1 no such user", "5.1.1", EX_NOUSER },
		{ "550 5.7.1 no", "5.7.1", EX_UNAVAILABLE },
		{ "550 5.7.1", "5.7.1", EX_UNAVAILABLE },
		{ "550 5.123.456 x", "5.123.456", EX_UNAVAILABLE },
		{ "550 4.7.1 no", "", EX_NOUSER },
		{ "550 5.7.1no", "", EX_NOUSER },
		{ "550 5.7.1234 x", "", EX_NOUSER },
		{ "550 5.7 x", "", EX_NOUSER },
		{ "550-5.1.1 a\n550-5.1.1 b\n550 5.1.1 ", "5.1.1",
		  EX_NOUSER },
		{ "550-a\n550 b", "", EX_NOUSER },
		{ "550-a\n550 5.7.1 b", "5.7.1", EX_UNAVAILABLE },
		{ "550-5.7.1 a\n550 5.1.1 b", "5.7.1", EX_UNAVAILABLE },
	};
	struct reply r = {0};
	struct outcome o;
	const char *line;
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		reply_reset(&r);
		for (line = row[i].text; *line; line += n + (line[n] != 0)) {
			n = strcspn(line, "\n");
			assert_int_not_equal(reply_line(&r, line, n),
					     REPLY_BAD);
		}
		policy_answer(&r, STAGE_RCPT, "mx.x", &o);
		if (o.exit != row[i].exit || strcmp(o.status, row[i].status))
			fail_msg("%s: %d", row[i].text, o.exit);
	}
	reply_release(&r);
}

static void test_verdict(void **state)
{
	static const enum rcpt_state verdict[] = {
		['S'] = RCPT_SENT, ['D'] = RCPT_PENDING,
		['F'] = RCPT_FAILED,
	};
	static const struct {
		struct outcome o;
		char without, with;
		bool elsewhere;
	} row[] = {
		{ { STAGE_DOT, EX_OK, 250, .status = "" }, 'S', 'S', false },
		{ { STAGE_CONNECT, EX_TEMPFAIL, .code = 0 }, 'D', 'D', true },
		{ { STAGE_DOT, EX_TEMPFAIL, 0, .in_doubt = true }, 'D', 'D',
		  false },
		{ { STAGE_RCPT, EX_TEMPFAIL, 450, .status = "" }, 'D', 'D',
		  true },
		{ { STAGE_LOCAL, EX_CANTCREAT, .code = 0 }, 'D', 'D', true },
		{ { STAGE_HELLO, EX_UNAVAILABLE, 554, .status = "" }, 'F', 'D',
		  true },
		{ { STAGE_HELLO, EX_PROTOCOL, .code = 0 }, 'F', 'D', true },
		{ { STAGE_RCPT, EX_PROTOCOL, .code = 0 }, 'F', 'D', true },
		/* of a command */
		{ { STAGE_RCPT, EX_NOPERM, 0, .status = "5.7.0" }, 'F', 'F',
		  false },
		{ { STAGE_RCPT, EX_OSERR, 0, .status = "4.3.0" }, 'D', 'D',
		  true },
		{ { STAGE_AUTH, EX_NOPERM, 535, .status = "5.7.8" }, 'F', 'D',
		  true },
		{ { STAGE_LOCAL, EX_CONFIG, .code = 0 }, 'F', 'D', true },
		{ { STAGE_MAIL, EX_UNAVAILABLE, 550, .status = "" }, 'F', 'F',
		  false },
		{ { STAGE_RCPT, EX_NOUSER, 550, .status = "" }, 'F', 'F',
		  false },
		{ { STAGE_DATA, EX_UNAVAILABLE, 554, .status = "" }, 'F', 'F',
		  false },
		{ { STAGE_DOT, EX_UNAVAILABLE, 554, .status = "" }, 'F', 'F',
		  false },
		/* a recipient's domain, a relay's name */
		{ { STAGE_DNS, EX_NOHOST, 0, .status = "5.1.2" }, 'F', 'F',
		  false },
		{ { STAGE_DNS, EX_NOHOST, .code = 0 }, 'F', 'D', true },
		{ { STAGE_LOCAL, EX_DATAERR, .code = 0 }, 'F', 'F', false },
		{ { STAGE_LOCAL, EX_UNAVAILABLE, 550, .status = "" }, 'F', 'F',
		  false },
		{ { STAGE_HELLO, EX_UNAVAILABLE, 0, .status = "5.7.30" }, 'F',
		  'F', false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		if (policy_verdict(&row[i].o, false) !=
		    verdict[(int)row[i].without] ||
		    policy_verdict(&row[i].o, true) !=
		    verdict[(int)row[i].with] ||
		    policy_try_elsewhere(&row[i].o) != row[i].elsewhere)
			fail_msg("row %zu", i);
}

/* Which hosts of a direct delivery may be used. */
static void test_host(void **state)
{
	static const struct {
		struct tls_evidence e;
		bool require_tls;
		enum host_use want;
	} row[] = {
		{ { 0 }, false, HOST_USED },
		{ { 0 }, true, HOST_NOT_PROVED },
		{ { .dane_failed = true }, false, HOST_NOT_NOW },
		{ { .dane_failed = true }, true, HOST_NOT_NOW },
		{ { .dane_failed = true, .sts_enforce = true }, false,
		  HOST_NOT_NOW },
		{ { .dane_records = true }, false, HOST_USED },
		{ { .dane_records = true }, true, HOST_NOT_PROVED },
		{ { .dane_usable = true }, true, HOST_USED },
		{ { .dane_usable = true, .sts_failed = true }, true,
		  HOST_USED },
		{ { .dane_usable = true, .sts_unlisted = true }, false,
		  HOST_USED },
		{ { .sts_failed = true }, false, HOST_NOT_NOW },
		{ { .sts_failed = true }, true, HOST_NOT_NOW },
		{ { .dane_records = true, .sts_failed = true }, false,
		  HOST_NOT_NOW },
		{ { .sts_unlisted = true }, false, HOST_NOT_NOW },
		{ { .sts_unlisted = true }, true, HOST_NOT_NOW },
		{ { .sts_enforce = true }, false, HOST_USED },
		{ { .sts_enforce = true }, true, HOST_USED },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		if (policy_host(&row[i].e, row[i].require_tls) != row[i].want)
			fail_msg("row %zu", i);
}

/* Where a password comes from, and who may be asked for it. */
static void test_secret(void **state)
{
	char word[] = "x";
	static const char *const none = "EXTERNAL", *const some =
		"EXTERNAL PLAIN", *const token = "XOAUTH2 OAUTHBEARER";
	const struct {
		struct transport t;
		const char *mechanisms;
		enum secret_way want;
		bool asks;
	} row[] = {
		{ { 0 }, "", SECRET_LOOKED_FOR, true },
		{ { .password = word, .password_file = word }, "",
		  SECRET_GIVEN, true },
		{ { .password_file = word, .password_command = word }, "",
		  SECRET_FILE, true },
		{ { .password_command = word, .password_credential = word },
		  "", SECRET_COMMAND, true },
		{ { .password_credential = word }, "", SECRET_CREDENTIAL,
		  true },
		{ { .token_command = word }, "", SECRET_NONE, false },
		{ { .certificate = word }, "", SECRET_NONE, false },
		{ { .certificate = word, .password = word }, "",
		  SECRET_GIVEN, false },
		{ { 0 }, none, SECRET_NONE, false },
		{ { 0 }, token, SECRET_NONE, false },
		{ { 0 }, some, SECRET_LOOKED_FOR, true },
		{ { 0 }, "UNKNOWN", SECRET_LOOKED_FOR, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct transport t = row[i].t;

		t.mechanisms = words(row[i].mechanisms);
		if (policy_secret(&t) != row[i].want ||
		    policy_asks_password(&t) != row[i].asks)
			fail_msg("row %zu", i);
		list_release(&t.mechanisms);
	}
}

/* What comes after TLS that failed. */
static void test_fall_back(void **state)
{
	static const struct {
		enum tls_demand host, first, second, third;
		bool tested;
		enum stage stage;
		int tries;
	} row[] = {
		{ DEMAND_NONE, DEMAND_NONE, 0, 0, false, STAGE_TLS, 1 },
		{ DEMAND_NONE, DEMAND_NONE, 0, 0, true, STAGE_TLS, 1 },
		{ DEMAND_OPPORTUNISTIC, DEMAND_OPPORTUNISTIC, DEMAND_NONE, 0,
		  false, STAGE_TLS, 2 },
		{ DEMAND_OPPORTUNISTIC, DEMAND_OPPORTUNISTIC, 0, 0, false,
		  STAGE_HELLO, 1 },
		{ DEMAND_OPPORTUNISTIC, DEMAND_OPPORTUNISTIC, 0, 0, false,
		  STAGE_CONNECT, 1 },
		{ DEMAND_OPPORTUNISTIC, DEMAND_VERIFIED, DEMAND_OPPORTUNISTIC,
		  DEMAND_NONE, true, STAGE_TLS, 3 },
		{ DEMAND_OPPORTUNISTIC, DEMAND_VERIFIED, 0, 0, true,
		  STAGE_AUTH, 1 },
		{ DEMAND_ENCRYPTED, DEMAND_ENCRYPTED, 0, 0, false, STAGE_TLS,
		  1 },
		{ DEMAND_ENCRYPTED, DEMAND_ENCRYPTED, 0, 0, true, STAGE_TLS,
		  1 },
		{ DEMAND_VERIFIED, DEMAND_VERIFIED, 0, 0, false, STAGE_TLS,
		  1 },
		{ DEMAND_VERIFIED, DEMAND_VERIFIED, 0, 0, true, STAGE_TLS,
		  1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const enum tls_demand want[] = { row[i].first, row[i].second,
						 row[i].third };
		const struct outcome failed = { .stage = row[i].stage };
		enum tls_demand demand = policy_first_demand(row[i].host,
							     row[i].tested);
		int tries = 0;

		do {
			if (tries > 2 || demand != want[tries])
				fail_msg("row %zu, try %d", i, tries);
			tries++;
		} while (policy_falls_back(&demand, row[i].host, &failed));
		if (tries != row[i].tries)
			fail_msg("row %zu: %d tries", i, tries);
	}
}

/* Whose certificate counts where SRV records lead elsewhere. */
static void test_target(void **state)
{
	static const struct {
		const char *target, *domain;
		bool authentic, want;
	} row[] = {
		{ "smtp.example.org", "example.org", false, true },
		{ "a.b.EXAMPLE.org", "example.ORG", false, true },
		{ "example.org", "example.org", false, false },
		{ "badexample.org", "example.org", false, false },
		{ ".example.org", "example.org", false, true },
		{ "example.org.evil.example", "example.org", false, false },
		{ "org", "example.org", false, false },
		{ "mail.provider.example", "example.org", false, false },
		{ "mail.provider.example", "example.org", true, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		if (policy_believes_target(row[i].target, row[i].domain,
					   row[i].authentic) != row[i].want)
			fail_msg("row %zu", i);
}

/* Where mail of an account can get at all, by the ranks of routes. */
static void test_reaches(void **state)
{
	char work[] = "work", other[] = "other", from[] = "a@x.org";
	char domain[] = "y.org";
	struct route r[4] = {
		{ .account = work }, { .account = other }, { .domain = domain },
		{ .account = NULL },
	};
	struct config c = { .route = r, .routes = 4 };
	struct account acc = { .name = work, .from = from };
	static const struct {
		bool account, forced, to_some;
		const char *transport;
		bool want;
	} row[] = {
		{ true, false, true, "mine", true },
		{ true, false, true, "theirs", false },
		{ true, false, true, "dom", true },
		{ true, true, true, "dom", false },
		{ true, true, true, "all", true },
		{ true, false, false, "all", false },
		{ true, false, true, "direct", false },
		{ false, false, true, "mine", false },
		{ false, false, true, "all", true },
	};
	size_t i;

	(void)state;
	list_add(&r[0].transport, "mine");
	list_add(&r[1].transport, "theirs");
	list_add(&r[2].transport, "dom");
	list_add(&r[3].transport, "all");
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		acc.force_from = row[i].forced;
		if (row[i].to_some)
			list_add(&r[0].to_domain, "t.org");
		assert_int_equal(policy_reaches(&c, row[i].account ? &acc :
						NULL, row[i].transport),
				 row[i].want);
		list_release(&r[0].to_domain);
	}
	c.routes = 1;
	list_add(&r[0].to_domain, "t.org");
	assert_true(policy_reaches(&c, &acc, "direct"));
	list_release(&r[0].to_domain);
	assert_false(policy_reaches(&c, &acc, "direct"));
	for (i = 0; i < 4; i++)
		list_release(&r[i].transport);
}

/* Least under way comes first, what was cut off last. */
static void test_claims(void **state)
{
	static const struct claim order[] = {
		{ .since = 5 }, { .since = 6 }, { .entry = 1, .since = 1 },
		{ .user = 1, .since = 1 }, { .user = 1, .entry = 1 },
		{ .late = true }, { .late = true, .since = 1 },
	};
	size_t i, j, n = sizeof(order) / sizeof(*order);

	(void)state;
	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++)
			assert_int_equal(policy_claim_before(&order[i],
							     &order[j]), i < j);
}

/* Ten entries or 90 bytes of memory in all; what is in hand, of it one user's
 * own, and the most that his next entry may take. */
static void test_room(void **state)
{
	static const struct {
		size_t jobs, own_jobs, memory, own_memory;
		size_t most;           /* 0: none, however small */
	} rows[] = {
		{ 0, 0, 0, 0, SIZE_MAX },      /* one alone may take all */
		{ 1, 0, 0, 0, SIZE_MAX },      /* and alone of its size */
		{ 1, 1, 0, 0, SIZE_MAX },
		{ 1, 1, 30, 30, 30 },          /* two thirds of it all */
		{ 2, 2, 60, 60, 0 },
		{ 1, 0, 30, 0, 60 },           /* his first: what is left */
		{ 2, 1, 60, 30, 10 },          /* two thirds of 60, with 30 */
		{ 1, 0, 90, 0, 0 },
		{ 1, 0, 200, 0, 0 },
		{ 6, 6, 30, 10, 0 },           /* six of ten */
		{ 5, 5, 30, 10, 36 },
		{ 9, 0, 30, 0, 60 },           /* the last place is another's */
		{ 10, 0, 30, 0, 0 },
		{ 8, 2, 30, 10, 0 },           /* two thirds of four places */
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct room r = {
			.most = 10, .together = 90,
			.jobs = rows[i].jobs, .own_jobs = rows[i].own_jobs,
			.memory = rows[i].memory,
			.own_memory = rows[i].own_memory,
		};

		if (rows[i].most)
			assert_true(policy_has_room(&r, rows[i].most));
		if (rows[i].most < SIZE_MAX)
			assert_false(policy_has_room(&r, rows[i].most + 1));
	}
}

static void test_attempts(void **state)
{
	const struct outcome sent = { .exit = EX_OK },
		refused = { STAGE_CONNECT, EX_TEMPFAIL, .code = 0 },
		cut_off = { STAGE_CONNECT, EX_TEMPFAIL,
			    .no_network = true },
		unnamed = { STAGE_DNS, EX_TEMPFAIL, .no_network = true };

	(void)state;
	assert_true(policy_is_attempt(&sent));
	assert_true(policy_is_attempt(&refused));
	assert_false(policy_is_attempt(&cut_off));
	assert_false(policy_is_attempt(&unnamed));
}

static void test_tally(void **state)
{
	static const struct {
		int exit[4];     /* 0: sent; -75: failed for now, held */
		int n, want;
	} row[] = {
		{ { 0 }, 0, 0 }, { { 0, 0 }, 2, 0 }, { { 75 }, 1, 75 },
		{ { -75 }, 1, 0 }, { { 0, -75 }, 2, 0 }, { { -77 }, 1, 0 },
		{ { 0, 75 }, 2, 69 }, { { 75, 0 }, 2, 69 },
		{ { -75, 75 }, 2, 69 }, { { 67 }, 1, 67 },
		{ { 0, 67 }, 2, 67 }, { { 67, 68 }, 2, 68 },
		{ { 68, 67 }, 2, 68 }, { { 69, 68 }, 2, 69 },
		{ { 65, 67, 68, 69 }, 4, 69 }, { { 65 }, 1, 65 },
		{ { 75, 69 }, 2, 75 }, { { 0, 75, 67 }, 3, 69 },
		{ { -75, 67 }, 2, 67 }, { { 77, 69 }, 2, 77 },
		{ { 69, 76 }, 2, 76 }, { { 78, 69 }, 2, 78 },
		{ { 77 }, 1, 77 }, { { 0, 77 }, 2, 77 },
		{ { 73 }, 1, 73 }, { { 75, 73 }, 2, 73 },
		{ { 73, 75 }, 2, 73 }, { { 0, 73 }, 2, 69 },
		{ { 74, 67 }, 2, 74 },
	};
	size_t i;
	int k;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct tally t = {0};

		for (k = 0; k < row[i].n; k++) {
			struct outcome o = { .stage = STAGE_LOCAL,
				.exit = abs(row[i].exit[k]) };

			tally_add(&t, &o, row[i].exit[k] < 0);
		}
		if (tally_exit(&t) != row[i].want)
			fail_msg("row %zu: %d", i, tally_exit(&t));
	}
}

static void test_schedule(void **state)
{
	int64_t step[] = { 450000, 900000, 1800000, 3600000, 7200000,
			   14400000, 28800000 };
	const int64_t day = 24 * 3600 * 1000LL;
	struct config c = { .queue = { .step = step, .steps = 7,
				       .lifetime = 5 * day } };
	unsigned i;
	int64_t d;

	(void)state;
	for (i = 0; i < 2000; i++) {
		d = policy_delay(&c, 1, i * 2654435761U);
		assert_true(d >= 450000 - 13500 && d <= 450000 + 13500);
	}
	assert_int_equal(policy_delay(&c, 2, 300), 900000);
	assert_int_equal(policy_delay(&c, 7, 300), 28800000);
	assert_int_equal(policy_delay(&c, 4000000000U, 300), 28800000);
	assert_true(policy_delay(&c, 1, 0) != policy_delay(&c, 1, 600));
	/* the regular end */
	assert_false(policy_expired(&c, 20, 5 * day - 1));
	assert_true(policy_expired(&c, 21, 5 * day));
	/* a jump of the clock */
	assert_false(policy_expired(&c, 0, 4000 * day));
	assert_false(policy_expired(&c, 1, 4000 * day));
	assert_false(policy_expired(&c, 5, 4000 * day));
	/* no wait at all is a schedule */
	step[6] = 0;
	c.queue.step = step + 6;
	c.queue.steps = 1;
	assert_int_equal(policy_delay(&c, 3, 7), 0);
	assert_true(policy_expired(&c, 21, 5 * day));
	c.queue.lifetime = 2000;
	assert_true(policy_expired(&c, 1, 2000));
	assert_false(policy_expired(&c, 1, 1999));
}

/* --- setting up --- */

static void test_runner(void **state)
{
	static const struct {
		struct runner_facts f;
		enum queue_runner want;
	} rows[] = {
		{ { 0 }, RUNNER_NONE },
		{ { .crontab = true }, RUNNER_CRONTAB },
		{ { .crontab = true, .user_systemd = true },
		  RUNNER_USER_TIMER },
		/* what is the machine's is nothing to one person */
		{ { .systemd = true, .units = true, .cron_d = true,
		    .queue_owned = true }, RUNNER_NONE },
		{ { .root = true, .queue_owned = true, .systemd = true,
		    .units = true, .cron_d = true }, RUNNER_UNITS },
		{ { .root = true, .queue_owned = true, .systemd = true,
		    .cron_d = true }, RUNNER_CRON_D },
		{ { .root = true, .queue_owned = true, .units = true },
		  RUNNER_NONE },
		/* nor is one person's to the machine */
		{ { .root = true, .queue_owned = true, .crontab = true,
		    .user_systemd = true }, RUNNER_NONE },
		{ { .root = true, .systemd = true, .units = true,
		    .cron_d = true }, RUNNER_NONE },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(policy_runner(&rows[i].f), rows[i].want);
}

static void test_setup_advice(void **state)
{
	static const struct {
		struct outcome why;
		const char *has;     /* NULL: no advice */
		bool password;
	} rows[] = {
		{ { .stage = STAGE_LOCAL, .exit = EX_USAGE }, NULL, false },
		{ { .stage = STAGE_DNS, .exit = EX_NOHOST },
		  "Ask the provider", false },
		{ { .stage = STAGE_DNS, .exit = EX_TEMPFAIL },
		  "/etc/resolv.conf", false },
		{ { .stage = STAGE_DNS, .exit = EX_TEMPFAIL,
		    .no_network = true }, "no way to the network", false },
		{ { .stage = STAGE_CONNECT, .exit = EX_TEMPFAIL },
		  "ports 465 and 587", false },
		{ { .stage = STAGE_CONNECT, .exit = EX_TEMPFAIL,
		    .no_route = true }, "no way to the network", false },
		{ { .stage = STAGE_TLS, .exit = EX_TEMPFAIL },
		  "ca-certificates", false },
		{ { .stage = STAGE_HELLO, .exit = EX_TEMPFAIL },
		  "this machine's address", false },
		{ { .stage = STAGE_AUTH, .exit = EX_NOPERM, .code = 535 },
		  "app password", true },
		/* nobody said that the password is wrong */
		{ { .stage = STAGE_AUTH, .exit = EX_NOPERM }, "in common",
		  false },
		{ { .stage = STAGE_AUTH, .exit = EX_TEMPFAIL, .code = 454 },
		  "asked later", false },
		{ { .stage = STAGE_RCPT, .exit = EX_NOUSER, .code = 550 },
		  "not the message", false },
	};
	const char *advice;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		advice = policy_setup_advice(&rows[i].why);
		assert_int_equal(advice != NULL, rows[i].has != NULL);
		if (advice)
			assert_non_null(strstr(advice, rows[i].has));
		assert_int_equal(policy_setup_password(&rows[i].why),
				 rows[i].password);
	}
}

/* the statuses of monitoring plugins */
static void test_health(void **state)
{
	enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };
	static const struct {
		int64_t idle, overdue;
		enum health health;
	} runner[] = {
		{ 5 * MINUTE, 0, HEALTH_OK },
		{ 5 * MINUTE, 2 * DAY, HEALTH_WARNING },
		{ 10 * MINUTE, 10 * MINUTE, HEALTH_WARNING },
		{ 9 * MINUTE, HOUR - 1, HEALTH_OK },
		{ 0, HOUR, HEALTH_WARNING },
		{ HOUR, HOUR, HEALTH_CRITICAL },
		{ DAY - 1, 0, HEALTH_OK },
		{ DAY, 0, HEALTH_WARNING },
		{ -1, 0, HEALTH_WARNING },
		{ -1, 10 * MINUTE, HEALTH_WARNING },
		{ -1, HOUR, HEALTH_CRITICAL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(runner) / sizeof(*runner); i++)
		assert_int_equal(policy_health_runner(runner[i].idle,
						      runner[i].overdue),
				 runner[i].health);
	assert_int_equal(policy_health_oldest(4 * HOUR - 1), HEALTH_OK);
	assert_int_equal(policy_health_oldest(4 * HOUR), HEALTH_WARNING);
	assert_int_equal(policy_health_oldest(DAY), HEALTH_CRITICAL);
	assert_int_equal(policy_health_waiting(999), HEALTH_OK);
	assert_int_equal(policy_health_waiting(1000), HEALTH_WARNING);
	assert_int_equal(policy_health_waiting(10000), HEALTH_CRITICAL);
	assert_int_equal(policy_health_expiry(14 * DAY), HEALTH_OK);
	assert_int_equal(policy_health_expiry(14 * DAY - 1), HEALTH_WARNING);
	assert_int_equal(policy_health_expiry(0), HEALTH_CRITICAL);
	assert_int_equal(policy_health_renewal(1), HEALTH_OK);
	assert_int_equal(policy_health_renewal(0), HEALTH_WARNING);
	assert_int_equal(policy_health_space(10), HEALTH_OK);
	assert_int_equal(policy_health_space(9), HEALTH_WARNING);
	assert_int_equal(policy_health_space(4), HEALTH_CRITICAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runner),
		cmocka_unit_test(test_health),
		cmocka_unit_test(test_setup_advice),
		cmocka_unit_test(test_domain_matches),
		cmocka_unit_test(test_account),
		cmocka_unit_test(test_by_name),
		cmocka_unit_test(test_route),
		cmocka_unit_test(test_tls_relays),
		cmocka_unit_test(test_tls_direct),
		cmocka_unit_test(test_mechanism_facts),
		cmocka_unit_test(test_mechanism_choice),
		cmocka_unit_test(test_second_mechanism),
		cmocka_unit_test(test_unknown_mechanism),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_verdict),
		cmocka_unit_test(test_attempts),
		cmocka_unit_test(test_reaches),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_fall_back),
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_tally),
		cmocka_unit_test(test_schedule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
