/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verdict on a server's certificate, in words that say what to do. */
#include "wire/tls_parts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static bool refuse(struct outcome *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool refuse(struct outcome *why, const char *format, ...)
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

static bool is_address(int type, const char *raw, size_t n, void *context)
{
	const struct address *a = context;

	return type == GNUTLS_SAN_IPADDRESS && n == a->n &&
	       !memcmp(raw, a->raw, n);
}

/* Without case; "*" stands for one whole label, the first, of three at the
 * least. */
static bool is_dns_name(int type, const char *raw, size_t n, void *context)
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
		return tls_any_name(crt, is_address, &address);
	return tls_any_name(crt, is_dns_name, (void *)name);
}

static bool name_words(gnutls_x509_crt_t crt, const char *name,
		       struct outcome *why)
{
	struct list names = { 0 };
	char *text;

	tls_names(crt, &names);
	if (!names.n)
		return refuse(why, "has no subject alternative name; a common "
			      "name alone does not count (a new certificate "
			      "is needed, or set fingerprint)");
	text = list_join(&names, ", ");
	list_release(&names);
	refuse(why, "is not for %s but for %.300s (if that is the right "
	       "server, set tls_name)", name, text);
	free(text);
	return false;
}

bool tls_verify_name(const struct tls_params *p, const struct tls_chain *c,
		     struct outcome *why)
{
	size_t i;

	if (!p->verify_name)
		return refuse(why, "cannot be checked: no name to expect");
	if (is_for(c->crt[0], p->verify_name))
		return true;
	for (i = 0; p->more_names && i < p->more_names->n; i++)
		if (is_for(c->crt[0], p->more_names->item[i]))
			return true;
	return name_words(c->crt[0], p->verify_name, why);
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

bool tls_verify_peers(struct tls *t, const struct tls_chain *c,
		      unsigned *status, struct outcome *why)
{
	int error = ask_library(t, status);

	if (error < 0)
		return refuse(why, "cannot be verified: %s",
			      gnutls_strerror(error));
	second_look(t, c, status);
	return true;
}

static void day(time_t when, char out[32])
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
		day(from > now ? from : until, when);
		tls_subject(c->crt[i], subject, sizeof(subject));
		return refuse(why, "%s%s%s%s %s (or the clock here is "
			      "wrong)", i ? "has an issuer, " : "",
			      i ? subject : "", i ? ", which " : "",
			      from > now ? "is not valid before" :
					   "expired on", when);
	}
	return refuse(why, "has an issuer that expired or is not yet valid");
}

static bool issuer_words(const struct tls_chain *c, struct outcome *why)
{
	char issuer[160], pin[65];

	tls_pin(c->crt[0], pin);
	if (gnutls_x509_crt_check_issuer(c->crt[0], c->crt[0]))
		return refuse(why, "is self-signed (to trust it: fingerprint "
			      "= %s, or its own file as ca_file)", pin);
	tls_issuer(c->crt[c->n - 1], issuer, sizeof(issuer));
	return refuse(why, "comes from an unknown issuer: %s (set ca_file to "
		      "its certificate, or fingerprint = %s)", issuer, pin);
}

static bool other_words(unsigned status, struct outcome *why)
{
	gnutls_datum_t text = { 0 };

	if (gnutls_certificate_verification_status_print(
		    status, GNUTLS_CRT_X509, &text, 0) < 0)
		return refuse(why, "is not trusted (%#x)", status);
	refuse(why, "is not trusted: %s", (const char *)text.data);
	gnutls_free(text.data);
	return false;
}

bool tls_verify_words(const struct tls_chain *c, unsigned status,
		      struct outcome *why)
{
	if (status & GNUTLS_CERT_REVOKED)
		return refuse(why, "was revoked by its issuer");
	if (status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED))
		return date_words(c, why);
	if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
		return issuer_words(c, why);
	if (status & GNUTLS_CERT_PURPOSE_MISMATCH)
		return refuse(why, "is not for servers (its extended key "
			      "usage has another purpose)");
	if (status & GNUTLS_CERT_MISSING_OCSP_STATUS)
		return refuse(why, "demands an OCSP answer (must-staple) that "
			      "the server did not send");
	if (status & GNUTLS_CERT_SIGNER_NOT_CA)
		return refuse(why, "was signed by a certificate that is no "
			      "CA");
	if (status & GNUTLS_CERT_INSECURE_ALGORITHM)
		return refuse(why, "or its chain is signed with an algorithm "
			      "that is no longer safe");
	if (status & (GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED |
		      GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE))
		return refuse(why, "cannot be checked for revocation: the "
			      "revocation list (crl_file) or OCSP answer is "
			      "out of date");
	return other_words(status, why);
}

/* A scan that found too little must never be the reason of a refusal: so
 * all of the trust store has the last word. */
static bool verify_chain(struct tls *t, const struct tls_chain *c,
			 struct outcome *why)
{
	unsigned status;

	if (!tls_trust(t, c, false, why) ||
	    !tls_verify_peers(t, c, &status, why))
		return false;
	if (!status)
		return true;
	if (!tls_trust(t, c, true, why) ||
	    !tls_verify_peers(t, c, &status, why))
		return false;
	if (status & GNUTLS_CERT_SIGNER_NOT_FOUND && t->no_authorities &&
	    !gnutls_x509_crt_check_issuer(c->crt[0], c->crt[0]))
		return refuse(why, "cannot be verified: there are no CA "
			      "certificates on this system (install "
			      "ca-certificates, or set ca_file)");
	return !status || tls_verify_words(c, status, why);
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

static bool verify_pin(const struct tls_params *p, const struct tls_chain *c,
		       struct outcome *why)
{
	char pin[65];
	size_t i;

	tls_pin(c->crt[0], pin);
	for (i = 0; pin[0] && i < p->pins->n; i++)
		if (is_pin(p->pins->item[i], pin))
			return true;
	return refuse(why, "has another fingerprint than configured (if the "
		      "server's key was changed on purpose, set fingerprint "
		      "= %s)", pin);
}

/* --- the verdict --- */

static bool judge(struct tls *t, const struct tls_chain *c,
		  struct outcome *why)
{
	const struct tls_params *p = t->params;
	bool pinned = p->pins && p->pins->n;

	if (p->tlsas && !tls_dane_verify(t, c, why))
		return false;
	t->facts->verified = false;
	if (pinned && !verify_pin(p, c, why))
		return false;
	if (p->tlsas && !p->hold_ca) {
		t->facts->verified = true;
		return true;
	}
	if (!p->tlsas && (pinned ? !p->ca_file : !p->verify)) {
		t->facts->verified = pinned;
		return true;
	}
	if (!verify_chain(t, c, why) || !tls_verify_name(p, c, why))
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
	tls_facts_chain(t->facts, &c);
	good = c.n ? judge(t, &c, &t->verdict) :
		     refuse(&t->verdict, "is missing or cannot be parsed");
	while (c.n)
		gnutls_x509_crt_deinit(c.crt[--c.n]);
	return good ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}
