/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * DANE (RFC 6698, 7671, 7672). Usage 3 is the leaf itself. With usage 2 the
 * matching certificate becomes the only anchor of a fresh trust list, so
 * that a genuine anchor which merely lies in a forged chain proves nothing.
 */
#include "wire/tls_parts.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <string.h>

enum {
	USAGE_TA = 2, USAGE_EE = 3,
	SELECT_CERTIFICATE = 0, SELECT_KEY = 1,
	MATCH_FULL = 0, MATCH_SHA256 = 1, MATCH_SHA512 = 2
};

static bool selected(const struct tlsa *record, gnutls_x509_crt_t crt,
		     gnutls_datum_t *out)
{
	gnutls_pubkey_t key;
	int error;

	if (record->selector == SELECT_CERTIFICATE)
		return gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER,
					       out) >= 0;
	if (record->selector != SELECT_KEY || gnutls_pubkey_init(&key) < 0)
		return false;
	error = gnutls_pubkey_import_x509(key, crt, 0);
	if (error >= 0)
		error = gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, out);
	gnutls_pubkey_deinit(key);
	return error >= 0;
}

static bool is_match(const struct tlsa *record, const void *data, size_t n)
{
	unsigned char hash[64];
	size_t len = record->matching == MATCH_SHA256 ? 32 : 64;

	if (record->matching == MATCH_FULL)
		return n == record->n && n && !memcmp(data, record->data, n);
	if (record->matching > MATCH_SHA512 || record->n != len)
		return false;
	if (gnutls_hash_fast(record->matching == MATCH_SHA256 ?
			     GNUTLS_DIG_SHA256 : GNUTLS_DIG_SHA512,
			     data, n, hash) < 0)
		return false;
	return !memcmp(hash, record->data, len);
}

static bool is_record_of(const struct tlsa *record, gnutls_x509_crt_t crt)
{
	gnutls_datum_t data = { 0 };
	bool match;

	if (!selected(record, crt, &data))
		return false;
	match = is_match(record, data.data, data.size);
	gnutls_free(data.data);
	return match;
}

/* RFC 7671 9: of records with one usage and selector only those with the
 * strongest digest count, and those without any. */
static bool counts(const struct tls_params *p, const struct tlsa *record)
{
	size_t i;

	if (record->matching == MATCH_FULL)
		return true;
	for (i = 0; i < p->tlsas; i++)
		if (p->tlsa[i].usage == record->usage &&
		    p->tlsa[i].selector == record->selector &&
		    p->tlsa[i].matching <= MATCH_SHA512 &&
		    p->tlsa[i].matching > record->matching)
			return false;
	return true;
}

static void add_anchor(gnutls_x509_trust_list_t list, const void *der,
		       size_t n, unsigned *anchors)
{
	gnutls_datum_t data = { .data = (void *)der, .size = (unsigned)n };
	gnutls_x509_crt_t crt;

	if (gnutls_x509_crt_init(&crt) < 0)
		return;
	if (gnutls_x509_crt_import(crt, &data, GNUTLS_X509_FMT_DER) < 0 ||
	    gnutls_x509_trust_list_add_cas(list, &crt, 1, 0) < 1)
		gnutls_x509_crt_deinit(crt);
	else
		++*anchors;
}

/* The leaf is no anchor: usage 3 is for that (RFC 7671 5.2). */
static void add_matching(gnutls_x509_trust_list_t list,
			 const struct tlsa *record, const struct tls_chain *c,
			 unsigned *anchors)
{
	gnutls_datum_t der;
	unsigned i;

	for (i = 1; i < c->n; i++) {
		if (!is_record_of(record, c->crt[i]) ||
		    gnutls_x509_crt_export2(c->crt[i], GNUTLS_X509_FMT_DER,
					    &der) < 0)
			continue;
		add_anchor(list, der.data, der.size, anchors);
		gnutls_free(der.data);
	}
	/* a whole certificate needs not be sent by the server, too */
	if (record->selector == SELECT_CERTIFICATE &&
	    record->matching == MATCH_FULL && !is_record_of(record, c->crt[0]))
		add_anchor(list, record->data, record->n, anchors);
}

static bool verify_ta(struct tls *t, const struct tls_chain *c,
		      struct outcome *why)
{
	const struct tls_params *p = t->params;
	gnutls_x509_trust_list_t list;
	unsigned anchors = 0, status;
	size_t i;

	if (gnutls_x509_trust_list_init(&list, 0) < 0)
		return outcome_fail(why, STAGE_TLS, EX_OSERR,
				    "no memory for a trust list");
	for (i = 0; i < p->tlsas; i++)
		if (p->tlsa[i].usage == USAGE_TA && counts(p, &p->tlsa[i]))
			add_matching(list, &p->tlsa[i], c, &anchors);
	if (!anchors) {
		gnutls_x509_trust_list_deinit(list, 1);
		return outcome_fail(why, STAGE_TLS, EX_TEMPFAIL,
				    "the server's certificate matches none of "
				    "its TLSA records");
	}
	gnutls_certificate_set_trust_list(t->credentials, list, 0);
	if (!tls_verify_peers(t, c, &status, why))
		return false;
	if (!status)
		return tls_verify_name(p, c, why);
	if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
		return outcome_fail(why, STAGE_TLS, EX_TEMPFAIL,
				    "the server's certificate does not come "
				    "from the anchor in its TLSA records");
	return tls_verify_words(c, status, why);
}

bool tls_dane_verify(struct tls *t, const struct tls_chain *c,
		     struct outcome *why)
{
	const struct tls_params *p = t->params;
	size_t i;

	/* neither names nor dates count here (RFC 7672 3.1.1) */
	for (i = 0; i < p->tlsas; i++) {
		if (p->tlsa[i].usage == USAGE_EE && counts(p, &p->tlsa[i]) &&
		    is_record_of(&p->tlsa[i], c->crt[0])) {
			t->facts->verified = true;
			return true;
		}
	}
	if (!verify_ta(t, c, why)) {
		outcome_prefix(why, "DANE");
		return false;
	}
	t->facts->verified = true;
	return true;
}
