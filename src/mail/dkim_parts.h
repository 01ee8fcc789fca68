/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What dkim_key.c gives to dkim.c, and to nobody else. */
#ifndef MAIL_DKIM_PARTS_H
#define MAIL_DKIM_PARTS_H

#include "mail/dkim.h"

enum { DKIM_HASH = 32 };

/* "rsa-sha256" */
const char *dkim_key_algorithm(const struct dkim_key *key);
/* The signature of a hash; the caller frees. */
bool dkim_key_sign(const struct dkim_key *key,
		   const unsigned char hash[DKIM_HASH],
		   unsigned char **signature, size_t *n,
		   struct outcome *why) MUST_CHECK;

#endif
