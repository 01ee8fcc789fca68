/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What outcomes mean, and what is said of them. */
#include "policy/policy.h"

#include <stdio.h>
#include <string.h>

/* How bad a permanent status is; the later the worse. */
static const int rank[] = {
	EX_USAGE, EX_NOINPUT, EX_DATAERR, EX_NOUSER, EX_NOHOST,
	EX_UNAVAILABLE, EX_CONFIG, EX_PROTOCOL, EX_NOPERM, EX_SOFTWARE,
};

/* Whether a status is class.subject.detail with these two. */
static bool status_is(const char *status, int subject, int detail)
{
	int class, s, d;

	return sscanf(status, "%d.%d.%d", &class, &s, &d) == 3 &&
	       s == subject && (detail < 0 || d == detail);
}

/* A refusal for good of what concerns the recipient or the data. */
static int refusal_exit(enum stage stage, int code, const char *status)
{
	if (status_is(status, 6, 7))
		return EX_DATAERR;
	if (stage == STAGE_MAIL)
		return EX_UNAVAILABLE;
	if (status_is(status, 1, 10))
		return EX_NOHOST;
	if (status_is(status, 1, 7) || status_is(status, 1, 8))
		return EX_UNAVAILABLE;
	if (status_is(status, 1, -1))
		return EX_NOUSER;
	if (!*status && stage == STAGE_RCPT &&
	    (code == 550 || code == 551 || code == 553))
		return EX_NOUSER;
	return EX_UNAVAILABLE;
}

int policy_exit(enum stage stage, int code, const char *status)
{
	if (code >= 200 && code < 300)
		return EX_OK;
	if (code >= 400 && code < 500)
		return EX_TEMPFAIL;
	if (code < 500 || code > 599)
		return EX_PROTOCOL;
	switch (stage) {
	case STAGE_TLS:
		return EX_TEMPFAIL;
	case STAGE_AUTH:
		return EX_NOPERM;
	case STAGE_MAIL:
	case STAGE_RCPT:
	case STAGE_DATA:
	case STAGE_DOT:
		return refusal_exit(stage, code, status);
	default:
		return EX_UNAVAILABLE;
	}
}

void policy_answer(const struct reply *r, enum stage stage, const char *host,
		   struct outcome *o)
{
	reply_describe(r, stage, host, o);
	o->exit = policy_exit(stage, o->code, o->status);
}

enum rcpt_state policy_verdict(const struct outcome *o, bool queue)
{
	if (o->exit == EX_OK)
		return RCPT_SENT;
	if (outcome_is_temporary(o))
		return RCPT_PENDING;
	if (!queue)
		return RCPT_FAILED;
	/* no server said so: what a command says is of the message, whatever
	 * its status is called */
	if (o->stage == STAGE_RCPT && !o->code && o->status[0] == '5')
		return RCPT_FAILED;
	/* failures of a way or of ours, not of the message: another way, or
	 * the same one when somebody has mended it, can still carry it */
	if (o->exit == EX_PROTOCOL || o->exit == EX_NOPERM ||
	    o->exit == EX_CONFIG || o->exit == EX_SOFTWARE)
		return RCPT_PENDING;
	/* about the order of commands, not about the sender */
	if (o->stage == STAGE_MAIL && o->code == 503)
		return RCPT_PENDING;
	/* what a server says before MAIL concerns the session, and a relay's
	 * name that is not there the way; a permanent of our own making
	 * (REQUIRETLS, a recipient's domain) concerns the message */
	return o->stage >= STAGE_DNS && o->stage <= STAGE_AUTH &&
	       (o->code || o->status[0] != '5') ? RCPT_PENDING : RCPT_FAILED;
}

bool policy_is_attempt(const struct outcome *o)
{
	return o->exit == EX_OK || (!o->no_network && !o->not_before);
}

bool policy_try_elsewhere(const struct outcome *o)
{
	/* the message may have arrived: a second way would double it */
	if (o->in_doubt)
		return false;
	return o->lacking || policy_verdict(o, true) == RCPT_PENDING;
}

bool policy_goes_on(const struct outcome *o)
{
	return o->exit != EX_OK && !o->lacking && policy_is_attempt(o) &&
	       policy_try_elsewhere(o);
}

static size_t rank_of(int exit)
{
	size_t i;

	for (i = 0; i < sizeof(rank) / sizeof(*rank); i++)
		if (rank[i] == exit)
			return i + 1;
	return 0;
}

void tally_add(struct tally *t, const struct outcome *o, bool held)
{
	switch (policy_verdict(o, false)) {
	case RCPT_SENT:
		t->any_sent = true;
		return;
	case RCPT_PENDING:
		if (held)
			break;
		t->any_deferred = true;
		if (!t->deferred || t->deferred == EX_TEMPFAIL)
			t->deferred = o->exit;
		return;
	case RCPT_FAILED:
		if (held)
			break;
		if (!t->worst || rank_of(o->exit) > rank_of(t->worst))
			t->worst = o->exit;
		return;
	}
	t->any_queued = true;
}

int tally_exit(const struct tally *t)
{
	int status = t->deferred ? t->deferred : EX_TEMPFAIL;

	if (!t->any_deferred)
		return t->worst;
	/* to try again would send it twice to somebody */
	if (t->any_sent || t->any_queued)
		return rank_of(t->worst) > rank_of(EX_UNAVAILABLE) ?
		       t->worst : EX_UNAVAILABLE;
	return status == EX_TEMPFAIL && t->unheld ? t->unheld : status;
}

bool policy_refused_for_now(const struct outcome *o)
{
	return outcome_is_temporary(o) || o->exit == EX_CONFIG;
}

int policy_reply(const struct outcome *o, bool temporary, char status[12])
{
	const char class = temporary ? '4' : '5';
	/* a word about this session, or the login, is not the client's */
	const bool about_mail = o->stage == STAGE_LOCAL ||
				o->stage >= STAGE_MAIL;

	snprintf(status, 12, "%c.0.0", class);
	if (about_mail && o->status[0] == class)
		snprintf(status, 12, "%s", o->status);
	if (temporary)
		return 451;
	if (about_mail && o->code >= 550 && o->code <= 559)
		return o->code;
	return !o->code && !strcmp(o->status, "5.3.4") ? 552 : 554;
}

int policy_broken_off(bool accepted, bool heard)
{
	if (accepted)
		return EX_UNAVAILABLE;
	return heard ? EX_IOERR : EX_NOINPUT;
}
