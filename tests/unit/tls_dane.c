/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tls_support.h"
#include "tls_client.h"

static struct cert root, middle, evil_root;
static struct cert leaf, self, expired, wrong_name, chained, evil;

static int setup(void **state)
{
	struct cert_spec ca = { .cn = "Test Root", .ca = true };
	struct cert_spec mid = { .cn = "Test Intermediate", .ca = true };
	struct cert_spec bad = { .cn = "Evil Root", .ca = true };
	struct cert_spec good = { 0 };
	struct cert_spec old = { .from = -30, .until = -2 };
	struct cert_spec other = { .dns = "other.example.net" };

	(void)state;
	root = cert_make(&ca, NULL);
	middle = cert_make(&mid, &root);
	evil_root = cert_make(&bad, NULL);
	leaf = cert_make(&good, &root);
	self = cert_make(&good, NULL);
	expired = cert_make(&old, &root);
	wrong_name = cert_make(&other, &root);
	chained = cert_make(&good, &middle);
	evil = cert_make(&good, &evil_root);
	return 0;
}

static int teardown(void **state)
{
	struct cert *all[] = { &root, &middle, &evil_root, &leaf, &self,
			       &expired, &wrong_name, &chained, &evil };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(all) / sizeof(*all); i++)
		cert_free(all[i]);
	return 0;
}

struct dane_case {
	const char *label;
	unsigned char usage, selector, matching;
	struct cert *record;
	struct cert *leaf, *above, *above_it;
	const char *more_name;
	const char *words;
};

static const struct dane_case dane_cases[] = {
	{ "3 0 0", 3, 0, 0, &self, &self, .words = NULL },
	{ "3 0 1", 3, 0, 1, &self, &self, .words = NULL },
	{ "3 0 2", 3, 0, 2, &self, &self, .words = NULL },
	{ "3 1 0", 3, 1, 0, &self, &self, .words = NULL },
	{ "3 1 1", 3, 1, 1, &self, &self, .words = NULL },
	{ "3 1 2", 3, 1, 2, &self, &self, .words = NULL },
	{ "3, expired", 3, 1, 1, &expired, &expired,
	  .words = NULL },
	{ "3, another name", 3, 1, 1, &wrong_name, &wrong_name,
	  .words = NULL },
	{ "3, another key", 3, 1, 1, &leaf, &self,
	  .words = "matches none" },
	{ "3, the issuer's", 3, 1, 1, &root, &leaf, &root,
	  .words = "matches none" },
	{ "3 2 1", 3, 2, 1, &self, &self,
	  .words = "matches none" },
	{ "3 1 3", 3, 1, 3, &self, &self,
	  .words = "matches none" },
	{ "1 1 1", 1, 1, 1, &leaf, &leaf,
	  .words = "matches none" },
	{ "0 0 1", 0, 0, 1, &root, &leaf, &root,
	  .words = "matches none" },
	{ "2 0 1", 2, 0, 1, &root, &leaf, &root, .words = NULL },
	{ "2 1 1", 2, 1, 1, &root, &leaf, &root, .words = NULL },
	{ "2 1 1, intermediate", 2, 1, 1, &middle, &chained, &middle,
	  .words = NULL },
	{ "2, root behind", 2, 1, 1, &root, &chained, &middle, &root,
	  .words = NULL },
	{ "2, not sent", 2, 1, 1, &root, &leaf,
	  .words = "matches none" },
	{ "2 0 0, not sent", 2, 0, 0, &root, &leaf, .words = NULL },
	{ "2, another name", 2, 1, 1, &root, &wrong_name, &root,
	  .words = "is not for" },
	{ "2, the other name", 2, 1, 1, &root, &wrong_name, &root,
	  .more_name = "other.example.net", .words = NULL },
	{ "2, expired", 2, 1, 1, &root, &expired, &root,
	  .words = "expired on" },
	{ "2, leaf", 2, 1, 1, &self, &self,
	  .words = "matches none" },
	{ "2 0 0, leaf", 2, 0, 0, &self, &self,
	  .words = "matches none" },
	{ "2, genuine anchor in a forged chain", 2, 1, 1, &root, &evil,
	  &evil_root, &root, .words = "does not come from the anchor" },
	{ "2, genuine anchor, no forged CA", 2, 1, 1, &root, &evil,
	  &root, .words = "does not come from the anchor" },
};

static void record_make(const struct dane_case *c, struct tlsa *record)
{
	gnutls_datum_t data;
	gnutls_pubkey_t key;

	*record = (struct tlsa){ .usage = c->usage, .selector = c->selector,
				 .matching = c->matching };
	if (c->selector == 0) {
		GOOD(gnutls_x509_crt_export2(c->record->crt,
					     GNUTLS_X509_FMT_DER, &data));
	} else {
		GOOD(gnutls_pubkey_init(&key));
		GOOD(gnutls_pubkey_import_x509(key, c->record->crt, 0));
		GOOD(gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &data));
		gnutls_pubkey_deinit(key);
	}
	record->data = malloc(data.size + 64);
	assert_non_null(record->data);
	record->n = c->matching == 1 ? 32 : c->matching == 2 ? 64 : data.size;
	if (c->matching == 1)
		GOOD(gnutls_hash_fast(GNUTLS_DIG_SHA256, data.data, data.size,
				      record->data));
	else if (c->matching == 2)
		GOOD(gnutls_hash_fast(GNUTLS_DIG_SHA512, data.data, data.size,
				      record->data));
	else
		memcpy(record->data, data.data, data.size);
	gnutls_free(data.data);
}

static void test_dane(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(dane_cases) / sizeof(*dane_cases); i++) {
		const struct dane_case *c = &dane_cases[i];
		struct list more = { 0 };
		struct tlsa record[2] = { { 0 } };
		struct tls_params p = {
			.verify = true, .verify_name = "mx.example.org",
			.more_names = &more, .ca_file = "/nonexistent",
			.tlsa = record, .tlsas = 2,
		};
		struct tls_facts facts = { 0 };
		struct outcome why = { 0 };
		struct server s;

		/* a useless one in front hides nothing */
		record[0] = (struct tlsa){ .usage = 3, .selector = 1,
					   .matching = 1 };
		record_make(c, &record[1]);
		if (c->more_name)
			list_add(&more, c->more_name);
		serve(&s, c->leaf, c->above, c->above_it);
		expect(c->label, handshake(&s, &p, &facts, &why), c->words,
		       &why);
		assert_int_equal(facts.verified, !c->words);
		list_release(&more);
		free(record[1].data);
	}
}

/* Of records that differ in the digest alone the strongest counts (RFC 7671
 * section 9). */
static void test_strongest_digest(void **state)
{
	static const struct {
		struct cert *weak, *strong;
		unsigned char other;        /* the second's selector */
		bool good;
	} cases[] = {
		{ &self, &leaf, 1, false }, { &leaf, &self, 1, true },
		{ &self, &leaf, 0, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct dane_case sha256 = { "", 3, 1, 1,
			cases[i].weak, NULL, NULL, NULL, NULL, NULL };
		const struct dane_case sha512 = { "", 3, cases[i].other, 2,
			cases[i].strong, NULL, NULL, NULL, NULL, NULL };
		struct tlsa record[2] = { { 0 } };
		struct tls_params p = { .verify = true, .tlsa = record,
			.verify_name = "mx.example.org", .tlsas = 2 };
		struct tls_facts facts = { 0 };
		struct outcome why = { 0 };
		struct server s;

		record_make(&sha256, &record[0]);
		record_make(&sha512, &record[1]);
		serve(&s, &self, NULL, NULL);
		expect("digests", handshake(&s, &p, &facts, &why),
		       cases[i].good ? NULL : "matches none", &why);
		free(record[0].data);
		free(record[1].data);
	}
}

/* A CA or a pin that the transport names is not dropped for DANE. */
static void test_both_demands(void **state)
{
	const struct dane_case right = { "", 3, 1, 1, &leaf, NULL, NULL, NULL,
					 NULL, NULL };
	struct list pins = { 0 };
	struct tlsa record = { 0 };
	char path[2][64], pin[2][65];
	int fd[2], i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fd[i] = file_new(path[i]);
		file_add_cert(fd[i], i ? &root : &evil_root);
		cert_pin(i ? &leaf : &self, pin[i]);
	}
	record_make(&right, &record);
	for (i = 0; i < 6; i++) {
		struct tls_params p = {
			.verify = true, .verify_name = "mx.example.org",
			.tlsa = &record, .tlsas = 1, .pins = &pins,
			.ca_file = i < 4 ? path[i % 2] : NULL,
			.hold_ca = i < 2,
		};
		struct tls_facts facts = { 0 };
		struct outcome why = { 0 };
		struct server s;

		if (i > 3)
			list_add(&pins, pin[i % 2]);
		serve(&s, &leaf, NULL, NULL);
		expect("both", handshake(&s, &p, &facts, &why),
		       i == 0 ? "unknown issuer" :
		       i == 4 ? "fingerprint" : NULL, &why);
		assert_int_equal(facts.verified, i != 0 && i != 4);
		list_release(&pins);
	}
	free(record.data);
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dane),
		cmocka_unit_test(test_strongest_digest),
		cmocka_unit_test(test_both_demands),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
