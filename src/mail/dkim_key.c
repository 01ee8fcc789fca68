/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys: reading, signing, and the record that others verify by. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/library_gnutls.h"
#include "mail/dkim_parts.h"

enum { FILE_MAX = 64 * 1024, RSA_MIN = 2048 };

struct dkim_key {
	gnutls_privkey_t key;
	bool rsa;
};

static bool unusable(struct outcome *why, const char *path, const char *what)
{
	return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
			    "the DKIM key %s %s", path, what);
}

bool dkim_key_read(const char *path, struct dkim_key **out,
		   struct outcome *why)
{
	struct buf b = BUF_SECRET(FILE_MAX);
	struct dkim_key *key = mem_alloc(sizeof(*key));
	struct outcome failed;
	gnutls_datum_t pem;
	unsigned bits = 0;
	bool ok = false;
	int kind;

	*out = NULL;
	if (!gnutls_load(why)) {
		free(key);
		return false;
	}
	/* a key that others could write is not ours; who may read it, its
	 * group say, is the administrator's choice */
	if (!file_read(path, FILE_TRUSTED, &b, NULL, &failed)) {
		if (b.full)
			(void)unusable(why, path, "is too long");
		else
			(void)outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
					   "the DKIM key %s cannot be read: "
					   "%s", path,
					   file_reason(&failed, path));
		goto out;
	}
	pem.data = (unsigned char *)b.data;
	pem.size = (unsigned)b.len;
	if (!b.len || gnutls_privkey_init(&key->key) < 0 ||
	    gnutls_privkey_import_x509_raw(key->key, &pem,
					   GNUTLS_X509_FMT_PEM, NULL, 0) < 0) {
		(void)unusable(why, path, "is not a private key in PEM");
		goto out;
	}
	kind = gnutls_privkey_get_pk_algorithm(key->key, &bits);
	key->rsa = kind == GNUTLS_PK_RSA;
	if (key->rsa && bits < RSA_MIN)
		(void)unusable(why, path, "has less than 2048 bits");
	else if (!key->rsa && kind != GNUTLS_PK_EDDSA_ED25519)
		(void)unusable(why, path, "is neither RSA nor Ed25519");
	else
		ok = true;
out:
	buf_release(&b);
	if (ok)
		*out = key;
	else
		dkim_key_free(key);
	return ok;
}

void dkim_key_free(struct dkim_key *key)
{
	if (!key)
		return;
	if (key->key)
		gnutls_privkey_deinit(key->key);
	free(key);
}

const char *dkim_key_algorithm(const struct dkim_key *key)
{
	return key->rsa ? "rsa-sha256" : "ed25519-sha256";
}

bool dkim_key_sign(const struct dkim_key *key,
		   const unsigned char hash[DKIM_HASH],
		   unsigned char **signature, size_t *n, struct outcome *why)
{
	const gnutls_datum_t data = { (unsigned char *)hash, DKIM_HASH };
	gnutls_datum_t made = { NULL, 0 };
	int rc;

	/* RFC 8463 section 3: Ed25519 signs the hash as a message */
	if (key->rsa)
		rc = gnutls_privkey_sign_hash2(key->key,
					       GNUTLS_SIGN_RSA_SHA256, 0,
					       &data, &made);
	else
		rc = gnutls_privkey_sign_data2(key->key,
					       GNUTLS_SIGN_EDDSA_ED25519, 0,
					       &data, &made);
	if (rc < 0)
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "DKIM: signing failed: %s",
				    gnutls_strerror(rc));
	*signature = mem_alloc(made.size);
	memcpy(*signature, made.data, made.size);
	*n = made.size;
	gnutls_free(made.data);
	return true;
}

bool dkim_key_record(const struct dkim_key *key, char **out,
		     struct outcome *why)
{
	struct buf b = BUF(64 * 1024);
	gnutls_pubkey_t public = NULL;
	gnutls_datum_t der = { NULL, 0 };
	bool ok;

	*out = NULL;
	buf_addf(&b, "v=DKIM1; k=%s; p=", key->rsa ? "rsa" : "ed25519");
	/* RSA: SubjectPublicKeyInfo. Ed25519: the 32 bytes alone, which end
	 * the SubjectPublicKeyInfo of that kind (RFC 8410). */
	ok = gnutls_pubkey_init(&public) >= 0 &&
	     gnutls_pubkey_import_privkey(public, key->key, 0, 0) >= 0 &&
	     gnutls_pubkey_export2(public, GNUTLS_X509_FMT_DER, &der) >= 0 &&
	     der.size > 32;
	if (ok && key->rsa)
		buf_add_base64(&b, der.data, der.size);
	else if (ok)
		buf_add_base64(&b, der.data + der.size - 32, 32);
	gnutls_free(der.data);
	if (public)
		gnutls_pubkey_deinit(public);
	if (!ok) {
		buf_release(&b);
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "DKIM: a key's public half cannot be "
				    "had");
	}
	*out = buf_take(&b);
	return true;
}
