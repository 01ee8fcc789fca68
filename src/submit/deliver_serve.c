/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One destination: its transports in order, each one's hosts in order, one
 * connection for all messages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "submit/deliver_parts.h"
#include "submit/local.h"
#include "submit/sign.h"

struct serving {
	struct run *run;
	struct share *share;
	const struct witness *witness;
	const struct transport *t;
	unsigned turn;            /* of an address of a host */
	size_t addresses;         /* that may still be asked */
	bool answered;            /* any host spoke */
	bool enough;              /* the witness had it */
};

/* A message on its way over a link. */
struct sending {
	struct serving *v;
	const struct link *link;
	size_t part;
	size_t *place;            /* in the part, of each d.rcpt */
	const struct recipient **who;
	struct outcome *outcome;
	struct delivery d;
};

static struct part *part_at(const struct serving *v, size_t i)
{
	return &v->share->d->part[i];
}

static bool any_open(const struct serving *v)
{
	size_t i, j;

	for (i = v->share->first; i < v->share->last; i++)
		for (j = 0; j < part_at(v, i)->n; j++)
			if (part_at(v, i)->open[j])
				return true;
	return false;
}

/* Whether a recipient is still to be asked about in this turn. */
static bool is_due(const struct serving *v, const struct part *p, size_t i)
{
	return p->open[i] && p->asked[i] != v->turn;
}

/* Once the witness had enough, what was not begun is left as it is; what was
 * tried here goes on to its next host. */
static void heed(struct serving *v)
{
	const struct witness *w = v->witness;
	size_t i;

	if (!v->enough && (!w || !w->enough || !w->enough(w->context)))
		return;
	v->enough = true;
	for (i = v->share->first; i < v->share->last; i++)
		if (!part_at(v, i)->touched)
			memset(part_at(v, i)->open, 0,
			       part_at(v, i)->n * sizeof(bool));
}

static void trace_link(struct trace *trace, const struct link *link)
{
	const struct session_facts *f;

	if (!link)
		return;
	snprintf(trace->ip, sizeof(trace->ip), "%s", link->peer.address);
	trace->tls[0] = trace->auth[0] = '\0';
	if (!link->session)
		return;
	f = session_facts(link->session);
	snprintf(trace->tls, sizeof(trace->tls), "%s", f->tls.version);
	snprintf(trace->auth, sizeof(trace->auth), "%s",
		 f->mechanism ? f->mechanism : "");
}

/* A try's result, over a link or (NULL) without one. Success and refusals end
 * the matter, the rest leaves it open for the next host. */
static void conclude(struct serving *v, struct part *p, size_t i,
		     const struct outcome *o, const struct link *link)
{
	p->touched = true;
	if (!p->judged[i] || policy_replaces(outcome_of(p, i), o)) {
		*outcome_of(p, i) = *o;
		p->turn[i] = v->turn;
		p->trace[i].transport = v->t->name;
		trace_link(&p->trace[i], link);
	}
	p->judged[i] = true;
	p->asked[i] = v->turn;
	p->open[i] = outcome_of(p, i)->exit != EX_OK &&
		     policy_try_elsewhere(outcome_of(p, i));
}

static void conclude_due(struct serving *v, struct part *p,
			 const struct outcome *o, const struct link *link)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (is_due(v, p, i))
			conclude(v, p, i, o, link);
}

static void conclude_all(struct serving *v, const struct outcome *o)
{
	size_t i;

	v->turn++;
	for (i = v->share->first; i < v->share->last; i++)
		conclude_due(v, part_at(v, i), o, NULL);
}

/* --- one message --- */

static unsigned attempts_with(const struct recipient *r,
			      const struct outcome *o)
{
	return r->attempts + (policy_is_attempt(o) ? 1 : 0);
}

static bool record(struct serving *v, struct part *p, size_t i)
{
	const struct outcome *o = outcome_of(p, i);
	const struct recipient *r = &p->job->envelope->rcpt[p->rcpt[i]];
	struct outcome ignored;

	return !p->job->entry ||
	       entry_record(p->job->entry, p->rcpt[i], o,
			    policy_verdict(o, v->run->queue),
			    attempts_with(r, o), &ignored);
}

/* Records it, and hands it on. */
static bool settle_success(struct serving *v, size_t part, size_t i)
{
	struct part *p = part_at(v, part);
	bool done = record(v, p, i);

	p->settled[i] = true;
	if (v->witness)
		v->witness->success(v->witness->context, part, i);
	return done;
}

/* A success is on disk before anything else is sent. */
static bool settled(void *context)
{
	struct sending *s = context;
	struct part *p = part_at(s->v, s->part);
	struct outcome ignored;
	bool done = true, any = false;
	size_t i, at;

	for (i = 0; i < s->d.n; i++) {
		at = s->place[i];
		if (s->outcome[i].exit != EX_OK || p->settled[at])
			continue;
		conclude(s->v, p, at, &s->outcome[i], s->link);
		done = settle_success(s->v, s->part, at) && done;
		any = true;
	}
	if (any && p->job->entry)
		done = entry_sync(p->job->entry, &ignored) && done;
	return done;
}

static void dot(void *context)
{
	struct sending *s = context;
	struct part *p = part_at(s->v, s->part);

	if (p->job->entry)
		entry_dot(p->job->entry);
}

/* The attempt is in the journal before it is made. */
static bool begin(struct part *p, struct outcome *why)
{
	if (p->begun || !p->job->entry)
		return true;
	p->begun = entry_begin(p->job->entry, p->rcpt, p->n, why);
	return p->begun;
}

static bool seal(struct serving *v, struct part *p, struct outcome *why)
{
	if (!p->sealed)
		p->sealed = sign_message(v->run->config, p->job->message,
					 &p->prefix, why);
	return p->sealed;
}

static void choose(struct sending *s, struct part *p)
{
	struct envelope *e = p->job->envelope;
	size_t i;

	for (i = 0; i < p->n; i++) {
		if (!is_due(s->v, p, i))
			continue;
		s->place[s->d.n] = i;
		s->who[s->d.n++] = &e->rcpt[p->rcpt[i]];
	}
}

/* Whether some recipients are left to a fresh session. */
static bool gather(struct sending *s, struct part *p)
{
	bool left = false;
	size_t i;

	for (i = 0; i < s->d.n; i++) {
		if (s->outcome[i].exit == OUTCOME_OPEN)
			left = true;
		else if (!p->settled[s->place[i]])
			conclude(s->v, p, s->place[i], &s->outcome[i],
				 s->link);
	}
	return left;
}

/* Sends a part's message to its open recipients. False: the link is used
 * up; left tells whether some of them are for another one to ask about. */
static bool send_part(struct serving *v, size_t i, struct link *link,
		      bool *left, struct outcome *why)
{
	struct part *p = part_at(v, i);
	struct sending s = { .v = v, .part = i, .link = link };
	bool usable;

	*left = false;
	if (!begin(p, why) || !seal(v, p, why)) {
		conclude_due(v, p, why, NULL);
		return true;
	}
	s.place = mem_alloc(p->n * sizeof(*s.place));
	s.who = mem_alloc(p->n * sizeof(*s.who));
	s.outcome = mem_alloc(p->n * sizeof(*s.outcome));
	choose(&s, p);
	s.d.envelope = p->job->envelope;
	s.d.rcpt = s.who;
	s.d.message = p->job->message;
	s.d.prefix = p->prefix;
	s.d.outcome = s.outcome;
	s.d.dot = dot;
	s.d.settled = settled;
	s.d.context = &s;
	usable = session_send(link->session, &s.d, why);
	*left = gather(&s, p);
	free(s.place);
	free(s.who);
	free(s.outcome);
	return usable;
}

/* --- one address of a host --- */

/* The first part from i on with a recipient that is due. */
static size_t next_due(const struct serving *v, size_t i)
{
	const struct part *p;
	size_t j;

	for (; i < v->share->last; i++) {
		p = part_at(v, i);
		for (j = 0; j < p->n; j++)
			if (is_due(v, p, j))
				return i;
	}
	return i;
}

/* All parts from *next on over one link, or as many as the server takes on
 * one. False: no link could be had. */
static bool use_link(struct serving *v, const struct host *host,
		     const struct link_options *o, struct link *link,
		     size_t *next, struct outcome *why)
{
	bool usable = link_open(v->run, v->t, host, o, link, why), left;

	v->answered = v->answered || usable || why->stage > STAGE_CONNECT;
	if (!usable)
		return false;
	while (usable && *next < v->share->last) {
		heed(v);
		*next = next_due(v, *next);
		if (*next == v->share->last)
			break;
		usable = send_part(v, *next, link, &left, why);
		if (!left)
			*next = next_due(v, *next + 1);
	}
	if (session_facts(link->session)->chunking_broken &&
	    !list_has(&v->run->no_chunking, host->name))
		list_add(&v->run->no_chunking, host->name);
	return true;
}

static void link_failed(struct serving *v, const struct link *link,
			size_t from, const char *name, struct outcome *why)
{
	size_t i;

	if (!why->host[0])
		snprintf(why->host, sizeof(why->host), "%s", name);
	for (i = from; i < v->share->last; i++)
		conclude_due(v, part_at(v, i), why, link);
}

/* All that is open goes to one of these addresses. A session that breaks
 * over one message, or has carried its share, is opened anew for the others.
 * False: no link could be had, for this reason. */
static bool use_address(struct serving *v, const struct host *host,
			const struct link_options *o, struct net_peer *peer,
			struct outcome *why)
{
	bool linked = true;
	struct link link;
	size_t next;

	heed(v);
	v->turn++;
	next = next_due(v, v->share->first);
	while (linked && next < v->share->last) {
		linked = use_link(v, host, o, &link, &next, why);
		if (!linked)
			link_failed(v, &link, next, host->name, why);
		*peer = link.peer;
		link_close(&link);
	}
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

static void add_address(struct net_addresses *to, const struct net_address *a)
{
	net_addresses_add(to, a);
}

static void walk_release(struct walk *w)
{
	net_addresses_release(&w->left);
	net_addresses_release(&w->now);
}

static void choose_addresses(struct walk *w)
{
	size_t i;

	net_addresses_release(&w->now);
	for (i = 0; i < w->left.n; i++)
		if (!w->family || w->left.item[i].sa.ss_family == w->family)
			add_address(&w->now, &w->left.item[i]);
	w->family = 0;
}

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
			add_address(found ? &after : &before, a);
	}
	for (i = 0; i < before.n; i++)
		add_address(&after, &before.item[i]);
	net_addresses_release(&before);
	net_addresses_release(&w->left);
	w->left = after;
}

static bool has_family(const struct net_addresses *a, int family)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		if (a->item[i].sa.ss_family == family)
			return true;
	return false;
}

/* Where this address's answers are a matter of who asks, the other family
 * is asked at once, and about those, too, whom it refused for good: it may
 * be judged otherwise (a missing PTR). */
static void switch_family(struct serving *v, struct walk *w, int other)
{
	const bool direct = transport_is_direct(v->t);
	size_t i, j;

	if (w->switched || !has_family(&w->left, other))
		return;
	for (i = v->share->first; i < v->share->last; i++) {
		struct part *p = part_at(v, i);

		for (j = 0; j < p->n; j++) {
			if (!p->judged[j] || p->turn[j] != v->turn ||
			    !policy_other_family(outcome_of(p, j)) ||
			    (!p->open[j] && !direct))
				continue;
			p->open[j] = true;
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
	struct link_options o = { .addresses = &w.now };
	struct outcome why = { 0 };
	struct net_peer peer = { 0 };
	bool on;

	if (!link_addresses(v->run, v->t, host, &w.left, &why)) {
		v->turn++;
		link_failed(v, NULL, v->share->first, host->name, &why);
		return;
	}
	if (w.left.n)
		w.left.n = policy_addresses(w.left.n, hosts_behind,
					    v->addresses);
	v->addresses -= w.left.n < v->addresses ? w.left.n : v->addresses;
	do {
		choose_addresses(&w);
		on = use_address(v, host, &o, &peer, &why) ||
		     policy_next_address(&why);
		drop_asked(&w, &peer);
		if (on && peer.address[0])
			switch_family(v, &w, peer.ipv6 ? AF_INET : AF_INET6);
	} while (on && w.left.n && any_open(v));
	walk_release(&w);
}

/* --- one transport --- */

/* Mail that stays here, for one recipient. False: what became of it could not
 * be recorded, so that there must be no more of it. */
static bool keep_here(struct serving *v, size_t part, size_t i,
		      const struct local_kind *kind)
{
	struct part *p = part_at(v, part);
	struct entry *e = kind->keeps ? p->job->entry : NULL;
	struct envelope *envelope = p->job->envelope;
	struct local l = {
		.transport = v->t, .sender = envelope->sender,
		.recipient = envelope->rcpt[p->rcpt[i]].address,
		.message = p->job->message,
		.timeout = v->run->config->general.timeout,
	};
	struct outcome o, ignored;

	if ((e && !entry_begin(e, &p->rcpt[i], 1, &o)) ||
	    (kind->keeps && !seal(v, p, &o))) {
		conclude(v, p, i, &o, NULL);
		return true;
	}
	l.prefix = p->prefix;
	if (e)
		entry_dot(e);
	kind->deed(&l, &o);
	conclude(v, p, i, &o, NULL);
	if (o.exit != EX_OK)
		return true;
	if (!settle_success(v, part, i))
		return false;
	return !p->job->entry || entry_sync(p->job->entry, &ignored);
}

static void keep_all(struct serving *v, const struct local_kind *kind)
{
	size_t i, j;
	bool on;

	v->turn++;
	for (i = v->share->first; i < v->share->last; i++) {
		heed(v);
		for (j = 0, on = true; on && j < part_at(v, i)->n; j++)
			if (is_due(v, part_at(v, i), j))
				on = keep_here(v, i, j, kind);
	}
}

/* Nobody at all answered on port 25: say what that usually means. Where there
 * was no route to them, no port was asked. */
static void explain_silence(struct serving *v)
{
	size_t i, j;

	for (i = v->share->first; i < v->share->last; i++) {
		struct part *p = part_at(v, i);

		for (j = 0; j < p->n; j++)
			if (p->open[j] &&
			    outcome_of(p, j)->stage == STAGE_CONNECT &&
			    !outcome_of(p, j)->no_route)
				outcome_prefix(outcome_of(p, j), "no mail host "
					"of %s answered; port 25 looks blocked "
					"here: use a relay (a [transport] of "
					"kind submissions)",
					v->share->d->domain);
	}
}

static void use_hosts(struct serving *v, const struct hosts *hosts)
{
	size_t n = hosts->n < HOSTS_MOST ? hosts->n : HOSTS_MOST, i;

	v->addresses = ADDRESSES_MOST;
	v->answered = false;
	for (i = 0; i < n && any_open(v); i++)
		use_host(v, &hosts->item[i], n - i - 1);
	if (hosts->direct && !kind_has(v->t->kind, IS_PROXIED) && !v->answered &&
	    transport_port(v->t) == 25)
		explain_silence(v);
}

static void use_transport(struct serving *v)
{
	const struct destination *d = v->share->d;
	const struct hosts_query query = {
		.transport = v->t, .domain = d->domain,
		.relaxed = d->relaxed, .require_tls = d->require_tls,
	};
	struct hosts hosts = { 0 };
	struct outcome why;

	if (local_kind(v->t->kind))
		keep_all(v, local_kind(v->t->kind));
	else if (hosts_find(v->run, &query, &hosts, &why))
		use_hosts(v, &hosts);
	else
		conclude_all(v, &why);
	hosts_release(&hosts);
}

/* --- the whole --- */

static void finish_part(struct serving *v, struct part *p)
{
	struct outcome ignored;
	bool synced;
	size_t i;

	if (v->enough && !p->touched)
		return;
	p->touched = true;
	for (i = 0; i < p->n; i++) {
		if (!p->settled[i] && !record(v, p, i))
			continue;
		log_attempt(v->run, p, i);
	}
	synced = !p->job->entry || entry_sync(p->job->entry, &ignored);
	if (!synced)
		log_say(LOG_AT_ERROR, "the journal of %s cannot be synced",
			p->job->id);
	free(p->prefix);
	free(p->message_id);
	p->prefix = p->message_id = NULL;
}

void serve(struct run *run, struct share *share, const struct witness *w)
{
	struct serving v = { .run = run, .share = share, .witness = w };
	struct outcome why;
	size_t i;

	for (i = 0; i < share->d->transport.n && any_open(&v); i++) {
		const char *name = share->d->transport.item[i];

		v.t = transport_find(run->config, name);
		if (v.t) {
			use_transport(&v);
			continue;
		}
		v.t = config_direct();
		outcome_fail(&why, STAGE_LOCAL, EX_CONFIG,
			     "there is no transport \"%s\"", name);
		conclude_all(&v, &why);
	}
	for (i = share->first; i < share->last; i++)
		finish_part(&v, part_at(&v, i));
}
