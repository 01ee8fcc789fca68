/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "submit/local.h"
#include "submit/rate.h"
#include "submit/sign.h"

/* A share while it is served. */
struct serving {
	struct run *run;
	struct share *share;
	const struct witness *witness;
	const struct transport *t;
	struct trace *traces;     /* of all links so far */
	size_t addresses;         /* that may still be asked */
	bool answered;            /* any host spoke */
	bool limited;             /* the transport's rate is used up */
	bool enough;              /* the witness had it */
};

/* A message on its way over a link. */
struct sending {
	struct serving *v;
	size_t part;
	struct delivery d;
};

void serve_doubt(void)
{
	mem_exhaustion_means(EX_TEMPFAIL,
			     ": the message may have been delivered");
}

static struct part *part_at(const struct serving *v, size_t i)
{
	return &v->share->d->part[i];
}

/* The first part from i on with a recipient in this state or an earlier
 * one. */
static size_t find_part(const struct serving *v, size_t i,
			enum attempt_state most)
{
	size_t j;

	for (; i < v->share->last; i++)
		for (j = 0; j < part_at(v, i)->n; j++)
			if (part_at(v, i)->to[j].state <= most)
				return i;
	return i;
}

static bool any_left(const struct serving *v)
{
	return !v->limited &&
	       find_part(v, v->share->first, ATTEMPT_ANSWERED) <
	       v->share->last;
}

/* From the next address on, all that may be asked again is. */
static void next_address(struct serving *v)
{
	struct attempt *a;
	struct part *p;
	size_t i;

	for (i = v->share->first; i < v->share->last; i++) {
		p = part_at(v, i);
		for (a = p->to; a < p->to + p->n; a++) {
			if (a->state == ATTEMPT_ANSWERED)
				a->state = ATTEMPT_OPEN;
			a->fresh = false;
		}
	}
}

/* Once the witness had enough, what was not begun is left as it is; what was
 * tried here goes on to its next host. */
static void heed(struct serving *v)
{
	const struct witness *w = v->witness;
	size_t i, j;

	if (!v->enough && (!w || !w->enough || !w->enough(w->context)))
		return;
	v->enough = true;
	for (i = v->share->first; i < v->share->last; i++)
		for (j = 0; !part_at(v, i)->touched && j < part_at(v, i)->n;
		     j++)
			part_at(v, i)->to[j].state = ATTEMPT_OVER;
}

/* What the log says of a link, or (NULL) of the transport alone. */
static struct trace *trace_link(struct serving *v, const struct link *link)
{
	struct trace *trace = mem_alloc(sizeof(*trace));
	const struct session_facts *f = link && link->session ?
					session_facts(link->session) : NULL;

	trace->transport = v->t->name;
	if (link)
		snprintf(trace->ip, sizeof(trace->ip), "%s",
			 link->peer.address);
	if (f) {
		snprintf(trace->tls, sizeof(trace->tls), "%s",
			 f->tls.version);
		snprintf(trace->auth, sizeof(trace->auth), "%s",
			 f->mechanism ? f->mechanism : "");
	}
	trace->next = v->traces;
	v->traces = trace;
	return trace;
}

/* One answer about all of a part that are still to be asked about. */
static void answer_part(struct part *p, const struct outcome *o,
			const struct trace *trace)
{
	struct attempt *a;

	for (a = p->to; a < p->to + p->n; a++) {
		if (a->state != ATTEMPT_OPEN)
			continue;
		p->touched = true;
		attempt_answer(a, o, trace);
	}
}

/* The same about all parts from the first one on; link: NULL where there was
 * none. */
static void answer_all(struct serving *v, size_t first,
		       const struct outcome *o, const struct link *link)
{
	const struct trace *trace = trace_link(v, link);

	for (; first < v->share->last; first++)
		answer_part(part_at(v, first), o, trace);
}

/* --- one message --- */

/* Records what has come of a part's recipients and was not recorded yet, in
 * one write; of successes alone, which are on disk before anything else is
 * sent and are handed on, or of all. False: that could not be done. */
static bool record(struct serving *v, size_t part, bool successes)
{
	const struct witness *w = v->witness;
	struct part *p = part_at(v, part);
	struct entry *e = p->job->entry;
	size_t *place = mem_alloc(p->n * sizeof(*place)), n = 0;
	struct outcome ignored;
	struct attempt *a;
	bool done = true;

	for (a = p->to; a < p->to + p->n; a++) {
		const struct outcome *o = &a->rcpt->last;

		if (a->recorded ||
		    (successes && (!a->answered || o->exit != EX_OK)))
			continue;
		a->recorded = true;
		place[n++] = place_of(p, a);
		if (e)
			entry_note(e, place_of(p, a), o,
				   policy_verdict(o, v->run->queue),
				   a->rcpt->attempts +
				   (policy_is_attempt(o) ? 1 : 0));
	}
	p->touched = p->touched || n;
	if (n && e)
		done = entry_write(e, place, n, &ignored);
	if (n && e && successes)
		done = entry_sync(e, &ignored) && done;
	if (n && w && successes)
		w->success(w->context, part);
	free(place);
	return done;
}

static bool settled(void *context)
{
	struct sending *s = context;

	return record(s->v, s->part, true);
}

static void dot(void *context)
{
	struct sending *s = context;
	struct part *p = part_at(s->v, s->part);

	serve_doubt();
	if (p->job->entry)
		entry_dot(p->job->entry);
}

static bool seal(struct serving *v, struct part *p, struct outcome *why)
{
	if (!p->sealed)
		p->sealed = sign_message(v->run->config, p->job->message,
					 &p->prefix, why);
	return p->sealed;
}

/* The attempt is in the journal before it is made. */
static bool begin_part(struct serving *v, struct part *p, struct outcome *why)
{
	size_t *place;

	if (p->job->entry && !p->begun) {
		place = part_places(p);
		p->begun = entry_begin(p->job->entry, place, p->n, why);
		free(place);
		if (!p->begun)
			return false;
	}
	return seal(v, p, why);
}

/* Waits until n recipients may go, or as many as the rate knows, for as long as
 * is short. False: they may not, or somebody else's mail comes first. */
static bool await_turn(struct serving *v, size_t n, struct rate_ticket *taken,
		       struct outcome *why)
{
	enum { LOOK_MS = 100, NS_A_MS = 1000000 };
	const int64_t deadline = clock_in(RATE_PATIENCE);
	struct timespec pause = { 0 };
	int64_t wait;

	while ((wait = rate_take(v->run, v->t, n, taken))) {
		heed(v);
		if (v->enough || wait > clock_left(deadline))
			return rate_fail(v->t, wait, why);
		pause.tv_nsec = NS_A_MS *
				(int)(wait < LOOK_MS ? wait : LOOK_MS);
		nanosleep(&pause, NULL);
	}
	return true;
}

/* The rate is used up: whoever supervises us puts off what was not begun, in
 * its turn; else all of it has this outcome, and goes to the next transport
 * where there is one. */
static void rate_is_up(struct serving *v, size_t part,
		       const struct outcome *why)
{
	v->limited = true;
	if (!v->witness || v->share->d->way[1]) {
		answer_all(v, part, why, NULL);
		return;
	}
	answer_part(part_at(v, part), why, trace_link(v, NULL));
	v->enough = true;
	heed(v);
}

/* Tells the rate what came of those that were sent to. One that wants less
 * gets no more of this share. */
static void note_turn(struct serving *v, const struct delivery *d,
		      const struct rate_ticket *taken)
{
	bool took = false, slows = false;
	const struct attempt *a;

	for (a = d->to; a < d->to + d->n; a++) {
		if (!a->answered)
			continue;
		took = took || a->rcpt->last.exit == EX_OK;
		slows = slows || policy_slows(&a->rcpt->last);
	}
	rate_done(v->run, v->t, taken, took, slows);
	if (slows && v->witness)
		v->enough = true;
}

/* Sends a part's message to its open recipients, in as many turns as its rate
 * takes; those that stay open are for another link to ask about. False: the
 * link is used up. */
static bool send_part(struct serving *v, size_t i, struct link *link,
		      const struct trace *trace, struct outcome *why)
{
	struct part *p = part_at(v, i);
	struct sending s = { .v = v, .part = i, .d = {
		.envelope = p->job->envelope, .message = p->job->message,
		.trace = trace, .dot = dot, .settled = settled,
		.context = &s,
	} };
	struct rate_ticket taken;
	bool usable = true;
	size_t open, j;

	while (usable) {
		s.d.to = p->to;
		for (open = 0, j = 0; j < p->n; j++)
			open += p->to[j].state == ATTEMPT_OPEN;
		if (!open)
			break;
		if (!await_turn(v, open, &taken, why)) {
			rate_is_up(v, i, why);
			break;
		}
		if (!begin_part(v, p, why)) {
			answer_part(p, why, trace_link(v, NULL));
			rate_done(v->run, v->t, &taken, false, false);
			break;
		}
		for (j = 0, open = 0; j < p->n && open < (size_t)taken.n; j++)
			open += p->to[j].state == ATTEMPT_OPEN;
		s.d.n = j;
		s.d.prefix = p->prefix;
		usable = session_send(link->session, &s.d, why);
		note_turn(v, &s.d, &taken);
		for (j = 0; j < p->n; j++)
			p->touched = p->touched || p->to[j].answered;
	}
	return usable;
}

/* --- one address of a host --- */

/* All parts from *next on over one link, or as many as the server takes on
 * one. False: no link could be had, which answers for them. */
static bool use_link(struct serving *v, const struct host *host,
		     const struct link_options *o, struct net_peer *peer,
		     size_t *next, struct outcome *why)
{
	struct link link;
	struct trace *trace = NULL;
	bool linked = link_open(v->run, v->t, host, o, &link, why);
	bool usable = linked;

	*peer = link.peer;
	v->answered = v->answered || linked || why->stage > STAGE_CONNECT;
	if (!linked) {
		if (!why->host[0])
			snprintf(why->host, sizeof(why->host), "%s",
				 host->name);
		answer_all(v, *next, why, &link);
	} else {
		trace = trace_link(v, &link);
	}
	while (usable) {
		heed(v);
		*next = find_part(v, *next, ATTEMPT_OPEN);
		if (v->limited || *next == v->share->last)
			break;
		usable = send_part(v, *next, &link, trace, why);
	}
	*next = find_part(v, *next, ATTEMPT_OPEN);
	/* a login that was sent early may have been refused */
	if (linked && !session_facts(link.session)->mechanism)
		trace->auth[0] = '\0';
	if (linked && session_facts(link.session)->chunking_broken &&
	    !list_has(&v->run->no_chunking, host->name))
		list_add(&v->run->no_chunking, host->name);
	link_close(&link);
	return linked;
}

/* --- one host --- */

/* What is left of a host's addresses. */
struct walk {
	struct net_addresses left;
	struct net_addresses now;  /* those of them that are dialled */
	int family;                /* which alone is asked next; 0: any */
	bool switched;             /* for a refusal: once is enough */
};

/* Takes away the address that answered, or all that were dialled and did
 * not. Those after it come first: the ones before had their chance. */
static void drop_asked(struct walk *w, const struct net_peer *peer)
{
	struct net_addresses before = { 0 }, after = { 0 };
	char text[64];
	bool found = false;
	size_t i, j;

	for (i = 0; i < w->left.n; i++) {
		const struct net_address *a = &w->left.item[i];

		net_address_text(a, text);
		if (!strcmp(text, peer->address)) {
			found = true;
			continue;
		}
		for (j = 0; j < w->now.n && !peer->address[0]; j++)
			if (!memcmp(&w->now.item[j].sa, &a->sa, a->len))
				break;
		if (peer->address[0] || j == w->now.n)
			net_addresses_add(found ? &after : &before, a);
	}
	for (i = 0; i < before.n; i++)
		net_addresses_add(&after, &before.item[i]);
	net_addresses_release(&before);
	net_addresses_release(&w->left);
	w->left = after;
}

/* Where this address's answers are a matter of who asks, the other family
 * is asked at once, and about those, too, whom it refused for good: it may
 * be judged otherwise (a missing PTR). */
static void switch_family(struct serving *v, struct walk *w, int other)
{
	const bool direct = transport_is_direct(v->t);
	bool there = false;
	size_t i, j;

	for (i = 0; i < w->left.n; i++)
		there = there || w->left.item[i].sa.ss_family == other;
	if (w->switched || !there)
		return;
	for (i = v->share->first; i < v->share->last; i++) {
		struct part *p = part_at(v, i);

		for (j = 0; j < p->n; j++) {
			struct attempt *a = &p->to[j];

			if (!a->fresh || !policy_other_family(&a->rcpt->last) ||
			    (a->state == ATTEMPT_OVER && !direct))
				continue;
			a->state = ATTEMPT_ANSWERED;
			w->family = other;
			w->switched = true;
		}
	}
}

/* Each address of a host in its turn, for as long as a recipient is open. */
static void use_host(struct serving *v, const struct host *host,
		     size_t hosts_behind)
{
	struct walk w = { 0 };
	struct link_options o = { .addresses = &w.now, .early = true };
	struct outcome why = { 0 };
	struct net_peer peer = { 0 };
	bool on, linked;
	size_t next, i;

	if (!link_addresses(v->run, v->t, host, &w.left, &why)) {
		if (!why.host[0])
			snprintf(why.host, sizeof(why.host), "%s",
				 host->name);
		next_address(v);
		answer_all(v, v->share->first, &why, NULL);
		return;
	}
	if (w.left.n)
		w.left.n = policy_addresses(w.left.n, hosts_behind,
					    v->addresses);
	v->addresses -= w.left.n < v->addresses ? w.left.n : v->addresses;
	do {
		net_addresses_release(&w.now);
		for (i = 0; i < w.left.n; i++)
			if (!w.family ||
			    w.left.item[i].sa.ss_family == w.family)
				net_addresses_add(&w.now, &w.left.item[i]);
		w.family = 0;
		heed(v);
		next_address(v);
		next = find_part(v, v->share->first, ATTEMPT_OPEN);
		/* a session that breaks over one message, or has carried its
		 * share, is opened again for the others */
		for (linked = true;
		     linked && !v->limited && next < v->share->last;)
			linked = use_link(v, host, &o, &peer, &next, &why);
		on = linked || policy_next_address(&why);
		drop_asked(&w, &peer);
		if (on && peer.address[0])
			switch_family(v, &w, peer.ipv6 ? AF_INET : AF_INET6);
	} while (on && w.left.n && any_left(v));
	net_addresses_release(&w.left);
	net_addresses_release(&w.now);
}

/* --- one transport --- */

/* Mail that stays here, for one recipient. False: what became of it could not
 * be recorded, so that there must be no more of it. */
static bool keep_here(struct serving *v, size_t part, struct attempt *a,
		      const struct local_kind *kind, const struct trace *trace)
{
	struct part *p = part_at(v, part);
	struct entry *e = kind->keeps ? p->job->entry : NULL;
	const size_t place = place_of(p, a);
	struct local l = {
		.transport = v->t, .sender = p->job->envelope->sender,
		.recipient = a->rcpt->address,
		.message = p->job->message,
		.timeout = v->run->config->general.timeout,
	};
	struct outcome o;

	p->touched = true;
	if ((e && !entry_begin(e, &place, 1, &o)) ||
	    (kind->keeps && !seal(v, p, &o))) {
		attempt_answer(a, &o, trace);
		return true;
	}
	l.prefix = p->prefix;
	serve_doubt();
	if (e)
		entry_dot(e);
	kind->deed(&l, &o);
	attempt_answer(a, &o, trace);
	return o.exit != EX_OK || record(v, part, true);
}

/* Nobody at all answered on port 25: say what that usually means. Where there
 * was no route to them, no port was asked. */
static void explain_silence(struct serving *v)
{
	size_t i, j;

	for (i = v->share->first; i < v->share->last; i++) {
		struct part *p = part_at(v, i);

		for (j = 0; j < p->n; j++) {
			struct outcome *o = &p->to[j].rcpt->last;

			if (p->to[j].state == ATTEMPT_OVER ||
			    o->stage != STAGE_CONNECT || o->no_route)
				continue;
			outcome_prefix(o, "no mail host of %s answered; port "
				       "25 looks blocked here: use a relay (a "
				       "[transport] of kind submissions)",
				       v->share->d->domain);
		}
	}
}

/* What stays here has its deed done, for each recipient; else the hosts are
 * asked in order. */
static void use_transport(struct serving *v)
{
	const struct destination *d = v->share->d;
	const struct hosts_query query = {
		.transport = v->t, .domain = d->domain,
		.relaxed = d->relaxed, .require_tls = d->require_tls,
	};
	const struct local_kind *kind = local_kind(v->t->kind);
	const struct trace *trace = kind ? trace_link(v, NULL) : NULL;
	struct hosts hosts = { 0 };
	struct outcome why;
	struct attempt *a;
	struct part *p;
	int64_t wait;
	size_t n, i;
	bool on;

	next_address(v);
	for (i = v->share->first; kind && i < v->share->last; i++) {
		heed(v);
		p = part_at(v, i);
		for (a = p->to, on = true; on && a < p->to + p->n; a++)
			if (a->state == ATTEMPT_OPEN)
				on = keep_here(v, i, a, kind, trace);
	}
	if (kind)
		return;
	wait = rate_wait(v->run, v->t);
	if (wait > RATE_PATIENCE) {
		rate_fail(v->t, wait, &why);
		rate_is_up(v, v->share->first, &why);
		return;
	}
	if (hosts_find(v->run, &query, &hosts, &why)) {
		n = hosts.n < HOSTS_MOST ? hosts.n : HOSTS_MOST;
		v->addresses = ADDRESSES_MOST;
		v->answered = false;
		for (i = 0; i < n && any_left(v); i++)
			use_host(v, &hosts.item[i], n - i - 1);
		if (hosts.direct && !kind_has(v->t->kind, IS_PROXIED) &&
		    !v->answered && transport_port(v->t) == 25)
			explain_silence(v);
	} else {
		answer_all(v, v->share->first, &why, NULL);
	}
	hosts_release(&hosts);
}

/* --- the whole --- */

void serve(struct run *run, struct share *share, const struct witness *w)
{
	struct serving v = { .run = run, .share = share, .witness = w };
	struct outcome ignored;
	struct part *p;
	size_t i, k;

	for (i = 0; share->d->way[i] && any_left(&v); i++) {
		v.t = share->d->way[i];
		use_transport(&v);
		/* the next one has its own */
		v.limited = false;
	}
	for (i = share->first; i < share->last; i++) {
		p = part_at(&v, i);
		if (v.enough && !p->touched)
			continue;
		p->touched = true;
		/* where that fails it was said */
		(void)!record(&v, i, false);
		log_hold();
		for (k = 0; k < p->n; k++) {
			log_attempt(run, p, &p->to[k]);
			p->to[k].trace = NULL;
		}
		log_release();
		if (p->job->entry && !entry_sync(p->job->entry, &ignored))
			log_say(LOG_AT_ERROR, "the journal of %s cannot be "
				"synced", p->job->id);
		free(p->prefix);
		free(p->message_id);
		p->prefix = p->message_id = NULL;
	}
	while (v.traces) {
		struct trace *next = v.traces->next;

		free(v.traces);
		v.traces = next;
	}
}
