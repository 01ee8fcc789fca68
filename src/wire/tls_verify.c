/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verdict on a server's certificate: its chain, pins, and DANE (RFC 6698,
 * 7671, 7672). Usage 3 is the leaf itself. With usage 2 the matching
 * certificate becomes the only anchor of a fresh trust list, so that a genuine
 * anchor which merely lies in a forged chain proves nothing.
 */
#include "wire/tls_parts.h"

#include <stdlib.h>
#include <string.h>

/* --- DANE --- */

enum {
	USAGE_TA = 2, USAGE_EE = 3,
	SELECT_CERTIFICATE = 0, SELECT_KEY = 1,
	MATCH_FULL = 0, MATCH_SHA256 = 1, MATCH_SHA512 = 2
};

static bool is_record_of(const struct tlsa *record, gnutls_x509_crt_t crt)
{
	const bool short_hash = record->matching == MATCH_SHA256;
	gnutls_datum_t data = { 0 };
	unsigned char hash[64];
	gnutls_pubkey_t key;
	bool match;
	int error;

	if (record->selector > SELECT_KEY || record->matching > MATCH_SHA512)
		return false;
	if (record->selector == SELECT_CERTIFICATE) {
		error = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER,
						&data);
	} else {
		if (gnutls_pubkey_init(&key) < 0)
			return false;
		error = gnutls_pubkey_import_x509(key, crt, 0);
		if (error >= 0)
			error = gnutls_pubkey_export2(
				key, GNUTLS_X509_FMT_DER, &data);
		gnutls_pubkey_deinit(key);
	}
	if (error < 0)
		return false;
	if (record->matching == MATCH_FULL)
		match = data.size && data.size == record->n &&
			!memcmp(data.data, record->data, data.size);
	else
		match = record->n == (short_hash ? 32 : 64) &&
			gnutls_hash_fast(short_hash ? GNUTLS_DIG_SHA256 :
					 GNUTLS_DIG_SHA512, data.data,
					 data.size, hash) >= 0 &&
			!memcmp(hash, record->data, record->n);
	gnutls_free(data.data);
	return match;
}

/* RFC 7671 9: of records with one usage and selector only those with the
 * strongest digest count, and those without any. */
static bool dane_counts(const struct tls_params *p, const struct tlsa *record)
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
	gnutls_datum_t one = { .data = (void *)der, .size = (unsigned)n };
	gnutls_x509_crt_t crt;

	if (gnutls_x509_crt_init(&crt) < 0)
		return;
	if (gnutls_x509_crt_import(crt, &one, GNUTLS_X509_FMT_DER) < 0 ||
	    gnutls_x509_trust_list_add_cas(list, &crt, 1, 0) < 1)
		gnutls_x509_crt_deinit(crt);
	else
		++*anchors;
}

/* The leaf is not an anchor: usage 3 is for that (RFC 7671 5.2). */
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
	/* a whole certificate need not be sent by the server as well */
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
		if (p->tlsa[i].usage == USAGE_TA && dane_counts(p, &p->tlsa[i]))
			add_matching(list, &p->tlsa[i], c, &anchors);
	if (!anchors) {
		gnutls_x509_trust_list_deinit(list, 1);
		return outcome_fail(why, STAGE_TLS, EX_TEMPFAIL,
				    "the server's certificate matches none of "
				    "its TLSA records");
	}
	gnutls_certificate_set_trust_list(t->credentials, list, 0);
	if (!chain_ask(t, c, &status, why))
		return false;
	if (!status)
		return chain_is_named(t, c, why);
	if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
		return outcome_fail(why, STAGE_TLS, EX_TEMPFAIL,
				    "the server's certificate does not come "
				    "from the anchor in its TLSA records");
	return chain_words(t, c, status, why);
}

/* RFC 7672: usage 3, then usage 2. */
static bool dane_verify(struct tls *t, const struct tls_chain *c,
			struct outcome *why)
{
	const struct tls_params *p = t->params;
	size_t i;

	/* neither names nor dates count here (RFC 7672 3.1.1) */
	for (i = 0; i < p->tlsas; i++) {
		if (p->tlsa[i].usage == USAGE_EE &&
		    dane_counts(p, &p->tlsa[i]) &&
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

/* --- pins --- */

/* Hex digits without case; colons between them are passed over. */
static bool verify_pin(struct tls *t, const struct tls_chain *c,
		       struct outcome *why)
{
	const struct list *pins = t->params->pins;
	const char *said, *pin;
	size_t i;

	chain_pin(c->crt[0], t->facts->pin);
	for (i = 0; t->facts->pin[0] && i < pins->n; i++) {
		pin = t->facts->pin;
		for (said = pins->item[i]; *said; said++) {
			if (*said == ':')
				continue;
			if ((*said >= 'A' && *said <= 'F' ?
			     *said - 'A' + 'a' : *said) != *pin)
				break;
			pin++;
		}
		if (!*said && !*pin)
			return true;
	}
	t->facts->fault = TLS_FAULT_PIN;
	return cert_bad(why, "has another fingerprint than configured");
}

/* --- the verdict --- */

static bool judge_chain(struct tls *t, const struct tls_chain *c,
			struct outcome *why)
{
	const struct tls_params *p = t->params;
	bool pinned = p->pins && p->pins->n;

	if (p->tlsas && !dane_verify(t, c, why))
		return false;
	t->facts->verified = false;
	if (pinned && !verify_pin(t, c, why))
		return false;
	if (p->tlsas && !p->hold_ca) {
		t->facts->verified = true;
		return true;
	}
	if (!p->tlsas && (pinned ? !p->ca_file : !p->verify)) {
		t->facts->verified = pinned;
		return true;
	}
	if (!chain_is_trusted(t, c, why) || !chain_is_named(t, c, why))
		return false;
	t->facts->verified = true;
	return true;
}

int tls_verify(gnutls_session_t session)
{
	struct tls *t = gnutls_session_get_ptr(session);
	struct tls_chain c = { 0 };
	const gnutls_datum_t *raw;
	unsigned i, n = 0;
	bool good;

	t->judged = true;
	tls_facts_session(t);
	raw = gnutls_certificate_get_peers(session, &n);
	for (i = 0; raw && i < n && i < TLS_CHAIN_MOST; i++) {
		if (gnutls_x509_crt_init(&c.crt[i]) < 0)
			break;
		c.n++;
		if (gnutls_x509_crt_import(c.crt[i], &raw[i],
					   GNUTLS_X509_FMT_DER) < 0) {
			gnutls_x509_crt_deinit(c.crt[--c.n]);
			break;
		}
	}
	chain_facts(t->facts, &c);
	good = c.n ? judge_chain(t, &c, &t->verdict) :
		     cert_bad(&t->verdict, "is missing or cannot be parsed");
	while (c.n)
		gnutls_x509_crt_deinit(c.crt[--c.n]);
	return good ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}
