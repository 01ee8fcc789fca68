/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Certificates for tests, right ones and one for every fault. */
#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

enum { DAY = 86400 };

struct spec {
	const char *name;
	const char *cn;
	const char *dns[3];
	bool ip;
	const char *issuer;       /* NULL: itself */
	int from, to;             /* days from now */
	const char *purpose;      /* NULL: server */
	bool authority;
	bool must_staple;
};

static const struct spec specs[] = {
	{ .name = "ca", .cn = "Test CA", .from = -30, .to = 300,
	  .authority = true },
	{ .name = "other-ca", .cn = "Other CA", .from = -30, .to = 300,
	  .authority = true },
	{ .name = "intermediate-ca", .cn = "Intermediate CA", .issuer = "ca",
	  .from = -30, .to = 300, .authority = true },
	{ .name = "good", .cn = "mail.example.test",
	  .dns = { "localhost", "mail.example.test" }, .ip = true,
	  .issuer = "ca", .from = -1, .to = 90 },
	{ .name = "wrong-name", .cn = "localhost",
	  .dns = { "elsewhere.example.test" }, .issuer = "ca",
	  .from = -1, .to = 90 },
	{ .name = "wildcard", .cn = "wild", .dns = { "*.example.test" },
	  .issuer = "ca", .from = -1, .to = 90 },
	{ .name = "unknown-ca", .cn = "localhost", .dns = { "localhost" },
	  .ip = true, .issuer = "other-ca", .from = -1, .to = 90 },
	{ .name = "self-signed", .cn = "localhost", .dns = { "localhost" },
	  .ip = true, .from = -1, .to = 90 },
	{ .name = "expired", .cn = "localhost", .dns = { "localhost" },
	  .ip = true, .issuer = "ca", .from = -20, .to = -2 },
	{ .name = "not-yet", .cn = "localhost", .dns = { "localhost" },
	  .ip = true, .issuer = "ca", .from = 2, .to = 90 },
	{ .name = "client-only", .cn = "localhost", .dns = { "localhost" },
	  .ip = true, .issuer = "ca", .from = -1, .to = 90,
	  .purpose = GNUTLS_KP_TLS_WWW_CLIENT },
	{ .name = "no-san", .cn = "localhost", .issuer = "ca",
	  .from = -1, .to = 90 },
	{ .name = "chain", .cn = "localhost", .dns = { "localhost" },
	  .ip = true, .issuer = "intermediate-ca", .from = -1, .to = 90 },
	{ .name = "revoked", .cn = "localhost", .dns = { "localhost" },
	  .ip = true, .issuer = "ca", .from = -1, .to = 90 },
	{ .name = "must-staple", .cn = "localhost", .dns = { "localhost" },
	  .ip = true, .issuer = "ca", .from = -1, .to = 90,
	  .must_staple = true },
	{ .name = "client", .cn = "client user", .issuer = "ca",
	  .from = -1, .to = 90, .purpose = GNUTLS_KP_TLS_WWW_CLIENT },
};
enum { SPECS = sizeof(specs) / sizeof(specs[0]) };

struct made {
	gnutls_x509_crt_t crt;
	gnutls_x509_privkey_t key;
};

static void must(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, gnutls_strerror(rc));
	exit(1);
}

static void save(const char *directory, const char *name, const char *suffix,
		 const char *mode, gnutls_datum_t *d)
{
	char path[512];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s%s", directory, name, suffix);
	out = fopen(path, mode);
	if (!out || fwrite(d->data, 1, d->size, out) != d->size ||
	    fclose(out) != 0)
		exit(1);
	gnutls_free(d->data);
}

static size_t index_of(const char *name)
{
	for (size_t i = 0; i < SPECS; i++)
		if (strcmp(specs[i].name, name) == 0)
			return i;
	abort();
}

static void name_it(gnutls_x509_crt_t crt, const struct spec *s)
{
	static const unsigned char loopback[] = { 127, 0, 0, 1 };
	static const unsigned char loopback6[16] = { [15] = 1 };

	must(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME,
		0, s->cn, (unsigned int)strlen(s->cn)), "name");
	for (size_t i = 0; i < 3 && s->dns[i]; i++)
		must(gnutls_x509_crt_set_subject_alt_name(crt,
			GNUTLS_SAN_DNSNAME, s->dns[i],
			(unsigned int)strlen(s->dns[i]),
			GNUTLS_FSAN_APPEND), "name");
	if (!s->ip)
		return;
	must(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS,
		loopback, sizeof(loopback), GNUTLS_FSAN_APPEND), "address");
	must(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS,
		loopback6, sizeof(loopback6), GNUTLS_FSAN_APPEND), "address");
}

static void allow_it(gnutls_x509_crt_t crt, const struct spec *s)
{
	static const unsigned char staple[] = { 0x30, 3, 2, 1, 5 };

	if (s->authority) {
		must(gnutls_x509_crt_set_basic_constraints(crt, 1, -1), "CA");
		must(gnutls_x509_crt_set_key_usage(crt,
			GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN), "use");
		return;
	}
	must(gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE),
	     "use");
	must(gnutls_x509_crt_set_key_purpose_oid(crt, s->purpose ? s->purpose :
		GNUTLS_KP_TLS_WWW_SERVER, 0), "purpose");
	if (s->must_staple)
		must(gnutls_x509_crt_set_extension_by_oid(crt,
			"1.3.6.1.5.5.7.1.24", staple, sizeof(staple), 0),
		     "staple");
}

static void make_one(size_t i, struct made *all)
{
	const struct spec *s = &specs[i];
	struct made *m = &all[i];
	const struct made *by = s->issuer ? &all[index_of(s->issuer)] : m;
	const unsigned char serial[] = { 1, (unsigned char)(i + 1) };
	unsigned char id[20];
	size_t n = sizeof(id);
	time_t now = time(NULL);

	must(gnutls_x509_privkey_init(&m->key), "key");
	must(gnutls_x509_privkey_generate(m->key, GNUTLS_PK_ECDSA,
		GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), "key");
	must(gnutls_x509_crt_init(&m->crt), "certificate");
	must(gnutls_x509_crt_set_version(m->crt, 3), "version");
	must(gnutls_x509_crt_set_serial(m->crt, serial, sizeof(serial)),
	     "serial");
	must(gnutls_x509_crt_set_activation_time(m->crt, now + s->from * DAY),
	     "time");
	must(gnutls_x509_crt_set_expiration_time(m->crt, now + s->to * DAY),
	     "time");
	must(gnutls_x509_crt_set_key(m->crt, m->key), "key");
	name_it(m->crt, s);
	allow_it(m->crt, s);
	must(gnutls_x509_crt_get_key_id(m->crt, 0, id, &n), "key id");
	must(gnutls_x509_crt_set_subject_key_id(m->crt, id, n), "key id");
	must(gnutls_x509_crt_sign2(m->crt, by->crt, by->key,
		GNUTLS_DIG_SHA256, 0), "signature");
}

static void save_pin(const char *directory, const struct spec *s,
		     gnutls_x509_crt_t crt)
{
	unsigned char id[32];
	char text[65];
	size_t n = sizeof(id);
	gnutls_datum_t d;

	must(gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, id, &n),
	     "pin");
	for (size_t i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
	d.data = gnutls_malloc(sizeof(text));
	if (!d.data)
		abort();
	memcpy(d.data, text, sizeof(text));
	d.size = 64;
	save(directory, s->name, ".pin", "w", &d);
}

static void save_one(const char *directory, size_t i, const struct made *all)
{
	const struct spec *s = &specs[i];
	const char *issuer = s->issuer;
	gnutls_datum_t d;

	must(gnutls_x509_crt_export2(all[i].crt, GNUTLS_X509_FMT_PEM, &d),
	     "export");
	save(directory, s->name, ".pem", "w", &d);
	if (issuer && strcmp(issuer, "intermediate-ca") == 0) {
		must(gnutls_x509_crt_export2(all[index_of(issuer)].crt,
			GNUTLS_X509_FMT_PEM, &d), "export");
		save(directory, s->name, ".pem", "a", &d);
	}
	must(gnutls_x509_privkey_export2_pkcs8(all[i].key, GNUTLS_X509_FMT_PEM,
		NULL, GNUTLS_PKCS_PLAIN, &d), "export");
	save(directory, s->name, ".key", "w", &d);
	save_pin(directory, s, all[i].crt);
}

static void save_revocations(const char *directory, const struct made *all,
			     const char *name, time_t next)
{
	const struct made *ca = &all[index_of("ca")];
	static const unsigned char number[] = { 1 };
	gnutls_x509_crl_t crl;
	gnutls_datum_t d;
	time_t then = time(NULL) - 9 * DAY;

	must(gnutls_x509_crl_init(&crl), "CRL");
	must(gnutls_x509_crl_set_version(crl, 2), "CRL");
	must(gnutls_x509_crl_set_this_update(crl, then), "CRL");
	must(gnutls_x509_crl_set_next_update(crl, next), "CRL");
	must(gnutls_x509_crl_set_number(crl, number, sizeof(number)), "CRL");
	must(gnutls_x509_crl_set_crt(crl, all[index_of("revoked")].crt,
		then), "CRL");
	must(gnutls_x509_crl_sign2(crl, ca->crt, ca->key, GNUTLS_DIG_SHA256,
		0), "CRL");
	must(gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &d), "CRL");
	save(directory, name, ".pem", "w", &d);
	gnutls_x509_crl_deinit(crl);
}

bool certs_make(const char *directory)
{
	struct made all[SPECS] = { 0 };

	for (size_t i = 0; i < SPECS; i++)
		make_one(i, all);
	for (size_t i = 0; i < SPECS; i++)
		save_one(directory, i, all);
	save_revocations(directory, all, "crl", time(NULL) + 90 * DAY);
	save_revocations(directory, all, "crl-old", time(NULL) - 3 * DAY);
	for (size_t i = 0; i < SPECS; i++) {
		gnutls_x509_crt_deinit(all[i].crt);
		gnutls_x509_privkey_deinit(all[i].key);
	}
	return true;
}
