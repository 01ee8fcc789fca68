/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files of certificates and keys, judged before a server waits for them. */
#include "wire/tls_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MOST = 64 << 20 };

static bool unfit(struct outcome *why, const char *words)
{
	return outcome_fail(why, STAGE_TLS, EX_CONFIG, "%s", words);
}

static bool load(const char *path, gnutls_datum_t *data, struct outcome *why)
{
	int error = gnutls_load_file(path, data);

	if (error == GNUTLS_E_FILE_ERROR)
		return unfit(why, strerror(errno ? errno : EIO));
	if (error < 0)
		return unfit(why, gnutls_strerror(error));
	return true;
}

/* How many certificates, or CRLs, a trust list takes from the file. */
static int trusted_from(const gnutls_datum_t *cas, const gnutls_datum_t *crls,
			gnutls_x509_crt_fmt_t form)
{
	gnutls_x509_trust_list_t list;
	int n;

	if (gnutls_x509_trust_list_init(&list, 0) < 0)
		return 0;
	n = gnutls_x509_trust_list_add_trust_mem(list, cas, crls, form, 0, 0);
	gnutls_x509_trust_list_deinit(list, 1);
	return n;
}

bool tls_ca_file_valid(const char *path, struct outcome *why)
{
	gnutls_datum_t data = { 0 };
	bool good;

	errno = 0;
	if (!load(path, &data, why))
		return false;
	good = trusted_from(&data, NULL, GNUTLS_X509_FMT_PEM) > 0 ||
	       trusted_from(&data, NULL, GNUTLS_X509_FMT_DER) > 0;
	gnutls_free(data.data);
	return good || unfit(why, "holds no certificate");
}

bool tls_crl_file_valid(const char *path, struct outcome *why)
{
	gnutls_datum_t data = { 0 };
	bool good;

	errno = 0;
	if (!load(path, &data, why))
		return false;
	good = trusted_from(NULL, &data, GNUTLS_X509_FMT_PEM) > 0;
	gnutls_free(data.data);
	return good || unfit(why, "holds no CRL (PEM)");
}

static bool is_uri(const char *path)
{
	return !strncmp(path, "pkcs11:", 7) || !strncmp(path, "tpmkey:", 7);
}

/* Both are readable, and go together. */
static bool pair_valid(const char *certificate, const char *key,
		       struct outcome *why)
{
	gnutls_certificate_credentials_t credentials;
	int error;

	if (gnutls_certificate_allocate_credentials(&credentials) < 0)
		return unfit(why, "no memory");
	error = gnutls_certificate_set_x509_key_file(credentials, certificate,
						     key,
						     GNUTLS_X509_FMT_PEM);
	gnutls_certificate_free_credentials(credentials);
	return error >= 0 || unfit(why, gnutls_strerror(error));
}

bool tls_certificate_valid(const char *certificate, const char *key,
			   struct outcome *why)
{
	gnutls_datum_t data = { 0 };
	bool good;

	if (!key)
		key = certificate;
	if (is_uri(certificate) || is_uri(key))
		return true;
	errno = 0;
	if (!load(certificate, &data, why))
		return false;
	good = trusted_from(&data, NULL, GNUTLS_X509_FMT_PEM) > 0;
	gnutls_free(data.data);
	if (!good)
		return unfit(why, "holds no certificate (PEM)");
	return pair_valid(certificate, key, why);
}

bool tls_system_has_trust(void)
{
	gnutls_x509_trust_list_t list;
	int n;

	if (gnutls_x509_trust_list_init(&list, 0) < 0)
		return true;
	n = gnutls_x509_trust_list_add_system_trust(list, 0, 0);
	gnutls_x509_trust_list_deinit(list, 1);
	return n > 0 || tls_ca_file_valid("/etc/pki/tls/certs/ca-bundle.crt",
					  &(struct outcome){ 0 }) ||
	       tls_ca_file_valid("/etc/ssl/ca-bundle.pem",
				 &(struct outcome){ 0 }) ||
	       tls_ca_file_valid("/etc/ssl/cert.pem",
				 &(struct outcome){ 0 });
}
