/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A transaction up to DATA or BDAT LAST: pipelining is a loop that gathers a
 * bounded burst and then reads its answers; without PIPELINING the burst is
 * one command.
 */
#include "submit/smtp_transaction.h"

#include "base/clock.h"
#include "submit/smtp_body.h"

enum {
	/* Octets of unanswered commands under way, but for the last one. The
	 * buffers of any two hosts hold as much, so that a server that reads
	 * nothing while it answers and we do not stand still for ever. */
	BURST = 16 * 1024
};

enum step { STEP_RSET, STEP_MAIL, STEP_RCPT, STEP_DATA };

/* --- commands --- */

static void put_mail(struct transaction *t)
{
	const struct envelope *e = t->d->envelope;
	const struct features *f = &t->s->facts.features;
	struct buf b = BUF(8192);

	buf_addf(&b, "MAIL FROM:<%s>", e->sender);
	if (f->size)
		buf_addf(&b, " SIZE=%lld", (long long)t->size);
	if (f->eight_bit_mime && (e->eight_bit || e->seven_bit)) {
		buf_adds(&b, " BODY=");
		word_add_upper(&b, body_words[e->eight_bit ? BODY_8BITMIME :
					      BODY_7BIT]);
	}
	if (e->utf8 && f->smtputf8)
		buf_adds(&b, " SMTPUTF8");
	if (e->require_tls)
		buf_adds(&b, " REQUIRETLS");
	if (f->dsn && e->dsn_return != RETURN_UNSET) {
		buf_adds(&b, " RET=");
		word_add_upper(&b, return_words[e->dsn_return]);
	}
	if (f->dsn && e->envid)
		buf_addf(&b, " ENVID=%s", e->envid);
	session_put(t->s, "%s", buf_text(&b));
	buf_release(&b);
}

static void put_rcpt(struct transaction *t, const struct recipient *r)
{
	const bool dsn = t->s->facts.features.dsn;
	struct buf b = BUF(8192);

	buf_addf(&b, "RCPT TO:<%s>", r->address);
	if (dsn && r->notify) {
		buf_adds(&b, " NOTIFY=");
		notify_add(&b, r->notify, ',', true);
	}
	if (dsn && r->orcpt)
		buf_addf(&b, " ORCPT=%s", r->orcpt);
	session_put(t->s, "%s", buf_text(&b));
	buf_release(&b);
}

/* --- the burst --- */

/* What the i-th command is; *which gets the place in batch of a RCPT. */
static enum step step_at(const struct transaction *t, size_t i, size_t *which)
{
	if (t->rset && i == 0)
		return STEP_RSET;
	i -= t->rset ? 1U : 0U;
	if (i == 0)
		return STEP_MAIL;
	*which = i - 1;
	return i <= t->n ? STEP_RCPT : STEP_DATA;
}

/* Whether the answers so far leave the i-th command any sense. */
static bool worth_sending(const struct transaction *t, size_t i,
			  size_t answered)
{
	size_t which;

	if (t->mail_refused)
		return false;
	if (t->chunked && !t->ahead && answered < i &&
	    step_at(t, i, &which) == STEP_DATA)
		return false;
	return step_at(t, i, &which) != STEP_DATA || t->accepted ||
	       answered < i;
}

static bool put_step(struct transaction *t, size_t i, struct outcome *why)
{
	size_t which = 0;

	switch (step_at(t, i, &which)) {
	case STEP_RSET:
		session_put(t->s, "RSET");
		return true;
	case STEP_MAIL:
		put_mail(t);
		t->s->mails++;
		return true;
	case STEP_RCPT:
		put_rcpt(t, t->batch[which]->rcpt);
		return true;
	case STEP_DATA:
		break;
	}
	if (t->chunked) {
		session_put(t->s, "BDAT %lld LAST", (long long)t->size);
		return body_gather(t->s, t->d, why);
	}
	session_put(t->s, "DATA");
	return true;
}

bool transaction_unfit(struct transaction *t, enum stage stage,
		       const char *command, struct outcome *why)
{
	outcome_fail(why, stage, EX_PROTOCOL, "unexpected answer %d to %s",
		     t->s->reply.code, command);
	return session_break(t->s, stage, why);
}

static bool on_rcpt(struct transaction *t, struct attempt *to,
		    struct outcome *why)
{
	struct rcpt_answers *a = &t->rcpts;
	struct outcome o;

	if (t->mail_refused) {
		t->astray |= reply_class(&t->s->reply) == 2;
		return true;
	}
	session_outcome(t->s, STAGE_RCPT, &o);
	if (reply_class(&t->s->reply) == 3 || session_is_late(t->s))
		return transaction_unfit(t, STAGE_RCPT, "RCPT", why);
	if (policy_too_many(&o, t->accepted)) {
		if (!a->too_many++)
			a->accepted = t->accepted;
		a->named = a->named || policy_names_limit(&o);
		to->state = ATTEMPT_OPEN;
		return true;
	}
	a->otherwise = a->too_many > 0;
	if (reply_class(&t->s->reply) == 2) {
		to->state = ATTEMPT_ACCEPTED;
		t->accepted++;
	} else if (t->s->changed) {
		to->state = ATTEMPT_OPEN;
	} else {
		transaction_decide(t, to, &o);
	}
	return true;
}

bool transaction_in_step(struct transaction *t, const struct outcome *o,
			 struct outcome *why)
{
	bool doubtful = t->s->changed ||
			policy_doubts_answer(o, t->s->params->lmtp);

	if (!t->go && policy_doubts_refusal(o, t->n) &&
	    !conn_wait(t->s->conn, clock_in(DOUBT_WAIT)))
		return true;
	t->out_of_step = !session_in_step(t->s, doubtful ? DOUBT_WAIT : 0,
					  why);
	return !t->out_of_step;
}

/* Nobody knows whose answer it is where no recipient was accepted and it is
 * no refusal. A server that cannot do BDAT may take the chunk for commands and
 * answer each of its lines. */
static bool on_chunk(struct transaction *t, struct outcome *why)
{
	int class = reply_class(&t->s->reply);

	if (t->mail_refused || !t->accepted) {
		if (class > 3)
			return true;
		transaction_unfit(t, STAGE_DOT, "BDAT without a recipient",
				  why);
		why->in_doubt = true;
		t->out_of_step = true;
		return false;
	}
	if (class == 3)
		return transaction_unfit(t, STAGE_DOT, "BDAT", why);
	session_outcome(t->s, STAGE_DOT, &t->answer);
	t->bdat_broken = policy_chunking_is_broken(t->s->reply.code,
						   t->accepted);
	if (!t->bdat_broken && !transaction_in_step(t, &t->answer, why))
		return false;
	t->data_decided = true;
	t->s->dirty = class != 2;
	return true;
}

static bool read_step(struct transaction *t, size_t i, struct outcome *why)
{
	struct session *s = t->s;
	const struct reply *reply = &s->reply;
	size_t which = 0;
	enum step step = step_at(t, i, &which);
	enum stage stage = step == STEP_RCPT ? STAGE_RCPT :
			   step != STEP_DATA ? STAGE_MAIL :
			   t->chunked ? STAGE_DOT : STAGE_DATA;

	if (!session_reply(s, stage, why))
		return false;
	switch (step) {
	case STEP_RSET:
		if (reply_class(reply) == 2)
			return true;
		outcome_fail(why, stage, EX_TEMPFAIL, "the server refused "
			     "RSET: %d %.80s", reply->code,
			     buf_text(&reply->text));
		return session_break(s, stage, why);
	case STEP_MAIL:
		session_outcome(s, stage, &t->answer);
		if (reply_class(reply) == 3 || session_is_late(s))
			return transaction_unfit(t, stage, "MAIL", why);
		t->mail_refused = reply_class(reply) != 2;
		s->dirty = !t->mail_refused;
		return true;
	case STEP_RCPT:
		return on_rcpt(t, t->batch[which], why);
	case STEP_DATA:
		break;
	}
	if (t->chunked)
		return on_chunk(t, why);
	if (t->mail_refused)
		return reply->code != 354 ||
		       transaction_unfit(t, stage, "DATA without a sender",
					 why);
	session_outcome(s, stage, &t->answer);
	t->go = reply->code == 354;
	if (t->go || reply->code < 400)
		return t->go || transaction_unfit(t, stage, "DATA", why);
	if (!t->accepted || transaction_in_step(t, &t->answer, why))
		return true;
	/* nothing of it was sent */
	why->in_doubt = false;
	return false;
}

/* From here on it is the message that is waited for. */
static void chunk_leaves(struct transaction *t)
{
	t->s->message_left = true;
	t->s->spent = 0;
	if (t->d->dot)
		t->d->dot(t->d->context);
}

bool transaction_negotiate(struct transaction *t, struct outcome *why)
{
	size_t window = t->s->facts.features.pipelining ? BURST : 1;
	size_t total = t->n + (t->rset ? 3 : 2), sent = 0, answered = 0;

	while (answered < total) {
		while (sent < total && conn_gathered(t->s->conn) < window &&
		       worth_sending(t, sent, answered))
			if (!put_step(t, sent++, why))
				return false;
		if (sent == answered)
			return true;
		t->unheard = !session_hear_greeting(t->s, why);
		if (t->unheard)
			return false;
		t->data_sent = t->chunked && sent == total;
		if (t->data_sent)
			chunk_leaves(t);
		if (!(t->data_sent ? session_flush_message(t->s, why) :
				     session_flush(t->s, STAGE_MAIL, why))) {
			t->data_sent = false;
			t->unheard = t->s->owed != 0;
			return false;
		}
		t->unheard = t->s->owed &&
			     !session_settle(t->s, t->data_sent, why);
		if (t->unheard)
			return false;
		for (; answered < sent; answered++) {
			if (read_step(t, answered, why))
				continue;
			t->goes_on = t->data_sent && why->code == 421 &&
				     conn_wait(t->s->conn,
					       clock_in(DOUBT_WAIT));
			return false;
		}
	}
	return true;
}
