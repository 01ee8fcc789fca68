/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DNS against a small server of our own, and hostile answers by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "wire/dns.h"
#include "wire/dns_parse.h"
#include "wire/dns_servers.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* Answers by hand. */

static void put16(struct buf *b, unsigned value)
{
	buf_addc(b, (char)(value >> 8));
	buf_addc(b, (char)value);
}

static void put_name(struct buf *b, const char *name)
{
	size_t n;

	for (; *name; name += n + (name[n] == '.')) {
		n = strcspn(name, ".");
		buf_addc(b, (char)n);
		buf_add(b, name, n);
	}
	buf_addc(b, 0);
}

static void put_record(struct buf *b, const char *owner, unsigned type,
		       const void *data, size_t n)
{
	put_name(b, owner);
	put16(b, type);
	put16(b, 1);
	put16(b, 0);
	put16(b, 300);
	put16(b, (unsigned)n);
	buf_add(b, data, n);
}

static void put_cname(struct buf *b, const char *owner, const char *target)
{
	struct buf data = BUF(4096);

	put_name(&data, target);
	put_record(b, owner, DNS_CNAME, data.data, data.len);
	buf_release(&data);
}

static void put_mx(struct buf *b, const char *owner, unsigned preference,
		   const char *target)
{
	struct buf data = BUF(4096);

	put16(&data, preference);
	put_name(&data, target);
	put_record(b, owner, DNS_MX, data.data, data.len);
	buf_release(&data);
}

/* flags: 0x8180 is an ordinary answer, 0x20 AD, 0x200 TC, low bits rcode */
static void put_header(struct buf *b, unsigned id, unsigned flags,
		       unsigned answers)
{
	put16(b, id);
	put16(b, flags);
	put16(b, 1);
	put16(b, answers);
	put16(b, 0);
	put16(b, 0);
}

static struct buf begin(const char *name, unsigned type, unsigned flags,
			unsigned answers)
{
	struct buf b = BUF(70000);

	put_header(&b, 7, flags, answers);
	put_name(&b, name);
	put16(&b, type);
	put16(&b, 1);
	return b;
}

static void parse(struct buf *b, const char *name, enum dns_type type,
		  struct dns_answer *a)
{
	/* a copy of exactly its size, so that reading behind it shows */
	unsigned char *copy = malloc(b->len ? b->len : 1);

	assert_non_null(copy);
	if (b->len)
		memcpy(copy, b->data, b->len);
	dns_answer_parse(copy, b->len, name, type, a);
	free(copy);
	buf_release(b);
}

static void test_records(void **state)
{
	static const unsigned char v4[] = { 192, 0, 2, 1 };
	static const unsigned char v6[] = { 0x20, 1, 0xd, 0xb8, [15] = 1 };
	static const unsigned char srv[] = "\0\1\0\2\1\xd1\4MAIL\1t";
	static const unsigned char tlsa[] = { 3, 1, 1, 0xaa, 0xbb };
	struct dns_answer a;
	struct buf b;
	char text[64];

	(void)state;
	b = begin("a.t", DNS_A, 0x81a0, 1);
	put_record(&b, "A.t", DNS_A, v4, 4);
	parse(&b, "a.T.", DNS_A, &a);
	assert_int_equal(a.status, DNS_OK);
	assert_true(a.authentic);
	assert_null(a.cname);
	net_address_text(&a.record[0].address, text);
	assert_string_equal(text, "192.0.2.1");
	dns_answer_release(&a);

	b = begin("a.t", DNS_AAAA, 0x8180, 1);
	put_record(&b, "a.t", DNS_AAAA, v6, 16);
	parse(&b, "a.t", DNS_AAAA, &a);
	assert_int_equal(a.n, 1);
	assert_false(a.authentic);
	net_address_text(&a.record[0].address, text);
	assert_string_equal(text, "2001:db8::1");
	dns_answer_release(&a);

	b = begin("_s._tcp.t", DNS_SRV, 0x8180, 1);
	put_record(&b, "_s._tcp.t", DNS_SRV, srv, sizeof(srv));
	parse(&b, "_s._tcp.t", DNS_SRV, &a);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.record[0].preference, 1);
	assert_int_equal(a.record[0].weight, 2);
	assert_int_equal(a.record[0].port, 465);
	assert_string_equal(a.record[0].name, "mail.t");
	dns_answer_release(&a);

	b = begin("t", DNS_TLSA, 0x8180, 1);
	put_record(&b, "t", DNS_TLSA, tlsa, sizeof(tlsa));
	parse(&b, "t", DNS_TLSA, &a);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.record[0].tlsa.usage, 3);
	assert_int_equal(a.record[0].tlsa.n, 2);
	assert_int_equal(a.record[0].tlsa.data[1], 0xbb);
	dns_answer_release(&a);

	b = begin("t", DNS_TXT, 0x8180, 2);
	put_record(&b, "t", DNS_TXT, "\3v=s\3pf1", 8);
	put_record(&b, "t", DNS_TXT, "\2a\0", 3);
	parse(&b, "t", DNS_TXT, &a);
	assert_int_equal(a.n, 2);
	assert_string_equal(a.record[0].text, "v=spf1");
	assert_int_equal(a.record[1].text_len, 2);
	dns_answer_release(&a);

	b = begin("t", DNS_MX, 0x8180, 2);
	put_mx(&b, "t", 0, "");
	put_mx(&b, "t", 10, "Mx.T");
	parse(&b, "t", DNS_MX, &a);
	assert_int_equal(a.n, 2);
	assert_string_equal(a.record[0].name, "");
	assert_string_equal(a.record[1].name, "mx.t");
	assert_int_equal(a.record[1].preference, 10);
	dns_answer_release(&a);
}

static void test_status(void **state)
{
	static const struct {
		unsigned flags;
		enum dns_status status;
	} cases[] = {
		{ 0x8180, DNS_NODATA }, { 0x8183, DNS_NXDOMAIN },
		{ 0x8182, DNS_FAILED }, { 0x8185, DNS_FAILED },
		{ 0x8181, DNS_FAILED }, { 0x818f, DNS_FAILED },
		{ 0x8380, DNS_FAILED },  /* truncated */
		{ 0x0100, DNS_FAILED },  /* a question */
	};
	struct dns_answer a;
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		b = begin("t", DNS_MX, cases[i].flags, 0);
		parse(&b, "t", DNS_MX, &a);
		assert_int_equal(a.status, cases[i].status);
		assert_int_equal(a.words[0] != '\0',
				 a.status == DNS_FAILED);
		dns_answer_release(&a);
	}
}

/* An OPT record (RFC 6891) with the upper bits of an RCODE. */
static void put_opt(struct buf *b, unsigned upper)
{
	b->data[11]++;
	buf_addc(b, 0);
	put16(b, 41);
	put16(b, 1232);
	put16(b, upper << 8);
	put16(b, 0);
	put16(b, 0);
}

static void test_edns(void **state)
{
	static const struct {
		unsigned flags;
		int upper;       /* -1: no OPT record */
		bool refuses;
		enum dns_status status;
	} cases[] = {
		{ 0x8180, -1, false, DNS_NODATA },
		{ 0x8180, 0, false, DNS_NODATA },
		{ 0x8181, -1, true, DNS_FAILED },   /* FORMERR */
		{ 0x8184, 0, true, DNS_FAILED },    /* NOTIMP */
		{ 0x8180, 1, true, DNS_FAILED },    /* BADVERS */
		{ 0x8182, -1, false, DNS_FAILED },
		{ 0x8183, 1, false, DNS_FAILED },   /* whatever 19 may be */
	};
	struct dns_answer a;
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		b = begin("t", DNS_MX, cases[i].flags, 0);
		if (cases[i].upper >= 0)
			put_opt(&b, (unsigned)cases[i].upper);
		assert_int_equal(dns_refuses_edns((void *)b.data, b.len),
				 cases[i].refuses);
		parse(&b, "t", DNS_MX, &a);
		assert_int_equal(a.status, cases[i].status);
		dns_answer_release(&a);
	}
	assert_false(dns_refuses_edns((const void *)"x", 1));
}

/* A CNAME alone leads on; with an SOA beside it there is nothing behind. */
static void test_leads_on(void **state)
{
	static const char soa[] = "\0\0" "0123456789abcdefghij";
	struct dns_answer a;
	struct buf b;
	int with;

	(void)state;
	for (with = 0; with < 2; with++) {
		b = begin("a.t", DNS_A, 0x8180, 1);
		put_cname(&b, "a.t", "b.t");
		if (with) {
			b.data[9]++;
			put_record(&b, "t", 6, soa, sizeof(soa) - 1);
		}
		parse(&b, "a.t", DNS_A, &a);
		assert_int_equal(a.status, DNS_NODATA);
		assert_string_equal(a.cname, "b.t");
		assert_int_equal(a.leads_on, !with);
		dns_answer_release(&a);
	}
}

static void parse_chain(unsigned links, bool loop, struct dns_answer *a)
{
	struct buf b = begin("c0.t", DNS_A, 0x8180, links + 1);
	char from[16], to[16];
	unsigned i;

	/* in the wrong order, to be unkind */
	snprintf(to, sizeof(to), loop ? "x.t" : "c%u.t", links);
	put_record(&b, to, DNS_A, "\1\2\3\4", 4);
	for (i = links; i-- > 0;) {
		snprintf(from, sizeof(from), "c%u.t", i);
		snprintf(to, sizeof(to), "C%u.t", loop && i + 1 == links ?
			 0 : i + 1);
		put_cname(&b, from, to);
	}
	parse(&b, "c0.t", DNS_A, a);
}

static void test_cnames(void **state)
{
	struct dns_answer a;
	struct buf b;

	(void)state;
	parse_chain(1, false, &a);
	assert_int_equal(a.status, DNS_OK);
	assert_string_equal(a.cname, "c1.t");
	dns_answer_release(&a);
	parse_chain(16, false, &a);
	assert_int_equal(a.status, DNS_OK);
	assert_string_equal(a.cname, "c16.t");
	dns_answer_release(&a);
	parse_chain(17, false, &a);
	assert_int_equal(a.status, DNS_FAILED);
	parse_chain(1, true, &a);
	assert_int_equal(a.status, DNS_FAILED);
	parse_chain(2, true, &a);
	assert_int_equal(a.status, DNS_FAILED);
	assert_null(a.cname);

	b = begin("a.t", DNS_CNAME, 0x8180, 1);
	put_cname(&b, "a.t", "B.t");
	parse(&b, "a.t", DNS_CNAME, &a);
	assert_int_equal(a.status, DNS_OK);
	assert_string_equal(a.record[0].name, "b.t");
	dns_answer_release(&a);
	/* the end of the chain does not exist, or has no such record */
	b = begin("a.t", DNS_MX, 0x8183, 1);
	put_cname(&b, "a.t", "b.t");
	parse(&b, "a.t", DNS_MX, &a);
	assert_int_equal(a.status, DNS_NXDOMAIN);
	dns_answer_release(&a);
	b = begin("a.t", DNS_MX, 0x8180, 1);
	put_cname(&b, "a.t", "b.t");
	parse(&b, "a.t", DNS_MX, &a);
	assert_int_equal(a.status, DNS_NODATA);
	assert_string_equal(a.cname, "b.t");
	dns_answer_release(&a);
}

/* Record data that is worse than none. */
static void test_hostile_data(void **state)
{
	static const struct {
		unsigned type;
		const char *data;
		size_t n;
	} cases[] = {
		{ DNS_A, "\1\2\3", 3 }, { DNS_A, "\1\2\3\4\5", 5 },
		{ DNS_AAAA, "\1\2\3\4", 4 }, { DNS_A, "", 0 },
		{ DNS_MX, "", 0 }, { DNS_MX, "\0", 1 },
		{ DNS_MX, "\0\12", 2 }, { DNS_MX, "\0\12\2a", 4 },
		{ DNS_MX, "\0\12\1a\0x", 6 },      /* more than a name */
		{ DNS_MX, "\0\12\3a\0b\0", 7 },    /* NUL */
		{ DNS_MX, "\0\12\3a\nb\0", 7 },
		{ DNS_MX, "\0\12\3a b\0", 7 },
		{ DNS_MX, "\0\12\3a.b\0", 7 },     /* a dot in a label */
		{ DNS_MX, "\0\12\3a\377b\0", 7 },
		{ DNS_MX, "\0\12\4/run\0", 8 },
		{ DNS_MX, "\0\12\3a/b\0", 7 },
		{ DNS_MX, "\0\12\300\14", 4 },     /* fits: see below */
		{ DNS_MX, "\0\12\377\377", 4 },    /* behind the end */
		{ DNS_MX, "\0\12\300\42", 4 },     /* at itself */
		{ DNS_MX, "\0\12\100x\0", 5 },     /* reserved label type */
		{ DNS_SRV, "\0\1\0\1\0\31", 6 },
		{ DNS_SRV, "\0\1\0\1\0\31\1\33\0", 9 },
		{ DNS_PTR, "\3a\0b\0", 5 }, { DNS_CNAME, "\3a\0b\0", 5 },
		{ DNS_TXT, "\5abc", 4 }, { DNS_TXT, "\377", 1 },
		{ DNS_TLSA, "\3\1\1", 3 }, { DNS_TLSA, "", 0 },
	};
	struct dns_answer a;
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		b = begin("t", cases[i].type, 0x8180, 1);
		put_record(&b, "t", cases[i].type, cases[i].data, cases[i].n);
		parse(&b, "t", (enum dns_type)cases[i].type, &a);
		if (cases[i].n == 4 && cases[i].data[3] == 14 - 2) {
			/* a pointer to the question's name is fine */
			assert_int_equal(a.status, DNS_OK);
			assert_string_equal(a.record[0].name, "t");
			dns_answer_release(&a);
			continue;
		}
		if (a.status != DNS_FAILED)
			fail_msg("case %zu is taken", i);
		assert_int_equal(a.n, 0);
		assert_true(a.words[0] != '\0');
		if (cases[i].type == DNS_CNAME)
			continue;
		/* beside a good record it is dropped, or all is refused */
		b = begin("t", cases[i].type, 0x8180, 1);
		put_record(&b, "other", cases[i].type, cases[i].data,
			   cases[i].n);
		parse(&b, "t", (enum dns_type)cases[i].type, &a);
		assert_int_equal(a.status, DNS_NODATA);
		dns_answer_release(&a);
	}
	b = begin("t", DNS_MX, 0x8180, 2);
	put_mx(&b, "t", 5, "a\nb.t");
	put_mx(&b, "t", 10, "mx.t");
	parse(&b, "t", DNS_MX, &a);
	assert_int_equal(a.n, 1);
	assert_string_equal(a.record[0].name, "mx.t");
	dns_answer_release(&a);
}

static void test_hostile_messages(void **state)
{
	struct dns_answer a;
	struct buf b;
	unsigned i;
	size_t n;

	(void)state;
	/* cut anywhere */
	for (n = 0; n < 60; n++) {
		b = begin("example.t", DNS_MX, 0x8180, 1);
		put_mx(&b, "example.t", 10, "mx.example.t");
		assert_true(b.len >= 60);
		b.len = n;
		parse(&b, "example.t", DNS_MX, &a);
		assert_int_equal(a.status, DNS_FAILED);
	}
	/* more or fewer records than it says */
	b = begin("t", DNS_MX, 0x8180, 65535);
	put_mx(&b, "t", 10, "mx.t");
	parse(&b, "t", DNS_MX, &a);
	assert_int_equal(a.status, DNS_FAILED);
	b = begin("t", DNS_MX, 0x8180, 0);
	put_mx(&b, "t", 10, "mx.t");
	parse(&b, "t", DNS_MX, &a);
	assert_int_equal(a.n, 0);
	dns_answer_release(&a);
	/* a question whose name points at itself */
	b = BUF(4096);
	put_header(&b, 7, 0x8180, 0);
	buf_add(&b, "\300\14\0\17\0\1", 6);
	parse(&b, "t", DNS_MX, &a);
	assert_int_equal(a.status, DNS_FAILED);
	/* two names that point at each other */
	b = begin("t", DNS_MX, 0x8180, 1);
	buf_add(&b, "\300\25\300\23\0\17\0\1\0\0\0\0\0\3\0\1\0", 17);
	parse(&b, "t", DNS_MX, &a);
	assert_int_equal(a.status, DNS_FAILED);
	/* as many as fit */
	b = begin("t", DNS_MX, 0x8180, 1000);
	for (i = 0; i < 1000; i++)
		put_mx(&b, "t", i, "a-rather-long-name-of-a-host.t");
	parse(&b, "t", DNS_MX, &a);
	assert_int_equal(a.n, 1000);
	dns_answer_release(&a);
	/* another class */
	b = begin("t", DNS_A, 0x8180, 1);
	put_name(&b, "t");
	buf_add(&b, "\0\1\0\3\0\0\0\0\0\4\1\2\3\4", 14);
	parse(&b, "t", DNS_A, &a);
	assert_int_equal(a.status, DNS_NODATA);
	dns_answer_release(&a);
}

static void test_queries(void **state)
{
	static const char *const bad[] = {
		"", ".", "a..b", ".a", "a b", "a\nb", "caf\xc3\xa9.t", "a\\b",
		("0123456789012345678901234567890123456789"
		 "012345678901234567890123.t"),
	};
	static const unsigned char expected[] =
		"\1\2\1\x20\0\1\0\0\0\0\0\1\2mx\1t\0\0\17\0\1"
		"\0\0\x29\4\xd0\0\0\0\0\0\0";
	unsigned char out[DNS_QUERY_MAX];
	char name[300];
	size_t i, n;

	(void)state;
	n = dns_query_build("mx.t", DNS_MX, 0x0102, out);
	assert_int_equal(n, sizeof(expected) - 1);
	assert_memory_equal(out, expected, n);
	assert_int_equal(dns_query_build("mx.t.", DNS_MX, 0x0102, out), n);
	for (i = 0; i < COUNT(bad); i++)
		if (dns_query_build(bad[i], DNS_MX, 1, out))
			fail_msg("case %zu", i);
	/* 253 octets of text are the most */
	for (i = 0; i < sizeof(name) - 1; i++)
		name[i] = i % 2 ? '.' : 'a';
	name[253] = '\0';
	assert_true(dns_query_build(name, DNS_A, 1, out) <= DNS_QUERY_MAX);
	assert_true(dns_query_build(name, DNS_A, 1, out) > 0);
	name[253] = '.';
	name[255] = '\0';
	assert_int_equal(dns_query_build(name, DNS_A, 1, out), 0);
}

static void test_reverse(void **state)
{
	static const struct {
		const char *address, *expected;
	} cases[] = {
		{ "192.0.2.17", "17.2.0.192.in-addr.arpa" },
		{ "2001:db8::567:89ab", "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0."
		  "0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa" },
	};
	struct net_address a;
	char out[80];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_true(net_address_parse(cases[i].address, 0, &a));
		dns_reverse_name(&a, out);
		assert_string_equal(out, cases[i].expected);
	}
}

static void test_resolv_conf(void **state)
{
	static const struct {
		const char *text;
		const char *nameservers;  /* joined by blanks */
		bool trust;
	} cases[] = {
		{ "", "", false },
		{ "nameserver 127.0.0.53\n", "127.0.0.53", false },
		{ "nameserver ::1\nnameserver\t127.1.2.3", "::1 127.1.2.3",
		  false },
		{ "nameserver 127.0.0.1\nnameserver 192.0.2.1\n",
		  "127.0.0.1 192.0.2.1", false },
		{ "  nameserver 192.0.2.1\n\tnameserver 192.0.2.2\n",
		  "192.0.2.1 192.0.2.2", false },
		{ "nameserver fe80::53%eth0\n", "fe80::53%eth0", false },
		{ "nameserver 192.0.2.1 127.0.0.1 # both\n", "192.0.2.1",
		  false },
		{ "nameserver 192.0.2.1\noptions edns0 trust-ad\n",
		  "192.0.2.1", true },
		{ "options trust-ad\n", "", true },
		{ "options trust-adx xtrust-ad\n", "", false },
		{ "#options trust-ad\n;nameserver 192.0.2.1\n", "", false },
		{ "search trust-ad\noptions\ntrust-ad", "", false },
		{ "nameserver", "", false },
		{ "nameservers 192.0.2.1\n", "", false },
	};
	struct resolv_conf conf;
	char *joined;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		resolv_conf_parse(cases[i].text, &conf);
		joined = list_join(&conf.nameserver, " ");
		if (strcmp(joined, cases[i].nameservers) ||
		    conf.trust_ad != cases[i].trust)
			fail_msg("case %zu: %s %d", i, joined, conf.trust_ad);
		free(joined);
		list_release(&conf.nameserver);
	}
	/* a name server that is no address is one that cannot be asked */
	resolv_conf_parse("nameserver \n", &conf);
	assert_int_equal(conf.nameserver.n, 1);
	assert_string_equal(conf.nameserver.item[0], "");
	list_release(&conf.nameserver);
}

/* A server, which does what the first label of the question says. */

struct server {
	int udp, tcp;
	unsigned port;
	pid_t pid;
};

static bool is(const unsigned char *query, const char *label)
{
	size_t n = strlen(label);

	return query[12] == n &&
	       !strncasecmp((const char *)query + 13, label, n);
}

static void question_name(const unsigned char *query, char name[256])
{
	const unsigned char *p = query + 12;
	size_t used = 0;

	for (; *p && used + *p + 1 < 255; p += *p + 1) {
		memcpy(name + used, p + 1, *p);
		used += *p;
		name[used++] = '.';
	}
	name[used ? used - 1 : 0] = '\0';
}

static struct buf answer_to(const unsigned char *query, size_t n, bool tcp)
{
	struct buf b = BUF(70000), text = BUF(70000);
	unsigned id = (unsigned)query[0] << 8 | query[1];
	unsigned flags = 0x81a0;
	static const unsigned char v6[16] = { 0x20, 1, 0x0d, 0xb8, [15] = 1 };
	char name[256], big[256];
	unsigned i, type;
	size_t end;
	bool has_address;

	question_name(query, name);
	type = query[12 + strlen(name) + 3];
	has_address = (is(query, "both") && type == DNS_AAAA) ||
		((is(query, "both") || is(query, "four")) && type == DNS_A);
	if (is(query, "servfail"))
		flags |= 2;
	if (is(query, "nx"))
		flags |= 3;
	if (!tcp && (is(query, "tc") || is(query, "tcsilent")))
		flags |= 0x200;
	put_header(&b, id, flags, is(query, "mx") || is(query, "flags") ||
		   has_address || (tcp && is(query, "tc")));
	put_name(&b, name);
	end = b.len;
	buf_add(&b, query + end, 4);
	if (is(query, "mx")) {
		put_mx(&b, name, 10, "mail.t");
	} else if (has_address) {
		put_record(&b, name, type, v6, type == DNS_A ? 4 : 16);
	} else if (is(query, "flags")) {
		buf_addc(&text, (char)(n - end - 4));
		buf_add(&text, query + end + 4, n - end - 4);
		buf_addc(&text, 2);
		buf_add(&text, query + 2, 2);
		put_record(&b, name, DNS_TXT, text.data, text.len);
	} else if (tcp && is(query, "tc")) {
		memset(big, 'x', sizeof(big));
		big[0] = (char)255;
		for (i = 0; i < 200; i++)
			buf_add(&text, big, 256);
		put_record(&b, name, DNS_TXT, text.data, text.len);
	}
	buf_release(&text);
	return b;
}

static void serve_udp(int fd)
{
	unsigned char query[2048] = { 0 };
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(fd, query, sizeof(query), 0, (void *)&from, &len);
	struct buf b, lie;

	if (n < 17 || is(query, "silent"))
		return;
	b = answer_to(query, (size_t)n, false);
	if (is(query, "mx")) {
		/* somebody guesses, wrongly */
		lie = BUF(4096);
		buf_add(&lie, b.data, b.len);
		lie.data[0] ^= 0x55;
		lie.data[lie.len - 2] = 'x';
		sendto(fd, lie.data, lie.len, 0, (void *)&from, len);
		buf_release(&lie);
	}
	sendto(fd, b.data, b.len, 0, (void *)&from, len);
	buf_release(&b);
}

static void serve_tcp(int fd, int *kept)
{
	unsigned char query[2048] = { 0 };
	int client = accept(fd, NULL, NULL);
	struct buf b, out = BUF(70000);
	ssize_t n = recv(client, query, 2, MSG_WAITALL);

	if (n == 2)
		n = recv(client, query, (size_t)query[0] << 8 | query[1],
			 MSG_WAITALL);
	if (n < 17 || is(query, "tcsilent")) {
		*kept = client;     /* never another word */
		return;
	}
	b = answer_to(query, (size_t)n, true);
	put16(&out, (unsigned)b.len);
	buf_add(&out, b.data, b.len);
	send(client, out.data, out.len, MSG_NOSIGNAL);
	close(client);
	buf_release(&out);
	buf_release(&b);
}

static _Noreturn void serve(struct server *s)
{
	struct pollfd p[2] = { { .fd = s->udp, .events = POLLIN },
			       { .fd = s->tcp, .events = POLLIN } };
	int kept;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (poll(p, 2, -1) > 0) {
		if (p[0].revents)
			serve_udp(s->udp);
		if (p[1].revents)
			serve_tcp(s->tcp, &kept);
	}
	_exit(0);
}

/* UDP and TCP on one free port of this family's loopback address. */
static bool bind_both(struct server *s, int family)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr *sa = family == AF_INET ? (void *)&v4 : (void *)&v6;
	socklen_t len = family == AF_INET ? sizeof(v4) : sizeof(v6);

	s->udp = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	s->tcp = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->tcp < 0 || s->udp < 0 || bind(s->tcp, sa, len) ||
	    getsockname(s->tcp, sa, &len) || bind(s->udp, sa, len) ||
	    listen(s->tcp, 8)) {
		close(s->udp);
		close(s->tcp);
		return false;
	}
	s->port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
	return true;
}

static bool server_start(struct server *s, int family)
{
	int tries;

	for (tries = 0; tries < 20 && !bind_both(s, family); tries++)
		;
	if (tries == 20)
		return false;
	s->pid = fork();
	if (!s->pid)
		serve(s);
	close(s->udp);
	close(s->tcp);
	return s->pid > 0;
}

static void server_stop(struct server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
}

static struct server here;

static int set_up(void **state)
{
	(void)state;
	return server_start(&here, AF_INET) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	server_stop(&here);
	return 0;
}

static struct dns *open_at(const char *format, unsigned port,
			   int64_t timeout, int trust)
{
	struct list resolver = { 0 };
	struct dns_settings settings = { .resolver = &resolver,
					 .timeout = timeout };
	char text[64];
	struct dns *d;

	settings.trust = trust == 0 ? DNS_TRUST_AUTO :
			 trust == 1 ? DNS_TRUST_ALWAYS : DNS_TRUST_NEVER;
	snprintf(text, sizeof(text), "%s:%u", format, port);
	list_add(&resolver, text);
	d = dns_open(&settings);
	list_release(&resolver);
	return d;
}

static void test_asking(void **state)
{
	static const struct {
		const char *name;
		enum dns_status status;
	} cases[] = {
		{ "mx.t", DNS_OK }, { "MX.T.", DNS_OK },
		{ "nx.t", DNS_NXDOMAIN },
		{ "nodata.t", DNS_NODATA }, { "servfail.t", DNS_FAILED },
		{ "a..t", DNS_NXDOMAIN }, { "", DNS_NXDOMAIN },
		{ "caf\xc3\xa9.t", DNS_NXDOMAIN }, { "silent.t", DNS_FAILED },
	};
	struct dns *d = open_at("127.0.0.1", here.port, 1500, 0);
	struct dns_question q[COUNT(cases)] = { { 0 } };
	int64_t before = clock_now();
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		q[i] = (struct dns_question){ .name = cases[i].name,
					      .type = DNS_MX };
	/* all at once, and one by one but the one that takes time */
	dns_ask(d, q, COUNT(q));
	assert_true(clock_now() - before < 3000);
	for (i = 0; i < COUNT(cases); i++) {
		if (q[i].answer.status != cases[i].status)
			fail_msg("%s: %d %s", cases[i].name,
				 q[i].answer.status, q[i].answer.words);
		assert_int_equal(q[i].answer.words[0] != '\0',
				 cases[i].status == DNS_FAILED);
		dns_answer_release(&q[i].answer);
	}
	for (i = 0; i + 1 < COUNT(cases); i++) {
		dns_query(d, cases[i].name, DNS_MX, &q[i].answer);
		assert_int_equal(q[i].answer.status, cases[i].status);
		if (cases[i].status == DNS_OK)
			assert_string_equal(q[i].answer.record[0].name,
					    "mail.t");
		if (!strcmp(cases[i].name, "servfail.t"))
			assert_non_null(strstr(q[i].answer.words,
					       "SERVFAIL"));
		dns_answer_release(&q[i].answer);
	}
	assert_false(dns_no_network(d));
	dns_close(d);
	dns_close(NULL);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *name;
		enum family family;
		enum dns_status status;
		const char *text[2];
	} cases[] = {
		{ "both.t", FAMILY_ANY, DNS_OK,
		  { "2001:db8::1", "32.1.13.184" } },
		{ "both.t", FAMILY_PREFER_V4, DNS_OK,
		  { "32.1.13.184", "2001:db8::1" } },
		{ "both.t", FAMILY_V4, DNS_OK, { "32.1.13.184" } },
		{ "both.t", FAMILY_V6, DNS_OK, { "2001:db8::1" } },
		{ "four.t", FAMILY_ANY, DNS_OK, { "32.1.13.184" } },
		{ "four.t", FAMILY_V6, DNS_NODATA, { NULL } },
		{ "nodata.t", FAMILY_ANY, DNS_NODATA, { NULL } },
		{ "nx.t", FAMILY_ANY, DNS_NXDOMAIN, { NULL } },
		{ "servfail.t", FAMILY_ANY, DNS_FAILED, { NULL } },
	};
	struct dns *d = open_at("127.0.0.1", here.port, 3000, 0);
	struct net_addresses found;
	char words[128], text[64];
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		if (dns_addresses(d, cases[i].name, 25, cases[i].family,
				  &found, words) != cases[i].status)
			fail_msg("row %zu: %s", i, words);
		assert_int_equal(words[0] != '\0',
				 cases[i].status == DNS_FAILED);
		for (j = 0; j < 2 && cases[i].text[j]; j++) {
			assert_true(j < found.n);
			net_address_text(&found.item[j], text);
			assert_string_equal(text, cases[i].text[j]);
		}
		assert_int_equal(found.n, j);
		if (found.n)
			assert_int_equal(ntohs(found.item[0].v4.sin_port), 25);
		net_addresses_release(&found);
	}
	dns_close(d);
}

static void test_on_the_wire(void **state)
{
	struct dns *d = open_at("127.0.0.1", here.port, 5000, 0);
	struct dns_answer a;

	(void)state;
	dns_query(d, "flags.t", DNS_TXT, &a);
	assert_int_equal(a.status, DNS_OK);
	/* OPT with 1232 and no flags; what options the library puts into it
	 * (RFC 7873) is its own. Then the flags RD and AD */
	assert_true(a.record[0].text_len >= 13);
	assert_memory_equal(a.record[0].text,
			    "\0\0\x29\x04\xd0\0\0\0\0", 9);
	assert_memory_equal(a.record[0].text + a.record[0].text_len - 2,
			    "\x01\x20", 2);
	dns_answer_release(&a);
	dns_close(d);
}

static void test_trust(void **state)
{
	static const struct {
		const char *address;
		int trust;
		bool authentic;
	} cases[] = {
		{ "127.0.0.1", 0, true }, { "127.0.0.1", 1, true },
		{ "127.0.0.1", 2, false },
	};
	struct dns_answer a;
	struct dns *d;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		d = open_at(cases[i].address, here.port, 5000,
			    cases[i].trust);
		dns_query(d, "mx.t", DNS_MX, &a);
		assert_int_equal(a.status, DNS_OK);
		assert_int_equal(a.authentic, cases[i].authentic);
		dns_answer_release(&a);
		dns_close(d);
	}
}

/* One resolver of several is elsewhere: none is believed. */
static void test_trust_of_several(void **state)
{
	struct list resolver = { 0 };
	struct dns_settings settings = { .resolver = &resolver,
					 .timeout = 5000 };
	struct dns_answer a;
	char text[64];
	struct dns *d;

	(void)state;
	snprintf(text, sizeof(text), "127.0.0.1:%u", here.port);
	list_add(&resolver, text);
	list_add(&resolver, "192.0.2.1");
	d = dns_open(&settings);
	dns_query(d, "mx.t", DNS_MX, &a);
	assert_int_equal(a.status, DNS_OK);
	assert_false(a.authentic);
	dns_answer_release(&a);
	dns_close(d);
	list_release(&resolver);
}

static void test_v6(void **state)
{
	struct server s;
	struct dns_answer a;
	struct dns *d;

	(void)state;
	if (!server_start(&s, AF_INET6))
		skip();
	d = open_at("[::1]", s.port, 5000, 0);
	dns_query(d, "mx.t", DNS_MX, &a);
	assert_int_equal(a.status, DNS_OK);
	assert_true(a.authentic);
	dns_answer_release(&a);
	dns_close(d);
	server_stop(&s);
}

static void test_tcp(void **state)
{
	struct dns *d = open_at("127.0.0.1", here.port, 5000, 0);
	struct dns_answer a;

	(void)state;
	dns_query(d, "tc.t", DNS_TXT, &a);
	assert_int_equal(a.status, DNS_OK);
	assert_int_equal(a.record[0].text_len, 200 * 255);
	dns_answer_release(&a);
	dns_close(d);
}

static void test_deadlines(void **state)
{
	static const char *const names[] = { "silent.t", "tcsilent.t" };
	struct dns_answer a;
	struct dns *d;
	int64_t before;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(names); i++) {
		d = open_at("127.0.0.1", here.port, 700, 0);
		before = clock_now();
		dns_query(d, names[i], DNS_TXT, &a);
		assert_true(clock_now() - before < 2500);
		assert_int_equal(a.status, DNS_FAILED);
		assert_non_null(strstr(a.words, "in time"));
		/* and it still works afterwards */
		dns_query(d, "mx.t", DNS_MX, &a);
		assert_int_equal(a.status, DNS_OK);
		dns_answer_release(&a);
		dns_close(d);
	}
}

/* However many resolvers there are to wait for. */
static void test_deadline_of_several(void **state)
{
	struct list resolver = { 0 };
	struct dns_settings settings = { .resolver = &resolver,
					 .timeout = 200 };
	struct dns_answer a;
	int64_t before = clock_now();
	char text[64];
	struct dns *d;
	int i;

	(void)state;
	snprintf(text, sizeof(text), "127.0.0.1:%u", here.port);
	for (i = 0; i < 5; i++)
		list_add(&resolver, text);
	d = dns_open(&settings);
	dns_query(d, "silent.t", DNS_MX, &a);
	assert_int_equal(a.status, DNS_FAILED);
	assert_true(clock_now() - before < 2000);
	dns_close(d);
	list_release(&resolver);
}

static void test_no_resolver(void **state)
{
	struct list resolver = { 0 };
	struct dns_settings settings = { .resolver = &resolver,
					 .timeout = 1000 };
	struct server s;
	struct dns_answer a;
	struct dns *d;

	(void)state;
	/* nobody there */
	assert_true(bind_both(&s, AF_INET));
	close(s.udp);
	close(s.tcp);
	d = open_at("127.0.0.1", s.port, 1000, 0);
	dns_query(d, "mx.t", DNS_MX, &a);
	assert_int_equal(a.status, DNS_FAILED);
	assert_true(a.words[0] != '\0');
	dns_close(d);
	/* of no interface, as resolv.conf may have it: told at once */
	list_add(&resolver, "fe80::53");
	settings.timeout = 60000;
	d = dns_open(&settings);
	dns_query(d, "mx.t", DNS_MX, &a);
	assert_int_equal(a.status, DNS_FAILED);
	assert_non_null(strstr(a.words, "without its interface"));
	dns_close(d);
	list_release(&resolver);
	/* no address */
	settings.timeout = 1000;
	list_add(&resolver, "dns.example.org");
	d = dns_open(&settings);
	dns_query(d, "mx.t", DNS_MX, &a);
	assert_int_equal(a.status, DNS_FAILED);
	assert_true(a.words[0] != '\0');
	dns_close(d);
	list_release(&resolver);
	assert_true(*dns_library_version() != '\0');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_cnames),
		cmocka_unit_test(test_hostile_data),
		cmocka_unit_test(test_hostile_messages),
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_edns),
		cmocka_unit_test(test_leads_on),
		cmocka_unit_test(test_reverse),
		cmocka_unit_test(test_resolv_conf),
		cmocka_unit_test(test_asking),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_on_the_wire),
		cmocka_unit_test(test_trust),
		cmocka_unit_test(test_trust_of_several),
		cmocka_unit_test(test_v6),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_deadline_of_several),
		cmocka_unit_test(test_no_resolver),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
