/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One destination: its transports in order, each one's hosts in order, one
 * connection for all messages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "submit/deliver_parts.h"
#include "submit/sign.h"

struct serving {
	struct run *run;
	struct share *share;
	const struct witness *witness;
	const struct transport *t;
};

/* A message on its way over a link. */
struct sending {
	struct serving *v;
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

static size_t open_in(const struct part *p)
{
	size_t i, n = 0;

	for (i = 0; i < p->n; i++)
		n += p->open[i];
	return n;
}

static bool any_open(const struct serving *v)
{
	size_t i;

	for (i = v->share->first; i < v->share->last; i++)
		if (open_in(part_at(v, i)))
			return true;
	return false;
}

/* A try's result; success and refusals end the matter, the rest leaves it
 * open for the next host. */
static void conclude(struct part *p, size_t i, const struct outcome *o)
{
	p->outcome[i] = *o;
	p->open[i] = o->exit != EX_OK && policy_try_elsewhere(o);
}

static void conclude_open(struct serving *v, struct part *p,
			  const struct outcome *o)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		if (!p->open[i])
			continue;
		p->trace[i].transport = v->t->name;
		conclude(p, i, o);
	}
}

static void conclude_all(struct serving *v, const struct outcome *o)
{
	size_t i;

	for (i = v->share->first; i < v->share->last; i++)
		conclude_open(v, part_at(v, i), o);
}

/* --- one message --- */

static void trace_link(struct trace *trace, const struct link *link)
{
	const struct session_facts *f;

	trace->transport = link->transport->name;
	snprintf(trace->ip, sizeof(trace->ip), "%s", link->peer.address);
	trace->tls[0] = trace->auth[0] = '\0';
	if (!link->session)
		return;
	f = session_facts(link->session);
	snprintf(trace->tls, sizeof(trace->tls), "%s", f->tls.version);
	snprintf(trace->auth, sizeof(trace->auth), "%s",
		 f->mechanism ? f->mechanism : "");
}

static unsigned attempts_with(const struct recipient *r,
			      const struct outcome *o)
{
	return r->attempts + (policy_is_attempt(o) ? 1 : 0);
}

static bool record(struct serving *v, struct part *p, size_t i)
{
	const struct outcome *o = &p->outcome[i];
	const struct recipient *r = &p->job->envelope->rcpt[p->rcpt[i]];
	struct outcome ignored;

	return !p->job->entry ||
	       entry_record(p->job->entry, p->rcpt[i], o,
			    policy_verdict(o, v->run->queue),
			    attempts_with(r, o), &ignored);
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
		conclude(p, at, &s->outcome[i]);
		p->settled[at] = any = true;
		done = record(s->v, p, at) && done;
		if (s->v->witness)
			s->v->witness->success(s->v->witness->context,
					       s->part, at);
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
		if (!p->open[i])
			continue;
		s->place[s->d.n] = i;
		s->who[s->d.n++] = &e->rcpt[p->rcpt[i]];
	}
}

static void gather(struct sending *s, struct part *p, const struct link *link)
{
	size_t i;

	for (i = 0; i < s->d.n; i++) {
		trace_link(&p->trace[s->place[i]], link);
		if (!p->settled[s->place[i]])
			conclude(p, s->place[i], &s->outcome[i]);
	}
}

/* Sends a part's message to its open recipients. False: the link is used
 * up. */
static bool send_part(struct serving *v, size_t i, struct link *link,
		      struct outcome *why)
{
	struct part *p = part_at(v, i);
	struct sending s = { .v = v, .part = i };
	bool usable;

	if (!begin(p, why) || !seal(v, p, why)) {
		conclude_open(v, p, why);
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
	gather(&s, p, link);
	free(s.place);
	free(s.who);
	free(s.outcome);
	return usable;
}

/* --- one host --- */

/* The recipients that a dual-stack host refused by policy at the first
 * attempt: its other family may be judged otherwise (a missing PTR). */
static bool reopen_for_family(struct serving *v, const struct link *link)
{
	bool any = false;
	size_t i, j;

	if (!link->peer.dual_stack)
		return false;
	for (i = v->share->first; i < v->share->last; i++) {
		struct part *p = part_at(v, i);

		for (j = 0; j < p->n; j++) {
			const struct outcome *o = &p->outcome[j];
			const struct recipient *r =
				&p->job->envelope->rcpt[p->rcpt[j]];

			if (o->code < 500 || strncmp(o->status, "5.7.", 4) ||
			    r->attempts || p->settled[j])
				continue;
			p->open[j] = any = true;
		}
	}
	return any;
}

/* All parts from *next on over one link, or as many as the server takes on
 * one (MAILMAX, RFC 9422 4.1). False: no link could be had. */
static bool use_link(struct serving *v, const struct host *host,
		     const struct link_options *o, struct link *link,
		     size_t *next, struct outcome *why)
{
	unsigned most, sent = 0;
	bool usable;

	usable = link_open(v->run, v->t, host, o, link, why);
	if (!usable)
		return false;
	most = session_facts(link->session)->features.mail_max;
	while (usable && *next < v->share->last && (!most || sent < most)) {
		size_t i = (*next)++;

		if (!open_in(part_at(v, i)))
			continue;
		usable = send_part(v, i, link, why);
		sent++;
	}
	return true;
}

static void link_failed(struct serving *v, const struct link *link,
			size_t from, const struct outcome *why)
{
	size_t i, j;

	for (i = from; i < v->share->last; i++) {
		struct part *p = part_at(v, i);

		for (j = 0; j < p->n; j++)
			if (p->open[j])
				trace_link(&p->trace[j], link);
		conclude_open(v, p, why);
	}
}

/* A session that breaks over one message is opened anew for the others. */
static void use_host(struct serving *v, const struct host *host)
{
	struct link_options o = { 0 };
	struct outcome why = { 0 };
	struct link link;
	size_t next = v->share->first;
	bool direct = v->t->kind == KIND_DIRECT;
	bool again;

	while (next < v->share->last) {
		bool linked = use_link(v, host, &o, &link, &next, &why);

		if (!linked) {
			if (!why.host[0])
				snprintf(why.host, sizeof(why.host), "%s",
					 host->name);
			link_failed(v, &link, next, &why);
			next = v->share->last;
		}
		again = direct && next == v->share->last && !o.avoid_family &&
			reopen_for_family(v, &link);
		/* what comes after it stays with the other family */
		if (again) {
			o.avoid_family = true;
			o.avoid_ipv6 = link.peer.ipv6;
			next = v->share->first;
		}
		link_close(&link);
	}
}

/* --- one transport --- */

/* As if a server had said it, so that the message may begin with an enhanced
 * status code. */
static void refuse_by_configuration(struct serving *v)
{
	const struct transport *t = v->t;
	struct reply reply = { 0 };
	struct outcome o;
	char words[1024];

	snprintf(words, sizeof(words), "%d %s", (int)t->code, t->message ?
		 t->message : "mail of this kind is refused here");
	reply_line(&reply, words, strlen(words));
	reply_outcome(&reply, STAGE_RCPT, "", &o);
	reply_release(&reply);
	o.exit = t->code < 500 ? EX_TEMPFAIL : EX_UNAVAILABLE;
	if (!o.status[0])
		snprintf(o.status, sizeof(o.status), "%d.7.0",
			 (int)t->code / 100 % 10);
	snprintf(o.host, sizeof(o.host), "transport %s", t->name);
	conclude_all(v, &o);
}

/* Nobody at all answered on port 25: say what that usually means. */
static void explain_silence(struct serving *v)
{
	size_t i, j;

	for (i = v->share->first; i < v->share->last; i++) {
		struct part *p = part_at(v, i);

		for (j = 0; j < p->n; j++)
			if (p->open[j] &&
			    p->outcome[j].stage == STAGE_CONNECT &&
			    !p->outcome[j].no_network)
				outcome_prefix(&p->outcome[j], "no mail host "
					"of %s answered; port 25 looks blocked "
					"here: use a relay (a [transport] of "
					"kind submissions)",
					v->share->d->domain);
	}
}

static bool all_silent(const struct serving *v)
{
	const struct part *p = part_at(v, v->share->first);
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->open[i] && p->outcome[i].stage == STAGE_CONNECT)
			return true;
	return false;
}

static void use_hosts(struct serving *v, const struct hosts *hosts)
{
	bool silent = true;
	size_t i;

	for (i = 0; i < hosts->n && any_open(v); i++) {
		use_host(v, &hosts->item[i]);
		silent = silent && all_silent(v);
	}
	if (hosts->direct && v->t->kind == KIND_DIRECT && silent &&
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

	if (v->t->kind == KIND_FAIL)
		refuse_by_configuration(v);
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
	p->prefix = NULL;
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
