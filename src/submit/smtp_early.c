/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Early pipelining: what is sent unheard, and the answers to it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "submit/smtp_session.h"

void session_take_greeting(struct session *s)
{
	struct outcome said;

	s->greeted = true;
	session_outcome(s, STAGE_HELLO, &said);
	text_printable(s->facts.banner, sizeof(s->facts.banner), said.text,
		       strlen(said.text));
}

/* What is not to be used, though the server announces it. */
static void leave_out(struct session *s)
{
	struct features *f = &s->facts.features;

	if (s->params->without)
		features_leave_out(f, s->params->without);
	if (s->params->no_chunking)
		f->chunking = false;
}

/* The extensions of a reply to EHLO. */
static const char *hello_lines(const struct reply *r)
{
	const char *first = strchr(buf_text(&r->text), '\n');

	return first ? first + 1 : "";
}

void session_take_features(struct session *s)
{
	const struct reply *r = &s->reply;

	features_read(&s->facts.features, r);
	leave_out(s);
	free(s->facts.hello);
	s->facts.hello = NULL;
	/* nor is a secret that it repeats to be kept */
	if (s->params->learn_early &&
	    policy_early_offered(&s->facts.features, s->params->demand,
				 s->facts.tls.version[0] != '\0',
				 session_is_verified(s)) &&
	    !strcmp(buf_text(&r->text), reply_words(r)))
		s->facts.hello = mem_string(hello_lines(r));
}

bool session_begin_early(struct session *s, bool greeting)
{
	const struct session_params *p = s->params;
	const struct early_facts facts = {
		.wanted = p->early != NULL, .known = p->early != NULL,
		.was_verified = p->early && p->early->verified,
		.lmtp = p->lmtp, .socket = p->local, .demand = p->demand,
		.tls = s->facts.tls.version[0] != '\0',
		.verified = session_is_verified(s),
	};

	if (!p->early || !policy_early(&facts))
		return false;
	early_features(p->early->hello, &s->facts.features);
	leave_out(s);
	if (!policy_early_offered(&s->facts.features, p->demand, facts.tls,
				  facts.verified))
		return false;
	free(s->facts.hello);
	s->facts.hello = NULL;
	session_put(s, "EHLO %s", p->helo);
	s->early = true;
	s->owed = 1U << EARLY_HELLO;
	if (greeting)
		s->owed |= 1U << EARLY_GREETING;
	return true;
}

static const struct {
	const char *command;
	enum stage stage;
} steps[] = {
	[EARLY_GREETING] = { "the connection", STAGE_HELLO },
	[EARLY_HELLO] = { "EHLO", STAGE_HELLO },
	[EARLY_LOGIN] = { "AUTH", STAGE_AUTH },
};

/* The answer that was just read. False as session_settle. */
static bool settle_step(struct session *s, enum early_step step,
			struct outcome *why)
{
	bool same = false;

	if (step == EARLY_GREETING)
		session_take_greeting(s);
	if (step == EARLY_HELLO) {
		same = !strcmp(hello_lines(&s->reply),
			       s->params->early->hello);
		if (!same)
			session_take_features(s);
	}
	switch (policy_early_answer(step, s->reply.code, same,
				    &s->facts.features)) {
	case EARLY_HOLDS:
		if (step == EARLY_LOGIN)
			s->facts.authenticated = true;
		return true;
	case EARLY_REFUSED:
		s->refused = true;
		if (step == EARLY_LOGIN)
			s->facts.mechanism = NULL;
		/* fall through */
	case EARLY_CHANGED:
		s->changed = true;
		return true;
	case EARLY_LOST:
		break;
	}
	outcome_fail(why, steps[step].stage, EX_PROTOCOL,
		     "unexpected answer %d to %s", s->reply.code,
		     steps[step].command);
	return session_break(s, steps[step].stage, why);
}

static bool settle_owed(struct session *s, enum early_step step,
			struct outcome *why)
{
	if (!(s->owed & 1U << step))
		return true;
	s->owed &= ~(1U << step);
	/* whoever takes his leave may yet have to say more */
	if (!session_reply(s, steps[step].stage, why) &&
	    s->reply.code != 421)
		return false;
	return settle_step(s, step, why);
}

bool session_hear_greeting(struct session *s, struct outcome *why)
{
	if (!(s->owed & 1U << EARLY_GREETING) || !conn_pending(s->conn))
		return true;
	s->facts.early_failed = true;
	if (!settle_owed(s, EARLY_GREETING, why) ||
	    (s->changed && !session_other(s, why)))
		return false;
	s->facts.early_failed = false;
	return true;
}

bool session_settle(struct session *s, bool sent, struct outcome *why)
{
	unsigned step;

	s->facts.early_failed = true;
	for (step = EARLY_GREETING; step <= EARLY_LOGIN; step++)
		if (!settle_owed(s, step, why))
			return false;
	s->facts.early_failed = s->changed;
	return !s->changed || sent || session_other(s, why);
}

bool session_settle_now(struct session *s, struct outcome *why)
{
	return session_hear_greeting(s, why) &&
	       session_flush(s, STAGE_HELLO, why) &&
	       session_settle(s, false, why);
}

bool session_other(struct session *s, struct outcome *why)
{
	outcome_fail(why, STAGE_HELLO, EX_TEMPFAIL, "the server is not what "
		     "it was");
	return session_break(s, STAGE_HELLO, why);
}

bool session_is_late(const struct session *s)
{
	return s->early && (s->reply.code == 235 || s->reply.code == 220 ||
			    !strcmp(hello_lines(&s->reply),
				    s->params->early->hello));
}
