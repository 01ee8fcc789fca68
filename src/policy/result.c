/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What outcomes mean, and when to try again (SPEC 1, 6.4, 7, 8). */
#include "policy/policy.h"

/* How bad a permanent status is; the later the worse. */
static const int rank[] = {
	EX_USAGE, EX_NOINPUT, EX_DATAERR, EX_NOUSER, EX_NOHOST,
	EX_UNAVAILABLE, EX_CONFIG, EX_PROTOCOL, EX_NOPERM, EX_SOFTWARE,
};

enum { HOUR = 3600 * 1000, FEW_ATTEMPTS = 20 };

/* Failures of a way or of ours, not of the message: another way, or the same
 * one when somebody has mended it, can still carry it. */
static bool is_mendable(const struct outcome *o)
{
	if (o->exit == EX_PROTOCOL || o->exit == EX_NOPERM ||
	    o->exit == EX_CONFIG || o->exit == EX_SOFTWARE)
		return true;
	/* about the order of commands, not about the sender */
	if (o->stage == STAGE_MAIL && o->code == 503)
		return true;
	/* what a server says before MAIL concerns the session, and a relay's
	 * name that is not there the way; a permanent of our own making
	 * (REQUIRETLS, a recipient's domain) concerns the message */
	return o->stage >= STAGE_DNS && o->stage <= STAGE_AUTH &&
	       (o->code || o->status[0] != '5');
}

enum rcpt_state policy_verdict(const struct outcome *o, bool queue)
{
	if (o->exit == EX_OK)
		return RCPT_SENT;
	if (outcome_is_temporary(o) || (queue && is_mendable(o)))
		return RCPT_PENDING;
	return RCPT_FAILED;
}

bool policy_is_attempt(const struct outcome *o)
{
	return o->exit == EX_OK || !o->no_network;
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
	if (!t->any_deferred)
		return t->worst;
	if (!t->any_sent && !t->any_queued)
		return t->deferred ? t->deferred : EX_TEMPFAIL;
	/* whoever tried again would send it twice to somebody */
	return rank_of(t->worst) > rank_of(EX_UNAVAILABLE) ? t->worst :
	       EX_UNAVAILABLE;
}

/* The wait after an attempt, without jitter. */
static int64_t step(const struct config *c, unsigned attempt)
{
	size_t i = attempt ? attempt - 1 : 0;

	if (!c->queue.steps)
		return HOUR;
	return c->queue.step[i < c->queue.steps ? i : c->queue.steps - 1];
}

int64_t policy_delay(const struct config *c, unsigned attempts,
		     uint32_t random)
{
	int64_t wait = step(c, attempts);
	int64_t jitter = (int64_t)(random % 601) - 300;

	if (wait > INT64_MAX / 10000)
		return wait;
	return wait + wait * jitter / 10000;
}

bool policy_delayed(const struct config *c, unsigned attempts, int64_t waited)
{
	int64_t after = c->queue.delay_report_after;

	return after && (int64_t)attempts >= after && waited >= HOUR;
}

bool policy_expired(const struct config *c, unsigned attempts, int64_t age)
{
	const int64_t lifetime = c->queue.lifetime;
	int64_t least = lifetime / FEW_ATTEMPTS, left = lifetime, wait;
	unsigned i;

	if (!attempts || age < lifetime)
		return false;
	if (lifetime < HOUR)
		return true;
	for (i = 1; i <= attempts; i++) {
		wait = step(c, i);
		left -= wait > least ? wait : least;
		if (left <= 0)
			return true;
	}
	return false;
}
