/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a server's chain says: its facts for whoever asks, the names that its
 * leaf is for, and whether a trust list vouches for it; in words where not. */
#include "wire/tls_parts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* More than fit in the longest message that the library takes in a
 * handshake. */
enum { NAMES_MOST = 32 * 1024 };

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
void chain_pin(gnutls_x509_crt_t crt, char out[65])
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

/* Shows visit the DNS names and addresses of the SAN (type: GNUTLS_SAN_*) until
 * it returns true; whether it did. */
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

void chain_facts(struct tls_facts *f, const struct tls_chain *c)
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
		chain_pin(c->crt[i], to->pin);
	}
}

bool cert_bad(struct outcome *why, const char *format, ...)
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
bool chain_is_named(struct tls *t, const struct tls_chain *c,
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
	/* hand-made ones have "DNS:192.0.2.1" */
	if (list_has(&names, p->verify_name)) {
		list_release(&names);
		t->facts->fault = TLS_FAULT_NO_NAME;
		return cert_bad(why, "is not for the address %s, which it has "
				"as a domain's name", p->verify_name);
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
	const time_t now = time(NULL);
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
		if (!i || (gnutls_x509_crt_get_activation_time(c->crt[i]) <=
			   now && now <=
			   gnutls_x509_crt_get_expiration_time(c->crt[i])))
			chain[n++] = c->crt[i];
	gnutls_certificate_get_trust_list(t->credentials, &list);
	if (gnutls_x509_trust_list_verify_crt2(list, chain, n, &purpose, 1,
					       flags, &again, NULL) >= 0 &&
	    !again)
		*status = 0;
}

/* Verifies the chain against the trust list that the credentials have now:
 * false is a failure of the library; *status are GnuTLS's flags. */
bool chain_ask(struct tls *t, const struct tls_chain *c, unsigned *status,
	       struct outcome *why)
{
	int error = ask_library(t, status);

	if (error < 0)
		return cert_bad(why, "cannot be verified: %s",
				gnutls_strerror(error));
	second_look(t, c, status);
	return true;
}

/* Which of the chain it is: the leaf, or one above it. */
static bool date_words(const struct tls_chain *c, struct outcome *why)
{
	time_t now = time(NULL), from, until;
	char when[32] = "", subject[160];
	struct tm tm;
	unsigned i;

	for (i = 0; i < c->n; i++) {
		from = gnutls_x509_crt_get_activation_time(c->crt[i]);
		until = gnutls_x509_crt_get_expiration_time(c->crt[i]);
		if (from <= now && now <= until)
			continue;
		if (gmtime_r(from > now ? &from : &until, &tm))
			strftime(when, sizeof(when), "%Y-%m-%d", &tm);
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
bool chain_words(struct tls *t, const struct tls_chain *c, unsigned status,
		 struct outcome *why)
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
		chain_pin(c->crt[0], t->facts->pin);
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
bool chain_is_trusted(struct tls *t, const struct tls_chain *c,
		      struct outcome *why)
{
	unsigned status;

	if (!tls_trust(t, c, false, why) ||
	    !chain_ask(t, c, &status, why))
		return false;
	if (!status)
		return true;
	if (!tls_trust(t, c, true, why) ||
	    !chain_ask(t, c, &status, why))
		return false;
	if (status & GNUTLS_CERT_SIGNER_NOT_FOUND && t->no_authorities &&
	    !gnutls_x509_crt_check_issuer(c->crt[0], c->crt[0])) {
		t->facts->fault = TLS_FAULT_NO_AUTHORITIES;
		return cert_bad(why, "cannot be verified: there are no CA "
				"certificates on this system");
	}
	return !status || chain_words(t, c, status, why);
}
