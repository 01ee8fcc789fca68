/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * DKIM signatures (RFC 6376, relaxed/relaxed; RFC 8301, RFC 8463):
 * rsa-sha256 and ed25519-sha256. Memory does not grow with the message.
 */
#ifndef MAIL_DKIM_H
#define MAIL_DKIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/outcome.h"
#include "mail/message.h"

struct dkim_key;

/* Reads a private key (PEM; RSA of 2048 bits or more, or Ed25519). False:
 * EX_TEMPFAIL, the file in the words. */
bool dkim_key_read(const char *path, struct dkim_key **out,
		   struct outcome *why) MUST_CHECK;
/* NULL is fine. */
void dkim_key_free(struct dkim_key *key);
/* The record to publish at SELECTOR._domainkey.DOMAIN: "v=DKIM1; k=rsa;
 * p=...". The caller frees. False: EX_TEMPFAIL. */
bool dkim_key_record(const struct dkim_key *key, char **out,
		     struct outcome *why) MUST_CHECK;

/* Whether the message has a signature of this domain with this selector
 * already; *found tells. False: EX_IOERR. */
bool dkim_is_signed(struct message *m, const char *domain,
		    const char *selector, bool *found,
		    struct outcome *why) MUST_CHECK;

/* Adds one DKIM-Signature field with its CRLF, made at time now (seconds),
 * to out. From, Subject, Date, To and Cc are signed even where they are
 * absent, and once more than they are there, so that none can be added.
 * False: EX_TEMPFAIL, EX_IOERR; nothing is added. */
struct dkim_signer {
	const char *domain;
	const char *selector;
	const struct dkim_key *key;
	int64_t now;
};
bool dkim_sign(struct message *m, const struct dkim_signer *signer,
	       struct buf *out, struct outcome *why) MUST_CHECK;

#endif
