/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An OCSP answer (RFC 6960) as a server staples it; the library reads them
 * and makes none. Include it once, behind tls_support.h. */
#ifndef TESTS_TLS_OCSP_H
#define TESTS_TLS_OCSP_H

#include "base/buf.h"

/* Appends a DER element around what in holds, which is emptied. */
static void der_put(struct buf *out, unsigned char tag, struct buf *in)
{
	buf_addc(out, (char)tag);
	if (in->len > 255) {
		buf_addc(out, (char)0x82);
		buf_addc(out, (char)(in->len >> 8));
	} else if (in->len > 127) {
		buf_addc(out, (char)0x81);
	}
	buf_addc(out, (char)(in->len & 0xff));
	buf_add(out, in->data, in->len);
	buf_reset(in);
}

static void der_put_data(struct buf *out, unsigned char tag, const void *data,
			 size_t n)
{
	struct buf in = BUF(4096);

	buf_add(&in, data, n);
	der_put(out, tag, &in);
	buf_release(&in);
}

static void der_put_time(struct buf *out, time_t when)
{
	struct tm tm;
	char text[32];

	gmtime_r(&when, &tm);
	der_put_data(out, 0x18, text, strftime(text, sizeof(text),
					       "%Y%m%d%H%M%SZ", &tm));
}

static void ocsp_put_certificate(struct buf *out, const struct cert *c,
				 const struct cert *issuer)
{
	static const unsigned char sha1[] = { 0x06, 5, 0x2b, 0x0e, 3, 2,
					      0x1a, 5, 0 };
	unsigned char hash[20], serial[32];
	gnutls_datum_t name, x, y;
	gnutls_ecc_curve_t curve;
	struct buf id = BUF(4096), key = BUF(256);
	size_t n = sizeof(serial);

	der_put_data(&id, 0x30, sha1, sizeof(sha1));
	GOOD(gnutls_x509_crt_get_raw_dn(issuer->crt, &name));
	GOOD(gnutls_hash_fast(GNUTLS_DIG_SHA1, name.data, name.size, hash));
	gnutls_free(name.data);
	der_put_data(&id, 0x04, hash, sizeof(hash));
	GOOD(gnutls_x509_crt_get_pk_ecc_raw(issuer->crt, &curve, &x, &y));
	buf_addc(&key, 4);
	buf_add(&key, x.data, x.size);
	buf_add(&key, y.data, y.size);
	gnutls_free(x.data);
	gnutls_free(y.data);
	GOOD(gnutls_hash_fast(GNUTLS_DIG_SHA1, key.data, key.len, hash));
	der_put_data(&id, 0x04, hash, sizeof(hash));
	GOOD(gnutls_x509_crt_get_serial(c->crt, serial, &n));
	der_put_data(&id, 0x02, serial, n);
	der_put(out, 0x30, &id);
	buf_release(&id);
	buf_release(&key);
}

/* Signed by the issuer itself. until: when the next one was promised for. */
static void ocsp_make(const struct cert *c, const struct cert *issuer,
		      bool revoked, time_t since, time_t until,
		      struct buf *out)
{
	static const unsigned char basic[] = {
		0x06, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1
	};
	static const unsigned char ecdsa_sha256[] = {
		0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2
	};
	struct buf one = BUF(4096), inner = BUF(4096), signed_part = BUF(4096);
	gnutls_privkey_t key;
	gnutls_datum_t name, data, signature;

	/* one answer */
	ocsp_put_certificate(&one, c, issuer);
	if (revoked) {
		der_put_time(&inner, since);
		der_put(&one, 0xa1, &inner);
	} else {
		der_put_data(&one, 0x80, "", 0);
	}
	der_put_time(&one, since);
	der_put_time(&inner, until);
	der_put(&one, 0xa0, &inner);
	der_put(&inner, 0x30, &one);
	/* by whom, when, the answers */
	GOOD(gnutls_x509_crt_get_raw_dn(issuer->crt, &name));
	der_put_data(&one, 0xa1, name.data, name.size);
	gnutls_free(name.data);
	der_put_time(&one, since);
	der_put(&one, 0x30, &inner);
	der_put(&signed_part, 0x30, &one);
	/* the signature */
	GOOD(gnutls_privkey_init(&key));
	GOOD(gnutls_privkey_import_x509(key, issuer->key, 0));
	data.data = (unsigned char *)signed_part.data;
	data.size = (unsigned)signed_part.len;
	GOOD(gnutls_privkey_sign_data(key, GNUTLS_DIG_SHA256, 0, &data,
				      &signature));
	gnutls_privkey_deinit(key);
	buf_add(&one, ecdsa_sha256, sizeof(ecdsa_sha256));
	buf_addc(&inner, 0);
	buf_add(&inner, signature.data, signature.size);
	gnutls_free(signature.data);
	der_put(&one, 0x03, &inner);
	buf_add(&signed_part, one.data, one.len);
	buf_reset(&one);
	/* the wrapping: "successful", and what kind of answer it is */
	der_put(&inner, 0x30, &signed_part);
	buf_add(&one, basic, sizeof(basic));
	der_put(&one, 0x04, &inner);
	der_put(&inner, 0x30, &one);
	der_put_data(&one, 0x0a, "", 1);
	der_put(&one, 0xa0, &inner);
	der_put(out, 0x30, &one);
	buf_release(&one);
	buf_release(&inner);
	buf_release(&signed_part);
}

#endif
