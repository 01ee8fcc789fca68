/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of tls share; nobody else includes this. */
#ifndef WIRE_TLS_PARTS_H
#define WIRE_TLS_PARTS_H

#include "base/library_gnutls.h"
#include "wire/tls.h"

enum { TLS_CHAIN_MOST = 16 };

struct tls {
	gnutls_session_t session;
	gnutls_certificate_credentials_t credentials;
	int fd;
	bool starttls;
	bool wants_write;
	int ended;                       /* errno of the end, -1: a proper
					  * one, 0: not yet */
	bool closed;                     /* nothing more comes from below */
	bool heard;                      /* something was received, which */
	unsigned char first;             /* began with this byte */
	/* while the handshake lasts */
	const struct tls_params *params;
	struct tls_facts *facts;
	bool no_authorities;             /* this system has none at all */
	bool judged;                     /* the verdict below was spoken */
	struct outcome verdict;
};

/* What the server sent, leaf first. */
struct tls_chain {
	gnutls_x509_crt_t crt[TLS_CHAIN_MOST];
	unsigned n;
};

/* --- tls_verify.c --- */

/* The handshake's verify function: 0 or an error, with t->verdict set. */
int tls_verify(gnutls_session_t session);
/* Version and cipher. */
void tls_facts_session(struct tls *t);

/* --- tls_trust.c --- */

/* Gives the credentials a trust list: of params' CA file or the system's, the
 * certificates with a name that occurs in the chain, or all of them. False:
 * EX_CONFIG. */
bool tls_trust(struct tls *t, const struct tls_chain *c, bool all,
	       struct outcome *why) MUST_CHECK;
/* That a file (what it is) cannot be read, by errno, and as whom: false. */
bool tls_cannot_read(const char *what, const char *path, struct outcome *why);

/* --- tls_chain.c --- */

/* "the server's certificate ...": false. */
bool cert_bad(struct outcome *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* SHA-256 of the SPKI, hex; empty where it cannot be had. */
void chain_pin(gnutls_x509_crt_t crt, char out[65]);
/* What was asked for of the chain's certificates. */
void chain_facts(struct tls_facts *f, const struct tls_chain *c);
/* Whether the leaf is for one of params' names, by SAN alone. */
bool chain_is_named(struct tls *t, const struct tls_chain *c,
		    struct outcome *why) MUST_CHECK;
/* Verifies the chain against the trust list that the credentials have now:
 * false is a failure of the library; *status are GnuTLS's flags, which
 * chain_words says in words: false. */
bool chain_ask(struct tls *t, const struct tls_chain *c, unsigned *status,
	       struct outcome *why) MUST_CHECK;
bool chain_words(struct tls *t, const struct tls_chain *c, unsigned status,
		 struct outcome *why);
/* Whether the trust store vouches for it. */
bool chain_is_trusted(struct tls *t, const struct tls_chain *c,
		      struct outcome *why) MUST_CHECK;

#endif
