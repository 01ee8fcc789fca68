/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The SMTP and LMTP dialogue (RFC 5321, 2033, 2920, 3030, 3207, 4954):
 * synchronous, with a deadline on every wait.
 */
#ifndef SUBMIT_SMTP_H
#define SUBMIT_SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/outcome.h"
#include "mail/envelope.h"
#include "mail/message.h"
#include "mail/reply.h"
#include "policy/policy.h"
#include "submit/attempt.h"
#include "submit/early.h"
#include "wire/conn.h"

struct session;

/* Who looks on (-v); secrets come masked. who is 'C' for our lines, 'S' for
 * the server's. */
struct watch {
	void (*line)(void *context, char who, const char *text, size_t n);
	/* bytes of the message that are sent so far, out of size */
	void (*progress)(void *context, int64_t sent, int64_t size);
	/* an attempt for a recipient has ended (id NULL: not queued) */
	void (*attempt)(void *context, const char *id, const char *recipient,
			const struct outcome *o);
	void *context;
};

/* Who and how; strings must live as long as the session. */
struct session_params {
	const char *host;              /* for words, SASL and logs */
	unsigned port;
	const char *helo;              /* our name in EHLO */
	bool lmtp;
	bool local;                    /* a UNIX socket */
	bool implicit_tls;
	enum tls_demand demand;
	bool by_chance;                /* TLS is opportunistic: that it is
					* missing is nobody's wish */
	struct tls_params tls;
	bool want_certificates;        /* fill facts' certificate list */
	int64_t timeout;               /* ms, [general] timeout */
	const struct list *mechanisms; /* configured; NULL or empty: ours */
	const char *username, *password, *token;
	const char *secret_from;       /* where the password was found, in
					* words; NULL: nothing to say */
	bool authenticate;             /* AUTH is a must; without it, EXTERNAL
					* is used where offered to a client
					* certificate */
	bool stranger;                 /* but not there: a host that a domain
					* names is nobody's provider */
	/* asks for a fresh token after a refusal, which takes the place of
	 * token; NULL: none to be had */
	const char *(*renew_token)(void *context, struct outcome *why);
	void *context;
	const struct list *without;    /* extensions not used; NULL: none */
	bool no_chunking;              /* announced, and known not to work */
	const struct early *early;     /* what it said when it offered early
					* pipelining; NULL: that is not to be
					* used */
	bool learn_early;              /* fill facts' hello */
	const struct watch *watch;     /* NULL: nobody */
};

/* What the session found out, for the log and --probe. */
struct session_facts {
	struct tls_facts tls;
	struct features features;
	const char *mechanism;         /* used; NULL: no AUTH */
	bool authenticated;
	bool token_unheard;            /* a token was refused, and the server
					* hung up on the fresh one */
	bool chunking_broken;          /* BDAT was announced and refused */
	char *hello;                   /* the extensions, if early pipelining
					* is among them and may be used */
	bool early_failed;             /* the server is not as it was known:
					* nothing early again */
	char banner[256];
};

/* Greeting, EHLO, STARTTLS, AUTH over a dialled connection, which it takes
 * over. With early pipelining some of it leaves only with the first message,
 * whose fate then tells of it. False: stage TLS, HELLO or AUTH; *out may still
 * be asked for its facts and must be closed. */
bool session_open(const struct session_params *params, struct conn *conn,
		  struct session **out, struct outcome *why) MUST_CHECK;
const struct session_facts *session_facts(const struct session *s);
/* The mechanism that it used, or would use with the credentials that are set
 * (where none are: with a user name and a password). NULL: none. */
const char *session_mechanism(struct session *s);

/* One message to those of to[0..n) that are ATTEMPT_OPEN, with a prefix (DKIM
 * fields; NULL: none) put before its header. Each gets its answer; beyond the
 * server's limit further transactions of this connection are made. settled is
 * called (NULL: not) after each transaction's final answer and before
 * anything else is sent: the journal. False when the session is of no further
 * use (why tells; recipients without an answer have it as theirs). Where that
 * says nothing of the message (the server takes no more of them on this
 * connection, leaves for the recipients that it refused, or takes no BDAT after
 * all), or only of others' transaction (a refusal for good), those stay
 * ATTEMPT_OPEN that a fresh session is to be asked about; a fresh session
 * leaves none open before it has decided about another, or found its BDAT
 * broken. */
struct delivery {
	const struct envelope *envelope;
	struct attempt *to;
	size_t n;
	struct message *message;
	const char *prefix;
	const struct trace *trace;     /* of this session */
	/* NULL, or: the final dot or BDAT LAST is about to leave */
	void (*dot)(void *context);
	bool (*settled)(void *context);
	void *context;
};
bool session_send(struct session *s, struct delivery *d, struct outcome *why)
	MUST_CHECK;
/* Says QUIT (not awaited) unless the session is broken; NULL is fine. */
void session_close(struct session *s);

#endif
