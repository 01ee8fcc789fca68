/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Messages as transactions: who is in one, what its answer means for whom, and
 * what comes next (RFC 5321 3.3, RFC 3030, RFC 2033).
 */
#include "submit/smtp_transaction.h"

#include <stdlib.h>

#include "base/clock.h"
#include "mail/address.h"
#include "submit/smtp_body.h"

enum { DOMAINS_MOST = 1000 };   /* that are told apart in a transaction */

/* --- the message after 354 --- */

/* One answer for all, or in LMTP one for each accepted recipient, in the
 * order of their RCPTs (RFC 2033 4.2). */
static bool read_verdicts(struct transaction *t, struct outcome *why)
{
	struct session *s = t->s;
	struct outcome o;
	size_t i;

	for (i = 0; i < t->n; i++) {
		if (t->batch[i]->state != ATTEMPT_ACCEPTED)
			continue;
		/* a goodbye is this one's answer, and those of the others may
		 * follow at once */
		if (s->broken && !conn_wait(s->conn, clock_in(DOUBT_WAIT)))
			return outcome_fail(why, STAGE_DOT, EX_TEMPFAIL,
					    "the server said goodbye");
		if (!session_reply(s, STAGE_DOT, why) &&
		    !(s->params->lmtp && why->code == 421))
			return false;
		session_outcome(t->s, STAGE_DOT, &o);
		if (reply_class(&t->s->reply) == 3)
			return transaction_unfit(t, STAGE_DOT, "the message",
						 why);
		t->answer = o;
		if (!t->s->params->lmtp)
			break;
		transaction_decide(t, t->batch[i], &o);
	}
	if (!transaction_in_step(t, &t->answer, why))
		return false;
	t->data_decided = true;
	return true;
}

static bool send_data(struct transaction *t, struct outcome *why)
{
	struct session *s = t->s;

	if (!t->accepted) {
		/* and yet 354 came. In LMTP nobody's answer would follow a
		 * dot: nothing is sent, and who is left is asked about anew */
		if (s->params->lmtp) {
			s->broken = true;
			return true;
		}
		/* a lone dot ends it */
		session_put(s, ".");
		return session_flush(s, STAGE_DATA, why) &&
		       session_reply(s, STAGE_DOT, why);
	}
	/* words before we spoke could pass for the dot's answer, and whoever
	 * is gone has nothing of the message */
	if (conn_look(s->conn) != CONN_QUIET)
		return session_flush(s, STAGE_DATA, why);
	if (!body_write(s, t->d, t->size, why))
		return false;
	t->data_sent = true;
	if (!read_verdicts(t, why))
		return false;
	s->dirty = false;
	return true;
}

/* --- a transaction as a whole --- */

/* The recipients of this transaction: as many as the server takes, and of as
 * many domains (RFC 9422 5.3). */
static void choose_batch(struct transaction *t)
{
	const struct features *f = &t->s->facts.features;
	size_t limit = t->s->rcpt_limit, domains = f->rcpt_domain_max, i;
	struct list seen = { 0 };
	const char *domain;
	struct attempt *a;

	if (f->rcpt_max && (!limit || f->rcpt_max < limit))
		limit = f->rcpt_max;
	if (domains > DOMAINS_MOST)
		domains = DOMAINS_MOST;
	for (i = 0; i < t->d->n && (!limit || t->n < limit); i++) {
		a = &t->d->to[i];
		if (a->state != ATTEMPT_OPEN)
			continue;
		domain = address_domain(a->rcpt->address);
		if (domains && !list_has_nocase(&seen, domain)) {
			if (seen.n == domains)
				continue;
			list_add(&seen, domain);
		}
		a->state = ATTEMPT_ASKED;
		t->batch[t->n++] = a;
	}
	list_release(&seen);
}

/* Whoever has no answer yet gets this one. In doubt are those alone whose
 * message left whole without an answer. */
static void give_up(struct transaction *t, const struct outcome *why)
{
	struct attempt *a;
	struct outcome o;
	size_t i;

	for (i = 0; i < t->d->n; i++) {
		a = &t->d->to[i];
		if (transaction_has_decided(a))
			continue;
		/* a refusal for good is of those alone whom this transaction
		 * was about: a fresh session asks about the others */
		if (a->state == ATTEMPT_OPEN && why->code >= 500)
			continue;
		o = *why;
		o.in_doubt = (!o.code || t->goes_on) && t->data_sent &&
			     !t->data_decided &&
			     (a->state == ATTEMPT_ACCEPTED ||
			      (t->chunked && a->state == ATTEMPT_ASKED));
		transaction_decide(t, a, &o);
	}
}

static bool any_refused(const struct transaction *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->batch[i]->state == ATTEMPT_OVER)
			return true;
	return false;
}

/* Whether the server took its leave before it had the message: by a goodbye,
 * which a chunk that is under way has no answer behind, or without a word. */
static bool has_left(const struct transaction *t, const struct outcome *o)
{
	if (t->go || t->goes_on)
		return false;
	return o->code == 421 ||
	       (!o->code && outcome_is_temporary(o) &&
		conn_ended(t->s->conn));
}

static bool is_spent(const struct transaction *t, bool done,
		     const struct outcome *why)
{
	const struct outcome *o = done ? &t->answer : why;
	const bool asks = t->unheard || t->s->changed;
	struct session_end end = { 0 };
	const struct early_end early = {
		.message_sent = t->data_sent,
		.in_step = !t->out_of_step && o->exit != EX_PROTOCOL,
		.refused = (t->mail_refused && !t->astray) ||
			   (t->s->refused && !t->s->dirty),
		.taken = t->data_decided && t->answer.exit == EX_OK,
		.code = o->code,
		.silent = asks && !conn_ended(t->s->conn),
	};

	if (asks)
		return policy_early_again(&early);
	if (t->bdat_broken)
		return true;
	/* a chunk that left and was answered by nothing is in doubt */
	if (t->out_of_step || (t->data_sent && !o->code) ||
	    (done && !t->mail_refused))
		return false;
	end = (struct session_end){
		.carried = t->carried, .accepted = t->accepted,
		.refused = any_refused(t), .left = has_left(t, o),
	};
	return policy_session_is_spent(&end, o);
}

/* What an ended transaction says of its recipients. The one answer (to MAIL,
 * DATA or the message) is that of each whose RCPT was not refused; out of
 * step, those to a chunk hold for nobody, while after 354 those to RCPT do. */
static void close_transaction(struct transaction *t, const struct outcome *why)
{
	struct attempt *a;
	size_t i;

	for (i = 0; i < t->n; i++) {
		a = t->batch[i];
		if (t->out_of_step) {
			if (t->chunked || a->state == ATTEMPT_ACCEPTED ||
			    (transaction_has_decided(a) &&
			     a->rcpt->last.stage == STAGE_DOT))
				transaction_decide(t, a, why);
		} else if (a->state == ATTEMPT_ASKED ||
			   a->state == ATTEMPT_ACCEPTED) {
			transaction_decide(t, a, &t->answer);
		}
	}
}

static bool transact(struct transaction *t, struct outcome *why)
{
	struct session *s = t->s;
	bool done;
	size_t i;

	choose_batch(t);
	t->carried = s->mails;
	if (t->carried)
		s->spent = 0;
	s->message_left = false;
	t->rset = s->dirty;
	t->ahead = policy_bdat_ahead(t->carried, t->rset);
	done = transaction_negotiate(t, why) && (!t->go || send_data(t, why));
	if (!done)
		session_host(s, why);
	if (policy_learns_limit(&t->rcpts) &&
	    (!s->rcpt_limit || t->rcpts.accepted < s->rcpt_limit))
		s->rcpt_limit = t->rcpts.accepted;
	s->facts.chunking_broken = s->facts.chunking_broken || t->bdat_broken;
	if (is_spent(t, done, why)) {
		if (s->changed)
			(void)session_other(s, why);
		else if (done)
			*why = t->answer;
		/* whoever was not refused is asked again by another one */
		for (i = 0; i < t->n; i++)
			if (!transaction_has_decided(t->batch[i]))
				t->batch[i]->state = ATTEMPT_OPEN;
		s->broken = true;
		return false;
	}
	/* a refused MAIL stands whatever became of the line afterwards */
	if (t->out_of_step || done || t->mail_refused || t->data_decided)
		close_transaction(t, why);
	if (!done)
		give_up(t, why);
	if (t->d->settled && !t->d->settled(t->d->context)) {
		s->broken = true;
		done = outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "the journal cannot be written");
		give_up(t, why);
	}
	/* it took it, as another than was known */
	if (done && s->changed)
		return session_other(s, why);
	/* and said goodbye besides: whoever is left is told to another */
	if (done && s->broken)
		return outcome_fail(why, STAGE_DOT, EX_TEMPFAIL, "the server "
				    "takes no more over this connection");
	return done;
}

/* --- a message as a whole --- */

/* Whether it is more than the addresses of some recipients that makes the
 * message need SMTPUTF8. */
static bool is_utf8_for_all(const struct delivery *d)
{
	const struct envelope *e = d->envelope;
	size_t i;

	if (!e->utf8 || address_is_utf8(e->sender) ||
	    message_facts(d->message)->utf8_address)
		return e->utf8;
	for (i = 0; i < e->n; i++)
		if (address_is_utf8(e->rcpt[i].address))
			return false;
	return true;
}

/* Recipients for whom the server lacks what it takes have their answer. False:
 * the session is of no use. */
static bool refuse_lacking(struct transaction *t, struct outcome *why)
{
	const struct delivery *d = t->d;
	struct message_needs need = {
		.size = t->size, .utf8 = is_utf8_for_all(d),
		.require_tls = d->envelope->require_tls,
	};
	const struct features *f = &t->s->facts.features;
	bool verified = session_is_verified(t->s), all;
	size_t i;

	all = policy_lacks(f, &need, verified, why);
	need.utf8 = d->envelope->utf8;
	if (!all && !policy_lacks(f, &need, verified, why))
		return true;
	/* that is not to be said from memory */
	if (t->s->owed)
		return session_settle_now(t->s, why) && refuse_lacking(t, why);
	session_host(t->s, why);
	for (i = 0; i < d->n; i++)
		if (d->to[i].state == ATTEMPT_OPEN &&
		    (all || address_is_utf8(d->to[i].rcpt->address)))
			transaction_decide(t, &d->to[i], why);
	return true;
}

static bool any_open(const struct delivery *d)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		if (d->to[i].state == ATTEMPT_OPEN)
			return true;
	return false;
}

bool session_send(struct session *s, struct delivery *d, struct outcome *why)
{
	const struct features *f = &s->facts.features;
	struct transaction t, first = {
		.s = s, .d = d, .size = body_size(d),
		.batch = mem_alloc(d->n * sizeof(*first.batch)),
	};
	struct flight_facts flight = {
		.chunking = f->chunking && !s->facts.chunking_broken,
		.pipelining = f->pipelining, .lmtp = s->params->lmtp,
		.size = first.size,
	};
	bool usable;

	/* the bytes are looked at only if it depends on them */
	if (policy_one_flight(&flight)) {
		flight.has_command = body_has_command(d, first.size);
		first.chunked = policy_one_flight(&flight);
	}
	usable = refuse_lacking(&first, why);
	while (usable && any_open(d)) {
		t = first;
		/* MAILMAX (RFC 9422 5.1) */
		if (f->mail_max && s->mails >= f->mail_max)
			usable = outcome_fail(why, STAGE_MAIL, EX_TEMPFAIL,
					      "the server takes no more "
					      "messages over this connection");
		else
			usable = transact(&t, why);
	}
	free(first.batch);
	return usable;
}
