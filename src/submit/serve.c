/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/serve_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "submit/local.h"
#include "submit/rate.h"

static bool any_left(const struct serving *v)
{
	return !v->limited &&
	       serving_find(v, v->share->first, ATTEMPT_ANSWERED) <
	       v->share->last;
}

/* From the next address on, all that may be asked again is. */
static void next_address(struct serving *v)
{
	struct attempt *a;
	struct part *p;
	size_t i;

	for (i = v->share->first; i < v->share->last; i++) {
		p = serving_part(v, i);
		for (a = p->to; a < p->to + p->n; a++) {
			if (a->state == ATTEMPT_ANSWERED)
				a->state = ATTEMPT_OPEN;
			a->fresh = false;
		}
	}
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
		if (policy_refuses_login(why)) {
			v->refusals++;
			v->refusal = *why;
		}
		serving_answer(v, *next, why, &link);
	} else {
		trace = serving_trace(v, &link);
	}
	while (usable) {
		serving_heed(v);
		*next = serving_find(v, *next, ATTEMPT_OPEN);
		if (v->limited || *next == v->share->last)
			break;
		usable = serving_send(v, *next, &link, trace, why);
	}
	*next = serving_find(v, *next, ATTEMPT_OPEN);
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
		struct part *p = serving_part(v, i);

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
		serving_answer(v, v->share->first, &why, NULL);
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
		serving_heed(v);
		next_address(v);
		next = serving_find(v, v->share->first, ATTEMPT_OPEN);
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
	struct part *p = serving_part(v, part);
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
	    (kind->keeps && !serving_seal(v, p, &o))) {
		attempt_answer(a, &o, trace);
		return true;
	}
	l.prefix = p->prefix;
	serve_doubt();
	if (e)
		entry_dot(e);
	kind->deed(&l, &o);
	attempt_answer(a, &o, trace);
	return o.exit != EX_OK || serving_record(v, part, true);
}

/* Nobody at all answered on port 25: say what that usually means. Where there
 * was no route to them, no port was asked. */
static void explain_silence(struct serving *v)
{
	size_t i, j;

	for (i = v->share->first; i < v->share->last; i++) {
		struct part *p = serving_part(v, i);

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

/* The hosts in order. What one says that could be asked is not the last word
 * while another could not be. */
static void use_hosts(struct serving *v, const struct hosts *hosts)
{
	const size_t n = hosts->n < HOSTS_MOST ? hosts->n : HOSTS_MOST;
	size_t i;

	v->addresses = ADDRESSES_MOST;
	v->answered = false;
	v->refusals = 0;
	for (i = 0; i < n && any_left(v); i++)
		use_host(v, &hosts->item[i], n - i - 1);
	serving_note_refusals(v, hosts->n);
	if (hosts->not_now.exit && any_left(v)) {
		next_address(v);
		serving_answer(v, v->share->first, &hosts->not_now, NULL);
	}
	if (hosts->direct && !kind_has(v->t->kind, IS_PROXIED) &&
	    !v->answered && transport_port(v->t) == 25)
		explain_silence(v);
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
	const struct trace *trace = kind ? serving_trace(v, NULL) : NULL;
	struct hosts hosts = { 0 };
	struct outcome why;
	struct attempt *a;
	struct part *p;
	int64_t wait;
	size_t i;
	bool on;

	next_address(v);
	for (i = v->share->first; kind && i < v->share->last; i++) {
		serving_heed(v);
		p = serving_part(v, i);
		for (a = p->to, on = true; on && a < p->to + p->n; a++)
			if (a->state == ATTEMPT_OPEN)
				on = keep_here(v, i, a, kind, trace);
	}
	if (kind)
		return;
	wait = rate_wait(v->run, v->t);
	if (wait > RATE_PATIENCE) {
		rate_fail(v->t, wait, &why);
		serving_rate_is_up(v, v->share->first, &why);
		return;
	}
	if (hosts_find(v->run, &query, &hosts, &why))
		use_hosts(v, &hosts);
	else
		serving_answer(v, v->share->first, &why, NULL);
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
		p = serving_part(&v, i);
		if (v.enough && !p->touched)
			continue;
		p->touched = true;
		serving_recall_fault(&v, p);
		/* where that fails it was said */
		(void)!serving_record(&v, i, false);
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
