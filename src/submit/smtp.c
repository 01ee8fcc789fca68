/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/smtp.h"

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
static bool is_other_kind(const struct session *s)
{
	if (s->greeted || s->facts.tls.version[0])
		return false;
	return s->params->port == (s->params->implicit_tls ? 587 : 465);
}

/* No wait outlasts the stage's time, and all of them together (the message's
 * bytes apart) not twice the timeout: a drip of bytes stretches neither. */
static int64_t stage_deadline(const struct session *s, enum stage stage)
{
	int64_t timeout = s->params->timeout;
	int64_t limit = (int64_t)stage_minutes[stage] * 60 * 1000;
	int64_t left = 2 * timeout - s->spent;

	limit = clock_earlier(limit, timeout);
	if (is_other_kind(s))
		limit = clock_earlier(limit, OTHER_KIND_MS);
	return clock_in(clock_earlier(limit, left > 0 ? left : 0));
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

static bool session_break(struct session *s, enum stage stage,
			  struct outcome *why)
{
	s->broken = true;
	why->stage = stage;
	snprintf(why->host, sizeof(why->host), "%s", s->params->host);
	return false;
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
	bool done = read_reply(s, stage, stage_deadline(s, stage), why);

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
	bool done;

	if (conn_pending(s->conn))
		return unasked(s, stage, why);
	/* what never left is in no doubt */
	if (s->mails > 1 && conn_ended(s->conn)) {
		outcome_fail(why, stage, EX_TEMPFAIL, "the server closed the "
			     "connection after a message");
		return session_break(s, stage, why);
	}
	done = conn_flush(s->conn, s->params->timeout, deadline, why);
	/* whoever hangs up may have said why */
	if (!done && conn_pending(s->conn) &&
	    session_reply(s, stage, why) && reply_class(&s->reply) > 3)
		session_outcome(s, stage, why);
	return done || session_break(s, stage, why);
}

bool session_flush(struct session *s, enum stage stage, struct outcome *why)
{
	int64_t began = clock_now();
	bool done = flush_by(s, stage, stage_deadline(s, stage), why);

	s->spent += clock_now() - began;
	return done;
}

bool session_flush_message(struct session *s, struct outcome *why)
{
	return flush_by(s, STAGE_DATA, CLOCK_NEVER, why);
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

static bool refused(struct session *s, enum stage stage, struct outcome *why)
{
	struct outcome said;

	session_outcome(s, stage, &said);
	*why = said;
	if (why->exit == EX_OK || reply_class(&s->reply) == 3)
		outcome_fail(why, stage, EX_PROTOCOL,
			     "unexpected answer %d \"%.200s\"",
			     s->reply.code, said.text);
	snprintf(why->host, sizeof(why->host), "%s", s->params->host);
	return false;
}

/* Who is silent where a word is due may wait for the other language. */
static bool kind_words(const struct session *s, struct outcome *why)
{
	const struct session_params *p = s->params;
	const char *hint = NULL;

	if (is_other_kind(s))
		hint = p->implicit_tls ?
		       "port 587 is for STARTTLS: set kind = submission" :
		       "on port 465 TLS begins at once: set kind = submissions";
	else if (!p->implicit_tls && p->demand >= DEMAND_ENCRYPTED &&
		 p->port != 25 && !s->reply.bytes)
		hint = "if TLS begins at once on this port: set kind = "
		       "submissions";
	if (hint && !strstr(why->text, "set kind"))
		outcome_append(why, " (%s)", hint);
	return false;
}

static bool greeting(struct session *s, struct outcome *why)
{
	struct outcome said;

	if (!session_reply(s, STAGE_HELLO, why))
		return why->code ? false : kind_words(s, why);
	s->greeted = true;
	session_outcome(s, STAGE_HELLO, &said);
	text_printable(s->facts.banner, sizeof(s->facts.banner), said.text,
		       strlen(said.text));
	return s->reply.code == 220 || refused(s, STAGE_HELLO, why);
}

/* EHLO, or HELO where that is not known; LMTP has only LHLO. What an earlier
 * EHLO said is forgotten (RFC 3207 4.2). */
static bool hello(struct session *s, struct outcome *why)
{
	char command[300];

	features_release(&s->facts.features);
	snprintf(command, sizeof(command), "%s %s",
		 s->params->lmtp ? "LHLO" : "EHLO", s->params->helo);
	if (!session_ask(s, STAGE_HELLO, command, why))
		return false;
	if (reply_class(&s->reply) == 2) {
		features_read(&s->facts.features, &s->reply);
		if (s->params->without)
			features_leave_out(&s->facts.features,
					   s->params->without);
		if (s->params->no_chunking)
			s->facts.features.chunking = false;
		return true;
	}
	if (reply_class(&s->reply) != 5 || s->params->lmtp)
		return refused(s, STAGE_HELLO, why);
	snprintf(command, sizeof(command), "HELO %s", s->params->helo);
	if (!session_ask(s, STAGE_HELLO, command, why))
		return false;
	return reply_class(&s->reply) == 2 || refused(s, STAGE_HELLO, why);
}

/* What the administrator can set, in the words of the configuration. */
static void tls_advice(const struct tls_facts *f, struct outcome *why)
{
	switch (f->fault) {
	case TLS_FAULT_IN_CLEAR:
		outcome_append(why, "; if it is a port for STARTTLS, set kind "
			       "= submission");
		break;
	case TLS_FAULT_NAME:
		outcome_append(why, " (if that is the right server, set "
			       "tls_name)");
		break;
	case TLS_FAULT_NO_NAME:
		outcome_append(why, " (a new certificate is needed, or set "
			       "fingerprint)");
		break;
	case TLS_FAULT_SELF_SIGNED:
		outcome_append(why, " (to trust it: fingerprint = %s, or its "
			       "own file as ca_file)", f->pin);
		break;
	case TLS_FAULT_ISSUER:
		outcome_append(why, " (set ca_file to its certificate, or "
			       "fingerprint = %s)", f->pin);
		break;
	case TLS_FAULT_NO_AUTHORITIES:
		outcome_append(why, " (install ca-certificates, or set "
			       "ca_file)");
		break;
	case TLS_FAULT_PIN:
		outcome_append(why, " (if the server's key was changed on "
			       "purpose, set fingerprint = %s)", f->pin);
		break;
	case TLS_FAULT_NONE:
		break;
	}
}

static bool handshake(struct session *s, struct outcome *why)
{
	int64_t began = clock_now();
	bool done;

	s->facts.tls.want_certificates = s->params->want_certificates;
	done = conn_tls(s->conn, &s->params->tls, &s->facts.tls,
			stage_deadline(s, STAGE_TLS), why);
	s->spent += clock_now() - began;
	if (done)
		return true;
	tls_advice(&s->facts.tls, why);
	kind_words(s, why);
	return session_break(s, STAGE_TLS, why);
}

static bool tls_is_required(const struct session *s)
{
	return s->params->demand >= DEMAND_ENCRYPTED;
}

/* Until the handshake has ended, all that goes wrong where TLS is required
 * may be somebody in the middle: it is for now, whatever they say. */
static bool required_tls_failed(const struct session *s, struct outcome *why)
{
	if (tls_is_required(s) && why->exit != EX_CONFIG)
		why->exit = EX_TEMPFAIL;
	return false;
}

static bool no_starttls(struct session *s, struct outcome *why)
{
	if (!tls_is_required(s))
		return true;
	outcome_fail(why, STAGE_TLS, EX_TEMPFAIL, "TLS is required but %s",
		     s->params->without &&
		     list_has(s->params->without, "STARTTLS") ?
		     "\"without\" leaves STARTTLS out" :
		     "the server does not offer STARTTLS (it may have been "
		     "removed on the way)");
	snprintf(why->host, sizeof(why->host), "%s", s->params->host);
	return false;
}

static bool starttls(struct session *s, struct outcome *why)
{
	if (!s->facts.features.starttls)
		return no_starttls(s, why);
	if (!session_ask(s, STAGE_TLS, "STARTTLS", why))
		return required_tls_failed(s, why);
	if (s->reply.code != 220) {
		if (!tls_is_required(s))
			return true;
		refused(s, STAGE_TLS, why);
		return required_tls_failed(s, why);
	}
	if (!handshake(s, why))
		return required_tls_failed(s, why);
	return hello(s, why);
}

static bool wants_starttls(const struct session *s)
{
	return !s->params->implicit_tls && s->params->demand != DEMAND_NONE;
}

static bool wants_auth(const struct session *s)
{
	return s->params->authenticate ||
	       (s->facts.tls.client_certificate &&
		list_has(&s->facts.features.mechanisms, "EXTERNAL"));
}

static bool introduce(struct session *s, struct outcome *why)
{
	if (s->params->implicit_tls && !handshake(s, why))
		return required_tls_failed(s, why);
	if (!greeting(s, why))
		return false;
	if (!hello(s, why))
		return false;
	if (wants_starttls(s) && !starttls(s, why))
		return false;
	return !wants_auth(s) || session_authenticate(s, why);
}

bool session_open(const struct session_params *params, struct conn *conn,
		  struct session **out, struct outcome *why)
{
	struct session *s = mem_alloc(sizeof(*s));

	s->params = params;
	s->conn = conn;
	mask_add_secret(&s->secrets, params->password);
	mask_add_secret(&s->secrets, params->token);
	*out = s;
	return introduce(s, why);
}

const struct session_facts *session_facts(const struct session *s)
{
	return &s->facts;
}

void session_close(struct session *s)
{
	struct outcome ignored;

	if (!s)
		return;
	if (!s->broken) {
		session_put(s, "QUIT");
		/* its answer tells us nothing worth waiting for */
		if (!conn_flush(s->conn, 0, clock_now(), &ignored))
			s->broken = true;
	}
	conn_close(s->conn);
	features_release(&s->facts.features);
	tls_facts_release(&s->facts.tls);
	reply_release(&s->reply);
	mask_release(&s->secrets);
	free(s);
}
