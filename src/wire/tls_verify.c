/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verdict on a server's certificate: names, chain, pins, and DANE
 * (RFC 6698, 7671, 7672). Usage 3 is the leaf itself. With usage 2 the
 * matching certificate becomes the only anchor of a fresh trust list, so
 * that a genuine anchor which merely lies in a forged chain proves nothing.
 */
#include "wire/tls_parts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { NAMES_MOST = 256 };

typedef bool name_visit(int type, const char *raw, size_t n, void *context);

/* --- facts --- */

void tls_facts_release(struct tls_facts *f)
{
	struct tls_certificate *c;

	while (f->certificates) {
		c = &f->certificate[--f->certificates];
		free(c->subject);
		free(c->issuer);
		list_release(&c->names);
	}
	free(f->certificate);
	*f = (struct tls_facts){ 0 };
}

/* SHA-256 of the SPKI, hex. */
static void pin_of(gnutls_x509_crt_t crt, char out[65])
{
	unsigned char id[32];
	size_t n = sizeof(id), i;

	out[0] = '\0';
	if (gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, id,
				       &n) < 0 || n != sizeof(id))
		return;
	for (i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", id[i]);
}

/* One printable line. */
static void dn_text(gnutls_datum_t *dn, int error, char *out, size_t size)
{
	out[0] = '\0';
	if (error < 0)
		return;
	text_printable(out, size, (const char *)dn->data, dn->size);
	gnutls_free(dn->data);
}

static void subject_of(gnutls_x509_crt_t crt, char *out, size_t size)
{
	gnutls_datum_t dn = { 0 };

	dn_text(&dn, gnutls_x509_crt_get_dn3(crt, &dn, 0), out, size);
}

static void issuer_of(gnutls_x509_crt_t crt, char *out, size_t size)
{
	gnutls_datum_t dn = { 0 };

	dn_text(&dn, gnutls_x509_crt_get_issuer_dn3(crt, &dn, 0), out,
		size);
}

/* Shows visit the DNS names and addresses of the SAN (type: GNUTLS_SAN_*), at
 * most NAMES_MOST, until it returns true; whether it did. */
static bool any_name(gnutls_x509_crt_t crt, name_visit *visit, void *context)
{
	char raw[1024];
	unsigned i;
	size_t n;
	int type;

	for (i = 0; i < NAMES_MOST; i++) {
		n = sizeof(raw);
		type = gnutls_x509_crt_get_subject_alt_name(crt, i, raw, &n,
							    NULL);
		if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return false;
		if ((type == GNUTLS_SAN_DNSNAME ||
		     type == GNUTLS_SAN_IPADDRESS) &&
		    visit(type, raw, n, context))
			return true;
	}
	return false;
}

static bool san_list(int type, const char *raw, size_t n, void *context)
{
	char text[300] = "";

	if (type == GNUTLS_SAN_DNSNAME)
		text_printable(text, sizeof(text), raw, n);
	else if (n == 4)
		inet_ntop(AF_INET, raw, text, sizeof(text));
	else if (n == 16)
		inet_ntop(AF_INET6, raw, text, sizeof(text));
	if (text[0])
		list_add(context, text);
	return false;
}

#if GNUTLS_VERSION_NUMBER >= 0x030704
static void cipher_name(gnutls_session_t s, char *out, size_t size)
{
	const char *name = gnutls_ciphersuite_get(s);

	snprintf(out, size, "%s", name ? name : "");
}
#else
static void cipher_name(gnutls_session_t s, char *out, size_t size)
{
	char *name = gnutls_session_get_desc(s);

	snprintf(out, size, "%s", name ? name : "");
	gnutls_free(name);
}
#endif

void tls_facts_session(struct tls *t)
{
	const char *version;

	version = gnutls_protocol_get_name(
		gnutls_protocol_get_version(t->session));
	snprintf(t->facts->version, sizeof(t->facts->version), "%s",
		 version ? version : "");
	cipher_name(t->session, t->facts->cipher, sizeof(t->facts->cipher));
}

static void facts_chain(struct tls_facts *f, const struct tls_chain *c)
{
	struct tls_certificate *to;
	char text[512];
	unsigned i;

	if (!f->want_certificates || f->certificate || !c->n)
		return;
	f->certificate = mem_alloc(c->n * sizeof(*f->certificate));
	for (i = 0; i < c->n; i++) {
		to = &f->certificate[f->certificates++];
		subject_of(c->crt[i], text, sizeof(text));
		to->subject = mem_string(text);
		issuer_of(c->crt[i], text, sizeof(text));
		to->issuer = mem_string(text);
		any_name(c->crt[i], san_list, &to->names);
		to->not_after = gnutls_x509_crt_get_expiration_time(c->crt[i]);
		pin_of(c->crt[i], to->pin);
	}
}

static bool cert_bad(struct outcome *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool cert_bad(struct outcome *why, const char *format, ...)
{
	char text[480];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return outcome_fail(why, STAGE_TLS, EX_TEMPFAIL,
			    "the server's certificate %s", text);
}

/* --- names --- */

struct address {
	unsigned char raw[16];
	size_t n;
};

static bool san_is_address(int type, const char *raw, size_t n, void *context)
{
	const struct address *a = context;

	return type == GNUTLS_SAN_IPADDRESS && n == a->n &&
	       !memcmp(raw, a->raw, n);
}

/* Without case; "*" stands for one whole label, the first, of three at the
 * least. */
static bool san_is_dns(int type, const char *raw, size_t n, void *context)
{
	const char *name = context, *rest = strchr(name, '.');
	size_t length = strlen(name);

	if (type != GNUTLS_SAN_DNSNAME)
		return false;
	if (length && name[length - 1] == '.')
		length--;
	if (n > 2 && raw[0] == '*' && raw[1] == '.') {
		if (!rest || rest == name || !memchr(raw + 2, '.', n - 2))
			return false;
		raw++;
		n--;
		length -= (size_t)(rest - name);
		name = rest;
	}
	return n == length && !memchr(raw, '*', n) && !memchr(raw, '\0', n) &&
	       !strncasecmp(raw, name, n);
}

/* The library looks at the CN where there is no DNS name in the SAN, at DNS
 * names for an address, and takes a part of a label for a wildcard: none of
 * that counts here (RFC 9525 6.3). */
static bool is_for(gnutls_x509_crt_t crt, const char *name)
{
	struct address address;
	char bare[80];
	size_t n = strlen(name);

	if (n > 2 && n < sizeof(bare) && name[0] == '[') {
		memcpy(bare, name + 1, n - 2);
		bare[n - 2] = '\0';
		name = bare;
	}
	address.n = inet_pton(AF_INET, name, address.raw) == 1 ? 4 :
		    inet_pton(AF_INET6, name, address.raw) == 1 ? 16 : 0;
	if (address.n)
		return any_name(crt, san_is_address, &address);
	return any_name(crt, san_is_dns, (void *)name);
}

/* Whether the leaf is for one of params' names, by SAN alone. */
static bool verify_name(struct tls *t, const struct tls_chain *c,
			struct outcome *why)
{
	const struct tls_params *p = t->params;
	struct list names = { 0 };
	char *text;
	size_t i;

	if (!p->verify_name)
		return cert_bad(why, "cannot be checked: no name to expect");
	if (is_for(c->crt[0], p->verify_name))
		return true;
	for (i = 0; p->more_names && i < p->more_names->n; i++)
		if (is_for(c->crt[0], p->more_names->item[i]))
			return true;
	any_name(c->crt[0], san_list, &names);
	if (!names.n) {
		t->facts->fault = TLS_FAULT_NO_NAME;
		return cert_bad(why, "has no subject alternative name; a "
				"common name alone does not count");
	}
	t->facts->fault = TLS_FAULT_NAME;
	text = list_join(&names, ", ");
	list_release(&names);
	cert_bad(why, "is not for %s but for %.300s", p->verify_name, text);
	free(text);
	return false;
}

/* --- the chain --- */

static bool is_must_staple(gnutls_x509_crt_t crt)
{
	enum { STATUS_REQUEST = 5 };   /* RFC 7633, RFC 6066 */
	gnutls_x509_tlsfeatures_t features;
	unsigned i, feature = 0;
	bool found = false;

	if (gnutls_x509_tlsfeatures_init(&features) < 0)
		return true;
	if (gnutls_x509_crt_get_tlsfeatures(crt, features, 0, NULL) >= 0)
		for (i = 0; !found && gnutls_x509_tlsfeatures_get(
					features, i, &feature) >= 0; i++)
			found = feature == STATUS_REQUEST;
	gnutls_x509_tlsfeatures_deinit(features);
	return found;
}

static bool is_in_time(gnutls_x509_crt_t crt)
{
	const time_t now = time(NULL);

	return gnutls_x509_crt_get_activation_time(crt) <= now &&
	       now <= gnutls_x509_crt_get_expiration_time(crt);
}

/* Asks the library for its verdict on the session's chain. */
static int ask_library(struct tls *t, unsigned *status)
{
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (void *)GNUTLS_KP_TLS_WWW_SERVER,
	};

	return gnutls_certificate_verify_peers(t->session, &purpose, 1,
					       status);
}

/*
 * Two refusals of the library are of what was sent beside the chain: an OCSP
 * answer that is out of date, which is as good as none unless the certificate
 * demands one, and an issuer that has expired and comes before its valid
 * twin. Without these the chain is looked at once more, by the trust list
 * alone (and its CRLs). What a priority string of the user's asks of keys and
 * algorithms the library alone knows: it is asked again with no regard to
 * OCSP, and has to be content besides.
 */
static void second_look(struct tls *t, const struct tls_chain *c,
			unsigned *status)
{
	const unsigned stale = GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED |
			       GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE |
			       GNUTLS_CERT_EXPIRED |
			       GNUTLS_CERT_NOT_ACTIVATED;
	unsigned flags = GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM);
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (void *)GNUTLS_KP_TLS_WWW_SERVER,
	};
	gnutls_x509_crt_t chain[TLS_CHAIN_MOST];
	gnutls_x509_trust_list_t list;
	unsigned i, n = 0, again = 0;
	int error;

	if (!(*status & stale) || *status & GNUTLS_CERT_REVOKED ||
	    is_must_staple(c->crt[0]))
		return;
	if (t->params->priorities) {
		gnutls_certificate_set_verify_flags(
			t->credentials, GNUTLS_VERIFY_DISABLE_CRL_CHECKS);
		error = ask_library(t, &again);
		gnutls_certificate_set_verify_flags(t->credentials, 0);
		if (error < 0 || again)
			return;
		flags = 0;
	}
	for (i = 0; i < c->n; i++)
		if (!i || is_in_time(c->crt[i]))
			chain[n++] = c->crt[i];
	gnutls_certificate_get_trust_list(t->credentials, &list);
	if (gnutls_x509_trust_list_verify_crt2(list, chain, n, &purpose, 1,
					       flags, &again, NULL) >= 0 &&
	    !again)
		*status = 0;
}

/* Verifies the chain against the trust list that the credentials have now:
 * false is a failure of the library; *status are GnuTLS's flags. */
static bool verify_peers(struct tls *t, const struct tls_chain *c,
			 unsigned *status, struct outcome *why)
{
	int error = ask_library(t, status);

	if (error < 0)
		return cert_bad(why, "cannot be verified: %s",
				gnutls_strerror(error));
	second_look(t, c, status);
	return true;
}

static void day_text(time_t when, char out[32])
{
	struct tm tm;

	out[0] = '\0';
	if (gmtime_r(&when, &tm))
		strftime(out, 32, "%Y-%m-%d", &tm);
}

/* Which of the chain it is: the leaf, or one above it. */
static bool date_words(const struct tls_chain *c, struct outcome *why)
{
	time_t now = time(NULL), from, until;
	char when[32], subject[160];
	unsigned i;

	for (i = 0; i < c->n; i++) {
		from = gnutls_x509_crt_get_activation_time(c->crt[i]);
		until = gnutls_x509_crt_get_expiration_time(c->crt[i]);
		if (from <= now && now <= until)
			continue;
		day_text(from > now ? from : until, when);
		subject_of(c->crt[i], subject, sizeof(subject));
		return cert_bad(why, "%s%s%s%s %s (or the clock here is "
				"wrong)", i ? "has an issuer, " : "",
				i ? subject : "", i ? ", which " : "",
				from > now ? "is not valid before" :
				"expired on", when);
	}
	return cert_bad(why, "has an issuer that expired or is not yet "
			"valid");
}

/* GnuTLS's flags in words: false. */
static bool status_words(struct tls *t, const struct tls_chain *c,
			 unsigned status, struct outcome *why)
{
	static const struct {
		unsigned flags;
		const char *words;
	} rows[] = {
		{ GNUTLS_CERT_PURPOSE_MISMATCH, "is not for servers (its "
		  "extended key usage has another purpose)" },
		{ GNUTLS_CERT_MISSING_OCSP_STATUS, "demands an OCSP answer "
		  "(must-staple) that the server did not send" },
		{ GNUTLS_CERT_SIGNER_NOT_CA, "was signed by a certificate "
		  "that is not a CA's" },
		{ GNUTLS_CERT_INSECURE_ALGORITHM, "or its chain is signed "
		  "with an algorithm that is no longer safe" },
		{ GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED |
		  GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE,
		  "cannot be checked for revocation: the revocation list or "
		  "OCSP answer is out of date" },
	};
	gnutls_datum_t text = { 0 };
	char issuer[160];
	size_t i;

	if (status & GNUTLS_CERT_REVOKED)
		return cert_bad(why, "was revoked by its issuer");
	if (status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED))
		return date_words(c, why);
	if (status & GNUTLS_CERT_SIGNER_NOT_FOUND) {
		pin_of(c->crt[0], t->facts->pin);
		if (gnutls_x509_crt_check_issuer(c->crt[0], c->crt[0])) {
			t->facts->fault = TLS_FAULT_SELF_SIGNED;
			return cert_bad(why, "is self-signed");
		}
		t->facts->fault = TLS_FAULT_ISSUER;
		issuer_of(c->crt[c->n - 1], issuer, sizeof(issuer));
		return cert_bad(why, "comes from an unknown issuer: %s",
				issuer);
	}
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (status & rows[i].flags)
			return cert_bad(why, "%s", rows[i].words);
	if (gnutls_certificate_verification_status_print(
		    status, GNUTLS_CRT_X509, &text, 0) < 0)
		return cert_bad(why, "is not trusted (%#x)", status);
	cert_bad(why, "is not trusted: %s", (const char *)text.data);
	gnutls_free(text.data);
	return false;
}

/* A scan that found too little must never be the reason of a refusal: so
 * all of the trust store has the last word. */
static bool verify_chain(struct tls *t, const struct tls_chain *c,
			 struct outcome *why)
{
	unsigned status;

	if (!tls_trust(t, c, false, why) ||
	    !verify_peers(t, c, &status, why))
		return false;
	if (!status)
		return true;
	if (!tls_trust(t, c, true, why) ||
	    !verify_peers(t, c, &status, why))
		return false;
	if (status & GNUTLS_CERT_SIGNER_NOT_FOUND && t->no_authorities &&
	    !gnutls_x509_crt_check_issuer(c->crt[0], c->crt[0])) {
		t->facts->fault = TLS_FAULT_NO_AUTHORITIES;
		return cert_bad(why, "cannot be verified: there are no CA "
				"certificates on this system");
	}
	return !status || status_words(t, c, status, why);
}

/* --- DANE --- */

enum {
	USAGE_TA = 2, USAGE_EE = 3,
	SELECT_CERTIFICATE = 0, SELECT_KEY = 1,
	MATCH_FULL = 0, MATCH_SHA256 = 1, MATCH_SHA512 = 2
};

static bool dane_selected(const struct tlsa *record, gnutls_x509_crt_t crt,
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

static bool dane_digest_matches(const struct tlsa *record, const void *data,
				size_t n)
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

	if (!dane_selected(record, crt, &data))
		return false;
	match = dane_digest_matches(record, data.data, data.size);
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
	if (!verify_peers(t, c, &status, why))
		return false;
	if (!status)
		return verify_name(t, c, why);
	if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
		return outcome_fail(why, STAGE_TLS, EX_TEMPFAIL,
				    "the server's certificate does not come "
				    "from the anchor in its TLSA records");
	return status_words(t, c, status, why);
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
static bool is_pin(const char *configured, const char *pin)
{
	char c;

	for (; *configured; configured++) {
		if (*configured == ':')
			continue;
		c = *configured;
		if (c >= 'A' && c <= 'F')
			c = (char)(c - 'A' + 'a');
		if (c != *pin)
			return false;
		pin++;
	}
	return !*pin;
}

static bool verify_pin(struct tls *t, const struct tls_chain *c,
		       struct outcome *why)
{
	const struct list *pins = t->params->pins;
	size_t i;

	pin_of(c->crt[0], t->facts->pin);
	for (i = 0; t->facts->pin[0] && i < pins->n; i++)
		if (is_pin(pins->item[i], t->facts->pin))
			return true;
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
	if (!verify_chain(t, c, why) || !verify_name(t, c, why))
		return false;
	t->facts->verified = true;
	return true;
}

static void chain_import(struct tls_chain *c, const gnutls_datum_t *raw,
			 unsigned n)
{
	unsigned i;

	for (i = 0; i < n && i < TLS_CHAIN_MOST; i++) {
		if (gnutls_x509_crt_init(&c->crt[c->n]) < 0)
			return;
		if (gnutls_x509_crt_import(c->crt[c->n], &raw[i],
					   GNUTLS_X509_FMT_DER) < 0) {
			gnutls_x509_crt_deinit(c->crt[c->n]);
			return;
		}
		c->n++;
	}
}

int tls_verify(gnutls_session_t session)
{
	struct tls *t = gnutls_session_get_ptr(session);
	struct tls_chain c = { 0 };
	const gnutls_datum_t *raw;
	unsigned n = 0;
	bool good;

	t->judged = true;
	tls_facts_session(t);
	raw = gnutls_certificate_get_peers(session, &n);
	if (raw)
		chain_import(&c, raw, n);
	facts_chain(t->facts, &c);
	good = c.n ? judge_chain(t, &c, &t->verdict) :
		     cert_bad(&t->verdict, "is missing or cannot be parsed");
	while (c.n)
		gnutls_x509_crt_deinit(c.crt[--c.n]);
	return good ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}
