/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rounds: group what is pending by destination, serve the destinations,
 * settle what came of it; whoever failed for now and would go another way at
 * the next attempt makes that attempt at once, in the next round.
 */
#include "submit/deliver.h"

#include <stdlib.h>
#include <string.h>

#include "mail/address.h"
#include "submit/deliver_parts.h"

/* What a recipient does in the round at hand. */
enum turn { TURN_GO, TURN_WAIT };

struct plan {
	struct run *run;
	struct job *job;
	size_t jobs;
	enum turn **turn;             /* of each job's recipients */
	struct destination *d;
	size_t n;
};

/* --- grouping --- */

static void way_of(const struct plan *plan, const struct job *job,
		   const struct recipient *r, unsigned attempts,
		   struct list *names)
{
	const char *override = plan->run->transport;

	if (!override && job->entry)
		override = job->entry->transport;
	if (!override)
		override = job->envelope->transport;
	policy_transports(plan->run->config, override, job->account,
			  job->envelope->sender, r->address, attempts, names,
			  NULL);
}

static bool goes_direct(const struct plan *plan, const struct list *names)
{
	const struct transport *t;
	size_t i;

	for (i = 0; i < names->n; i++) {
		t = transport_find(plan->run->config, names->item[i]);
		if (t && transport_is_direct(t))
			return true;
	}
	return false;
}

static char *key_of(const struct plan *plan, const struct envelope *e,
		    const struct recipient *r, const struct list *names)
{
	char *way = list_join(names, " ");
	char *key = mem_printf("%s%s%s%s%s", way,
			       goes_direct(plan, names) ? " @" : "",
			       goes_direct(plan, names) ?
			       address_domain(r->address) : "",
			       e->tls_required_no ? " relaxed" : "",
			       e->require_tls ? " requiretls" : "");

	free(way);
	return key;
}

/* Messages come in order, so what was found last is what is looked for most
 * often. */
static struct destination *destination_for(struct plan *plan, char *key)
{
	size_t i;

	for (i = plan->n; i--;) {
		if (strcmp(plan->d[i].key, key))
			continue;
		free(key);
		return &plan->d[i];
	}
	if (!(plan->n & (plan->n - 1)))
		plan->d = mem_resize(plan->d, plan->n ? 2 * plan->n : 1,
				     sizeof(*plan->d));
	plan->d[plan->n] = (struct destination){ .key = key };
	return &plan->d[plan->n++];
}

static struct part *part_for(struct destination *d, struct job *job)
{
	struct part *p;
	size_t room = job->envelope->n;

	if (d->n && d->part[d->n - 1].job == job)
		return &d->part[d->n - 1];
	if (!(d->n & (d->n - 1)))
		d->part = mem_resize(d->part, d->n ? 2 * d->n : 1,
				     sizeof(*d->part));
	p = &d->part[d->n++];
	*p = (struct part){
		.job = job,
		.rcpt = mem_alloc(room * sizeof(*p->rcpt)),
		.outcome = mem_alloc(room * sizeof(*p->outcome)),
		.trace = mem_alloc(room * sizeof(*p->trace)),
		.open = mem_alloc(room * sizeof(*p->open)),
		.judged = mem_alloc(room * sizeof(*p->judged)),
		.turn = mem_alloc(room * sizeof(*p->turn)),
		.settled = mem_alloc(room * sizeof(*p->settled)),
	};
	return p;
}

static void assign(struct plan *plan, struct job *job, size_t i)
{
	struct recipient *r = &job->envelope->rcpt[i];
	struct destination *d;
	struct list names = { 0 };
	struct part *p;

	way_of(plan, job, r, r->attempts, &names);
	d = destination_for(plan, key_of(plan, job->envelope, r, &names));
	if (!d->n) {
		d->transport = names;
		d->domain = address_domain(r->address);
		d->relaxed = job->envelope->tls_required_no;
		d->require_tls = job->envelope->require_tls;
	} else {
		list_release(&names);
	}
	p = part_for(d, job);
	p->rcpt[p->n] = i;
	p->open[p->n++] = true;
}

static void group(struct plan *plan)
{
	size_t i, j;

	for (i = 0; i < plan->jobs; i++) {
		struct job *job = &plan->job[i];

		if (job->entry && job->entry->broken)
			continue;
		for (j = 0; j < job->envelope->n; j++)
			if (job->envelope->rcpt[j].state == RCPT_PENDING &&
			    plan->turn[i][j] == TURN_GO)
				assign(plan, job, j);
	}
}

/* --- settling --- */

/* The journal has set the facts of an entry's recipients already. */
static void settle_unjournaled(const struct run *run, struct recipient *r,
			       const struct outcome *o)
{
	r->last = *o;
	r->state = policy_verdict(o, run->queue);
	if (policy_is_attempt(o))
		r->attempts++;
}

/* Whether the attempt that would come next takes another way, so that
 * waiting for it has no sense. A try without any network counted as none. */
static bool goes_on(const struct plan *plan, const struct job *job,
		    const struct recipient *r, const struct outcome *o,
		    const struct destination *d)
{
	struct list next = { 0 };
	bool other;

	if (o->exit == EX_OK || !policy_is_attempt(o) ||
	    !policy_try_elsewhere(o))
		return false;
	way_of(plan, job, r, r->attempts, &next);
	other = !list_equal(&next, &d->transport);
	list_release(&next);
	return other;
}

static void settle_part(struct plan *plan, const struct destination *d,
			struct part *p)
{
	enum turn *turn = plan->turn[p->job - plan->job];
	size_t i;

	for (i = 0; i < p->n; i++) {
		struct recipient *r = &p->job->envelope->rcpt[p->rcpt[i]];
		const struct outcome *o = &p->outcome[i];

		if (!p->job->entry)
			settle_unjournaled(plan->run, r, o);
		turn[p->rcpt[i]] = goes_on(plan, p->job, r, o, d) ?
				   TURN_GO : TURN_WAIT;
		/* without a queue a refusal of the session is final, unless
		 * there is another way */
		if (turn[p->rcpt[i]] == TURN_GO)
			r->state = RCPT_PENDING;
	}
}

static void release_part(struct part *p)
{
	free(p->rcpt);
	free(p->outcome);
	free(p->trace);
	free(p->open);
	free(p->judged);
	free(p->turn);
	free(p->settled);
	free(p->prefix);
}

static void clear(struct plan *plan)
{
	size_t i, j;

	for (i = 0; i < plan->n; i++) {
		for (j = 0; j < plan->d[i].n; j++)
			release_part(&plan->d[i].part[j]);
		free(plan->d[i].part);
		free(plan->d[i].key);
		list_release(&plan->d[i].transport);
	}
	free(plan->d);
	plan->d = NULL;
	plan->n = 0;
}

/* --- serving --- */

/* A command may ask for a passphrase, and forked workers must not ask
 * again: all secrets are there before anything is dialled or forked. One
 * that cannot be had fails again, with its words, where it is used. */
static void fetch_secrets(struct plan *plan, size_t live)
{
	const struct secret *secret;
	const struct transport *t;
	struct outcome ignored;
	size_t i, j;

	for (i = 0; i < live; i++) {
		for (j = 0; j < plan->d[i].transport.n; j++) {
			t = transport_find(plan->run->config,
					   plan->d[i].transport.item[j]);
			if (t && !secrets_get(plan->run->secrets, t, &secret,
					      &ignored))
				continue;
		}
	}
}

/* Destinations that did not answer are left alone for the rest of the run,
 * at no cost to the attempts of whoever would go there. */
static bool is_dead(struct plan *plan, struct destination *d)
{
	size_t i, j;

	if (!list_has(&plan->run->dead, d->key))
		return false;
	for (i = 0; i < d->n; i++) {
		for (j = 0; j < d->part[i].n; j++) {
			outcome_fail(&d->part[i].outcome[j], STAGE_CONNECT,
				     EX_TEMPFAIL, "left alone: it did not "
				     "answer earlier in this run");
			d->part[i].outcome[j].no_network = true;
		}
	}
	return true;
}

static void note_dead(struct plan *plan, const struct destination *d)
{
	size_t i, j;

	for (i = 0; i < d->n; i++)
		for (j = 0; j < d->part[i].n; j++)
			if (d->part[i].outcome[j].exit == EX_OK ||
			    d->part[i].outcome[j].stage != STAGE_CONNECT)
				return;
	list_add(&plan->run->dead, d->key);
}

/* Puts the destinations that are left alone behind the others; gives how
 * many are to be served. */
static size_t bury_dead(struct plan *plan)
{
	struct destination swap;
	size_t i, live = plan->n;

	for (i = 0; i < live;) {
		if (!is_dead(plan, &plan->d[i])) {
			i++;
			continue;
		}
		live--;
		swap = plan->d[i];
		plan->d[i] = plan->d[live];
		plan->d[live] = swap;
	}
	return live;
}

static void serve_all(struct plan *plan)
{
	size_t live = bury_dead(plan), i;

	fetch_secrets(plan, live);
	if (live == 1 && !plan->run->many) {
		struct share all = { plan->d, 0, plan->d->n };

		serve(plan->run, &all, NULL);
	} else if (live) {
		serve_in_workers(plan->run, plan->d, live);
	}
	for (i = 0; i < live; i++)
		note_dead(plan, &plan->d[i]);
}

void deliver(struct run *run, struct job *jobs, size_t n)
{
	struct plan plan = { .run = run, .job = jobs, .jobs = n };
	size_t i, j;

	plan.turn = mem_alloc(n * sizeof(*plan.turn));
	for (i = 0; i < n; i++)
		plan.turn[i] = mem_alloc(jobs[i].envelope->n *
					 sizeof(**plan.turn));
	for (group(&plan); plan.n; group(&plan)) {
		serve_all(&plan);
		for (i = 0; i < plan.n; i++)
			for (j = 0; j < plan.d[i].n; j++)
				settle_part(&plan, &plan.d[i],
					    &plan.d[i].part[j]);
		clear(&plan);
	}
	for (i = 0; i < n; i++)
		free(plan.turn[i]);
	free(plan.turn);
}
