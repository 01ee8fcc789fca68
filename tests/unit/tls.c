/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/tls_parts.h"

#include "tls_support.h"
#include "tls_client.h"
#include "tls_ocsp.h"

enum who {
	LEAF, WRONG_NAME, SELF, EXPIRED, FUTURE, CLIENT_ONLY, CN_ONLY, WITH_IP,
	WILDCARD, NUL_NAME, STAPLE, CHAINED, EMAIL_ONLY, IP_AS_DNS, EVIL,
	NOT_BY_CA, OLD_CHAINED, PARTIAL, ANY, DEEP_STAR, WEAK, WEAK_CHAINED,
	STRONG_RSA, MANY_NAMES, LEAVES
};

static struct cert root, other_root, middle, old_middle, twin_root, evil_root;
static struct cert old_root, cross, old_cross, middle_before, weak_middle;
static struct cert leaf[LEAVES];
static char ca_path[64], bundle_path[64], other_path[64], crl_path[64];
static char empty_path[64], client_path[64], client_key_path[64];
static int files[7];

static struct cert leaf_make(const struct cert_spec *spec)
{
	return cert_make(spec, &root);
}

/* 1000 names of others, and one more. */
static void make_many_names(void)
{
	static const char last[] = "\x82\x0emx.example.org";
	struct buf names = BUF(64 * 1024), san = BUF(64 * 1024);
	struct cert_spec many = { 0 };
	int i;

	for (i = 0; i < 1000; i++)
		buf_addf(&names, "\x82\x11m%04d.example.net", i);
	buf_adds(&names, last);
	/* a sequence of as many bytes */
	buf_addc(&san, '\x30');
	buf_addc(&san, '\x82');
	buf_addc(&san, (char)(names.len >> 8));
	buf_addc(&san, (char)(names.len & 0xff));
	buf_add(&san, names.data, names.len);
	many.raw_san = san.data;
	many.raw_len = san.len;
	leaf[MANY_NAMES] = leaf_make(&many);
	buf_release(&names);
	buf_release(&san);
}

static void make_leaves(void)
{
	struct cert_spec good = { 0 };
	struct cert_spec wrong = { .dns = "other.example.net" };
	struct cert_spec expired = { .from = -30, .until = -2 };
	struct cert_spec future = { .from = 2, .until = 30 };
	struct cert_spec client = { .purpose = GNUTLS_KP_TLS_WWW_CLIENT };
	struct cert_spec cn_only = { .dns = "" };
	struct cert_spec email = { .dns = "", .email = "a@example.org" };
	struct cert_spec ip = { .dns = "", .ip = { 127, 0, 0, 1 } };
	struct cert_spec ip_dns = { .dns = "127.0.0.1" };
	struct cert_spec wildcard = { .dns = "*.example.org" };
	struct cert_spec nul = {
		.raw_san = "\x30\x1b\x82\x19mx.example.org\0.evil.test",
		.raw_len = 29,
	};
	struct cert_spec staple = { .must_staple = true };
	struct cert_spec partial = { .dns = "*x.example.org" };
	struct cert_spec any = { .dns = "*" };
	struct cert_spec deep_star = { .dns = "mx.*.org" };
	struct cert_spec weak = { .rsa = 1024 };
	struct cert_spec strong = { .rsa = 2048 };

	leaf[LEAF] = leaf_make(&good);
	leaf[WRONG_NAME] = leaf_make(&wrong);
	leaf[SELF] = cert_make(&good, NULL);
	leaf[EXPIRED] = leaf_make(&expired);
	leaf[FUTURE] = leaf_make(&future);
	leaf[CLIENT_ONLY] = leaf_make(&client);
	leaf[CN_ONLY] = leaf_make(&cn_only);
	leaf[EMAIL_ONLY] = leaf_make(&email);
	leaf[WITH_IP] = leaf_make(&ip);
	leaf[IP_AS_DNS] = leaf_make(&ip_dns);
	leaf[WILDCARD] = leaf_make(&wildcard);
	leaf[NUL_NAME] = leaf_make(&nul);
	leaf[STAPLE] = leaf_make(&staple);
	leaf[CHAINED] = cert_make(&good, &middle);
	leaf[OLD_CHAINED] = cert_make(&good, &old_middle);
	leaf[PARTIAL] = leaf_make(&partial);
	leaf[ANY] = leaf_make(&any);
	leaf[DEEP_STAR] = leaf_make(&deep_star);
	leaf[WEAK] = leaf_make(&weak);
	leaf[STRONG_RSA] = leaf_make(&strong);
	leaf[WEAK_CHAINED] = cert_make(&good, &weak_middle);
	leaf[EVIL] = cert_make(&good, &evil_root);
	leaf[NOT_BY_CA] = cert_make(&good, &leaf[LEAF]);
	make_many_names();
}

static void make_crl(void)
{
	time_t now = time(NULL);
	gnutls_x509_crl_t crl;
	gnutls_datum_t pem;

	GOOD(gnutls_x509_crl_init(&crl));
	GOOD(gnutls_x509_crl_set_version(crl, 2));
	GOOD(gnutls_x509_crl_set_this_update(crl, now - 3600));
	GOOD(gnutls_x509_crl_set_next_update(crl, now + 86400));
	GOOD(gnutls_x509_crl_set_crt(crl, leaf[LEAF].crt, now - 3600));
	GOOD(gnutls_x509_crl_set_number(crl, "\1", 1));
	GOOD(gnutls_x509_crl_sign2(crl, root.crt, root.key,
				   GNUTLS_DIG_SHA256, 0));
	GOOD(gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &pem));
	file_add(files[3], pem.data, pem.size);
	gnutls_free(pem.data);
	gnutls_x509_crl_deinit(crl);
}

/* Lines of 61 characters that end in CRLF. */
static void file_add_ragged(int fd, const struct cert *c)
{
	gnutls_datum_t pem;
	const char *at, *end;
	size_t column = 0;

	GOOD(gnutls_x509_crt_export2(c->crt, GNUTLS_X509_FMT_PEM, &pem));
	at = strchr((char *)pem.data, '\n');
	end = strstr(at, "-----END");
	file_add(fd, pem.data, (size_t)(at - (char *)pem.data));
	for (; at < end; at++) {
		if (*at == '\n')
			continue;
		if (column++ % 61 == 0)
			file_add(fd, "\r\n", 2);
		file_add(fd, at, 1);
	}
	file_add(fd, "\r\n", 2);
	file_add(fd, end, strlen(end));
	gnutls_free(pem.data);
}

/* A bundle as systems have it, and with what none should have. */
static void make_bundle(int fd)
{
	static const char rubbish[] =
		"# a comment\n-----BEGIN CERTIFICATE-----\nMIIB!!not base64"
		"\n-----END CERTIFICATE-----\n";
	static const char cut[] =
		"\ntrailing garbage\n-----BEGIN CERTIFICATE-----\nMIIB";

	file_add(fd, rubbish, sizeof(rubbish) - 1);
	file_add_cert(fd, &other_root);
	file_add_cert(fd, &twin_root);
	file_add_ragged(fd, &root);
	file_add(fd, cut, sizeof(cut) - 1);
}

static int setup(void **state)
{
	struct cert_spec ca = { .cn = "Test Root", .ca = true };
	struct cert_spec other = { .cn = "Other Root", .ca = true };
	struct cert_spec evil = { .cn = "Evil Root", .ca = true };
	struct cert_spec mid = { .cn = "Test Intermediate", .ca = true };
	struct cert_spec old = { .cn = "Old Intermediate", .ca = true,
				 .from = -30, .until = -3 };
	struct cert_spec again = { .cn = "Test Root", .ca = true,
				   .key_of = &root };
	struct cert_spec old_again = { .cn = "Test Root", .ca = true,
				       .from = -30, .until = -3,
				       .key_of = &root };
	struct cert_spec before = { .cn = "Test Intermediate", .ca = true,
				    .from = -30, .until = -3,
				    .key_of = &middle };
	struct cert_spec weak = { .cn = "Weak Intermediate", .ca = true,
				  .rsa = 1024 };
	char *path[] = { ca_path, bundle_path, other_path, crl_path,
			 empty_path, client_path, client_key_path };
	size_t i;

	(void)state;
	root = cert_make(&ca, NULL);
	twin_root = cert_make(&ca, NULL);
	other_root = cert_make(&other, NULL);
	evil_root = cert_make(&evil, NULL);
	middle = cert_make(&mid, &root);
	old_middle = cert_make(&old, &root);
	middle_before = cert_make(&before, &root);
	weak_middle = cert_make(&weak, &root);
	old_root = cert_make(&old, NULL);
	cross = cert_make(&again, &other_root);
	old_cross = cert_make(&old_again, &old_root);
	make_leaves();
	for (i = 0; i < 7; i++)
		files[i] = file_new(path[i]);
	file_add_cert(files[0], &root);
	make_bundle(files[1]);
	file_add_cert(files[2], &other_root);
	make_crl();
	file_add(files[4], "nothing\n", 8);
	file_add_cert(files[5], &leaf[CLIENT_ONLY]);
	file_add_key(files[6], &leaf[CLIENT_ONLY]);
	return 0;
}

static int teardown(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < LEAVES; i++)
		cert_free(&leaf[i]);
	cert_free(&root);
	cert_free(&twin_root);
	cert_free(&other_root);
	cert_free(&evil_root);
	cert_free(&middle);
	cert_free(&old_middle);
	cert_free(&middle_before);
	cert_free(&weak_middle);
	cert_free(&old_root);
	cert_free(&cross);
	cert_free(&old_cross);
	for (i = 0; i < 7; i++)
		close(files[i]);
	return 0;
}

struct fault {
	const char *label;
	enum who who;
	const char *name;         /* NULL: mx.example.org */
	char *ca;                 /* NULL: ca_path */
	const char *words;        /* NULL: accepted */
	struct cert *above;       /* sent, too */
	struct cert *above_it;
	bool crl;
	enum tls_fault fault;     /* NONE: any */
};

static const struct fault faults[] = {
	{ "good", LEAF, .words = NULL },
	{ "good, case", LEAF, "MX.Example.ORG", .words = NULL },
	{ "in a bundle", LEAF, .ca = bundle_path, .words = NULL },
	{ "wrong name", WRONG_NAME, .words = "is not for mx.example.org but "
	  "for other.example.net", .fault = TLS_FAULT_NAME },
	{ "unknown CA", LEAF, .ca = other_path, .words = "unknown issuer: "
	  "CN=Test Root", .fault = TLS_FAULT_ISSUER },
	{ "self-signed", SELF, .words = "is self-signed",
	  .fault = TLS_FAULT_SELF_SIGNED },
	{ "expired", EXPIRED, .words = "expired on 20" },
	{ "not yet valid", FUTURE, .words = "is not valid before 20" },
	{ "for clients", CLIENT_ONLY, .words = "is not for servers" },
	{ "CN alone", CN_ONLY, .words = "no subject alternative name",
	  .fault = TLS_FAULT_NO_NAME },
	{ "CN and e-mail", EMAIL_ONLY, .words = "no subject alternative" },
	{ "CN and IP", WITH_IP, .words = "is not for mx.example.org but for "
	  "127.0.0.1" },
	{ "IP", WITH_IP, "127.0.0.1", .words = NULL },
	{ "wrong IP", WITH_IP, "127.0.0.2", .words = "is not for 127.0.0.2" },
	{ "IPv6", WITH_IP, "[::1]", .words = "is not for [::1]" },
	{ "IP without SAN", LEAF, "127.0.0.1", .words = "is not for" },
	{ "IP as a DNS name", IP_AS_DNS, "127.0.0.1", .words = "is not for "
	  "the address 127.0.0.1, which", .fault = TLS_FAULT_NO_NAME },
	{ "wildcard", WILDCARD, .words = NULL },
	{ "wildcard, deeper", WILDCARD, "a.mx.example.org",
	  .words = "is not for" },
	{ "wildcard, base", WILDCARD, "example.org", .words = "is not for" },
	{ "wildcard, part of a label", PARTIAL, .words = "is not for" },
	{ "wildcard for everything", ANY, .words = "is not for" },
	{ "wildcard within", DEEP_STAR, .words = "is not for" },
	{ "after a thousand others", MANY_NAMES, .words = NULL },
	{ "none of a thousand", MANY_NAMES, "m1000.example.net",
	  .words = "is not for m1000.example.net but for m0000.example.net" },
	{ "final dot", LEAF, "mx.example.org.", .words = NULL },
	{ "weak key", WEAK, .words = "no longer safe" },
	{ "weak key of an issuer", WEAK_CHAINED, .above = &weak_middle,
	  .words = "no longer safe" },
	{ "strong RSA", STRONG_RSA, .words = NULL },
	{ "expired twin of an intermediate before it", CHAINED,
	  .above = &middle_before, .above_it = &middle, .words = NULL },
	{ "expired twin of an intermediate behind it", CHAINED,
	  .above = &middle, .above_it = &middle_before, .words = NULL },
	{ "expired twin alone", CHAINED, .above = &middle_before,
	  .words = "expired on" },
	{ "NUL", NUL_NAME, .words = "is not for" },
	{ "must-staple", STAPLE, .words = "must-staple" },
	{ "intermediate", CHAINED, .above = &middle, .words = NULL },
	{ "intermediate and root", CHAINED, .above = &middle,
	  .above_it = &root, .words = NULL },
	{ "bundle, twin names", CHAINED, .ca = bundle_path, .above = &middle,
	  .words = NULL },
	{ "cross-signed root", LEAF, .above = &cross, .words = NULL },
	{ "cross-signed, with its root", CHAINED, .above = &middle,
	  .above_it = &cross, .words = NULL },
	{ "cross-signed, expired", LEAF, .above = &old_cross, .words = NULL },
	{ "cross-signed, by another that is known", LEAF, .above = &cross,
	  .ca = other_path, .words = NULL },
	{ "intermediate missing", CHAINED, .words = "unknown issuer: "
	  "CN=Test Intermediate" },
	{ "intermediate expired", OLD_CHAINED, .above = &old_middle,
	  .words = "has an issuer, CN=Old Intermediate, which expired on" },
	{ "signed by no CA", NOT_BY_CA, .above = &leaf[LEAF],
	  .words = "not a CA's" },
	{ "foreign root sent", EVIL, .above = &evil_root,
	  .words = "unknown issuer" },
	{ "revoked", LEAF, .crl = true, .words = "revoked" },
	{ "another revoked", WILDCARD, .crl = true, .words = NULL },
};

static void test_faults(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		const struct fault *f = &faults[i];
		struct tls_params p = {
			.server_name = f->name ? f->name : "mx.example.org",
			.verify = true,
			.verify_name = f->name ? f->name : "mx.example.org",
			.ca_file = f->ca ? f->ca : ca_path,
			.crl_file = f->crl ? crl_path : NULL,
		};
		struct tls_facts facts = { 0 };
		struct outcome why = { 0 };
		struct server s;
		bool done;

		serve(&s, &leaf[f->who], f->above, f->above_it);
		done = handshake(&s, &p, &facts, &why);
		expect(f->label, done, f->words, &why);
		assert_int_equal(facts.verified, done);
		if (!done)
			assert_int_equal(why.exit, EX_TEMPFAIL);
		if (done || f->fault)
			assert_int_equal(facts.fault, f->fault);
		assert_string_equal(facts.version, "TLS1.3");
		tls_facts_release(&facts);
	}
}

/* An answer that is out of date is as good as none, unless the certificate
 * demands one; one that is in time counts, and so does what a priority string
 * of the user's asks of keys. */
static void test_staples(void **state)
{
	enum { DAY = 86400 };
	static const struct {
		const char *label;
		enum who who;
		bool revoked;
		int since, until;     /* days from now */
		const char *priorities;
		const char *words;    /* NULL: accepted */
	} rows[] = {
		{ "in time", LEAF, false, -1, 1, NULL, NULL },
		{ "in time, demanded", STAPLE, false, -1, 1, NULL, NULL },
		{ "stale", LEAF, false, -9, -2, NULL, NULL },
		{ "stale, priorities", LEAF, false, -9, -2, "NORMAL", NULL },
		{ "of the future", LEAF, false, 2, 9, NULL, NULL },
		{ "of the future, priorities", LEAF, false, 2, 9, "NORMAL",
		  NULL },
		{ "stale, demanded", STAPLE, false, -9, -2, NULL,
		  "out of date" },
		{ "stale, demanded, priorities", STAPLE, false, -9, -2,
		  "NORMAL", "out of date" },
		{ "stale, keys not strong enough", LEAF, false, -9, -2,
		  "NORMAL:%PROFILE_ULTRA", "" },
		{ "stale, expired", EXPIRED, false, -9, -2, "NORMAL",
		  "expired on" },
		{ "revoked", LEAF, true, -1, 1, NULL, "revoked" },
		{ "revoked, priorities", LEAF, true, -1, 1, "NORMAL",
		  "revoked" },
	};
	const time_t now = time(NULL);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct tls_params p = {
			.verify = true, .verify_name = "mx.example.org",
			.ca_file = ca_path, .priorities = rows[i].priorities,
		};
		struct buf staple = BUF(8192);
		struct tls_facts facts = { 0 };
		struct outcome why = { 0 };
		struct server s;

		ocsp_make(&leaf[rows[i].who], &root, rows[i].revoked,
			  now + rows[i].since * DAY, now + rows[i].until * DAY,
			  &staple);
		serve(&s, &leaf[rows[i].who], NULL, NULL);
		s.staple.response.data = (unsigned char *)staple.data;
		s.staple.response.size = (unsigned)staple.len;
		expect(rows[i].label, handshake(&s, &p, &facts, &why),
		       rows[i].words, &why);
		buf_release(&staple);
	}
}

/* Whatever the certificate, nobody asked. */
static void test_unverified(void **state)
{
	struct tls_params p = { .ca_file = other_path };
	struct tls_facts facts = { 0 };
	struct outcome why = { 0 };
	struct server s;
	size_t i;

	(void)state;
	for (i = 0; i < LEAVES; i++) {
		serve(&s, &leaf[i], NULL, NULL);
		assert_true(handshake(&s, &p, &facts, &why));
		assert_false(facts.verified);
	}
}

static void test_system_trust(void **state)
{
	struct tls_params p = { .verify = true,
				.verify_name = "mx.example.org" };
	struct tls_facts facts = { 0 };
	struct outcome why = { 0 };
	struct server s;

	(void)state;
	serve(&s, &leaf[LEAF], NULL, NULL);
	expect("system", handshake(&s, &p, &facts, &why), "unknown issuer",
	       &why);
}

static unsigned anchors(const struct cert *c, bool all)
{
	struct tls_params p = { .ca_file = bundle_path };
	struct tls t = { .params = &p };
	struct tls_chain chain = { .crt = { c->crt }, .n = 1 };
	gnutls_x509_trust_list_t list;
	gnutls_x509_trust_list_iter_t iter = NULL;
	gnutls_x509_crt_t crt;
	struct outcome why = { 0 };
	unsigned n = 0;

	GOOD(gnutls_certificate_allocate_credentials(&t.credentials));
	assert_true(tls_trust(&t, &chain, all, &why));
	gnutls_certificate_get_trust_list(t.credentials, &list);
	while (gnutls_x509_trust_list_iter_get_ca(list, &iter, &crt) >= 0) {
		gnutls_x509_crt_deinit(crt);
		n++;
	}
	gnutls_certificate_free_credentials(t.credentials);
	return n;
}

/* Of the bundle only what the chain names is parsed. */
static void test_lazy_trust(void **state)
{
	(void)state;
	assert_int_equal(anchors(&leaf[LEAF], false), 2);
	assert_int_equal(anchors(&leaf[EVIL], false), 0);
	assert_int_equal(anchors(&other_root, false), 1);
	assert_int_equal(anchors(&leaf[EVIL], true), 3);
}

struct pin_case {
	const char *label;
	enum who pinned, who;
	bool ca;
	const char *words;
};

static const struct pin_case pin_cases[] = {
	{ "right", SELF, SELF, false, NULL },
	{ "right, expired", EXPIRED, EXPIRED, false, NULL },
	{ "wrong", LEAF, SELF, false, "another fingerprint" },
	{ "wrong, good CA", SELF, LEAF, true, "another fingerprint" },
	{ "right, good CA", LEAF, LEAF, true, NULL },
	{ "right, bad CA", SELF, SELF, true, "self-signed" },
	{ "right, good CA, wrong name", WRONG_NAME, WRONG_NAME, true,
	  "is not for" },
};

static void test_pins(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pin_cases) / sizeof(*pin_cases); i++) {
		const struct pin_case *c = &pin_cases[i];
		struct list pins = { 0 };
		struct tls_params p = {
			.verify = true, .verify_name = "mx.example.org",
			.pins = &pins, .ca_file = c->ca ? ca_path : NULL,
		};
		struct tls_facts facts = { 0 };
		struct outcome why = { 0 };
		struct server s;
		char pin[65];

		list_add(&pins, "00");
		cert_pin(&leaf[c->pinned], pin);
		list_add(&pins, pin);
		serve(&s, &leaf[c->who], NULL, NULL);
		expect(c->label, handshake(&s, &p, &facts, &why), c->words,
		       &why);
		assert_int_equal(facts.verified, !c->words);
		if (c->words && strstr(c->words, "fingerprint")) {
			cert_pin(&leaf[c->who], pin);
			assert_int_equal(facts.fault, TLS_FAULT_PIN);
			assert_string_equal(facts.pin, pin);
		}
		list_release(&pins);
	}
}

/* --- versions, priorities, files --- */

struct version_case {
	const char *server, *client;
	bool only_1_3;
	const char *words, *version;
};

static const struct version_case version_cases[] = {
	{ "NORMAL", NULL, false, NULL, "TLS1.3" },
	{ "NORMAL:-VERS-ALL:+VERS-TLS1.2", NULL, false, NULL, "TLS1.2" },
	{ "NORMAL:-VERS-ALL:+VERS-TLS1.2", NULL, true, "no TLS 1.3", NULL },
	{ "NORMAL", NULL, true, NULL, "TLS1.3" },
	{ "NORMAL:-VERS-ALL:+VERS-TLS1.1", NULL, false, "new enough", NULL },
	{ "NORMAL:-VERS-ALL:+VERS-TLS1.1", "NORMAL", false,
	  "speaks only TLS1.1", NULL },
	{ "NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL", true,
	  "speaks only TLS1.2", NULL },
	{ "NORMAL", "SECURE128", false, NULL, "TLS1.3" },
	{ "NORMAL", "NORMAL:+BOGUS", false, "BOGUS", NULL },
	{ "NORMAL:-GROUP-ALL:+GROUP-SECP256R1", NULL, false, NULL, "TLS1.3" },
	{ "NORMAL:-GROUP-ALL:+GROUP-FFDHE3072", NULL, false, NULL, "TLS1.3" },
};

static void test_versions(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(version_cases) / sizeof(*version_cases); i++) {
		const struct version_case *c = &version_cases[i];
		struct tls_params p = {
			.verify = true, .verify_name = "mx.example.org",
			.ca_file = ca_path, .priorities = c->client,
			.only_1_3 = c->only_1_3,
		};
		struct tls_facts facts = { 0 };
		struct outcome why = { 0 };
		struct server s;
		bool done;

		serve(&s, &leaf[LEAF], NULL, NULL);
		s.priorities = c->server;
		done = handshake(&s, &p, &facts, &why);
		expect(c->server, done, c->words, &why);
		assert_int_equal(facts.verified, done);
		if (c->version)
			assert_string_equal(facts.version, c->version);
	}
}

static void test_priorities_valid(void **state)
{
	struct outcome why = { 0 };

	(void)state;
	assert_true(tls_priorities_valid("SECURE128:-VERS-TLS1.2", &why));
	assert_false(tls_priorities_valid("NORMAL:+BOGUS", &why));
	assert_int_equal(why.exit, EX_CONFIG);
	assert_non_null(strstr(why.text, "BOGUS"));
	assert_non_null(tls_library_version());
}

static void test_files(void **state)
{
	static const struct {
		const char *ca, *crl, *certificate, *key, *words;
	} cases[] = {
		{ "/nonexistent/ca", NULL, NULL, NULL, "/nonexistent/ca" },
		{ "/", NULL, NULL, NULL, "CA file /: Is a directory" },
		{ empty_path, NULL, NULL, NULL, "holds no certificate" },
		{ ca_path, "/nonexistent/crl", NULL, NULL, "nonexistent/crl" },
		{ ca_path, empty_path, NULL, NULL, "CRL file" },
		{ ca_path, NULL, "/nonexistent/cert", NULL,
		  "/nonexistent/cert" },
		{ ca_path, NULL, client_path, "/nonexistent/key",
		  "/nonexistent/key" },
		{ ca_path, NULL, client_path, NULL, "with the key" },
		{ ca_path, NULL, "pkcs11:token=none", "pkcs11:token=none",
		  "pkcs11:token=none" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tls_params p = {
			.verify = true, .verify_name = "mx.example.org",
			.ca_file = cases[i].ca, .crl_file = cases[i].crl,
			.certificate = cases[i].certificate,
			.key = cases[i].key,
		};
		struct tls_facts facts = { 0 };
		struct outcome why = { 0 };
		struct server s;

		serve(&s, &leaf[LEAF], NULL, NULL);
		expect(cases[i].words, handshake(&s, &p, &facts, &why),
		       cases[i].words, &why);
		assert_int_equal(why.exit, EX_CONFIG);
	}
}

static void test_client_certificate(void **state)
{
	struct tls_params p = { .certificate = client_path,
				.key = client_key_path };
	struct tls_facts facts = { 0 };
	struct outcome why = { 0 };
	struct server s;

	(void)state;
	serve(&s, &leaf[LEAF], NULL, NULL);
	s.ask_certificate = true;
	assert_true(handshake(&s, &p, &facts, &why));
	assert_true(facts.client_certificate);
	assert_int_equal(s.client_certificates, 1);

	/* not asked for */
	serve(&s, &leaf[LEAF], NULL, NULL);
	assert_true(handshake(&s, &p, &facts, &why));
	assert_false(facts.client_certificate);

	/* asked for, and none is there */
	p.certificate = p.key = NULL;
	serve(&s, &leaf[LEAF], NULL, NULL);
	s.ask_certificate = true;
	assert_true(handshake(&s, &p, &facts, &why));
	assert_false(facts.client_certificate);
}

static void test_facts(void **state)
{
	struct tls_params p = {
		.verify = true, .verify_name = "mx.example.org",
		.ca_file = other_path,
	};
	struct tls_facts facts = { .want_certificates = true };
	struct outcome why = { 0 };
	struct server s;
	char pin[65];

	(void)state;
	serve(&s, &leaf[CHAINED], &middle, NULL);
	assert_false(handshake(&s, &p, &facts, &why));
	assert_int_equal(facts.certificates, 2);
	assert_string_equal(facts.certificate[0].subject, "CN=mx.example.org");
	assert_string_equal(facts.certificate[0].issuer,
			    "CN=Test Intermediate");
	assert_int_equal(facts.certificate[0].names.n, 1);
	assert_string_equal(facts.certificate[0].names.item[0],
			    "mx.example.org");
	cert_pin(&leaf[CHAINED], pin);
	assert_string_equal(facts.certificate[0].pin, pin);
	assert_true(facts.certificate[0].not_after > time(NULL));
	tls_facts_release(&facts);

	p.ca_file = ca_path;
	serve(&s, &leaf[LEAF], NULL, NULL);
	assert_true(handshake(&s, &p, &facts, &why));
	assert_non_null(strstr(facts.cipher, "TLS_"));
	assert_int_equal(facts.certificates, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_staples),
		cmocka_unit_test(test_unverified),
		cmocka_unit_test(test_system_trust),
		cmocka_unit_test(test_lazy_trust),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_priorities_valid),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_client_certificate),
		cmocka_unit_test(test_facts),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
