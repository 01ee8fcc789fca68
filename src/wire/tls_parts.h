/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of tls share; nobody else includes this. */
#ifndef WIRE_TLS_PARTS_H
#define WIRE_TLS_PARTS_H

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "wire/tls.h"

enum { TLS_CHAIN_MOST = 16, TLS_NAMES_MOST = 256 };

/* Bytes read at once: the library alone would read each record in two. */
enum { TLS_AHEAD = 16 * 1024 };

struct tls {
	gnutls_session_t session;
	gnutls_certificate_credentials_t credentials;
	int fd;
	bool starttls;
	bool wants_write;
	int ended;                       /* errno of the end, -1: a proper
					  * one, 0: not yet */
	size_t ahead_at, ahead_end;      /* received, not yet decrypted */
	unsigned char first;             /* byte of all that was received */
	unsigned char ahead[TLS_AHEAD];
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
/* Verifies the chain against the trust list that the credentials have now:
 * false is a failure of the library; *status are GnuTLS's flags. */
bool tls_verify_peers(struct tls *t, const struct tls_chain *c,
		      unsigned *status, struct outcome *why) MUST_CHECK;
/* The flags in words: false. */
bool tls_verify_words(const struct tls_chain *c, unsigned status,
		      struct outcome *why) MUST_CHECK;
/* Whether the leaf is for one of params' names, by SAN alone. */
bool tls_verify_name(const struct tls_params *p, const struct tls_chain *c,
		     struct outcome *why) MUST_CHECK;

/* --- tls_trust.c --- */

/* Gives the credentials a trust list: of params' CA file or the system's, the
 * certificates with a name that occurs in the chain, or all of them. False:
 * EX_CONFIG. */
bool tls_trust(struct tls *t, const struct tls_chain *c, bool all,
	       struct outcome *why) MUST_CHECK;

/* --- tls_dane.c --- */

/* RFC 7672: usage 3, then usage 2. */
bool tls_dane_verify(struct tls *t, const struct tls_chain *c,
		     struct outcome *why) MUST_CHECK;

/* --- tls_facts.c --- */

/* SHA-256 of the SPKI, hex. */
void tls_pin(gnutls_x509_crt_t crt, char out[65]);
/* Subject, issuer: one printable line. */
void tls_subject(gnutls_x509_crt_t crt, char *out, size_t size);
void tls_issuer(gnutls_x509_crt_t crt, char *out, size_t size);
/* Shows visit the DNS names and addresses of the SAN (type: GNUTLS_SAN_*), at
 * most TLS_NAMES_MOST, until it returns true; whether it did. */
typedef bool tls_name_visit(int type, const char *raw, size_t n,
			    void *context);
bool tls_any_name(gnutls_x509_crt_t crt, tls_name_visit *visit,
		  void *context);
/* All of them, as text. */
void tls_names(gnutls_x509_crt_t crt, struct list *names);
/* Version and cipher; and the certificates, if they are wanted. */
void tls_facts_session(struct tls *t);
void tls_facts_chain(struct tls_facts *f, const struct tls_chain *c);

#endif
