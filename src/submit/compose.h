/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From what a caller said to what is sent: account, sender, recipients and
 * the completed message. This happens once in a message's life, for a
 * command line, a -bs transaction and a foreign queue entry alike.
 */
#ifndef SUBMIT_COMPOSE_H
#define SUBMIT_COMPOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/config.h"
#include "mail/envelope.h"
#include "mail/recipients.h"
#include "mail/message.h"

/* Who calls. The user database, which may be slow and far away, is asked
 * only once one of the two functions needs it. */
struct caller {
	uid_t uid;
	const char *name; /* the environment's NAME; NULL */
	char *login;      /* NULL: not looked up yet */
	char *gecos;      /* of the name alone, "&" replaced; NULL */
	struct outcome unknown; /* the last look-up's failure; exit EX_OK:
				 * none. What was made with the two after one
				 * must not be used */
};
/* The login name; the number where the user has none; "" where the database
 * gives no answer, which unknown tells. */
const char *caller_login(struct caller *c);
/* The name given, else GECOS; NULL. */
const char *caller_full_name(struct caller *c);
void caller_release(struct caller *c);

struct request {
	struct caller *caller;
	const char *account;     /* -a; NULL */
	const char *sender;      /* -f as given; NULL */
	bool sender_from_header; /* as the account's key of this name */
	const char *full_name;   /* -F; NULL: the account's, the caller's */
	bool from_header;        /* -t */
	char *const *operand;
	size_t operands;
	const struct rcpt_wish *wish;  /* one an operand; NULL: none */
	unsigned notify;         /* of those without; 0: the account's */
	int dsn_return;
	const char *envid;       /* plain */
	enum body_type body;
	bool require_tls;
	bool accepted;           /* a foreign queue entry: its size was judged
				  * when it was accepted, its recipients are
				  * the entry's, and what a From field that
				  * names the account says stays */
};

/* Fills *e and completes *m. *account is set as soon as it is known, NULL:
 * none. The completed message is held against the configured limit on its
 * size, here and nowhere else. False: EX_USAGE, EX_DATAERR (5.3.4: too
 * large), EX_CONFIG, EX_IOERR, EX_TEMPFAIL (nobody could say who the caller
 * is). The caller releases e in either case. */
bool compose(const struct config *config, const struct request *request,
	     struct message **m, struct envelope *e,
	     const struct account **account, struct outcome *why) MUST_CHECK;
/* The part of it that needs no message: account and sender (-bv, --explain).
 * sender is freed by the caller. */
bool compose_sender(const struct config *config, const struct request *request,
		    struct message *m, const struct account **account,
		    char **sender, struct outcome *why) MUST_CHECK;
/* Another part: the recipients that are asked for, and who of the account
 * (NULL: none) gets it besides them (bcc), or instead of them (redirect); then
 * *original_to is the value of a field that lists these, freed by the caller.
 * m may be NULL where no header is asked. */
bool compose_recipients(const struct config *config,
			const struct request *request, struct message *m,
			const struct account *account, struct envelope *e,
			char **original_to, struct outcome *why) MUST_CHECK;

#endif
