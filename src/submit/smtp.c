/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A session from greeting to QUIT. */
#include "submit/smtp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "submit/smtp_auth.h"
#include "submit/smtp_session.h"

static bool refused(struct session *s, enum stage stage, struct outcome *why)
{
	struct outcome said;

	session_outcome(s, stage, &said);
	*why = said;
	if (why->exit == EX_OK || reply_class(&s->reply) == 3)
		outcome_fail(why, stage, EX_PROTOCOL,
			     "unexpected answer %d \"%.200s\"",
			     s->reply.code, said.text);
	return false;
}

/* Who is silent where a word is due may wait for the other language. */
static bool kind_words(const struct session *s, struct outcome *why)
{
	const struct session_params *p = s->params;
	const char *hint = NULL;

	if (session_is_other_kind(s))
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

/* EHLO, or HELO where that is not known; LMTP has only LHLO. What an earlier
 * EHLO said is forgotten (RFC 3207 4.2). */
static bool hello(struct session *s, struct outcome *why)
{
	struct outcome refusal;
	char command[300];

	features_release(&s->facts.features);
	snprintf(command, sizeof(command), "%s %s",
		 s->params->lmtp ? "LHLO" : "EHLO", s->params->helo);
	if (!session_ask(s, STAGE_HELLO, command, why))
		return false;
	if (reply_class(&s->reply) == 2) {
		session_take_features(s);
		return true;
	}
	if (reply_class(&s->reply) != 5 || s->params->lmtp)
		return refused(s, STAGE_HELLO, why);
	snprintf(command, sizeof(command), "HELO %s", s->params->helo);
	session_outcome(s, STAGE_HELLO, &refusal);
	if (!session_ask(s, STAGE_HELLO, command, why)) {
		/* whoever hangs up has said why */
		if (!why->code)
			*why = refusal;
		return false;
	}
	return reply_class(&s->reply) == 2 || refused(s, STAGE_HELLO, why);
}

/* What the administrator can set, in the words of the configuration; of a host
 * that a domain names it is not his to say whom to trust. */
static void tls_advice(const struct session *s, struct outcome *why)
{
	const struct tls_facts *f = &s->facts.tls;

	if (s->params->stranger && f->fault != TLS_FAULT_NO_AUTHORITIES)
		return;
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
			session_deadline(s, STAGE_TLS), why);
	s->spent += clock_now() - began;
	if (done)
		return true;
	tls_advice(s, why);
	kind_words(s, why);
	return session_break(s, STAGE_TLS, why);
}

/* Until the handshake has ended, all that goes wrong where TLS is required may
 * be somebody in the middle: it is for now, whatever they say. What is ours, a
 * file or the system, stays what it is. */
static void only_for_now(struct outcome *why)
{
	if (why->exit != EX_CONFIG && why->exit != EX_OSERR)
		why->exit = EX_TEMPFAIL;
}

/* STARTTLS where it is offered. */
static bool starttls(struct session *s, struct outcome *why)
{
	const struct list *without = s->params->without;
	const bool required = s->params->demand >= DEMAND_ENCRYPTED;

	if (!s->facts.features.starttls) {
		if (!required)
			return true;
		return outcome_fail(why, STAGE_TLS, EX_TEMPFAIL,
				    "TLS is required but %s",
				    without && list_has(without, "STARTTLS") ?
				    "\"without\" leaves STARTTLS out" :
				    "the server does not offer STARTTLS (it "
				    "may have been removed on the way)");
	}
	if (session_ask(s, STAGE_TLS, "STARTTLS", why)) {
		if (s->reply.code == 220 && handshake(s, why))
			return session_begin_early(s, false) || hello(s, why);
		if (s->reply.code != 220 && !required)
			return true;
		if (s->reply.code != 220)
			refused(s, STAGE_TLS, why);
	}
	if (required)
		only_for_now(why);
	return false;
}

/* The greeting, and EHLO. */
static bool greet(struct session *s, struct outcome *why)
{
	if (!session_reply(s, STAGE_HELLO, why))
		return why->code ? false : kind_words(s, why);
	session_take_greeting(s);
	return s->reply.code == 220 ? hello(s, why) :
				      refused(s, STAGE_HELLO, why);
}

/* Greeting, EHLO, STARTTLS, AUTH. */
static bool introduce(struct session *s, struct outcome *why)
{
	const struct session_params *p = s->params;

	if (p->implicit_tls && !handshake(s, why)) {
		if (p->demand >= DEMAND_ENCRYPTED)
			only_for_now(why);
		return false;
	}
	if (!session_begin_early(s, true) && !greet(s, why))
		return false;
	if (!p->implicit_tls && p->demand != DEMAND_NONE && !starttls(s, why))
		return false;
	if (p->stranger || (!p->authenticate &&
	    !(s->facts.tls.client_certificate &&
	      list_has(&s->facts.features.mechanisms, "EXTERNAL"))))
		return true;
	return session_authenticate(s, why);
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
	if (introduce(s, why))
		return true;
	session_host(s, why);
	return false;
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
	if (!s->broken && !s->owed) {
		session_put(s, "QUIT");
		/* its answer tells us nothing worth waiting for */
		if (!conn_flush(s->conn, 0, clock_now(), &ignored))
			s->broken = true;
	}
	conn_close(s->conn);
	features_release(&s->facts.features);
	free(s->facts.hello);
	tls_facts_release(&s->facts.tls);
	reply_release(&s->reply);
	mask_release(&s->secrets);
	free(s);
}
