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
	bool go;                /* 354 came */
	bool data_sent;         /* final dot or BDAT LAST left */
	bool data_decided;      /* and was answered */
	struct outcome answer;  /* to MAIL, DATA or the message */
	int64_t size;
};

static int64_t delivery_size(const struct delivery *d)
{
	return message_size(d->message) +
	       (d->prefix ? (int64_t)strlen(d->prefix) : 0);
}

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
	struct buf b = BUF(8192);

	buf_addf(&b, "RCPT TO:<%s>", r->address);
	if (t->s->facts.features.dsn) {
		if (r->notify) {
			buf_adds(&b, " NOTIFY=");
			notify_add(&b, r->notify, ',', true);
		}
		if (r->orcpt)
			buf_addf(&b, " ORCPT=%s", r->orcpt);
	}
	session_put(t->s, "%s", buf_text(&b));
	buf_release(&b);
}

static bool unreadable(struct outcome *why)
{
	return outcome_fail(why, STAGE_DATA, EX_IOERR,
			    "the message can no longer be read from disk");
}

/* BDAT with the whole message behind it. */
static bool put_chunk(struct transaction *t, struct outcome *why)
{
	struct conn *c = t->s->conn;
	const char *data;
	int64_t at = 0;
	long n;

	session_put(t->s, "BDAT %lld LAST", (long long)t->size);
	if (t->d->prefix)
		conn_puts(c, t->d->prefix);
	while ((n = message_bytes(t->d->message, at, &data)) > 0) {
		conn_put(c, data, (size_t)n);
		at += n;
	}
	if (at != message_size(t->d->message))
		return unreadable(why);
	return true;
}

/* --- the burst --- */

static size_t steps(const struct transaction *t)
{
	return t->n + (t->rset ? 3 : 2);
}

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
	if (t->chunked)
		return put_chunk(t, why);
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

static bool on_rset(struct transaction *t, struct outcome *why)
{
	if (reply_class(&t->s->reply) == 2)
		return true;
	outcome_fail(why, STAGE_MAIL, EX_TEMPFAIL, "the server refused RSET: "
		     "%d %.80s", t->s->reply.code,
		     buf_text(&t->s->reply.text));
	return session_break(t->s, STAGE_MAIL, why);
}

static bool on_mail(struct transaction *t, struct outcome *why)
{
	int class = reply_class(&t->s->reply);

	session_outcome(t->s, STAGE_MAIL, &t->answer);
	if (class == 3)
		return unfit(t, STAGE_MAIL, "MAIL", why);
	t->mail_refused = class != 2;
	t->s->dirty = !t->mail_refused;
	return true;
}

static bool on_rcpt(struct transaction *t, struct attempt *to,
		    struct outcome *why)
{
	struct rcpt_answers *a = &t->rcpts;
	struct outcome o;

	if (t->mail_refused)
		return true;
	session_outcome(t->s, STAGE_RCPT, &o);
	if (reply_class(&t->s->reply) == 3)
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
	} else {
		decide(t, to, &o);
	}
	return true;
}

static bool on_data(struct transaction *t, struct outcome *why)
{
	const int code = t->s->reply.code;

	if (t->mail_refused && code == 354)
		return unfit(t, STAGE_DATA, "DATA without a sender", why);
	if (t->mail_refused)
		return true;
	session_outcome(t->s, STAGE_DATA, &t->answer);
	t->go = code == 354;
	return t->go || code >= 400 || unfit(t, STAGE_DATA, "DATA", why);
}

/* Whether the answer to the message is its own. */
static bool is_synchronised(struct transaction *t, const struct outcome *o,
			    struct outcome *why)
{
	bool doubtful = policy_doubts_answer(o, t->s->params->lmtp);

	t->out_of_step = !session_in_step(t->s, doubtful ? DOUBT_WAIT : 0,
					  why);
	return !t->out_of_step;
}

/* Nobody was accepted: the answer can only be a refusal. */
static bool on_vain_chunk(struct transaction *t, struct outcome *why)
{
	if (reply_class(&t->s->reply) > 3)
		return true;
	unfit(t, STAGE_DOT, "BDAT without a recipient", why);
	why->in_doubt = true;
	t->out_of_step = true;
	return false;
}

static bool on_chunk(struct transaction *t, struct outcome *why)
{
	int class = reply_class(&t->s->reply);

	if (t->mail_refused || !t->accepted)
		return on_vain_chunk(t, why);
	if (class == 3)
		return unfit(t, STAGE_DOT, "BDAT", why);
	session_outcome(t->s, STAGE_DOT, &t->answer);
	t->bdat_broken = policy_chunking_is_broken(t->s->reply.code,
						   t->accepted);
	/* a server that cannot do BDAT may take the chunk for commands and
	 * answer each of its lines */
	if (!t->bdat_broken && !is_synchronised(t, &t->answer, why))
		return false;
	t->data_decided = true;
	t->s->dirty = class != 2;
	return true;
}

static bool read_answer(struct transaction *t, size_t i, struct outcome *why)
{
	static const enum stage stages[] = {
		[STEP_RSET] = STAGE_MAIL, [STEP_MAIL] = STAGE_MAIL,
		[STEP_RCPT] = STAGE_RCPT, [STEP_DATA] = STAGE_DATA,
	};
	size_t which = 0;
	enum step step = step_at(t, i, &which);
	enum stage stage = step == STEP_DATA && t->chunked ? STAGE_DOT :
			   stages[step];

	if (!session_reply(t->s, stage, why))
		return false;
	switch (step) {
	case STEP_RSET:
		return on_rset(t, why);
	case STEP_MAIL:
		return on_mail(t, why);
	case STEP_RCPT:
		return on_rcpt(t, t->batch[which], why);
	case STEP_DATA:
		break;
	}
	return t->chunked ? on_chunk(t, why) : on_data(t, why);
}

static void announce_dot(struct transaction *t)
{
	if (t->d->dot)
		t->d->dot(t->d->context);
}

/* Sends and answers everything up to DATA or BDAT LAST. */
static bool negotiate(struct transaction *t, struct outcome *why)
{
	size_t window = t->s->facts.features.pipelining ? BURST : 1;
	size_t total = steps(t), sent = 0, answered = 0;

	while (answered < total) {
		while (sent < total && conn_gathered(t->s->conn) < window &&
		       worth_sending(t, sent, answered))
			if (!put_step(t, sent++, why))
				return false;
		if (sent == answered)
			return true;
		t->data_sent = t->chunked && sent == total;
		if (t->data_sent)
			announce_dot(t);
		if (!(t->data_sent ? session_flush_message(t->s, why) :
				     session_flush(t->s, STAGE_MAIL, why))) {
			t->data_sent = false;
			return false;
		}
		for (; answered < sent; answered++)
			if (!read_answer(t, answered, why))
				return false;
	}
	return true;
}

/* --- the message's bytes after 354 --- */

static void show_progress(struct transaction *t, int64_t sent)
{
	const struct watch *w = t->s->params->watch;

	if (w && w->progress)
		w->progress(w->context, sent, t->size);
}

static bool write_stuffed(struct transaction *t, struct stuffer *stuffer,
			  const char *data, size_t n, char *room,
			  struct outcome *why)
{
	size_t stuffed = stuff(stuffer, data, n, room);

	return conn_write(t->s->conn, room, stuffed, t->s->params->timeout,
			  CLOCK_NEVER, why);
}

/* An answer in the middle of the message. A refusal is taken at its word; as
 * the end never leaves, nothing is in doubt. */
static bool spoke_early(struct transaction *t, struct outcome *why)
{
	if (!session_reply(t->s, STAGE_DATA, why))
		return false;
	if (reply_class(&t->s->reply) < 4)
		return unfit(t, STAGE_DATA, "half a message", why);
	session_outcome(t->s, STAGE_DATA, why);
	t->s->broken = true;
	return false;
}

static bool write_body(struct transaction *t, char *room, struct outcome *why)
{
	struct stuffer stuffer = { 0 };
	const char *data;
	int64_t at = 0;
	long n;

	/* a field's line never begins with a dot */
	if (t->d->prefix)
		conn_puts(t->s->conn, t->d->prefix);
	while ((n = message_bytes(t->d->message, at, &data)) > 0) {
		if (at && conn_pending(t->s->conn))
			return spoke_early(t, why);
		at += n;
		if (at == message_size(t->d->message))
			break;
		if (!write_stuffed(t, &stuffer, data, (size_t)n, room, why))
			return false;
		show_progress(t, at);
	}
	if (at != message_size(t->d->message))
		return unreadable(why);
	/* the last piece and the dot leave together */
	n = n > 0 ? (long)stuff(&stuffer, data, (size_t)n, room) : 0;
	announce_dot(t);
	memcpy(room + n, ".\r\n", 3);
	return conn_write(t->s->conn, room, (size_t)n + 3,
			  t->s->params->timeout, CLOCK_NEVER, why);
}

/* The server hung up while we wrote: it may have said why. */
static bool last_words(struct transaction *t, struct outcome *why)
{
	struct session *s = t->s;
	struct outcome said;

	if (s->broken)
		return false;
	session_break(s, STAGE_DATA, why);
	if (!conn_pending(s->conn))
		return false;
	if (!session_reply(s, STAGE_DATA, &said)) {
		if (said.code)
			*why = said;
	} else if (reply_class(&s->reply) > 3) {
		session_outcome(s, STAGE_DATA, why);
	}
	return false;
}

static bool send_body(struct transaction *t, struct outcome *why)
{
	char *room = mem_alloc(STUFFED_MAX(64 * 1024) + 3);
	bool done;

	session_watch(t->s, 'C', "(the message)", 13);
	done = write_body(t, room, why);
	free(room);
	if (!done)
		return last_words(t, why);
	t->data_sent = true;
	show_progress(t, t->size);
	return true;
}

/* One answer for all, or in LMTP one for each accepted recipient, in the
 * order of their RCPTs (RFC 2033 4.2). */
static bool read_verdicts(struct transaction *t, struct outcome *why)
{
	struct outcome o;
	size_t i;

	for (i = 0; i < t->n; i++) {
		if (t->batch[i]->state != ATTEMPT_ACCEPTED)
			continue;
		if (!session_reply(t->s, STAGE_DOT, why))
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

/* Nobody was accepted and yet 354 came: a lone dot ends it. */
static bool send_nothing(struct transaction *t, struct outcome *why)
{
	session_put(t->s, ".");
	return session_flush(t->s, STAGE_DATA, why) &&
	       session_reply(t->s, STAGE_DOT, why);
}

static bool send_data(struct transaction *t, struct outcome *why)
{
	if (!t->accepted)
		return send_nothing(t, why);
	if (conn_pending(t->s->conn))
		/* words before we spoke could pass for the dot's answer */
		return session_flush(t->s, STAGE_DATA, why);
	if (!send_body(t, why) || !read_verdicts(t, why))
		return false;
	t->s->dirty = false;
	return true;
}

/* --- a transaction as a whole --- */

/* Whether a recipient's domain is among those of the transaction, or finds
 * room there (RFC 9422 5.3). */
static bool domain_fits(struct list *domains, size_t most, const char *address)
{
	const char *domain = address_domain(address);

	if (list_has_nocase(domains, domain))
		return true;
	if (domains->n == most)
		return false;
	list_add(domains, domain);
	return true;
}

static void choose_batch(struct transaction *t)
{
	const struct features *f = &t->s->facts.features;
	size_t limit = t->s->rcpt_limit, domains = f->rcpt_domain_max, i;
	struct list seen = { 0 };
	struct attempt *a;

	if (f->rcpt_max && (!limit || f->rcpt_max < limit))
		limit = f->rcpt_max;
	if (domains > DOMAINS_MOST)
		domains = DOMAINS_MOST;
	for (i = 0; i < t->d->n && (!limit || t->n < limit); i++) {
		a = &t->d->to[i];
		if (a->state != ATTEMPT_OPEN ||
		    (domains && !domain_fits(&seen, domains,
					     a->rcpt->address)))
			continue;
		a->state = ATTEMPT_ASKED;
		t->batch[t->n++] = a;
	}
	list_release(&seen);
}

/* Whoever has no answer yet gets this one. In doubt are those whose message
 * left whole without an answer. */
static void give_up(struct transaction *t, const struct outcome *why)
{
	struct attempt *a;
	struct outcome o;
	size_t i;

	for (i = 0; i < t->d->n; i++) {
		a = &t->d->to[i];
		if (is_decided(a))
			continue;
		o = *why;
		if (!o.code && t->data_sent && !t->data_decided &&
		    (a->state == ATTEMPT_ACCEPTED ||
		     (t->chunked && a->state == ATTEMPT_ASKED)))
			o.in_doubt = true;
		decide(t, a, &o);
	}
}

/* The transaction's one answer (to MAIL, DATA or the message) is that of
 * every recipient of it whose RCPT was not refused. */
static void close_transaction(struct transaction *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->batch[i]->state == ATTEMPT_ASKED ||
		    t->batch[i]->state == ATTEMPT_ACCEPTED)
			decide(t, t->batch[i], &t->answer);
}

/* Whoever was asked and not refused is asked again by another session. */
static void reopen(struct transaction *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (!is_decided(t->batch[i]))
			t->batch[i]->state = ATTEMPT_OPEN;
}

/* A chunk's answers hold for nobody. After 354 those to RCPT do. */
static void disown_answers(struct transaction *t, const struct outcome *why)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->chunked || !is_decided(t->batch[i]) ||
		    t->batch[i]->rcpt->last.stage == STAGE_DOT)
			decide(t, t->batch[i], why);
}

static bool is_spent(const struct transaction *t, bool done,
		     const struct outcome *why)
{
	const struct outcome *o = done ? &t->answer : why;

	if (t->bdat_broken)
		return true;
	/* a chunk that left and was answered by nothing is in doubt */
	if (t->out_of_step || (t->data_sent && !o->code) ||
	    (done && !t->mail_refused))
		return false;
	return policy_session_is_spent(t->carried, t->accepted, o);
}

static void learn(struct transaction *t)
{
	struct session *s = t->s;

	if (policy_learns_limit(&t->rcpts) &&
	    (!s->rcpt_limit || t->rcpts.accepted < s->rcpt_limit))
		s->rcpt_limit = t->rcpts.accepted;
	if (t->bdat_broken)
		s->facts.chunking_broken = true;
}

static bool transact(struct transaction *t, struct outcome *why)
{
	bool done;

	choose_batch(t);
	t->carried = t->s->mails;
	t->rset = t->s->dirty;
	t->ahead = policy_bdat_ahead(t->carried, t->rset);
	done = negotiate(t, why) && (!t->go || send_data(t, why));
	if (!done)
		session_host(t->s, why);
	learn(t);
	if (is_spent(t, done, why)) {
		if (done)
			*why = t->answer;
		reopen(t);
		t->s->broken = true;
		return false;
	}
	if (t->out_of_step)
		disown_answers(t, why);
	/* a refused MAIL stands whatever became of the line afterwards */
	else if (done || t->mail_refused || t->data_decided)
		close_transaction(t);
	if (!done)
		give_up(t, why);
	if (t->d->settled && !t->d->settled(t->d->context)) {
		t->s->broken = true;
		done = outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "the journal cannot be written");
		give_up(t, why);
	}
	return done;
}

static bool any_open(const struct transaction *t)
{
	size_t i;

	for (i = 0; i < t->d->n; i++)
		if (t->d->to[i].state == ATTEMPT_OPEN)
			return true;
	return false;
}

/* --- a message as a whole --- */

/* Whether a line of what will be sent could be taken for a command. */
static bool has_command(const struct delivery *d, int64_t size)
{
	struct buf text = BUF(2 * ONE_FLIGHT);
	const char *data;
	int64_t at = 0;
	bool found;
	long n;

	if (size > ONE_FLIGHT)
		return false;
	buf_adds(&text, d->prefix ? d->prefix : "");
	while ((n = message_bytes(d->message, at, &data)) > 0) {
		buf_add(&text, data, (size_t)n);
		at += n;
	}
	found = text_has_command(buf_text(&text), text.len);
	buf_release(&text);
	return found;
}

static bool goes_by_bdat(const struct session *s, const struct delivery *d,
			 int64_t size)
{
	const struct features *f = &s->facts.features;
	struct flight_facts facts = {
		.chunking = f->chunking && !s->facts.chunking_broken,
		.pipelining = f->pipelining, .lmtp = s->params->lmtp,
		.size = size,
	};

	/* the bytes are looked at only if it depends on them */
	if (!policy_one_flight(&facts))
		return false;
	facts.has_command = has_command(d, size);
	return policy_one_flight(&facts);
}

/* MAILMAX (RFC 9422 5.1). */
static bool takes_another(const struct session *s, struct outcome *why)
{
	unsigned most = s->facts.features.mail_max;

	if (!most || s->mails < most)
		return true;
	return outcome_fail(why, STAGE_MAIL, EX_TEMPFAIL, "the server takes no "
			    "more messages over this connection");
}

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

/* Recipients for whom the server lacks what it takes have their answer. */
static void refuse_lacking(struct transaction *t, struct outcome *why)
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
		return;
	session_host(t->s, why);
	for (i = 0; i < d->n; i++)
		if (d->to[i].state == ATTEMPT_OPEN &&
		    (all || address_is_utf8(d->to[i].rcpt->address)))
			decide(t, &d->to[i], why);
}

bool session_send(struct session *s, struct delivery *d, struct outcome *why)
{
	struct transaction first = { .s = s, .d = d }, t;
	bool usable = true;

	first.size = delivery_size(d);
	first.batch = mem_alloc(d->n * sizeof(*first.batch));
	first.chunked = goes_by_bdat(s, d, first.size);
	if (s->sent++)
		s->spent = 0;
	t = first;
	refuse_lacking(&t, why);
	while (usable && any_open(&t)) {
		t = first;
		usable = takes_another(s, why) && transact(&t, why);
	}
	free(first.batch);
	return usable;
}
