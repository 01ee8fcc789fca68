/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The client's side of a SASL exchange (RFC 4422) by libgsasl, with what it
 * lacks: OAUTHBEARER (RFC 7628), XOAUTH2, bounds on SCRAM's iteration count
 * and key derivation by GnuTLS, CRAM-MD5 of any bytes. It does not know SMTP:
 * it takes and gives base64 text.
 */
#ifndef WIRE_SASL_H
#define WIRE_SASL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/outcome.h"

struct sasl_params {
	const char *mechanism;   /* upper case */
	const char *username;    /* NULL: none */
	const char *password;
	const char *token;
	const char *service;     /* "smtp" */
	const char *host;        /* the server's name */
	unsigned port;
	const char *binding_kind; /* "tls-exporter", "tls-unique"; NULL: none.
				   * Used by -PLUS mechanisms alone */
	const unsigned char *binding;
	size_t binding_len;
};

struct sasl;

/* False: EX_NOPERM, STAGE_AUTH (mechanism not in the library, or what it
 * needs is missing). params' strings must live as long as it. */
bool sasl_start(const struct sasl_params *params, struct sasl **out,
		struct outcome *why) MUST_CHECK;
/* Whether it has something to say before the server does. */
bool sasl_client_first(const struct sasl *s);
/* challenge is base64 text ("" empty; NULL before the first word of the
 * server); out gets base64 text. False: EX_NOPERM (bad challenge, wrong
 * server signature, iteration count outside 4096 to 1000000, want of a
 * ticket): the exchange is to be cancelled. A server's error within the
 * mechanism (OAuth's JSON, SCRAM's e=) is kept for sasl_server_words and
 * answered as the mechanism wants. */
bool sasl_step(struct sasl *s, const char *challenge, struct buf *out,
	       struct outcome *why) MUST_CHECK;
/* Whether the server has proved itself as far as the mechanism can: success
 * counts only then. */
bool sasl_complete(const struct sasl *s);
/* What the server said inside the mechanism (OAuth's error as JSON, SCRAM's
 * e=); "" none. It is the server's text: neither masked nor printable. */
const char *sasl_server_words(const struct sasl *s);
/* Wipes and frees; NULL is fine. */
void sasl_free(struct sasl *s);

/* Whether Kerberos credentials are there for this service (tries one step,
 * which loads Kerberos: call it only where GSSAPI is offered). */
bool sasl_has_ticket(const char *service, const char *host);
const char *sasl_library_version(void);

#endif
