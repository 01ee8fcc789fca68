/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * TLS by GnuTLS: 1.2 at least, RFC 6125 names (SAN only), server purpose,
 * pins, own CA files, CRLs, client certificates, DANE facts (RFC 7672).
 * Of the trust store only the certificates that the chain needs are parsed.
 */
#ifndef WIRE_TLS_H
#define WIRE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/outcome.h"

/* A TLSA record (RFC 6698), as plain facts. */
struct tlsa {
	unsigned char usage, selector, matching;
	unsigned char *data;
	size_t n;
};

struct tls_params {
	const char *server_name;   /* SNI; NULL or an address: none */
	bool verify;               /* certificate must be verified */
	const char *verify_name;   /* name or address that must match */
	const struct list *more_names; /* also acceptable (DANE-TA); NULL */
	const char *ca_file;       /* NULL: the system's trust store */
	const char *crl_file;      /* NULL: none */
	const struct list *pins;   /* SHA-256 of the SPKI, hex; NULL or empty:
				    * none. Alone they decide; with ca_file
				    * both must hold */
	const struct tlsa *tlsa;   /* usable records: they decide, and pins
				    * where there are any */
	size_t tlsas;
	bool hold_ca;              /* ca_file has to hold beside them */
	const char *certificate;   /* client's: file or PKCS#11 URI; NULL */
	const char *key;
	const char *priorities;    /* GnuTLS string; NULL: the default */
	bool only_1_3;             /* minimum = 1.3 */
};

struct tls_certificate {
	char *subject;
	struct list names;         /* SAN */
	char *issuer;
	time_t not_after;
	char pin[65];              /* SHA-256 of the SPKI, hex */
};

/* What a person could do something about. */
enum tls_fault {
	TLS_FAULT_NONE,
	TLS_FAULT_IN_CLEAR,        /* it speaks in clear where TLS begins */
	TLS_FAULT_NAME,            /* the certificate is for other names */
	TLS_FAULT_NO_NAME,         /* it has none that could count */
	TLS_FAULT_SELF_SIGNED,
	TLS_FAULT_ISSUER,          /* unknown */
	TLS_FAULT_NO_AUTHORITIES,  /* this system knows no issuer at all */
	TLS_FAULT_PIN              /* another than was expected */
};

struct tls_facts {
	char version[16];          /* "TLS1.3"; "" no TLS */
	char cipher[96];
	bool verified;
	enum tls_fault fault;      /* why the handshake failed */
	char pin[65];              /* of the server's certificate, where pins
				    * or a fault have to do with it */
	bool client_certificate;   /* one was asked for and sent */
	struct tls_certificate *certificate; /* only if wanted; leaf first */
	size_t certificates;
	bool want_certificates;    /* in: fill certificate */
};
void tls_facts_release(struct tls_facts *f);

/* --- what conn.c uses; nobody else --- */

struct tls;

/* Handshake over fd; starttls: it was in clear before (for the words alone).
 * False: EX_TEMPFAIL, STAGE_TLS, words that say which:
 * name, unknown issuer, expired, not yet valid, purpose, no subject
 * alternative name, revoked, pin, local files (EX_CONFIG). *tls is NULL
 * then. */
bool tls_open(int fd, bool starttls, const struct tls_params *params,
	      struct tls_facts *facts, int64_t deadline, struct tls **tls,
	      struct outcome *why) MUST_CHECK;
/* As read(2) and write(2), but -1 with errno: EAGAIN (wait for
 * tls_wants_write ? POLLOUT : POLLIN), ECONNRESET, EPROTO (a broken record),
 * ECONNABORTED (a fatal alert, which tls_alert names), ENODATA (the end came
 * without close_notify); 0 is a proper end. */
long tls_read(struct tls *t, void *data, size_t n);
long tls_write(struct tls *t, const void *data, size_t n);
bool tls_wants_write(const struct tls *t);
const char *tls_alert(const struct tls *t);
/* Decrypted bytes are waiting. */
bool tls_pending(const struct tls *t);
bool tls_binding(struct tls *t, const char **kind, unsigned char data[64],
		 size_t *n);
void tls_close(struct tls *t);

/* Checks a priority string (configuration): false, with the offset of what
 * is wrong in the words (EX_CONFIG). */
bool tls_priorities_valid(const char *priorities, struct outcome *why)
	MUST_CHECK;
/* The library that this was built with. */
const char *tls_library_version(void);

/* --- files, before they are needed --- */

/* A PKCS#11 URI or the like in the place of a file. */
bool tls_is_uri(const char *path);
/* Whether the file holds what it should; words that go on from the file's
 * name (EX_CONFIG). A PKCS#11 URI is left to the handshake. */
bool tls_ca_file_valid(const char *path, struct outcome *why) MUST_CHECK;
bool tls_crl_file_valid(const char *path, struct outcome *why) MUST_CHECK;
/* A client certificate, its key, which may be in the same file, and whether
 * the one is the other's. */
bool tls_certificate_valid(const char *path, struct outcome *why) MUST_CHECK;
bool tls_key_valid(const char *path, struct outcome *why) MUST_CHECK;
bool tls_key_fits(const char *certificate, const char *key,
		  struct outcome *why) MUST_CHECK;
/* Until when the first certificate of the file holds (wall clock). False: it
 * cannot be told, as for a PKCS#11 URI, with words. */
bool tls_certificate_expiry(const char *path, time_t *ends,
			    struct outcome *why) MUST_CHECK;
/* By when the first CRL of the file is to be renewed (RFC 5280 5.1.2.5; wall
 * clock). False: none of them says so, or it cannot be told, with words. */
bool tls_crl_renewal(const char *path, time_t *due,
		     struct outcome *why) MUST_CHECK;
/* Whether this system has certificates of authorities at all. */
bool tls_system_has_trust(void);

#endif
