/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Recipients to destinations, and what came of it: whoever failed for now and
 * would go another way at the next attempt makes that attempt at once.
 */
#include "submit/deliver.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mail/address.h"
#include "submit/deliver_dispatch.h"

/* How long a destination that did not answer is left alone by a run that
 * goes on and on. */
enum { DEAD_MS = 10 * 60 * 1000, DEAD_MOST = 16 * 1024 };

/* --- destinations --- */

static unsigned hash_of(const char *key)
{
	unsigned h = 5381;

	while (*key)
		h = 33 * h ^ (unsigned char)*key++;
	return h % TABLE_SIZE;
}

static const struct transport *const *way_of(const struct dispatcher *x,
					     const struct job *job,
					     const struct recipient *r,
					     unsigned attempts)
{
	return policy_transports(x->run->config, job->way, job->account,
				 job->envelope->sender, r->address, attempts,
				 NULL);
}

static bool ways_equal(const struct transport *const *a,
		       const struct transport *const *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* Mail that shares connections has the same key. */
static char *key_of(const struct envelope *e, const struct recipient *r,
		    const struct transport *const *way)
{
	struct buf key = BUF(64 * 1024);
	bool direct = false;

	for (; *way; way++) {
		buf_addf(&key, "%s ", (*way)->name);
		direct = direct || transport_is_direct(*way);
	}
	if (direct)
		buf_addf(&key, "@%s ", address_domain(r->address));
	if (e->tls_required_no)
		buf_adds(&key, "relaxed");
	if (e->require_tls)
		buf_adds(&key, "requiretls");
	return buf_take(&key);
}

static struct destination *destination_for(struct dispatcher *x,
					   const struct job *job,
					   const struct recipient *r)
{
	const struct envelope *e = job->envelope;
	const struct transport *const *way = way_of(x, job, r, r->attempts);
	char *key = key_of(e, r, way);
	struct destination **at = &x->table[hash_of(key)], *d;

	for (d = *at; d && strcmp(d->key, key) != 0; d = d->link)
		continue;
	if (d) {
		free(key);
		return d;
	}
	d = mem_alloc(sizeof(*d));
	*d = (struct destination){
		.key = key, .way = way, .link = *at, .alone = { way[0] },
		.domain = mem_string(address_domain(r->address)),
		.relaxed = e->tls_required_no,
		.require_tls = e->require_tls,
	};
	if (way == job->way) /* which goes before this does */
		d->way = d->alone;
	*at = d;
	x->d = mem_grow(x->d, x->n, sizeof(*x->d));
	x->d[x->n++] = d;
	return d;
}

void destination_free(struct dispatcher *x, size_t i)
{
	struct destination *d = x->d[i];
	struct destination **at = &x->table[hash_of(d->key)];

	while (*at != d)
		at = &(*at)->link;
	*at = d->link;
	x->d[i] = x->d[--x->n];
	free(d->key);
	free(d->domain);
	free(d->part);
	free(d);
}

/* --- parts --- */

void part_give(struct destination *d, const struct part *p)
{
	if (d->n == d->room) {
		d->room = d->room ? 2 * d->room : 1;
		d->part = mem_resize(d->part, d->room, sizeof(*d->part));
	}
	d->part[d->n++] = *p;
}

static void part_add(struct part *p, struct recipient *r)
{
	p->to = mem_grow(p->to, p->n, sizeof(*p->to));
	p->to[p->n++] = (struct attempt){ .rcpt = r, .before = r->attempts };
}

/* The part of a job that is being taken up comes last. */
static struct part *part_for(struct destination *d, struct job *job)
{
	struct part fresh = { .job = job };

	if (!d->n || d->part[d->n - 1].job != job) {
		part_give(d, &fresh);
		job->parts++;
	}
	return &d->part[d->n - 1];
}

static void assign(struct dispatcher *x, struct job *job,
		   struct recipient *r)
{
	part_add(part_for(destination_for(x, job, r), job), r);
}

static void job_done(struct dispatcher *x, struct job *job)
{
	user_leave(x, job);
	job->next = NULL;
	*x->done_end = job;
	x->done_end = &job->next;
}

/* --- what came of it --- */

/* The journal has set the facts of an entry's recipients already. */
static void settle_unjournaled(const struct run *run, struct recipient *r)
{
	if (r->earlier && !policy_replaces(r->earlier, &r->last))
		r->last = *r->earlier;
	r->state = policy_verdict(&r->last, run->queue);
	if (policy_is_attempt(&r->last))
		r->attempts++;
}

static bool other_way(const struct dispatcher *x, const struct job *job,
		      const struct recipient *r, unsigned attempts,
		      const struct destination *d)
{
	return !ways_equal(way_of(x, job, r, attempts), d->way);
}

/* Whether the attempt that would come next takes another way, so that
 * waiting for it has no sense. A try without any network counted as none. */
static bool goes_on(const struct dispatcher *x, const struct job *job,
		    const struct recipient *r, const struct destination *d)
{
	return d && !x->stopping && !(job->entry && job->entry->broken) &&
	       policy_goes_on(&r->last) &&
	       other_way(x, job, r, r->attempts, d);
}

/* What is used for a job whatever the routes say; an entry's own for one
 * attempt. A queued one may name a transport that is gone from the
 * configuration since. */
static bool find_override(const struct dispatcher *x, struct job *job,
			  struct outcome *why)
{
	const char *name = job->entry ? job->entry->transport : NULL;

	if (!name)
		name = job->envelope->transport;
	job->way[0] = x->run->transport[0];
	if (job->way[0] || !name)
		return true;
	job->way[0] = config_transport(x->run->config, name);
	return job->way[0] || outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
					   "there is no transport \"%s\"",
					   name);
}

void part_settle(struct dispatcher *x, const struct destination *d,
		 struct part *p)
{
	struct job *job = p->job;
	struct outcome why;
	size_t i;

	if (d && !find_override(x, job, &why))
		d = NULL;
	job->since = clock_now();
	for (i = 0; i < p->n && !p->untried; i++) {
		struct recipient *r = p->to[i].rcpt;

		if (!job->entry)
			settle_unjournaled(x->run, r);
		if (!goes_on(x, job, r, d))
			continue;
		/* without a queue a refusal of the session is final, unless
		 * there is another way */
		r->state = RCPT_PENDING;
		if (!job->entry && !r->earlier)
			r->earlier = mem_alloc(sizeof(*r->earlier));
		if (!job->entry)
			*r->earlier = r->last;
		assign(x, job, r);
	}
	part_release(p);
	if (!--job->parts)
		job_done(x, job);
}

/* --- taking up --- */

void dispatcher_add(struct dispatcher *x, struct job *job)
{
	struct part lost = { .job = job };
	struct recipient *r = job->envelope->rcpt;
	struct outcome why;
	bool known = find_override(x, job, &why);

	job->parts = job->running = 0;
	job->since = clock_now();
	user_enter(x, job);
	x->jobs++;
	for (; r < job->envelope->rcpt + job->envelope->n && !x->stopping; r++)
		if (r->state != RCPT_PENDING ||
		    (job->entry && job->entry->broken))
			continue;
		else if (known)
			assign(x, job, r);
		else
			part_add(&lost, r);
	if (lost.n) {
		job->parts++;
		part_fail(x->run, &lost, &why);
		part_settle(x, NULL, &lost);
	} else if (!job->parts) {
		job_done(x, job);
	}
}

/* --- destinations that are left alone --- */

static struct dead *dead_find(struct dispatcher *x, const char *key)
{
	size_t i;

	for (i = 0; i < x->deads; i++)
		if (!strcmp(x->dead[i].key, key))
			return &x->dead[i];
	return NULL;
}

/* Destinations that did not answer are left alone for the rest of the run,
 * at no cost to the attempts of whoever would go there: unless the next
 * attempt goes another way. */
bool destination_left_alone(struct dispatcher *x, struct destination *d)
{
	struct dead *dead = x->deads && d->n ? dead_find(x, d->key) : NULL;
	struct outcome why;

	if (!dead)
		return false;
	if (clock_now() > dead->until) {
		free(dead->key);
		*dead = x->dead[--x->deads];
		return false;
	}
	outcome_fail(&why, STAGE_CONNECT, EX_TEMPFAIL, "left alone: it did "
		     "not answer earlier in this run");
	while (d->n) {
		struct part p = d->part[--d->n];
		const struct recipient *r = p.to[0].rcpt;

		why.no_network = !other_way(x, p.job, r, r->attempts + 1, d);
		if (why.no_network)
			part_pass_over(x->run, &p, &why);
		else
			part_fail(x->run, &p, &why);
		part_settle(x, d, &p);
	}
	return true;
}

/* share is what a worker just did of d. */
void note_dead(struct dispatcher *x, const struct destination *d,
	       const struct destination *share)
{
	const struct outcome *o;
	size_t i, j, n = 0;

	for (i = 0; i < share->n; i++)
		for (j = 0; j < share->part[i].n; j++, n++) {
			o = &share->part[i].to[j].rcpt->last;
			if (share->part[i].untried || o->exit == EX_OK ||
			    o->stage != STAGE_CONNECT)
				return;
		}
	if (!n || x->deads == DEAD_MOST || dead_find(x, d->key))
		return;
	x->dead = mem_resize(x->dead, x->deads + 1, sizeof(*x->dead));
	x->dead[x->deads++] = (struct dead){
		mem_string(d->key), clock_in(DEAD_MS),
	};
}

/* --- one job, here and now --- */

/* A lone destination needs no process of its own. */
static void serve_here(struct dispatcher *x, struct destination *d)
{
	struct destination own = *d;
	struct share all = { &own, 0, own.n };
	size_t i;

	d->part = NULL;
	d->n = d->room = 0;
	destination_secrets(x, d);
	parts_open(&own);
	serve(x->run, &all, NULL);
	note_dead(x, d, &own);
	for (i = 0; i < own.n; i++)
		part_settle(x, d, &own.part[i]);
	free(own.part);
}

void deliver(struct run *run, struct job *job)
{
	struct dispatcher *x = dispatcher_new(run);
	size_t i, waiting;

	dispatcher_add(x, job);
	while (dispatcher_jobs(x)) {
		for (i = waiting = 0; i < x->n; i++)
			waiting += x->d[i]->n && !destination_left_alone(x,
								x->d[i]);
		for (i = 0; i < x->n && !x->d[i]->n; i++)
			continue;
		if (waiting == 1 && !x->workers && i < x->n)
			serve_here(x, x->d[i]);
		else if (waiting || x->workers)
			dispatcher_wait(x, -1, 1000);
		dispatcher_done(x);
	}
	dispatcher_free(x);
}
