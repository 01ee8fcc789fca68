/* SPDX-License-Identifier: GPL-3.0-or-later */
/* AUTH (RFC 4954). */
#include "submit/smtp_auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/mechanism.h"
#include "submit/smtp_session.h"
#include "wire/sasl.h"

enum {
	AUTH_LINE = 12288,  /* RFC 4954 4 */
	AUTH_ROUNDS = 20
};

struct auth {
	struct session *s;
	const char *mechanism;
	const char *token;
	const char *binding_kind;
	unsigned char binding[64];
	size_t binding_len;
	struct sasl *sasl;
	struct buf answer;      /* base64, secret */
	bool refused;           /* by the server, with a reply */
	bool unknown;           /* refused for its name alone */
	bool unheard;           /* there was no word on the last exchange */
	struct list offered;    /* by the server, without what it did not
				 * know after all */
};

static void put_answer(struct auth *a, const char *before)
{
	char shown[64];
	int n = snprintf(shown, sizeof(shown), "%s%s", before,
			 a->answer.len ? "********" : "");

	session_watch(a->s, 'C', shown, n > 0 ? (size_t)n : 0);
	conn_puts(a->s->conn, before);
	mask_add_response(&a->s->secrets, buf_text(&a->answer),
			  a->answer.len);
	conn_put_secret(a->s->conn, buf_text(&a->answer), a->answer.len);
	conn_puts(a->s->conn, "\r\n");
	buf_reset(&a->answer);
}

static bool cancel(struct auth *a)
{
	struct outcome ignored;

	if (!a->s->broken && !session_ask(a->s, STAGE_AUTH, "*", &ignored))
		a->s->broken = true;
	return false;
}

static bool challenge(struct auth *a, struct outcome *why)
{
	const char *text = buf_text(&a->s->reply.text);

	if (a->s->reply.lines > 1 ||
	    strlen(text) != a->s->reply.text.len) {
		outcome_fail(why, STAGE_AUTH, EX_NOPERM,
			     "a challenge that is no single line of text");
		return cancel(a);
	}
	/* the initial response that was too long for the first line */
	if (!a->answer.len && !sasl_step(a->sasl, text, &a->answer, why))
		return cancel(a);
	put_answer(a, "");
	return session_flush(a->s, STAGE_AUTH, why);
}

/* A refusal, with what can be told about its cause: the server's word within
 * the mechanism, as fit to be shown as its reply, or who tried to log in. */
static bool auth_refusal(struct auth *a, unsigned round, struct outcome *why)
{
	const struct session_params *p = a->s->params;
	const char *text = sasl_server_words(a->sasl);
	struct buf inner = BUF(8 * REPLY_BYTES);

	session_outcome(a->s, STAGE_AUTH, why);
	if (why->exit == EX_OK)
		return outcome_fail(why, STAGE_AUTH, EX_PROTOCOL,
				    "unexpected answer %d to AUTH",
				    a->s->reply.code);
	a->refused = a->s->reply.code >= 500;
	a->unknown = !round && policy_is_unknown(why);
	mask_apply(&a->s->secrets, text, strlen(text), &inner);
	if (mechanism_needs(a->mechanism) & NEED_BINDING)
		outcome_append(why, " (%s is bound to the TLS connection: a "
			       "TLS offloader before the server makes it fail; "
			       "then set \"mechanisms = %.*s\")", a->mechanism,
			       (int)strlen(a->mechanism) - 5, a->mechanism);
	else if (mechanism_needs(a->mechanism) & NEED_CERTIFICATE &&
		 !a->s->facts.tls.client_certificate)
		outcome_append(why, " (%s, but the server's TLS asked for no "
			       "certificate)", a->mechanism);
	else if (inner.len)
		outcome_append(why, " (%.200s)", buf_text(&inner));
	else
		outcome_append(why, " (%s as %.80s%s%.120s)", a->mechanism,
			       p->username ? p->username : "nobody",
			       p->secret_from ? ", " : "",
			       p->secret_from ? p->secret_from : "");
	buf_release(&inner);
	return false;
}

static bool auth_converse(struct auth *a, struct outcome *why)
{
	const bool first = sasl_client_first(a->sasl);
	struct session *s = a->s;
	char command[64];
	unsigned round;

	if (first && !sasl_step(a->sasl, NULL, &a->answer, why))
		return false;
	snprintf(command, sizeof(command), "AUTH %s", a->mechanism);
	if (first && strlen(command) + a->answer.len + 3 <= AUTH_LINE) {
		snprintf(command, sizeof(command), "AUTH %s%s", a->mechanism,
			 a->answer.len ? " " : " =");
		put_answer(a, command);
	} else {
		/* too long a response waits in a->answer for the first 334 */
		session_put(s, "%s", command);
	}
	/* all is said, and whether it holds comes with the rest */
	if (s->owed && first && !a->answer.len && sasl_complete(a->sasl)) {
		s->owed |= 1U << EARLY_LOGIN;
		return true;
	}
	if (!(s->owed ? session_settle_now(s, why) :
			session_flush(s, STAGE_AUTH, why)))
		return false;
	for (round = 0; round < AUTH_ROUNDS; round++) {
		if (!session_reply(s, STAGE_AUTH, why))
			return false;
		if (s->reply.code != 334 && s->reply.code != 235)
			return auth_refusal(a, round, why);
		if (s->reply.code == 235 && sasl_complete(a->sasl))
			return true;
		if (s->reply.code == 235) {
			s->broken = true;
			return outcome_fail(why, STAGE_AUTH, EX_NOPERM, "the "
					    "server accepted %s before it had "
					    "proved that it knows the "
					    "password: not trusted",
					    a->mechanism);
		}
		if (!challenge(a, why))
			return false;
	}
	s->broken = true;
	return outcome_fail(why, STAGE_AUTH, EX_NOPERM,
			    "no end of challenges");
}

/* One exchange of one mechanism from AUTH to its answer. */
static bool auth_exchange(struct auth *a, struct outcome *why)
{
	const struct session_params *p = a->s->params;
	const struct sasl_params params = {
		.mechanism = a->mechanism, .username = p->username,
		.password = p->password, .token = a->token,
		.service = p->lmtp ? "lmtp" : "smtp", .host = p->host,
		.port = p->port, .binding_kind = a->binding_kind,
		.binding = a->binding, .binding_len = a->binding_len,
	};
	bool done;

	a->refused = a->unknown = false;
	a->answer = BUF_SECRET(256 * 1024);
	if (!sasl_start(&params, &a->sasl, why))
		return false;
	done = auth_converse(a, why);
	if (done) {
		a->s->facts.mechanism = a->mechanism;
		a->s->facts.authenticated = !a->s->owed;
	}
	buf_release(&a->answer);
	sasl_free(a->sasl);
	a->sasl = NULL;
	return done;
}

static void gather_facts(struct auth *a, struct auth_facts *f)
{
	struct session *s = a->s;
	const struct session_params *p = s->params;

	*f = (struct auth_facts){
		.tls = s->facts.tls.version[0] != '\0',
		.verified = session_is_verified(s),
		.downgraded = !s->facts.tls.version[0] && p->by_chance,
		.username = p->username != NULL,
		.password = p->password != NULL,
		.token = p->token != NULL,
		/* where a login is wanted, the server may know who we are by
		 * other means than the certificate */
		.certificate = s->facts.tls.client_certificate ||
			       (p->authenticate && p->tls.certificate),
	};
	f->binding = f->tls && conn_binding(s->conn, &a->binding_kind,
					    a->binding, &a->binding_len);
	/* the look-up loads Kerberos: only where it could matter */
	if (list_has(&s->facts.features.mechanisms, "GSSAPI") &&
	    ((!f->password && !f->token) ||
	     (p->mechanisms && list_has(p->mechanisms, "GSSAPI"))))
		f->ticket = sasl_has_ticket(p->lmtp ? "lmtp" : "smtp",
					    p->host);
}

static const char *auth_pick(const struct session *s,
			     const struct list *offered,
			     const struct auth_facts *facts,
			     struct outcome *why)
{
	static const struct list none;
	const struct list *configured = s->params->mechanisms;

	return policy_mechanism(offered, configured ? configured : &none,
				facts, why);
}

/* Another exchange after a refusal, which stands where the server hangs up on
 * this one: a lost connection would be tried again, password and all. */
static bool exchange_again(struct auth *a, struct outcome *why)
{
	const struct outcome refusal = *why;

	if (auth_exchange(a, why))
		return true;
	a->unheard = a->s->broken && why->exit != EX_NOPERM;
	if (a->unheard)
		*why = refusal;
	return false;
}

/* A refused token may only be too old. */
static bool with_fresh_token(struct auth *a, struct outcome *why)
{
	const struct session_params *p = a->s->params;
	struct outcome none = { 0 };
	bool done;

	a->token = p->renew_token ? p->renew_token(p->context, &none) : NULL;
	mask_add_secret(&a->s->secrets, a->token);
	if (a->token) {
		done = exchange_again(a, why);
		a->s->facts.token_unheard = a->unheard;
		return done;
	}
	/* of a login: whether it is refused, or its issuer away for now */
	if (none.stage != STAGE_AUTH)
		return false;
	outcome_append(why, "; %s", none.text);
	if (outcome_is_temporary(&none))
		why->exit = EX_TEMPFAIL;
	return false;
}

/* One mechanism, but for those that the server does not know after all, and
 * for the one that may follow another. */
static bool authenticate(struct auth *a, const struct auth_facts *facts,
			 struct outcome *why)
{
	const char *refused = NULL, *next;
	struct outcome none = { 0 };

	for (;;) {
		next = refused ? policy_second_mechanism(refused, &a->offered,
				a->s->params->mechanisms, facts) :
			auth_pick(a->s, &a->offered, facts, &none);
		if (!next) {
			/* the refusal says more than that none is left */
			if (!a->mechanism)
				*why = none;
			return false;
		}
		a->mechanism = next;
		if (refused ? exchange_again(a, why) : auth_exchange(a, why))
			return true;
		if (!a->refused || a->s->broken)
			return false;
		if (a->unknown)
			list_remove(&a->offered, next);
		else if (mechanism_needs(next) & NEED_TOKEN)
			return with_fresh_token(a, why);
		else if (refused)
			return false;
		else
			refused = next;
	}
}

const char *session_mechanism(struct session *s)
{
	struct auth a = { .s = s };
	struct auth_facts facts;
	struct outcome ignored;

	if (s->facts.mechanism)
		return s->facts.mechanism;
	gather_facts(&a, &facts);
	mem_wipe(a.binding, sizeof(a.binding));
	if (!facts.password && !facts.token && !facts.certificate &&
	    !facts.ticket)
		facts.username = facts.password = true;
	return auth_pick(s, &s->facts.features.mechanisms, &facts, &ignored);
}

static bool is_known_login(const struct session *s,
			   const struct auth_facts *facts)
{
	struct outcome ignored;
	const char *name = auth_pick(s, &s->facts.features.mechanisms, facts,
				     &ignored);

	return name && !strcmp(name, s->params->early->mechanism);
}

bool session_authenticate(struct session *s, struct outcome *why)
{
	const struct features *f = &s->facts.features;
	struct auth a = { .s = s, .token = s->params->token };
	struct auth_facts facts;
	bool done;
	size_t i;

	/* that is not to be said from memory */
	if (!f->auth && s->owed && !session_settle_now(s, why))
		return false;
	if (!f->auth)
		return outcome_fail(why, STAGE_AUTH, EX_NOPERM, "the server "
				    "offers no AUTH%s, and credentials are "
				    "set%s", s->facts.tls.version[0] ? "" :
				    " without TLS", s->params->port == 25 ?
				    " (port 25 is for mail between servers; "
				    "logging in is for 587, kind submission, "
				    "or 465, kind submissions)" : "");
	s->masked = true;
	gather_facts(&a, &facts);
	/* the one that worked, or what the server says now */
	if (s->owed && !is_known_login(s, &facts) &&
	    !session_settle_now(s, why))
		return false;
	for (i = 0; i < f->mechanisms.n; i++)
		list_add(&a.offered, f->mechanisms.item[i]);
	done = authenticate(&a, &facts, why);
	list_release(&a.offered);
	mem_wipe(a.binding, sizeof(a.binding));
	s->masked = false;
	return done;
}
