/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The kinds of transport, a row each: all that is different between them
 * follows from their rows, but for what is done with mail that stays here
 * (submit/local).
 */
#ifndef CONFIG_KINDS_H
#define CONFIG_KINDS_H

#include <stdbool.h>

enum kind_way {
	WAY_DIRECT,            /* to the hosts of the recipient's domain */
	WAY_RELAY,             /* to the hosts that the section names */
	WAY_LOCAL              /* to no host: submit/local does it */
};

enum kind_tls {
	TLS_NEVER,             /* nothing is connected to */
	TLS_OFFERED,           /* where a server offers it */
	TLS_DEMANDED,          /* STARTTLS and a verified certificate */
	TLS_AT_ONCE            /* verified, with the connection */
};

enum kind_trait {
	CONNECTS = 1 << 0,
	NAMES_HOST = 1 << 1,
	NAMES_SOCKET = 1 << 2,     /* host may be a socket's path */
	FOLLOWS_SRV = 1 << 3,
	STARTS_TLS = 1 << 4,       /* by a command, which may be left out */
	TAKES_PROXY = 1 << 5,
	IS_PROXIED = 1 << 6,       /* never without one */
	SPEAKS_LMTP = 1 << 7,
	HAS_PATH = 1 << 8,
	RUNS_COMMAND = 1 << 9,
	REFUSES = 1 << 10,

	TO_RELAY = CONNECTS | NAMES_HOST | TAKES_PROXY
};

/* constant, name, way, TLS, port, traits; those that stay here each have a
 * struct local_kind of that name, too (submit/local.h) */
#define LOCAL_KINDS(X) \
	X(MAILDIR, maildir, WAY_LOCAL, TLS_NEVER, 0, HAS_PATH) \
	X(COMMAND, command, WAY_LOCAL, TLS_NEVER, 0, RUNS_COMMAND) \
	X(DISCARD, discard, WAY_LOCAL, TLS_NEVER, 0, 0) \
	X(FAIL, fail, WAY_LOCAL, TLS_NEVER, 0, REFUSES)
#define KINDS(X) \
	X(DIRECT, direct, WAY_DIRECT, TLS_OFFERED, 25, \
	  CONNECTS | STARTS_TLS) \
	X(SUBMISSIONS, submissions, WAY_RELAY, TLS_AT_ONCE, 465, \
	  TO_RELAY | FOLLOWS_SRV) \
	X(SUBMISSION, submission, WAY_RELAY, TLS_DEMANDED, 587, \
	  TO_RELAY | FOLLOWS_SRV | STARTS_TLS) \
	X(SMTP, smtp, WAY_RELAY, TLS_DEMANDED, 25, \
	  TO_RELAY | NAMES_SOCKET | STARTS_TLS) \
	X(SOCKS, socks, WAY_DIRECT, TLS_OFFERED, 25, \
	  CONNECTS | STARTS_TLS | TAKES_PROXY | IS_PROXIED) \
	X(LMTP, lmtp, WAY_RELAY, TLS_OFFERED, 24, \
	  TO_RELAY | NAMES_SOCKET | STARTS_TLS | SPEAKS_LMTP) \
	LOCAL_KINDS(X)

enum kind {
#define KIND_CONSTANT(constant, ...) KIND_##constant,
	KINDS(KIND_CONSTANT)
#undef KIND_CONSTANT
	KINDS_N
};

struct kind_facts {
	const char *name;      /* as in the file */
	enum kind_way way;
	enum kind_tls tls;
	unsigned port;         /* 0: none */
	unsigned traits;       /* enum kind_trait */
};

/* The row of a kind, which is an enum kind. */
const struct kind_facts *kind_facts(int kind);
const char *kind_name(enum kind kind);
/* Whether it has any of these traits. */
bool kind_has(int kind, unsigned traits);
/* The names, one after the other: " direct submissions ...". */
#define KIND_NAME(constant, name, ...) " " #name
#define KIND_NAMES KINDS(KIND_NAME)
/* The names by enum kind, NULL after the last. */
extern const char *const kind_choices[];

#endif
