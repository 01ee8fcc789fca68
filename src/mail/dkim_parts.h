/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What dkim.c, dkim_hash.c and dkim_key.c share, and nobody else sees. */
#ifndef MAIL_DKIM_PARTS_H
#define MAIL_DKIM_PARTS_H

#include "mail/dkim.h"

enum { DKIM_HASH = 32 };

/* A SHA-256 in the making, fed in small steps. */
struct dkim_hash {
	void *handle;
	size_t n;
	char part[4096];
};
bool dkim_hash_begin(struct dkim_hash *h, struct outcome *why) MUST_CHECK;
void dkim_hash_end(struct dkim_hash *h, unsigned char out[DKIM_HASH]);
/* A header field by the relaxed algorithm (RFC 6376 3.4.2), its CRLF
 * included unless it is the signature's own. */
void dkim_hash_field(struct dkim_hash *h, const char *name, size_t name_len,
		     const char *value, size_t value_len, bool end);
/* The body by the relaxed algorithm (RFC 6376 3.4.4). */
bool dkim_hash_body(struct message *m, unsigned char out[DKIM_HASH],
		    struct outcome *why) MUST_CHECK;

/* "rsa-sha256" */
const char *dkim_key_algorithm(const struct dkim_key *key);
/* The signature of a hash; the caller frees. */
bool dkim_key_sign(const struct dkim_key *key,
		   const unsigned char hash[DKIM_HASH],
		   unsigned char **signature, size_t *n,
		   struct outcome *why) MUST_CHECK;

#endif
