/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which hosts a transport means. DNS is a table here, which replaces
 * wire/dns at link time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/log.h"
#include "submit/hosts.h"
#include "submit/mtasts.h"

/* --- DNS and MTA-STS by table --- */

struct zone_row {
	const char *name;
	enum dns_type type;
	const char *data;    /* NULL: SERVFAIL; "": NODATA */
	bool authentic;
};

#define TLSA_SHA256 "0123456789abcdef0123456789abcdef"

static const struct zone_row zone[] = {
	{ "two.example", DNS_MX, "20 b.two.example", false },
	{ "two.example", DNS_MX, "10 a.two.example", false },
	{ "a.two.example", DNS_A, "192.0.2.1", false },
	{ "a.two.example", DNS_AAAA, "2001:db8::1", false },
	{ "b.two.example", DNS_A, "192.0.2.2", false },
	{ "bare.example", DNS_A, "192.0.2.3", false },
	{ "null.example", DNS_MX, "0 .", false },
	{ "half-null.example", DNS_MX, "0 .", false },
	{ "half-null.example", DNS_MX, "5 b.two.example", false },
	{ "fails.example", DNS_MX, NULL, false },
	{ "dead-mx.example", DNS_MX, "10 gone.example", false },
	{ "unsure.example", DNS_MX, "10 fails-a.example", false },
	{ "fails-a.example", DNS_A, NULL, false },
	{ "fails-a.example", DNS_AAAA, NULL, false },
	{ "half.example", DNS_MX, "10 fails-a.example", false },
	{ "half.example", DNS_MX, "20 b.two.example", false },
	{ "half-tlsa.example", DNS_MX, "10 mx.tf.example", true },
	{ "half-tlsa.example", DNS_MX, "20 mx.dane.example", true },
	{ "loop.example", DNS_MX, "10 loop-host.example", false },
	{ "loop-host.example", DNS_A, "127.0.0.1", false },
	{ "mapped.example", DNS_AAAA, "::ffff:127.0.0.1", false },
	{ "zero.example", DNS_A, "0.0.0.0", false },
	{ "link.example", DNS_AAAA, "fe80::1", false },
	{ "part-loop.example", DNS_MX, "1 loop-host.example", false },
	{ "part-loop.example", DNS_MX, "2 b.two.example", false },
	{ "nothing.example", DNS_TXT, "x", false },
	{ "alias.example", DNS_CNAME, "two.example", false },
	{ "circle1.example", DNS_CNAME, "circle2.example", false },
	{ "circle2.example", DNS_CNAME, "circle1.example", false },
	{ "dane.example", DNS_MX, "10 mx.dane.example", true },
	{ "mx.dane.example", DNS_A, "192.0.2.10", true },
	{ "_25._tcp.mx.dane.example", DNS_TLSA, "3 1 1", true },
	{ "_2525._tcp.mx.dane.example", DNS_TLSA, "2 0 1", true },
	{ "pkix.example", DNS_MX, "10 mx.pkix.example", true },
	{ "mx.pkix.example", DNS_A, "192.0.2.11", true },
	{ "_25._tcp.mx.pkix.example", DNS_TLSA, "1 1 1", true },
	{ "unsigned-tlsa.example", DNS_MX, "10 mx.unsigned.example", true },
	{ "mx.unsigned.example", DNS_A, "192.0.2.12", true },
	{ "_25._tcp.mx.unsigned.example", DNS_TLSA, "3 1 1", false },
	{ "unsigned-mx.example", DNS_MX, "10 mx.dane.example", false },
	{ "tlsa-fails.example", DNS_MX, "10 mx.tf.example", true },
	{ "mx.tf.example", DNS_A, "192.0.2.13", true },
	{ "_25._tcp.mx.tf.example", DNS_TLSA, NULL, true },
	{ "sts.example", DNS_MX, "10 good.sts.example", false },
	{ "sts.example", DNS_MX, "5 bad.other.example", false },
	{ "good.sts.example", DNS_A, "192.0.2.20", false },
	{ "bad.other.example", DNS_A, "192.0.2.21", false },
	{ "testing.example", DNS_MX, "5 bad.other.example", false },
	{ "strict.example", DNS_MX, "5 bad.other.example", false },
	{ "half-sts.example", DNS_MX, "10 fails-a.example", false },
	{ "half-sts.example", DNS_MX, "5 bad.other.example", false },
	{ "_submissions._tcp.srv.example", DNS_SRV,
	  "20 0 465 late.srv.example", false },
	{ "_submissions._tcp.srv.example", DNS_SRV,
	  "10 0 4650 early.other.example", false },
	{ "_submission._tcp.srv.example", DNS_SRV,
	  "1 1 587 early.other.example", true },
	{ "_submissions._tcp.none.example", DNS_SRV, "0 0 0 .", false },
	{ "_submission._tcp.none.example", DNS_SRV, "0 0 0 .", false },
	{ "_submission._tcp.fails.example", DNS_SRV, NULL, false },
};
enum { ZONE = sizeof(zone) / sizeof(*zone) };

static unsigned asked;

static bool exists(const char *name)
{
	size_t i;

	for (i = 0; i < ZONE; i++)
		if (!strcmp(zone[i].name, name))
			return true;
	return false;
}

static const char *behind_cname(const char *name)
{
	size_t i;

	for (i = 0; i < ZONE; i++)
		if (zone[i].type == DNS_CNAME && !strcmp(zone[i].name, name))
			return zone[i].data;
	return NULL;
}

static void add_record(struct dns_answer *a, const struct zone_row *row)
{
	struct dns_record *r;
	unsigned x[3] = { 0 };
	char target[100] = "";

	a->record = mem_resize(a->record, a->n + 1, sizeof(*a->record));
	r = &a->record[a->n++];
	*r = (struct dns_record){ 0 };
	if (row->type == DNS_MX)
		sscanf(row->data, "%u %99s", &r->preference, target);
	else if (row->type == DNS_SRV)
		sscanf(row->data, "%u %u %u %99s", &r->preference,
		       &r->weight, &r->port, target);
	else if (row->type == DNS_TLSA)
		sscanf(row->data, "%u %u %u", &x[0], &x[1], &x[2]);
	else
		assert_true(net_address_parse(row->data, 0, &r->address));
	r->name = mem_string(strcmp(target, ".") ? target : "");
	r->tlsa = (struct tlsa){ (unsigned char)x[0], (unsigned char)x[1],
		(unsigned char)x[2], NULL, 32 };
	r->tlsa.data = (unsigned char *)mem_string(TLSA_SHA256);
}

static void answer(struct dns_question *q)
{
	const char *name = q->name, *cname = behind_cname(name);
	struct dns_answer *a = &q->answer;
	size_t i;

	*a = (struct dns_answer){ 0 };
	if (cname && behind_cname(cname)) {
		*a = (struct dns_answer){ .status = DNS_FAILED,
					  .astray = true, .words = "circle" };
		return;
	}
	a->cname = mem_string(cname);
	name = cname ? cname : name;
	a->status = exists(name) ? DNS_NODATA : DNS_NXDOMAIN;
	for (i = 0; i < ZONE; i++) {
		if (zone[i].type != q->type || strcmp(zone[i].name, name))
			continue;
		a->authentic = zone[i].authentic;
		if (!zone[i].data) {
			a->status = DNS_FAILED;
			snprintf(a->words, sizeof(a->words), "SERVFAIL");
			return;
		}
		a->status = DNS_OK;
		add_record(a, &zone[i]);
	}
	if (!strcmp(q->name, "many.example") && q->type == DNS_MX) {
		char text[40];
		struct zone_row row = { "", DNS_MX, text, false };

		for (i = 0; i < 1000; i++) {
			snprintf(text, sizeof(text), "%zu h%zu.big.example",
				 i, i);
			add_record(a, &row);
		}
		a->status = DNS_OK;
	}
	if (strstr(q->name, ".big.example") && q->type == DNS_A) {
		struct zone_row row = { "", DNS_A, "192.0.2.99", false };

		for (i = 0; i < 30; i++)
			add_record(a, &row);
		a->status = DNS_OK;
	}
}

void dns_ask(struct dns *d, struct dns_question *q, size_t n)
{
	size_t i;

	(void)d;
	asked++;
	for (i = 0; i < n; i++)
		answer(&q[i]);
}

void dns_query(struct dns *d, const char *name, enum dns_type type,
	       struct dns_answer *out)
{
	struct dns_question q = { .name = name, .type = type };

	dns_ask(d, &q, 1);
	*out = q.answer;
}

void dns_answer_release(struct dns_answer *a)
{
	size_t i;

	for (i = 0; i < a->n; i++) {
		free(a->record[i].name);
		free(a->record[i].tlsa.data);
	}
	free(a->record);
	free(a->cname);
	*a = (struct dns_answer){ 0 };
}

struct dns *dns_open(const struct dns_settings *s)
{
	(void)s;
	return mem_alloc(1);
}

bool dns_no_network(const struct dns *d)
{
	(void)d;
	return false;
}

bool sts_find(struct run *run, const struct transport *through,
	      const char *domain, bool cached_only, struct sts_policy *out,
	      struct outcome *why)
{
	(void)run;
	(void)why;
	(void)through;
	(void)cached_only;
	*out = (struct sts_policy){ 0 };
	if (!strcmp(domain, "sts.example") ||
	    !strcmp(domain, "half-sts.example") ||
	    !strcmp(domain, "strict.example"))
		out->mode = STS_ENFORCE;
	if (!strcmp(domain, "testing.example"))
		out->mode = STS_TESTING;
	list_add(&out->mx, "*.sts.example");
	return true;
}

bool sts_lists(const struct sts_policy *p, const char *host)
{
	(void)p;
	return strstr(host, ".sts.example") != NULL;
}

void sts_policy_release(struct sts_policy *p)
{
	list_release(&p->mx);
}

/* --- the table --- */

struct row {
	const char *what;
	struct transport transport;
	const char *host;       /* of the transport, blanks between */
	const char *domain;
	bool relaxed, require_tls, loopback_allowed;
	bool no_ipv6;           /* this host has none */
	/* "host:port/demand[address ...]" with blanks between */
	const char *want;
	int exit;
	const char *words;      /* in the failure, or (NULL: none) in that of a
				 * host that is left out for now */
};

#define DIRECT { .kind = KIND_DIRECT }

static const struct row rows[] = {
	{ "submissions", { .kind = KIND_SUBMISSIONS }, "mail.example",
	  NULL, .want = "mail.example:465/verified/implicit" },
	{ "submission, two", { .kind = KIND_SUBMISSION }, "a.example b.example",
	  NULL, .want = "a.example:587/verified b.example:587/verified" },
	{ "port", { .kind = KIND_SMTP, .port = 2525 }, "[2001:db8::5]",
	  NULL, .want = "2001:db8::5:2525/verified" },
	{ "final dot", { .kind = KIND_SMTP }, "a.example.",
	  NULL, .want = "a.example:25/verified" },
	{ "socket", { .kind = KIND_LMTP }, "/run/lmtp", NULL,
	  .want = "/run/lmtp:24/none" },
	{ "fail", { .kind = KIND_FAIL }, "", NULL, .want = "" },
	{ "clear", { .kind = KIND_SMTP, .no_starttls = true }, "a.example",
	  NULL, .want = "a.example:25/none" },
	{ "MX order", DIRECT, NULL, "two.example",
	  .want = "a.two.example:25/opportunistic"
		  "[2001:db8::1 192.0.2.1] "
		  "b.two.example:25/opportunistic[192.0.2.2]" },
	{ "IPv4 preferred", { .ip_family = FAMILY_PREFER_V4 }, NULL,
	  "two.example",
	  .want = "a.two.example:25/opportunistic"
		  "[192.0.2.1 2001:db8::1] "
		  "b.two.example:25/opportunistic[192.0.2.2]" },
	{ "no IPv6 here", DIRECT, NULL, "two.example", .no_ipv6 = true,
	  .want = "a.two.example:25/opportunistic"
		  "[192.0.2.1 2001:db8::1] "
		  "b.two.example:25/opportunistic[192.0.2.2]" },
	{ "no IPv6 here, but preferred", { .ip_family = FAMILY_PREFER_V6 },
	  NULL, "two.example", .no_ipv6 = true,
	  .want = "a.two.example:25/opportunistic"
		  "[2001:db8::1 192.0.2.1] "
		  "b.two.example:25/opportunistic[192.0.2.2]" },
	{ "no IPv6 here, but perhaps at the proxy", { .kind = KIND_SOCKS },
	  NULL, "two.example", .no_ipv6 = true,
	  .want = "a.two.example:25/opportunistic"
		  "[2001:db8::1 192.0.2.1] "
		  "b.two.example:25/opportunistic[192.0.2.2]" },
	{ "IPv6 alone", { .ip_family = FAMILY_V6 }, NULL, "two.example",
	  .want = "a.two.example:25/opportunistic[2001:db8::1]" },
	{ "implicit MX", { .port = 2525 }, NULL, "bare.example",
	  .want = "bare.example:2525/opportunistic[192.0.2.3]" },
	{ "CNAME", DIRECT, NULL, "alias.example",
	  .want = "a.two.example:25/opportunistic"
		  "[2001:db8::1 192.0.2.1] "
		  "b.two.example:25/opportunistic[192.0.2.2]" },
	{ "CNAME circle", DIRECT, NULL, "circle1.example",
	  .exit = EX_TEMPFAIL, .words = "circle" },
	{ "null MX", DIRECT, NULL, "null.example", .exit = EX_NOHOST,
	  .words = "null MX" },
	{ "null MX among others", DIRECT, NULL, "half-null.example",
	  .want = "b.two.example:25/opportunistic[192.0.2.2]" },
	{ "no such domain", DIRECT, NULL, "gone.example",
	  .exit = EX_NOHOST, .words = "does not exist" },
	{ "SERVFAIL", DIRECT, NULL, "fails.example", .exit = EX_TEMPFAIL,
	  .words = "SERVFAIL" },
	{ "MX without address", DIRECT, NULL, "dead-mx.example",
	  .exit = EX_NOHOST, .words = "no mail host" },
	{ "nothing at all", DIRECT, NULL, "nothing.example",
	  .exit = EX_NOHOST, .words = "no MX" },
	{ "addresses fail", DIRECT, NULL, "unsure.example",
	  .exit = EX_TEMPFAIL, .words = "fails-a.example" },
	{ "one host's addresses fail", DIRECT, NULL, "half.example",
	  .want = "b.two.example:25/opportunistic[192.0.2.2]",
	  .words = "fails-a.example" },
	{ "own machine", DIRECT, NULL, "me", .exit = EX_NOHOST,
	  .words = "default_recipient" },
	{ "loopback", DIRECT, NULL, "loop.example", .exit = EX_NOHOST,
	  .words = "\"aliases\"" },
	{ "loopback, mapped", DIRECT, NULL, "mapped.example",
	  .exit = EX_NOHOST, .words = "aliases" },
	{ "unspecified", DIRECT, NULL, "zero.example", .exit = EX_NOHOST,
	  .words = "aliases" },
	{ "link-local", DIRECT, NULL, "link.example", .exit = EX_NOHOST,
	  .words = "aliases" },
	{ "loopback literal", DIRECT, NULL, "[127.0.0.1]",
	  .exit = EX_NOHOST, .words = "aliases" },
	{ "loopback allowed", DIRECT, NULL, "loop.example",
	  .loopback_allowed = true,
	  .want = "loop-host.example:25/opportunistic[127.0.0.1]" },
	{ "loopback and another", DIRECT, NULL, "part-loop.example",
	  .want = "b.two.example:25/opportunistic[192.0.2.2]" },
	{ "literal", DIRECT, NULL, "[192.0.2.9]",
	  .want = "[192.0.2.9]:25/opportunistic[192.0.2.9]" },
	{ "literal, IPv6", DIRECT, NULL, "[IPv6:2001:db8::9]",
	  .want = "[IPv6:2001:db8::9]:25/opportunistic[2001:db8::9]" },
	{ "no domain", DIRECT, NULL, "", .exit = EX_NOHOST },
	{ "proxy with names", { .kind = KIND_SOCKS, .proxy_dns = 1 }, NULL,
	  "dane.example", .want = "mx.dane.example:25/opportunistic" },
	{ "proxy with addresses", { .kind = KIND_SOCKS }, NULL,
	  "dane.example",
	  .want = "mx.dane.example:25/verified/dane[192.0.2.10]" },
	{ "DANE", DIRECT, NULL, "dane.example",
	  .want = "mx.dane.example:25/verified/dane[192.0.2.10]" },
	{ "DANE at the real port", { .port = 2525 }, NULL, "dane.example",
	  .want = "mx.dane.example:2525/verified/dane[192.0.2.10]" },
	{ "DANE, no records there", { .port = 26 }, NULL, "dane.example",
	  .want = "mx.dane.example:26/opportunistic[192.0.2.10]" },
	{ "DANE relaxed", DIRECT, NULL, "dane.example", .relaxed = true,
	  .want = "mx.dane.example:25/opportunistic[192.0.2.10]" },
	{ "DANE, relaxed, but required", DIRECT, NULL, "dane.example",
	  .relaxed = true, .require_tls = true,
	  .want = "mx.dane.example:25/verified/dane[192.0.2.10]" },
	{ "DANE unusable", DIRECT, NULL, "pkix.example",
	  .want = "mx.pkix.example:25/encrypted[192.0.2.11]" },
	{ "TLSA unsigned", DIRECT, NULL, "unsigned-tlsa.example",
	  .want = "mx.unsigned.example:25/opportunistic[192.0.2.12]" },
	{ "MX unsigned", DIRECT, NULL, "unsigned-mx.example",
	  .want = "mx.dane.example:25/opportunistic[192.0.2.10]" },
	{ "TLSA fails", DIRECT, NULL, "tlsa-fails.example",
	  .exit = EX_TEMPFAIL, .words = "TLSA" },
	{ "one host's TLSA fail", DIRECT, NULL, "half-tlsa.example",
	  .want = "mx.dane.example:25/verified/dane[192.0.2.10]",
	  .words = "TLSA" },
	{ "MTA-STS", DIRECT, NULL, "sts.example",
	  .want = "good.sts.example:25/verified[192.0.2.20]" },
	{ "MTA-STS relaxed", DIRECT, NULL, "sts.example", .relaxed = true,
	  .want = "bad.other.example:25/opportunistic[192.0.2.21] "
		  "good.sts.example:25/opportunistic[192.0.2.20]" },
	{ "MTA-STS testing", DIRECT, NULL, "testing.example",
	  .want = "bad.other.example:25/opportunistic[192.0.2.21]" },
	{ "MTA-STS lists none", DIRECT, NULL, "strict.example",
	  .exit = EX_TEMPFAIL, .words = "MTA-STS" },
	{ "MTA-STS lists none, and one is not known", DIRECT, NULL,
	  "half-sts.example", .exit = EX_TEMPFAIL,
	  .words = "fails-a.example" },
	{ "REQUIRETLS", DIRECT, NULL, "sts.example", .require_tls = true,
	  .want = "good.sts.example:25/verified[192.0.2.20]" },
	{ "REQUIRETLS, and one is not known", DIRECT, NULL, "half.example",
	  .require_tls = true, .exit = EX_TEMPFAIL,
	  .words = "fails-a.example" },
	{ "REQUIRETLS without either", DIRECT, NULL, "two.example",
	  .require_tls = true, .exit = EX_UNAVAILABLE,
	  .words = "REQUIRETLS" },
	{ "SRV", { .kind = KIND_SUBMISSIONS, .srv = true }, "srv.example",
	  NULL, .want = "early.other.example:4650/verified/implicit"
		  "(srv.example) late.srv.example:465/verified/implicit"
		  "(srv.example late.srv.example)" },
	{ "SRV, authentic", { .kind = KIND_SUBMISSION, .srv = true },
	  "srv.example", NULL, .want = "early.other.example:587/verified"
		  "(srv.example early.other.example)" },
	{ "SRV and tls_name", { .kind = KIND_SUBMISSION, .srv = true,
	  .tls_name = (char *)"early.other.example" }, "srv.example", NULL,
	  .want = "early.other.example:587/verified(early.other.example)" },
	{ "SRV: no such service", { .kind = KIND_SUBMISSIONS, .srv = true },
	  "none.example", NULL, .exit = EX_TEMPFAIL, .words = "no such" },
	{ "SRV: none", { .kind = KIND_SUBMISSIONS, .srv = true },
	  "two.example", NULL, .exit = EX_TEMPFAIL, .words = "no SRV" },
	{ "SRV: one fails", { .kind = KIND_SUBMISSION, .srv = true },
	  "fails.example srv.example", NULL,
	  .want = "early.other.example:587/verified"
		  "(srv.example early.other.example)", .words = "SERVFAIL" },
	{ "SRV: another has none", { .kind = KIND_SUBMISSION, .srv = true },
	  "srv.example two.example gone.example none.example", NULL,
	  .want = "early.other.example:587/verified"
		  "(srv.example early.other.example)" },
	{ "SRV: one fails, another has none", { .kind = KIND_SUBMISSION,
	  .srv = true }, "fails.example two.example", NULL,
	  .exit = EX_TEMPFAIL, .words = "SERVFAIL" },
};

static void show_addresses(struct buf *b, const struct net_addresses *a)
{
	char text[64];
	size_t i;

	for (i = 0; i < a->n; i++) {
		net_address_text(&a->item[i], text);
		buf_addf(b, "%s%s", i ? " " : "[", text);
	}
	if (a->n)
		buf_addc(b, ']');
}

/* Whether the failure, or what is said of a host that is left out, is as the
 * row has it. */
static bool as_said(const struct row *r, bool ok, const struct hosts *h,
		    const struct outcome *why)
{
	const struct outcome *o = ok ? &h->not_now : why;

	if (ok && !r->words)
		return o->exit == EX_OK;
	return o->exit == (ok ? EX_TEMPFAIL : r->exit) &&
	       (!r->words || strstr(o->text, r->words));
}

static char *shown(const struct hosts *h, bool names)
{
	struct buf b = BUF(1 << 16);
	const struct host *x;
	size_t i, k;

	for (i = 0; i < h->n; i++) {
		x = &h->item[i];
		buf_addf(&b, "%s%s:%u/%s%s%s", i ? " " : "", x->name, x->port,
			 demand_name(x->demand),
			 x->implicit_tls ? "/implicit" : "",
			 x->tlsas ? "/dane" : "");
		if (names) {
			buf_addf(&b, "(%s", x->tls_name);
			for (k = 0; k < x->more_names.n; k++)
				buf_addf(&b, " %s", x->more_names.item[k]);
			buf_addc(&b, ')');
		}
		show_addresses(&b, &x->addresses);
	}
	return buf_take(&b);
}

static void configure(struct config *c)
{
	*c = (struct config){ 0 };
	c->general.hostname = (char *)"me";
	c->general.domain = (char *)"me";
	c->general.timeout = 60000;
	c->tls.dane = true;
	c->tls.mta_sts = true;
	c->tls.mta_sts_port = 443;
}

static bool find(const struct row *r, struct hosts *h, struct outcome *why)
{
	struct transport t = r->transport;
	struct config c;
	struct run run = { .config = &c, .ipv6 = r->no_ipv6 ? IPV6_LACKING :
			   IPV6_THERE };
	const struct hosts_query q = { &t, r->domain, r->relaxed,
				       r->require_tls, false };
	bool ok;

	configure(&c);
	c.dns.allow_loopback_mx = r->loopback_allowed;
	if (r->host)
		list_split(&t.host, r->host, " ");
	ok = hosts_find(&run, &q, h, why);
	list_release(&t.host);
	free(run.dns);
	return ok;
}

static void by_table(void **state)
{
	struct hosts h;
	struct outcome why;
	size_t i;
	char *got;
	bool ok;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		why = (struct outcome){ 0 };
		ok = find(&rows[i], &h, &why);
		got = shown(&h, rows[i].transport.srv);
		if (ok != (rows[i].want != NULL) ||
		    (ok && strcmp(got, rows[i].want)) ||
		    !as_said(&rows[i], ok, &h, &why))
			fail_msg("%s: %s (%d %s; %s)", rows[i].what, got,
				 why.exit, why.text, h.not_now.text);
		free(got);
		hosts_release(&h);
	}
}

static void status_of_null_mx(void **state)
{
	const struct row r = { .domain = "null.example" };
	struct outcome why = { 0 };
	struct hosts h;

	(void)state;
	assert_false(find(&r, &h, &why));
	assert_string_equal(why.status, "5.1.10");
	hosts_release(&h);
}

static void limits_hold(void **state)
{
	const struct row r = { .domain = "many.example" };
	struct outcome why = { 0 };
	size_t i, addresses = 0;
	struct hosts h;

	(void)state;
	assert_true(find(&r, &h, &why));
	assert_int_equal(h.n, 10);
	for (i = 0; i < h.n; i++) {
		assert_true(h.item[i].addresses.n > 0);
		addresses += h.item[i].addresses.n;
	}
	assert_int_equal(addresses, 20);
	hosts_release(&h);
}

/* RFC 7672 section 3.2.2: the recipient's domain counts too, and a relay
 * asks DNS nothing at all. */
static void names_and_questions(void **state)
{
	const struct row dane = { .domain = "dane.example" };
	const struct row relay = { .transport = { .kind = KIND_SUBMISSION },
				   .host = "mail.example" };
	struct outcome why = { 0 };
	struct hosts h;

	(void)state;
	assert_true(find(&dane, &h, &why));
	assert_string_equal(h.item[0].tls_name, "mx.dane.example");
	assert_true(list_has(&h.item[0].more_names, "dane.example"));
	hosts_release(&h);
	asked = 0;
	assert_true(find(&relay, &h, &why));
	assert_int_equal(asked, 0);
	hosts_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_table),
		cmocka_unit_test(status_of_null_mx),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(names_and_questions),
	};

	log_open(&(struct log_settings){ .to = "none" });
	return cmocka_run_group_tests(tests, NULL, NULL);
}
