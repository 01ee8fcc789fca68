/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/digest.h"

#include "base/library_gnutls.h"

bool digest_sha256(const void *data, size_t n,
		   unsigned char out[SHA256_SIZE])
{
	return gnutls_hash_fast(GNUTLS_DIG_SHA256, data, n, out) >= 0;
}
