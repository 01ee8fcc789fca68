/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands and replies of a session, one by one. */
#include "submit/smtp_session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "policy/policy.h"
#include "submit/smtp_session.h"

enum {
	COMMAND_MAX = 16 * 1024,
	SURPLUS_TIME = 1000,  /* ms, for the rest of an answer too many */
	/* ms for a first word on a port that should be of the other kind:
	 * both sides wait for the other there */
	OTHER_KIND_MS = 10 * 1000
};

/* RFC 5321 4.5.3.2, in minutes; [general] timeout caps each. */
static const int stage_minutes[] = {
	[STAGE_TLS] = 5, [STAGE_HELLO] = 5, [STAGE_AUTH] = 5,
	[STAGE_MAIL] = 5, [STAGE_RCPT] = 5, [STAGE_DATA] = 2,
	[STAGE_DOT] = 10,
};

/* Whether the port is by convention one where TLS begins at once and we wait
 * for a greeting, or the other way round, and nothing proves it wrong yet. */
bool session_is_other_kind(const struct session *s)
{
	if (s->greeted || s->facts.tls.version[0])
		return false;
	return s->params->port == (s->params->implicit_tls ? 587 : 465);
}

/* The answer to a message tells whether it was delivered: it has its whole
 * time, whatever was waited for before. */
static bool is_counted(enum stage stage)
{
	return stage != STAGE_DOT;
}

/* ms that all waits of a transaction may take together (the message's bytes
 * and the answers to it apart). Where the message left ahead of answers to its
 * commands they have twice as much, as who gives up then does not know whether
 * it was delivered. */
static int64_t transaction_time(const struct session *s)
{
	return (s->message_left ? 4 : 2) * s->params->timeout;
}

/* No wait outlasts the stage's time, nor all together the transaction's: a
 * drip of bytes stretches neither. */
int64_t session_deadline(const struct session *s, enum stage stage)
{
	int64_t timeout = s->params->timeout;
	int64_t limit = (int64_t)stage_minutes[stage] * 60 * 1000;
	int64_t left = transaction_time(s) - s->spent;

	limit = clock_earlier(limit, timeout);
	if (session_is_other_kind(s))
		limit = clock_earlier(limit, OTHER_KIND_MS);
	if (is_counted(stage))
		limit = clock_earlier(limit, left > 0 ? left : 0);
	return clock_in(limit);
}

void session_watch(struct session *s, char who, const char *text, size_t n)
{
	const struct watch *w = s->params->watch;

	if (w && w->line)
		w->line(w->context, who, text, n);
}

void session_put(struct session *s, const char *format, ...)
{
	struct buf line = BUF(COMMAND_MAX);
	va_list ap;

	va_start(ap, format);
	buf_addv(&line, format, ap);
	va_end(ap);
	session_watch(s, 'C', buf_text(&line), line.len);
	buf_adds(&line, "\r\n");
	conn_put(s->conn, line.data, line.len);
	buf_release(&line);
}

bool session_break(struct session *s, enum stage stage, struct outcome *why)
{
	s->broken = true;
	why->stage = stage;
	return false;
}

void session_host(const struct session *s, struct outcome *why)
{
	snprintf(why->host, sizeof(why->host), "%s", s->params->host);
}

/* What was read of a reply, line by line. */
static void watch_reply(struct session *s, bool whole)
{
	const char *text = reply_words(&s->reply), *end;
	unsigned left = s->reply.lines;
	struct buf line = BUF(8 * REPLY_BYTES);

	if (!s->params->watch || !s->params->watch->line)
		return;
	if (s->masked && s->reply.code == 334 && *text)
		text = "********";
	for (; left; left--) {
		end = strchrnul(text, '\n');
		buf_reset(&line);
		buf_addf(&line, "%d", s->reply.code);
		if (end > text || left > 1 || !whole)
			buf_addc(&line, left > 1 || !whole ? '-' : ' ');
		buf_add(&line, text, (size_t)(end - text));
		session_watch(s, 'S', buf_text(&line), line.len);
		text = *end ? end + 1 : end;
	}
	buf_release(&line);
}

static bool not_smtp(struct session *s, enum stage stage, const char *line,
		     size_t n, struct outcome *why)
{
	struct buf words = BUF(8 * REPLY_BYTES);

	mask_apply(&s->secrets, line, n, &words);
	session_watch(s, 'S', buf_text(&words), words.len);
	outcome_fail(why, stage, EX_PROTOCOL,
		     "the server's answer is not SMTP: \"%.80s\"",
		     buf_text(&words));
	buf_release(&words);
	return session_break(s, stage, why);
}

static bool read_reply(struct session *s, enum stage stage, int64_t deadline,
		       struct outcome *why)
{
	enum reply_state state = REPLY_MORE;
	const char *line;
	size_t n;
	bool came = true;

	reply_reset(&s->reply);
	while (came && state == REPLY_MORE) {
		came = conn_line(s->conn, &line, &n, deadline, why);
		if (came)
			state = reply_line(&s->reply, line, n);
	}
	reply_mask(&s->reply, &s->secrets);
	watch_reply(s, state == REPLY_DONE);
	if (!came)
		return session_break(s, stage, why);
	return state == REPLY_DONE || not_smtp(s, stage, line, n, why);
}

void session_outcome(const struct session *s, enum stage stage,
		     struct outcome *o)
{
	const struct list *without = s->params->without;

	policy_answer(&s->reply, stage, s->params->host, o);
	if (!without || !list_has(without, "ENHANCEDSTATUSCODES"))
		return;
	o->status[0] = '\0';
	o->exit = policy_exit(stage, o->code, "");
}

bool session_reply(struct session *s, enum stage stage, struct outcome *why)
{
	int64_t began = clock_now();
	bool done = read_reply(s, stage, session_deadline(s, stage), why);

	if (is_counted(stage))
		s->spent += clock_now() - began;
	if (!done || s->reply.code != 421)
		return done;
	session_outcome(s, stage, why);
	s->broken = true;
	return false;
}

/* Something came before we spoke. */
static bool unasked(struct session *s, enum stage stage, struct outcome *why)
{
	struct outcome said;

	if (!session_reply(s, stage, why))
		return false;
	session_outcome(s, stage, &said);
	outcome_fail(why, stage, EX_PROTOCOL,
		     "the server spoke out of turn: \"%d %.200s\"",
		     s->reply.code, said.text);
	return session_break(s, stage, why);
}

static bool flush_by(struct session *s, enum stage stage, int64_t deadline,
		     struct outcome *why)
{
	enum conn_state state = CONN_QUIET;
	bool done;

	/* a greeting may come at any time */
	if (!(s->owed & 1U << EARLY_GREETING))
		state = conn_look(s->conn);
	if (state == CONN_SPEAKS)
		return unasked(s, stage, why);
	/* what never left is in no doubt */
	if (state == CONN_GONE && s->mails) {
		outcome_fail(why, stage, EX_TEMPFAIL,
			     "the server closed the connection%s",
			     s->mails > 1 ? " after a message" : "");
		return session_break(s, stage, why);
	}
	done = conn_flush(s->conn, s->params->timeout, deadline, why);
	/* whoever hangs up may have said why */
	if (!done && conn_pending(s->conn) &&
	    session_reply(s, stage, why) && reply_class(&s->reply) > 3)
		session_outcome(s, stage, why);
	return done || session_break(s, stage, why);
}

/* What cannot be sent early is not tried so again. */
static bool flushed(struct session *s, bool done)
{
	if (!done && s->owed)
		s->facts.early_failed = true;
	return done;
}

bool session_flush(struct session *s, enum stage stage, struct outcome *why)
{
	int64_t began = clock_now();
	bool done = flush_by(s, stage, session_deadline(s, stage), why);

	s->spent += clock_now() - began;
	return flushed(s, done);
}

bool session_flush_message(struct session *s, struct outcome *why)
{
	return flushed(s, flush_by(s, STAGE_DATA, CLOCK_NEVER, why));
}

bool session_in_step(struct session *s, int64_t wait, struct outcome *why)
{
	struct outcome end = { 0 };
	bool whole;

	if (wait ? !conn_wait(s->conn, clock_in(wait)) :
		   !conn_pending(s->conn)) {
		if (!wait || !conn_ended(s->conn))
			return true;
		outcome_fail(&end, STAGE_DOT, EX_TEMPFAIL,
			     "the server closed the connection");
	} else {
		whole = read_reply(s, STAGE_DOT, clock_in(SURPLUS_TIME), &end);
		s->broken = true;
		if (whole && s->reply.code == 421 && !wait)
			return true;
		if (whole)
			outcome_fail(&end, STAGE_DOT, s->reply.code == 421 ?
				     EX_TEMPFAIL : EX_PROTOCOL,
				     "the server answered more than it was "
				     "asked: \"%.80s\"",
				     buf_text(&s->reply.text));
		else
			end.exit = EX_PROTOCOL;
	}
	*why = end;
	why->in_doubt = true;
	return session_break(s, STAGE_DOT, why);
}

bool session_ask(struct session *s, enum stage stage, const char *command,
		 struct outcome *why)
{
	session_put(s, "%s", command);
	return session_flush(s, stage, why) && session_reply(s, stage, why);
}

bool session_is_verified(const struct session *s)
{
	return s->facts.tls.version[0] && s->facts.tls.verified;
}
