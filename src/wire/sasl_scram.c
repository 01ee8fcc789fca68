/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SCRAM's SaltedPassword (RFC 5802 3). libgsasl would derive it itself, but
 * takes any iteration count from the server and refuses passwords with
 * characters younger than Unicode 3.2.
 */
#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/sasl_parts.h"

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

bool sasl_is_scram(const char *mechanism)
{
	return !strncmp(mechanism, "SCRAM-", 6);
}

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

static bool get_iterations(struct sasl *s, unsigned *iterations)
{
	const char *text = gsasl_property_fast(s->session, GSASL_SCRAM_ITER);
	char *end;
	long value;

	if (!text)
		return false;
	value = strtol(text, &end, 10);
	if (*end || end == text || value < ITERATIONS_MIN ||
	    value > ITERATIONS_MAX) {
		snprintf(s->refusal, sizeof(s->refusal), "the server's "
			 "iteration count %.20s is not within %d to %d",
			 text, ITERATIONS_MIN, ITERATIONS_MAX);
		return false;
	}
	*iterations = (unsigned)value;
	return true;
}

/* SASLprep (RFC 4013) where it can be had, else the bytes as they are: a
 * password that it refuses was stored by a server that did not use it. */
static char *prepared(const char *password)
{
	char *prep = NULL, *copy;

	if (gsasl_saslprep(password, (Gsasl_saslprep_flags)0, &prep, NULL) !=
	    GSASL_OK || !prep)
		return mem_string(password);
	copy = mem_string(prep);
	mem_wipe(prep, strlen(prep));
	gsasl_free(prep);
	return copy;
}

static bool derive(const struct scram_hash *hash, const char *password,
		   const char *salt, size_t n, unsigned iterations,
		   unsigned char *out)
{
	char *prep = prepared(password);
	gnutls_datum_t key = { (unsigned char *)prep,
			       (unsigned)strlen(prep) };
	gnutls_datum_t seed = { NULL, (unsigned)n };
	int rc;

	seed.data = mem_alloc(n);
	memcpy(seed.data, salt, n);
	rc = gnutls_pbkdf2(hash->mac, &key, &seed, iterations, out,
			   hash->size);
	free(seed.data);
	mem_wipe_string(prep);
	return rc == 0;
}

static bool derive_from_salt(struct sasl *s, const struct scram_hash *hash,
			     unsigned iterations, unsigned char *out)
{
	const char *text = gsasl_property_fast(s->session, GSASL_SCRAM_SALT);
	char *salt = NULL;
	size_t n = 0;
	bool done;

	if (!text || gsasl_base64_from(text, strlen(text), &salt, &n) !=
	    GSASL_OK)
		return false;
	done = n && derive(hash, s->params.password, salt, n, iterations, out);
	gsasl_free(salt);
	return done;
}

int sasl_scram_salted_password(struct sasl *s)
{
	const struct scram_hash *hash = find_hash(s->params.mechanism);
	unsigned char key[64] = { 0 };
	char hex[2 * sizeof(key) + 1] = "";
	unsigned iterations;
	size_t i;
	int rc = GSASL_NO_CALLBACK;

	if (!hash || !s->params.password || !get_iterations(s, &iterations))
		return GSASL_NO_CALLBACK;
	if (derive_from_salt(s, hash, iterations, key)) {
		for (i = 0; i < hash->size; i++)
			snprintf(hex + 2 * i, 3, "%02x", key[i]);
		rc = gsasl_property_set(s->session,
					GSASL_SCRAM_SALTED_PASSWORD, hex);
	}
	mem_wipe(key, sizeof(key));
	mem_wipe(hex, sizeof(hex));
	return rc;
}
