/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/sasl_scram.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/library_gnutls.h"
#include "wire/sasl_library.h"

enum {
	ITERATIONS_MIN = 4096,    /* RFC 7677 4 */
	ITERATIONS_MAX = 1000000
};

static const struct scram_hash {
	const char *prefix;
	gnutls_mac_algorithm_t mac;
	size_t size;
} hashes[] = {
	{ "SCRAM-SHA-1", GNUTLS_MAC_SHA1, 20 },
	{ "SCRAM-SHA-256", GNUTLS_MAC_SHA256, 32 },
	{ "SCRAM-SHA-512", GNUTLS_MAC_SHA512, 64 },
};

static const struct scram_hash *find_hash(const char *mechanism)
{
	const char *rest;
	size_t i, n;

	for (i = 0; i < sizeof(hashes) / sizeof(*hashes); i++) {
		n = strlen(hashes[i].prefix);
		rest = mechanism + n;
		if (!strncmp(mechanism, hashes[i].prefix, n) &&
		    (!*rest || !strcmp(rest, "-PLUS")))
			return &hashes[i];
	}
	return NULL;
}

static bool read_iterations(const char *text, unsigned *iterations,
			    char refusal[128])
{
	char *end;
	long value;

	if (!text)
		return false;
	value = strtol(text, &end, 10);
	if (*end || end == text || value < ITERATIONS_MIN ||
	    value > ITERATIONS_MAX) {
		snprintf(refusal, 128, "the server's iteration count %.20s is "
			 "not within %d to %d", text, ITERATIONS_MIN,
			 ITERATIONS_MAX);
		return false;
	}
	*iterations = (unsigned)value;
	return true;
}

/* SASLprep (RFC 4013) where it can be had, else the bytes as they are: a
 * password that it refuses was stored by a server that did not use it. */
static bool derive(const struct scram_hash *hash, const char *password,
		   const char *salt, size_t n, unsigned iterations,
		   unsigned char *out)
{
	char *prep = NULL;
	const bool bare = gsasl_saslprep(password, (Gsasl_saslprep_flags)0,
					 &prep, NULL) != GSASL_OK || !prep;
	const char *text = bare ? password : prep;
	gnutls_datum_t key = { (unsigned char *)(uintptr_t)text,
			       (unsigned)strlen(text) };
	gnutls_datum_t seed = { (unsigned char *)(uintptr_t)salt,
				(unsigned)n };
	const int rc = gnutls_pbkdf2(hash->mac, &key, &seed, iterations, out,
				     hash->size);

	if (!bare) {
		mem_wipe(prep, strlen(prep));
		gsasl_free(prep);
	}
	return rc == 0;
}

bool scram_salted_password(const struct scram_challenge *c,
			   const char *password, char hex[SCRAM_HEX_MAX],
			   char refusal[128])
{
	const struct scram_hash *hash = find_hash(c->mechanism);
	unsigned char key[64] = { 0 };
	unsigned iterations;
	char *salt = NULL;
	size_t i, n = 0;
	bool done;

	hex[0] = '\0';
	if (!hash || !read_iterations(c->iterations, &iterations, refusal) ||
	    !c->salt || gsasl_base64_from(c->salt, strlen(c->salt), &salt,
					  &n) != GSASL_OK)
		return false;
	done = n && derive(hash, password, salt, n, iterations, key);
	for (i = 0; done && i < hash->size; i++)
		snprintf(hex + 2 * i, 3, "%02x", key[i]);
	mem_wipe(key, sizeof(key));
	gsasl_free(salt);
	return done;
}
