/* SPDX-License-Identifier: GPL-3.0-or-later */
/* RFC 7208 by a table of zones; DNS is that table here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "base/buf.h"
#include "dnscheck/spf.h"

struct zone_row {
	const char *name;
	enum dns_type type;
	const char *data;    /* NULL: SERVFAIL */
};

static const struct zone_row zone[] = {
	{ "a.example", DNS_A, "192.0.2.1" },
	{ "a.example", DNS_A, "192.0.2.2" },
	{ "a.example", DNS_AAAA, "2001:db8::1" },
	{ "mx.example", DNS_MX, "m1.example" },
	{ "mx.example", DNS_MX, "m2.example" },
	{ "m1.example", DNS_A, "192.0.2.11" },
	{ "m2.example", DNS_A, "192.0.2.12" },
	{ "m2.example", DNS_AAAA, "2001:db8::12" },
	{ "dead.example", DNS_A, NULL },
	{ "dead.example", DNS_TXT, NULL },
	{ "pass.example", DNS_TXT, "v=spf1 +all" },
	{ "fail.example", DNS_TXT, "v=spf1 -all" },
	{ "soft.example", DNS_TXT, "v=spf1 ~all" },
	{ "neutral.example", DNS_TXT, "v=spf1 ?all" },
	{ "broken.example", DNS_TXT, "v=spf1 nonsense" },
	{ "twice.example", DNS_TXT, "v=spf1 +all" },
	{ "twice.example", DNS_TXT, "v=spf1 -all" },
	{ "other.example", DNS_TXT, "some other text" },
	{ "other.example", DNS_TXT, "v=spf10 +all" },
	{ "beside.example", DNS_TXT, "some other text" },
	{ "beside.example", DNS_TXT, "v=spf1 +all" },
	{ "loop.example", DNS_TXT, "v=spf1 include:loop.example -all" },
	{ "self.example", DNS_TXT, "v=spf1 redirect=self.example" },
	{ "five.example", DNS_TXT, "v=spf1 a:a.example a:a.example "
	  "a:a.example a:a.example a:a.example -all" },
	{ "1.2.0.192.in-addr.arpa", DNS_PTR, "host.ptr.example" },
	{ "1.2.0.192.in-addr.arpa", DNS_PTR, "liar.example" },
	{ "host.ptr.example", DNS_A, "192.0.2.1" },
	{ "liar.example", DNS_A, "192.0.2.99" },
	{ "2.2.0.192.in-addr.arpa", DNS_PTR, "elsewhere.example" },
	{ "2.2.0.192.in-addr.arpa", DNS_PTR, "sub.test.example" },
	{ "2.2.0.192.in-addr.arpa", DNS_PTR, "test.example" },
	{ "3.2.0.192.in-addr.arpa", DNS_PTR, "elsewhere.example" },
	{ "3.2.0.192.in-addr.arpa", DNS_PTR, "sub.test.example" },
	{ "4.2.0.192.in-addr.arpa", DNS_PTR, "dead.example" },
	{ "test.example", DNS_A, "192.0.2.2" },
	{ "sub.test.example", DNS_A, "192.0.2.2" },
	{ "sub.test.example", DNS_A, "192.0.2.3" },
	{ "elsewhere.example", DNS_A, "192.0.2.2" },
	{ "elsewhere.example", DNS_A, "192.0.2.3" },
	{ "host.ptr.example.p.example", DNS_A, "127.0.0.2" },
	{ "test.example.p2.example", DNS_A, "127.0.0.2" },
	{ "sub.test.example.p3.example", DNS_A, "127.0.0.2" },
	{ "unknown.p.example", DNS_A, "127.0.0.2" },
	{ "ptr.example.p.example", DNS_A, "127.0.0.2" },
	{ "u.192.0.2.1.x.example", DNS_A, "127.0.0.2" },
	{ "192.0.2.1.in-addr.x.example", DNS_A, "127.0.0.2" },
	{ "1.2.0.192.x.example", DNS_A, "127.0.0.2" },
	{ "sender.example.x.example", DNS_A, "127.0.0.2" },
	{ "example.x.example", DNS_A, "127.0.0.2" },
	{ "helo.example.h.example", DNS_A, "127.0.0.2" },
	{ "strong-lp.x.example", DNS_A, "127.0.0.2" },
	{ "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."
	  "ip6.x.example", DNS_A, "127.0.0.2" },
};
enum { ZONE = sizeof(zone) / sizeof(*zone) };

/* The record under test, at "test.example". */
static const char *record;

static void add(struct dns_answer *a, enum dns_type type, const char *data)
{
	struct dns_record *r;

	a->record = mem_resize(a->record, a->n + 1, sizeof(*a->record));
	r = &a->record[a->n++];
	*r = (struct dns_record){ 0 };
	a->status = DNS_OK;
	if (type == DNS_A || type == DNS_AAAA) {
		assert_true(net_address_parse(data, 0, &r->address));
	} else if (type == DNS_TXT) {
		r->text = mem_string(data);
		r->text_len = strlen(data);
	} else {
		r->name = mem_string(data);
	}
}

void dns_query(struct dns *d, const char *name, enum dns_type type,
	       struct dns_answer *a)
{
	char text[32];
	size_t i;

	(void)d;
	*a = (struct dns_answer){ .status = DNS_NXDOMAIN };
	if (!strcasecmp(name, "test.example") && type == DNS_TXT)
		add(a, type, record);
	for (i = 0; i < 11 && !strcmp(name, "manymx.example") &&
	     type == DNS_MX; i++) {
		snprintf(text, sizeof(text), "m1.example");
		add(a, type, text);
	}
	for (i = 0; i < ZONE; i++) {
		if (strcasecmp(zone[i].name, name))
			continue;
		if (a->status == DNS_NXDOMAIN)
			a->status = DNS_NODATA;
		if (zone[i].type == type && !zone[i].data)
			a->status = DNS_FAILED;
		else if (zone[i].type == type)
			add(a, type, zone[i].data);
	}
}

void dns_answer_release(struct dns_answer *a)
{
	size_t i;

	for (i = 0; i < a->n; i++) {
		free(a->record[i].name);
		free(a->record[i].text);
	}
	free(a->record);
	*a = (struct dns_answer){ 0 };
}

void dns_reverse_name(const struct net_address *a, char out[80])
{
	char text[64];
	unsigned b[4] = { 0 };

	net_address_text(a, text);
	if (sscanf(text, "%u.%u.%u.%u", &b[0], &b[1], &b[2], &b[3]) != 4)
		b[0] = 0;
	snprintf(out, 80, "%u.%u.%u.%u.in-addr.arpa", b[3] & 255, b[2] & 255,
		 b[1] & 255, b[0] & 255);
}

struct row {
	const char *record;
	const char *ip;       /* NULL: 192.0.2.1 */
	enum spf_result want;
};

#define V6 "2001:db8::1"

static const struct row rows[] = {
	/* records and all */
	{ "v=spf1", NULL, SPF_NEUTRAL },
	{ "v=spf1 ", NULL, SPF_NEUTRAL },
	{ "V=SPF1 +ALL", NULL, SPF_PASS },
	{ "v=spf1 all", NULL, SPF_PASS },
	{ "v=spf1   -all   ", NULL, SPF_FAIL },
	{ "v=spf1 ~all", NULL, SPF_SOFTFAIL },
	{ "v=spf1 ?all", NULL, SPF_NEUTRAL },
	{ "v=spf2 -all", NULL, SPF_NONE },
	{ "v=spf1-all", NULL, SPF_NONE },
	{ "v=spf1\t-all", NULL, SPF_NONE },
	{ "v=spf1 all:x.example", NULL, SPF_PERMERROR },
	{ "v=spf1 all/8", NULL, SPF_PERMERROR },
	{ "v=spf1 --all", NULL, SPF_PERMERROR },
	{ "v=spf1 nonsense", NULL, SPF_PERMERROR },
	{ "v=spf1 +all nonsense", NULL, SPF_PERMERROR },
	{ "v=spf1 -", NULL, SPF_PERMERROR },
	{ "v=spf1 =x", NULL, SPF_PERMERROR },
	{ "v=spf1 -unknown=x", NULL, SPF_PERMERROR },
	{ "v=spf1 unknown=x -all", NULL, SPF_FAIL },
	{ "v=spf1 unknown= -all", NULL, SPF_FAIL },
	/* ip4, ip6 */
	{ "v=spf1 ip4:192.0.2.1 -all", NULL, SPF_PASS },
	{ "v=spf1 ip4:192.0.2.2 -all", NULL, SPF_FAIL },
	{ "v=spf1 -ip4:192.0.2.0/24 +all", NULL, SPF_FAIL },
	{ "v=spf1 ip4:192.0.3.0/23 -all", NULL, SPF_PASS },
	{ "v=spf1 ip4:192.0.3.0/24 -all", NULL, SPF_FAIL },
	{ "v=spf1 ip4:10.0.0.0/0 -all", NULL, SPF_PASS },
	{ "v=spf1 ip4:10.0.0.0/0 -all", V6, SPF_FAIL },
	{ "v=spf1 ip4:192.0.2.1/33 -all", NULL, SPF_PERMERROR },
	{ "v=spf1 ip4:192.0.2.1/032 -all", NULL, SPF_PERMERROR },
	{ "v=spf1 ip4:192.0.2.1/ -all", NULL, SPF_PERMERROR },
	{ "v=spf1 ip4:192.0.2 -all", NULL, SPF_PERMERROR },
	{ "v=spf1 ip4 -all", NULL, SPF_PERMERROR },
	{ "v=spf1 ip4: -all", NULL, SPF_PERMERROR },
	{ "v=spf1 ip4:2001:db8::1 -all", NULL, SPF_PERMERROR },
	{ "v=spf1 ip6:2001:db8::/32 -all", V6, SPF_PASS },
	{ "v=spf1 ip6:2001:db8::2/127 -all", V6, SPF_FAIL },
	{ "v=spf1 ip6:2001:db8::/129 -all", V6, SPF_PERMERROR },
	{ "v=spf1 ip6:192.0.2.1 -all", V6, SPF_PERMERROR },
	{ "v=spf1 -all ip4:bad", NULL, SPF_PERMERROR },
	/* a */
	{ "v=spf1 a:a.example -all", NULL, SPF_PASS },
	{ "v=spf1 a:a.example -all", V6, SPF_PASS },
	{ "v=spf1 A:A.EXAMPLE -all", NULL, SPF_PASS },
	{ "v=spf1 a:a.example. -all", NULL, SPF_PASS },
	{ "v=spf1 a:a.example -all", "192.0.2.3", SPF_FAIL },
	{ "v=spf1 a:a.example/31 -all", "192.0.2.3", SPF_PASS },
	{ "v=spf1 a:a.example//64 -all", "2001:db8::ffff", SPF_PASS },
	{ "v=spf1 a:a.example/24//64 -all", "192.0.2.200", SPF_PASS },
	{ "v=spf1 a:a.example/33 -all", NULL, SPF_PERMERROR },
	{ "v=spf1 a:a.example//129 -all", NULL, SPF_PERMERROR },
	{ "v=spf1 a: -all", NULL, SPF_PERMERROR },
	{ "v=spf1 a -all", NULL, SPF_FAIL },
	{ "v=spf1 a:dead.example -all", NULL, SPF_TEMPERROR },
	/* mx */
	{ "v=spf1 mx:mx.example -all", "192.0.2.12", SPF_PASS },
	{ "v=spf1 mx:mx.example -all", "2001:db8::12", SPF_PASS },
	{ "v=spf1 mx:mx.example/24 -all", "192.0.2.200", SPF_PASS },
	{ "v=spf1 mx:mx.example -all", "192.0.2.13", SPF_FAIL },
	{ "v=spf1 mx:a.example -all", NULL, SPF_FAIL },
	{ "v=spf1 mx:manymx.example -all", NULL, SPF_PERMERROR },
	/* ptr */
	{ "v=spf1 ptr:ptr.example -all", NULL, SPF_PASS },
	{ "v=spf1 ptr:host.ptr.example -all", NULL, SPF_PASS },
	{ "v=spf1 ptr:liar.example -all", NULL, SPF_FAIL },
	{ "v=spf1 ptr:tr.example -all", NULL, SPF_FAIL },
	{ "v=spf1 ptr -all", "192.0.2.77", SPF_FAIL },

	/* "%{p}": any validated name, best the domain, then one below it */
	{ "v=spf1 exists:%{p}.p.example -all", NULL, SPF_PASS },
	{ "v=spf1 exists:%{p2}.p.example -all", NULL, SPF_PASS },
	{ "v=spf1 exists:%{p}.p2.example -all", "192.0.2.2", SPF_PASS },
	{ "v=spf1 exists:%{p}.p3.example -all", "192.0.2.2", SPF_FAIL },
	{ "v=spf1 exists:%{p}.p3.example -all", "192.0.2.3", SPF_PASS },
	{ "v=spf1 exists:%{p}.p.example -all", "192.0.2.4", SPF_PASS },
	{ "v=spf1 exists:%{p}.p.example -all", "192.0.2.77", SPF_PASS },
	{ "v=spf1 ptr ptr -all", "192.0.2.77", SPF_FAIL },
	{ "v=spf1 ptr ptr ptr -all", "192.0.2.77", SPF_PERMERROR },
	/* include, redirect */
	{ "v=spf1 include:pass.example -all", NULL, SPF_PASS },
	{ "v=spf1 -include:pass.example +all", NULL, SPF_FAIL },
	{ "v=spf1 include:fail.example ~all", NULL, SPF_SOFTFAIL },
	{ "v=spf1 include:soft.example -all", NULL, SPF_FAIL },
	{ "v=spf1 include:neutral.example -all", NULL, SPF_FAIL },
	{ "v=spf1 include:a.example -all", NULL, SPF_PERMERROR },
	{ "v=spf1 include:broken.example +all", NULL, SPF_PERMERROR },
	{ "v=spf1 include:dead.example +all", NULL, SPF_TEMPERROR },
	{ "v=spf1 include:twice.example +all", NULL, SPF_PERMERROR },
	{ "v=spf1 include -all", NULL, SPF_PERMERROR },
	{ "v=spf1 include:loop.example -all", NULL, SPF_PERMERROR },
	{ "v=spf1 redirect=pass.example", NULL, SPF_PASS },
	{ "v=spf1 redirect=fail.example", NULL, SPF_FAIL },
	{ "v=spf1 redirect=pass.example -all", NULL, SPF_FAIL },
	{ "v=spf1 redirect=fail.example ip4:192.0.2.1", NULL, SPF_PASS },
	{ "v=spf1 redirect=a.example", NULL, SPF_PERMERROR },
	{ "v=spf1 redirect=self.example", NULL, SPF_PERMERROR },
	{ "v=spf1 redirect=pass.example redirect=pass.example", NULL,
	  SPF_PERMERROR },
	{ "v=spf1 redirect=", NULL, SPF_PERMERROR },
	{ "v=spf1 redirect:pass.example", NULL, SPF_PERMERROR },
	{ "v=spf1 exp=a.example exp=a.example -all", NULL, SPF_PERMERROR },
	{ "v=spf1 exp=a.example -all", NULL, SPF_FAIL },
	/* limits */
	{ "v=spf1 include:five.example include:five.example -all",
	  "192.0.2.9", SPF_PERMERROR },
	{ "v=spf1 include:five.example a:a.example a:a.example a:a.example "
	  "a:a.example ~all", "192.0.2.9", SPF_SOFTFAIL },
	{ "v=spf1 a:no1.example a:no2.example -all", NULL, SPF_FAIL },
	{ "v=spf1 a:no1.example a:no2.example a:no3.example -all", NULL,
	  SPF_PERMERROR },
	{ "v=spf1 +all a:no1.example a:no2.example a:no3.example", NULL,
	  SPF_PASS },
	/* exists and macros */
	{ "v=spf1 exists:a.example -all", NULL, SPF_PASS },
	{ "v=spf1 exists:a.example -all", V6, SPF_PASS },
	{ "v=spf1 exists:no.example -all", NULL, SPF_FAIL },
	{ "v=spf1 exists:a.example/24 -all", NULL, SPF_PERMERROR },
	{ "v=spf1 exists -all", NULL, SPF_PERMERROR },
	{ "v=spf1 exists:%{i}.%{v}.x.example -all", NULL, SPF_PASS },
	{ "v=spf1 exists:%{ir}.x.example -all", NULL, SPF_PASS },
	{ "v=spf1 exists:u.%{i}.x.example -all", NULL, SPF_PASS },
	{ "v=spf1 exists:%{o}.x.example -all", NULL, SPF_PASS },
	{ "v=spf1 exists:%{o1}.x.example -all", NULL, SPF_PASS },
	{ "v=spf1 exists:%{d1}.x.example -all", NULL, SPF_PASS },
	{ "v=spf1 exists:%{h}.h.example -all", NULL, SPF_PASS },
	{ "v=spf1 exists:%{l}.x.example -all", NULL, SPF_PASS },
	{ "v=spf1 exists:%{ir}.%{v}.x.example -all", V6, SPF_PASS },
	{ "v=spf1 a:%{d2} -all", NULL, SPF_FAIL },
	{ "v=spf1 exists:%{x}.example -all", NULL, SPF_PERMERROR },
	{ "v=spf1 exists:%{i0}.example -all", NULL, SPF_PERMERROR },
	{ "v=spf1 exists:%{i.example -all", NULL, SPF_PERMERROR },
	{ "v=spf1 exists:%{}.example -all", NULL, SPF_PERMERROR },
	{ "v=spf1 exists:%i.example -all", NULL, SPF_PERMERROR },
	{ "v=spf1 exists:x% -all", NULL, SPF_PERMERROR },
	{ "v=spf1 exists:%{t}.example -all", NULL, SPF_PERMERROR },
	{ "v=spf1 a:\xc3\xbc.example -all", NULL, SPF_PERMERROR },
	/* the grammar of what is never evaluated (RFC 7208 section 12) */
	{ "v=spf1 a:192.0.2.9 ip4:192.0.2.1 -all", NULL, SPF_PERMERROR },
	{ "v=spf1 +all a:mailhost", NULL, SPF_PERMERROR },
	{ "v=spf1 +all a:a.example:25", NULL, SPF_PERMERROR },
	{ "v=spf1 +all a:-a.example", NULL, SPF_PASS },
	{ "v=spf1 +all a:a.-example", NULL, SPF_PERMERROR },
	{ "v=spf1 +all a:a.example-", NULL, SPF_PERMERROR },
	{ "v=spf1 +all a:a.x--y", NULL, SPF_PASS },
	{ "v=spf1 +all a:a.123", NULL, SPF_PERMERROR },
	{ "v=spf1 +all a:a.12a", NULL, SPF_PASS },
	{ "v=spf1 +all a:a.1-2", NULL, SPF_PASS },
	{ "v=spf1 +all a:a.example..", NULL, SPF_PERMERROR },
	{ "v=spf1 +all a:.example", NULL, SPF_PASS },
	{ "v=spf1 +all a:%{d}", NULL, SPF_PASS },
	{ "v=spf1 +all a:%{d}.", NULL, SPF_PERMERROR },
	{ "v=spf1 +all a:a.%{d}x", NULL, SPF_PERMERROR },
	{ "v=spf1 +all mx:mx.example/24/24", NULL, SPF_PERMERROR },
	{ "v=spf1 +all ptr:a.example/24", NULL, SPF_PERMERROR },
	{ "v=spf1 +all exp=-all.a.example%", NULL, SPF_PERMERROR },
	{ "v=spf1 +all exp=mailhost", NULL, SPF_PERMERROR },
	{ "v=spf1 +all redirect=mailhost", NULL, SPF_PERMERROR },
	{ "v=spf1 +all unknown=%{x}", NULL, SPF_PERMERROR },
	{ "v=spf1 +all unknown=%", NULL, SPF_PERMERROR },
	{ "v=spf1 +all unknown=a/b%{c}%%%_%-", NULL, SPF_PASS },
	{ "v=spf1 +all ip6:fe80::1%1", NULL, SPF_PERMERROR },
	{ "v=spf1 +all ip6:IPv6:2001:db8::1", NULL, SPF_PERMERROR },
};

static enum spf_result check(const char *domain, const char *ip)
{
	struct net_address a;
	const struct spf_query q = { &a, domain, "strong-lp@sender.example",
				     "helo.example" };
	char words[200];
	enum spf_result r;

	assert_true(net_address_parse(ip ? ip : "192.0.2.1", 0, &a));
	r = spf_check(NULL, &q, words);
	assert_true(words[0] != '\0');
	return r;
}

static void by_table(void **state)
{
	enum spf_result r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		record = rows[i].record;
		r = check("test.example", rows[i].ip);
		if (r != rows[i].want)
			fail_msg("%s from %s: %s, not %s", record, rows[i].ip ?
				 rows[i].ip : "192.0.2.1", spf_name(r),
				 spf_name(rows[i].want));
	}
}

static void domains(void **state)
{
	static const struct { const char *name; enum spf_result want; } d[] = {
		{ "no.example", SPF_NONE }, { "a.example", SPF_NONE },
		{ "other.example", SPF_NONE }, { "beside.example", SPF_PASS },
		{ "twice.example", SPF_PERMERROR },
		{ "dead.example", SPF_TEMPERROR },
		{ "", SPF_NONE }, { "localhost", SPF_NONE },
		{ "a..example", SPF_NONE },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(d) / sizeof(*d); i++)
		if (check(d[i].name, NULL) != d[i].want)
			fail_msg("%s", d[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_table),
		cmocka_unit_test(domains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
