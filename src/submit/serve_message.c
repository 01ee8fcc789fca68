/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One message to its recipients over a link, and what is recorded of them. */
#include "submit/serve_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "submit/rate.h"
#include "submit/sign.h"

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

size_t serving_find(const struct serving *v, size_t i,
		    enum attempt_state most)
{
	size_t j;

	for (; i < v->share->last; i++)
		for (j = 0; j < serving_part(v, i)->n; j++)
			if (serving_part(v, i)->to[j].state <= most)
				return i;
	return i;
}

void serving_heed(struct serving *v)
{
	const struct witness *w = v->witness;
	const struct part *p;
	size_t i, j;

	if (!v->enough && (!w || !w->enough || !w->enough(w->context)))
		return;
	v->enough = true;
	for (i = v->share->first; i < v->share->last; i++) {
		p = serving_part(v, i);
		for (j = 0; !p->touched && j < p->n; j++)
			p->to[j].state = ATTEMPT_OVER;
	}
}

struct trace *serving_trace(struct serving *v, const struct link *link)
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

/* What a host lacks gives way to what is for now, and is said after it: nobody
 * would learn of it before the mail's lifetime ends. */
static void add_lacking(struct outcome *o, const struct attempt *a)
{
	const struct outcome *last = &a->rcpt->last;
	char words[sizeof(last->host) + sizeof(last->text) + 64];

	if (!a->answered || !last->lacking || !outcome_is_temporary(o))
		return;
	outcome_words(last, words, sizeof(words));
	outcome_append(o, "; %.250s", words);
}

/* One answer about all of a part that are still to be asked about. */
static void answer_part(struct part *p, const struct outcome *o,
			const struct trace *trace)
{
	struct outcome answer;
	struct attempt *a;

	for (a = p->to; a < p->to + p->n; a++) {
		if (a->state != ATTEMPT_OPEN)
			continue;
		p->touched = true;
		answer = *o;
		add_lacking(&answer, a);
		attempt_answer(a, &answer, trace);
	}
}

static size_t place_in_way(const struct serving *v)
{
	size_t i = 0;

	while (v->share->d->way[i] != v->t)
		i++;
	return i;
}

/* What another way would hide: whoever supervises several processes says it
 * once. */
static void note_fault(struct serving *v, const struct outcome *o)
{
	struct list *told = &v->run->mend;

	if (!v->share->d->way[1] || !policy_needs_mending(o))
		return;
	if (!v->fault[0])
		fault_words(v->t, o, v->fault, sizeof(v->fault));
	if (!v->witness) {
		log_fault_once(v->run, v->t, o);
	} else if (!list_has(told, v->t->name)) {
		list_add(told, v->t->name);
		v->witness->fault(v->witness->context, place_in_way(v), o);
	}
}

void serving_note_refusals(struct serving *v, size_t hosts)
{
	if (v->witness && hosts && v->refusals == hosts)
		v->witness->refused(v->witness->context, place_in_way(v),
				    &v->refusal);
}

void serving_recall_fault(const struct serving *v, struct part *p)
{
	struct outcome *last;
	struct attempt *a;

	for (a = p->to; v->fault[0] && a < p->to + p->n; a++) {
		last = &a->rcpt->last;
		if (a->answered && !last->in_doubt &&
		    outcome_is_temporary(last))
			outcome_append(last, "; %s", v->fault);
	}
}

void serving_answer(struct serving *v, size_t first, const struct outcome *o,
		    const struct link *link)
{
	const struct trace *trace = serving_trace(v, link);

	note_fault(v, o);
	for (; first < v->share->last; first++)
		answer_part(serving_part(v, first), o, trace);
}

bool serving_record(struct serving *v, size_t part, bool successes)
{
	const struct witness *w = v->witness;
	struct part *p = serving_part(v, part);
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

	return serving_record(s->v, s->part, true);
}

static void dot(void *context)
{
	struct sending *s = context;
	struct part *p = serving_part(s->v, s->part);

	serve_doubt();
	if (p->job->entry)
		entry_dot(p->job->entry);
}

bool serving_seal(struct serving *v, struct part *p, struct outcome *why)
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
	return serving_seal(v, p, why);
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
		serving_heed(v);
		if (v->enough || wait > clock_left(deadline))
			return rate_fail(v->t, wait, why);
		pause.tv_nsec = NS_A_MS *
				(int)(wait < LOOK_MS ? wait : LOOK_MS);
		nanosleep(&pause, NULL);
	}
	return true;
}

void serving_rate_is_up(struct serving *v, size_t part,
			const struct outcome *why)
{
	v->limited = true;
	if (!v->witness || v->share->d->way[1]) {
		serving_answer(v, part, why, NULL);
		return;
	}
	answer_part(serving_part(v, part), why, serving_trace(v, NULL));
	v->enough = true;
	serving_heed(v);
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

bool serving_send(struct serving *v, size_t i, struct link *link,
		      const struct trace *trace, struct outcome *why)
{
	struct part *p = serving_part(v, i);
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
			serving_rate_is_up(v, i, why);
			break;
		}
		if (!begin_part(v, p, why)) {
			answer_part(p, why, serving_trace(v, NULL));
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
