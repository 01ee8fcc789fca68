/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files of certificates, as somebody left them: the scan for PEM blocks in a
 * text of anything, revocation lists, a certificate for us; and what is said
 * of a chain that holds what the scan would find.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gnutls/x509.h>

#include "base/outcome.h"
#include "parts.h"
#include "wire/tls_parts.h"

static void want_words(bool good, const struct outcome *why)
{
	fuzz_want(good || (*why->text && why->exit &&
			   fuzz_is_clean(why->text, strlen(why->text))));
}

/* What --probe would show of it, names and all, and whether it is trusted. */
static void chain(const char *path, const unsigned char *data, size_t n)
{
	const gnutls_datum_t all = { (void *)data, (unsigned)n };
	const struct tls_params params = { .ca_file = path, .verify = true,
					   .verify_name = "h.example" };
	struct tls_facts facts = { .want_certificates = true };
	struct tls t = { .params = &params, .facts = &facts };
	struct tls_chain c = { 0 };
	gnutls_x509_crt_t *crt;
	struct outcome why;
	unsigned crts, i;
	size_t k;

	if (gnutls_x509_crt_list_import2(&crt, &crts, &all,
					 GNUTLS_X509_FMT_PEM, 0) < 0)
		return;
	fuzz_want(crts > 0);
	for (i = 0; i < crts && i < TLS_CHAIN_MOST; i++)
		c.crt[c.n++] = crt[i];
	chain_facts(&facts, &c);
	for (k = 0; k < facts.certificates; k++)
		/* without one where its key is none that is known */
		fuzz_want(facts.certificate[k].subject &&
			  strlen(facts.certificate[k].pin) % 64 == 0);
	want_words(chain_is_named(&t, &c, &why), &why);
	tls_facts_release(&facts);
	for (i = 0; i < crts; i++)
		gnutls_x509_crt_deinit(crt[i]);
	gnutls_free(crt);
}

/* Of a file where one cannot be parsed GnuTLS (3.7.9) does not free that one,
 * when it loads the file with its key. */
static bool is_parsed(const unsigned char *data, size_t n)
{
	const gnutls_datum_t all = { (void *)data, (unsigned)n };
	gnutls_x509_crt_t *crt;
	unsigned crts, i;

	if (gnutls_x509_crt_list_import2(&crt, &crts, &all,
					 GNUTLS_X509_FMT_PEM, 0) < 0)
		return false;
	for (i = 0; i < crts; i++)
		gnutls_x509_crt_deinit(crt[i]);
	gnutls_free(crt);
	return true;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct outcome why;
	int fd = fuzz_file(data, n);
	time_t ends;
	char path[64];

	fuzz_path(fd, path);
	want_words(tls_ca_file_valid(path, &why), &why);
	want_words(tls_crl_file_valid(path, &why), &why);
	want_words(tls_certificate_valid(path, &why), &why);
	want_words(tls_key_valid(path, &why), &why);
	if (is_parsed(data, n))
		want_words(tls_key_fits(path, path, &why), &why);
	want_words(tls_certificate_expiry(path, &ends, &why), &why);
	want_words(tls_crl_renewal(path, &ends, &why), &why);
	chain(path, data, n);
	close(fd);
	return 0;
}
