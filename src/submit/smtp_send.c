/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Transactions: MAIL, RCPT, DATA or BDAT (RFC 5321 3.3, RFC 2920, RFC 3030,
 * RFC 2033). Pipelining is a loop that gathers a bounded burst and then reads
 * its answers; without PIPELINING the burst is one command.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "mail/address.h"
#include "mail/lines.h"
#include "submit/smtp_body.h"
#include "submit/smtp_session.h"

enum {
	/* Octets of unanswered commands under way, but for the last one. The
	 * buffers of any two hosts hold as much, so that a server that reads
	 * nothing while it answers and we do not stand still for ever. */
	BURST = 16 * 1024,
	DOUBT_WAIT = 1000,         /* ms, see policy_doubts_answer */
	DOMAINS_MOST = 1000        /* that are told apart in a transaction */
};

enum step { STEP_RSET, STEP_MAIL, STEP_RCPT, STEP_DATA };

struct transaction {
	struct session *s;
	struct delivery *d;
	struct attempt **batch; /* this transaction's recipients */
	size_t n;               /* of them */
	size_t accepted;
	struct rcpt_answers rcpts;
	unsigned carried;       /* transactions of the session before it */
	bool rset;              /* it begins with RSET */
	bool mail_refused;
	bool chunked;           /* it goes by BDAT LAST */
	bool ahead;             /* which leaves with MAIL and RCPT */
	bool bdat_broken;       /* but the server cannot do it */
	bool out_of_step;       /* nobody knows which answer was whose */
	bool astray;            /* a recipient was taken after a refused MAIL:
				 * that refusal may be another's answer */
	bool unheard;           /* what was sent early found no answer that
				 * would do */
	bool go;                /* 354 came */
	bool data_sent;         /* final dot or BDAT LAST left */
	bool goes_on;           /* the server, behind a goodbye */
	bool data_decided;      /* and was answered */
	struct outcome answer;  /* to MAIL, DATA or the message */
	int64_t size;
};

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

static void decide(const struct transaction *t, struct attempt *a,
		   const struct outcome *o)
{
	attempt_answer(a, o, t->d->trace);
}

static bool is_decided(const struct attempt *a)
{
	return a->state >= ATTEMPT_ANSWERED;
}

/* An answer that cannot be one to this command: from here on nobody knows
 * which answers which. */
static bool unfit(struct transaction *t, enum stage stage, const char *command,
		  struct outcome *why)
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
		return unfit(t, STAGE_RCPT, "RCPT", why);
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
		decide(t, to, &o);
	}
	return true;
}

/* Whether the answer to the message, or to DATA, is its own. As whoever refuses
 * may hang up, too, an end proves nothing then. */
static bool is_synchronised(struct transaction *t, const struct outcome *o,
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
		unfit(t, STAGE_DOT, "BDAT without a recipient", why);
		why->in_doubt = true;
		t->out_of_step = true;
		return false;
	}
	if (class == 3)
		return unfit(t, STAGE_DOT, "BDAT", why);
	session_outcome(t->s, STAGE_DOT, &t->answer);
	t->bdat_broken = policy_chunking_is_broken(t->s->reply.code,
						   t->accepted);
	if (!t->bdat_broken && !is_synchronised(t, &t->answer, why))
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
			return unfit(t, stage, "MAIL", why);
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
		       unfit(t, stage, "DATA without a sender", why);
	session_outcome(s, stage, &t->answer);
	t->go = reply->code == 354;
	if (t->go || reply->code < 400)
		return t->go || unfit(t, stage, "DATA", why);
	if (!t->accepted || is_synchronised(t, &t->answer, why))
		return true;
	/* nothing of it was sent */
	why->in_doubt = false;
	return false;
}

/* Sends and answers everything up to DATA or BDAT LAST. */
static bool negotiate(struct transaction *t, struct outcome *why)
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
		if (t->data_sent && t->d->dot)
			t->d->dot(t->d->context);
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
			return unfit(t, STAGE_DOT, "the message", why);
		t->answer = o;
		if (!t->s->params->lmtp)
			break;
		decide(t, t->batch[i], &o);
	}
	if (!is_synchronised(t, &t->answer, why))
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
		if (is_decided(a))
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
		decide(t, a, &o);
	}
}

static bool is_spent(const struct transaction *t, bool done,
		     const struct outcome *why)
{
	const struct outcome *o = done ? &t->answer : why;
	const bool asks = t->unheard || t->s->changed;
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
	return policy_session_is_spent(t->carried, t->accepted, o);
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
			    (is_decided(a) &&
			     a->rcpt->last.stage == STAGE_DOT))
				decide(t, a, why);
		} else if (a->state == ATTEMPT_ASKED ||
			   a->state == ATTEMPT_ACCEPTED) {
			decide(t, a, &t->answer);
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
	t->rset = s->dirty;
	t->ahead = policy_bdat_ahead(t->carried, t->rset);
	done = negotiate(t, why) && (!t->go || send_data(t, why));
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
			if (!is_decided(t->batch[i]))
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
			decide(t, &d->to[i], why);
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
	if (s->sent++)
		s->spent = 0;
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
