/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An open session, for the files smtp*.c alone: commands, replies, and when it
 * is of no further use. */
#ifndef SUBMIT_SMTP_SESSION_H
#define SUBMIT_SMTP_SESSION_H

#include "submit/smtp.h"

struct session {
	const struct session_params *params;
	struct conn *conn;
	struct session_facts facts;
	struct reply reply;      /* the last one read */
	struct mask secrets;     /* what replies must not repeat */
	bool broken;             /* of no further use, not even for QUIT */
	bool masked;             /* challenges are not for whoever looks on */
	bool greeted;            /* a greeting has come */
	bool dirty;              /* a transaction was begun and not ended */
	unsigned owed;           /* early: 1 << enum early_step, commands that
				  * were gathered and not answered yet */
	bool early;              /* it began so */
	bool changed;            /* and the server is not as it was: what it
				  * refuses may be for that reason alone */
	bool refused;            /* before MAIL */
	int64_t spent;           /* ms waited so far in this transaction (the
				  * first one's begins with the greeting); the
				  * message's bytes and the answers to it are
				  * not counted */
	bool message_left;       /* in this transaction, ahead of answers to
				  * its commands */
	size_t rcpt_limit;       /* learned from the server; 0: none */
	unsigned mails;          /* MAIL commands: transactions begun */
};

/* Shows a line of ours to whoever looks on. */
void session_watch(struct session *s, char who, const char *text, size_t n);
/* Gathers a command, CRLF added. */
void session_put(struct session *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Writes what was gathered. Before that, nothing may have come unasked:
 * a 421 is taken at its word, anything else means that replies and commands
 * are out of step (EX_PROTOCOL). */
bool session_flush(struct session *s, enum stage stage, struct outcome *why)
	MUST_CHECK;
/* The same where bytes of the message are among it: they have the time that
 * they need as long as they make progress. */
bool session_flush_message(struct session *s, struct outcome *why) MUST_CHECK;
/* Reads one reply within the stage's deadline. False: the connection or the
 * protocol failed, or it was a 421; the session is broken then. */
bool session_reply(struct session *s, enum stage stage, struct outcome *why)
	MUST_CHECK;
/* What follows the last answer that was due. A 421 is taken as the goodbye it
 * is, the session is broken then; anything else means that replies and
 * commands are out of step, and that the answer may have been another's: false,
 * EX_PROTOCOL, in doubt. wait: ms to listen, where the answer is doubted: then
 * a goodbye says that it was another's, too (EX_TEMPFAIL); 0: to what is there
 * already. */
bool session_in_step(struct session *s, int64_t wait, struct outcome *why)
	MUST_CHECK;
/* The reply as an outcome. */
void session_outcome(const struct session *s, enum stage stage,
		     struct outcome *o);
/* One command and its reply. */
bool session_ask(struct session *s, enum stage stage, const char *command,
		 struct outcome *why) MUST_CHECK;
/* It is of no further use, for this reason, whose stage is this. False. */
bool session_break(struct session *s, enum stage stage, struct outcome *why);
/* Names its host in an outcome that no reply made. */
void session_host(const struct session *s, struct outcome *why);
/* When to give up waiting at a stage: monotonic. */
int64_t session_deadline(const struct session *s, enum stage stage);
/* Whether the port is by convention one where TLS begins at once and we wait
 * for a greeting, or the other way round, and nothing proves it wrong yet. */
bool session_is_other_kind(const struct session *s);
/* The greeting, for whoever asks. */
void session_take_greeting(struct session *s);
/* What the server announces; forgets what an earlier EHLO said. */
void session_take_features(struct session *s);
/* Whether EHLO, the greeting unheard, may be sent with what comes after it
 * (policy_early): then it is gathered, and the features are those of the last
 * time. greeting: it is due. */
bool session_begin_early(struct session *s, bool greeting);
/* Reads what is owed. False: the session is of no further use, for what is in
 * *why; also where the server is not as it was, unless a message was sent,
 * which it may take all the same. */
bool session_settle(struct session *s, bool sent, struct outcome *why)
	MUST_CHECK;
/* The same for a greeting that is there before anything was sent: to be called
 * then, so that whatever else is there counts as out of turn. */
bool session_hear_greeting(struct session *s, struct outcome *why)
	MUST_CHECK;
/* Ends a session whose server is not as it was. False. */
bool session_other(struct session *s, struct outcome *why);
/* Sends what was gathered and settles, for when more cannot be sent without
 * knowing. */
bool session_settle_now(struct session *s, struct outcome *why) MUST_CHECK;
/* Whether the last reply can be none but the one to an EHLO or a login. */
bool session_is_late(const struct session *s);
/* Whether the server's certificate was verified. */
bool session_is_verified(const struct session *s);

#endif
