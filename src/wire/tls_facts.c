/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/tls_parts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void tls_pin(gnutls_x509_crt_t crt, char out[65])
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

static void name_text(gnutls_datum_t *dn, int error, char *out, size_t size)
{
	out[0] = '\0';
	if (error < 0)
		return;
	text_printable(out, size, (const char *)dn->data, dn->size);
	gnutls_free(dn->data);
}

void tls_subject(gnutls_x509_crt_t crt, char *out, size_t size)
{
	gnutls_datum_t dn = { 0 };

	name_text(&dn, gnutls_x509_crt_get_dn3(crt, &dn, 0), out, size);
}

void tls_issuer(gnutls_x509_crt_t crt, char *out, size_t size)
{
	gnutls_datum_t dn = { 0 };

	name_text(&dn, gnutls_x509_crt_get_issuer_dn3(crt, &dn, 0), out,
		  size);
}

bool tls_any_name(gnutls_x509_crt_t crt, tls_name_visit *visit, void *context)
{
	char raw[1024];
	unsigned i;
	size_t n;
	int type;

	for (i = 0; i < TLS_NAMES_MOST; i++) {
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

static bool add_name(int type, const char *raw, size_t n, void *context)
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

void tls_names(gnutls_x509_crt_t crt, struct list *names)
{
	tls_any_name(crt, add_name, names);
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

void tls_facts_chain(struct tls_facts *f, const struct tls_chain *c)
{
	struct tls_certificate *to;
	char text[512];
	unsigned i;

	if (!f->want_certificates || f->certificate || !c->n)
		return;
	f->certificate = mem_alloc(c->n * sizeof(*f->certificate));
	for (i = 0; i < c->n; i++) {
		to = &f->certificate[f->certificates++];
		tls_subject(c->crt[i], text, sizeof(text));
		to->subject = mem_string(text);
		tls_issuer(c->crt[i], text, sizeof(text));
		to->issuer = mem_string(text);
		tls_names(c->crt[i], &to->names);
		to->not_after = gnutls_x509_crt_get_expiration_time(c->crt[i]);
		tls_pin(c->crt[i], to->pin);
	}
}
