/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Workers: who is next, how many at once, and what is done about those that
 * stand still. A place is a destination that is being worked on, and there
 * are [queue] concurrency of them. Whoever holds one without an end for a
 * while (a server that says nothing) no longer counts, so that others come in;
 * where too many stand still, the oldest is ended for the sake of those that
 * wait.
 */
#include "submit/deliver.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/kernel.h"
#include "policy/policy.h"
#include "submit/destination.h"
#include "submit/serve.h"
#include "submit/worker.h"

/* So many destinations are looked at, at least, for who is next; the next
 * look begins where this one ended. */
enum { LOOK_MOST = 256 };

/* What a part of a weight has at most. */
static const struct {
	size_t recipients;
	int64_t size;
} weights[HEAVY] = {
	[LIGHT] = { 100, 1024 * 1024 },
	[MEDIUM] = { 1000, 16 * 1024 * 1024 },
};

enum {
	MESSAGES_A_CONNECTION = 50,   /* that justify one of their own */
	PLACE_MS = 10 * 1000,         /* that a worker counts */
	PATIENCE_MS = 5 * 1000,       /* of what cannot start */
	STILL_MS = 30 * 1000,         /* before a worker may be ended */
	WORKERS_A_PLACE = 4,          /* at most, with those that stand still */
	KILL_MS = 5 * 1000
};

/* --- the share of a worker --- */

static enum weight part_weight(const struct part *p)
{
	const int64_t size = p->job->message ? message_size(p->job->message) :
					       0;
	enum weight w = LIGHT;

	while (w < HEAVY && (p->n > weights[w].recipients ||
			     size > weights[w].size))
		w++;
	return w;
}

struct place {
	bool able;                /* to start now */
	bool late;
	size_t turn;              /* its number among its job's */
	size_t rank;              /* among its user's of that weight, job by
				   * job in turns */
	size_t at;
};

static int turn_order(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->turn != y->turn)
		return x->turn < y->turn ? -1 : 1;
	return x->at < y->at ? -1 : 1;
}

static int place_order(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->able != y->able)
		return x->able ? -1 : 1;
	if (x->late != y->late)
		return x->late ? 1 : -1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return turn_order(a, b);
}

/* Whether a connection is left for something of this weight: each weight
 * leaves one for those below it, where there are so many. */
static bool weight_able(const struct run *run, const struct destination *d,
			enum weight weight)
{
	/* one that asked for less has one */
	size_t most = d->pace.step ? 1 :
		      (size_t)run->config->queue.connections, held = 0;
	enum weight w;

	if (d->running >= most)
		return false;
	for (w = weight; w < WEIGHTS; w++)
		held += d->heavy[w];
	return held + (size_t)weight < most || !held;
}

/* Where each part that waits stands: users take turns, what is heavy and what
 * is not of each of them, and his entries; what was cut off before comes last.
 * Gives how many may start. */
static size_t share_order(struct dispatcher *x, const struct destination *d,
			  struct place *order)
{
	size_t i, able = 0;
	struct user *u;

	for (u = x->user; u; u = u->next)
		memset(u->rank, 0, sizeof(u->rank));
	for (i = 0; i < d->n; i++)
		d->part[i].job->turn = 0;
	for (i = 0; i < d->n; i++)
		order[i] = (struct place){ .late = d->part[i].job->late,
			.turn = d->part[i].job->turn++, .at = i };
	qsort(order, d->n, sizeof(*order), turn_order);
	for (i = 0; i < d->n; i++) {
		const struct part *p = &d->part[order[i].at];
		enum weight w = part_weight(p);

		order[i].able = weight_able(x->run, d, w);
		order[i].rank = p->job->user->rank[w]++;
		able += order[i].able;
	}
	qsort(order, d->n, sizeof(*order), place_order);
	return able;
}

/* All of a weight, or one that is not light; of those that may start as many
 * as one of the workers gets that there may still be. */
static void share_compose(struct dispatcher *x, struct destination *d,
			  struct worker *w)
{
	struct place *order = mem_alloc(d->n * sizeof(*order));
	size_t able = share_order(x, d, order), i;
	size_t most = d->pace.step ? 1 :
		      (size_t)x->run->config->queue.connections - d->running;
	size_t workers = (able + MESSAGES_A_CONNECTION - 1) /
			 MESSAGES_A_CONNECTION, share;
	struct destination rest = { .part = NULL };

	workers = workers > most ? most : workers;
	share = workers ? (able + workers - 1) / workers : 1;
	w->of = d;
	w->d = *d;
	w->d.part = NULL;
	w->d.n = w->d.room = 0;
	w->weight = part_weight(&d->part[order[0].at]);
	for (i = 0; i < d->n; i++) {
		struct part *p = &d->part[order[i].at];
		bool now = !i || (w->d.n < share && w->weight == LIGHT &&
				  part_weight(p) == LIGHT);

		part_give(now ? &w->d : &rest, p);
	}
	x->waiting -= w->d.n;
	free(order);
	free(d->part);
	d->part = rest.part;
	d->n = rest.n;
	d->room = rest.room;
}

/* A command may ask for a passphrase, before anything is dialled; forked
 * workers must not ask again. One that cannot be had fails again, with its
 * words, where it is used. */
static void fetch_secret(struct dispatcher *x, const struct transport *t)
{
	const struct secret *secret;
	struct outcome ignored;

	(void)!secrets_get(x->run->secrets, t, &secret, &ignored);
}

static void count(struct worker *w, bool more)
{
	size_t i;

	w->of->running += more ? 1 : (size_t)-1;
	w->of->heavy[w->weight] += more ? 1 : (size_t)-1;
	for (i = 0; i < w->d.n; i++) {
		w->d.part[i].job->running += more ? 1 : (size_t)-1;
		w->d.part[i].job->user->running += more ? 1 : (size_t)-1;
	}
}

static void worker_free(struct worker *w)
{
	buf_release(&w->in);
	free(w->d.part);
	free(w);
}

static void start_worker(struct dispatcher *x, struct destination *d)
{
	struct worker *w = mem_alloc(sizeof(*w));
	struct outcome why;
	size_t i;

	for (i = 0; d->way[i]; i++)
		fetch_secret(x, d->way[i]);
	share_compose(x, d, w);
	if (worker_start(w, x->run, &why)) {
		count(w, true);
		x->w = mem_resize(x->w, x->workers + 1, sizeof(*x->w));
		x->w[x->workers++] = w;
		return;
	}
	/* what could not even be begun is an outcome like any other */
	x->lacked = true;
	for (i = 0; i < w->d.n; i++) {
		part_fail(x->run, &w->d.part[i], &why);
		part_settle(x, w->of, &w->d.part[i]);
	}
	destination_rest(x, w->of);
	worker_free(w);
}

/* --- who is next --- */

/* What was chosen so far, and what it was last looked at for. */
struct choice {
	struct destination *d;
	struct claim claim;
	const struct job *alone;
};

/* The best claim of what may start there, if it is better. */
static void consider(const struct run *run, struct choice *c,
		     struct destination *d)
{
	bool able[WEIGHTS], found = false;
	struct claim best, other;
	const struct job *job;
	enum weight w;
	size_t i;

	/* a job's destinations are many, and claim alike */
	if (d->waits || (d->pace.until && clock_now() < d->pace.until))
		return;
	if (d->n == 1 && d->part[0].job == c->alone)
		return;
	for (w = LIGHT; w < WEIGHTS; w++)
		able[w] = weight_able(run, d, w);
	for (i = 0; able[LIGHT] && i < d->n; i++) {
		if (!able[part_weight(&d->part[i])])
			continue;
		job = d->part[i].job;
		other = (struct claim){
			.late = job->late, .user = job->user->running,
			.entry = job->running, .since = job->since,
		};
		if (!found || policy_claim_before(&other, &best))
			best = other;
		found = true;
	}
	if (found && d->n == 1)
		c->alone = d->part[0].job;
	if (found && (!c->d || policy_claim_before(&best, &c->claim))) {
		c->d = d;
		c->claim = best;
	}
}

/* The destination to start next; open: a place is free, else only one that
 * has a place already. */
static struct destination *choose_next(struct dispatcher *x, bool open,
				       struct claim *best)
{
	struct choice c = { 0 };
	size_t i;

	for (i = 0; !open && i < x->workers; i++)
		consider(x->run, &c, x->w[i]->of);
	for (i = 0; open && i < x->n && (i < LOOK_MOST || !c.d); i++) {
		if (x->next >= x->n)
			x->next = 0;
		consider(x->run, &c, x->d[x->next++]);
	}
	*best = c.claim;
	return c.d;
}

static size_t workers_most(const struct dispatcher *x)
{
	return WORKERS_A_PLACE * (size_t)x->run->config->queue.concurrency;
}

static size_t places_taken(const struct dispatcher *x, int64_t now)
{
	size_t i, j, n = 0;

	for (i = 0; i < x->workers; i++) {
		if (now - x->w[i]->since > PLACE_MS)
			continue;
		for (j = 0; j < i && (x->w[j]->of != x->w[i]->of ||
				      now - x->w[j]->since > PLACE_MS); j++)
			continue;
		n += j == i;
	}
	return n;
}

static void start_all(struct dispatcher *x)
{
	size_t places = (size_t)x->run->config->queue.concurrency, i;
	struct destination *d;
	struct claim claim;

	for (i = 0; x->told && i < x->n; i++)
		x->d[i]->waits = false;
	x->told = false;
	while (x->workers < workers_most(x) + places) {
		bool open = x->workers < workers_most(x) &&
			    places_taken(x, clock_now()) < places;

		d = choose_next(x, open, &claim);
		if (!d)
			return;
		if (destination_left_alone(x, d) || destination_put_off(x, d))
			continue;
		/* all that it takes to speak to its transports is asked for,
		 * and has to be here */
		d->waits = false;
		for (i = 0; d->way[i]; i++)
			if (!secrets_ready(x->run->secrets, d->way[i]))
				d->waits = true;
		if (!d->waits)
			start_worker(x, d);
	}
}

/* --- those that stand in the way --- */

/* Where a destination's connections work for others while a user who has
 * nothing under way waits in vain, one of them stops after the message in hand
 * and hands back what it has not begun; it has what weighs as much as the
 * lightest of what waits, where that alone is in the way. */
static void make_way_within(struct dispatcher *x, struct destination *d,
			    int64_t now)
{
	bool full = d->running >= (size_t)x->run->config->queue.connections;
	enum weight lightest = WEIGHTS, weight;
	struct worker *oldest = NULL, *w;
	size_t i;

	for (i = 0; i < d->n; i++) {
		const struct job *job = d->part[i].job;

		if (job->user->running || now - job->since <= PATIENCE_MS)
			continue;
		weight = part_weight(&d->part[i]);
		if (weight < lightest && !weight_able(x->run, d, weight))
			lightest = weight;
	}
	for (i = 0; lightest < WEIGHTS && i < x->workers; i++) {
		w = x->w[i];
		if (w->of != d || (!full && w->weight < lightest))
			continue;
		if (w->asked)
			return;
		if (!oldest || w->since < oldest->since)
			oldest = w;
	}
	if (oldest)
		worker_ask(oldest);
}

/* All the places, and as many again, are held by what stands still. */
static void make_way(struct dispatcher *x, int64_t now)
{
	struct worker *victim = NULL;
	struct claim claim;
	size_t i;

	if (x->workers < workers_most(x) || !choose_next(x, true, &claim) ||
	    claim.late || now - claim.since < PATIENCE_MS)
		return;
	for (i = 0; i < x->workers; i++) {
		if (x->w[i]->ended)
			return;
		if (now - x->w[i]->since > STILL_MS &&
		    (!victim || x->w[i]->since < victim->since))
			victim = x->w[i];
	}
	if (victim)
		worker_end(victim);
}

/* --- the loop --- */

/* What it hands back waits again; what it was ended for comes last. */
static void worker_done(struct dispatcher *x, size_t at)
{
	struct worker *w = x->w[at];
	struct part *p;

	x->w[at] = x->w[--x->workers];
	count(w, false);
	destination_pace(x, w->of, &w->d);
	destination_leave_alone(x, w->of, &w->d);
	for (p = w->d.part; p < w->d.part + w->d.n; p++) {
		if (p->untried) {
			p->job->since = clock_now();
			p->job->late = p->job->late || w->ended;
		}
		if (!p->untried || x->stopping) {
			part_settle(x, w->of, p);
			continue;
		}
		p->untried = false;
		part_give(w->of, p);
		x->waiting++;
	}
	destination_rest(x, w->of);
	worker_free(w);
}

void dispatcher_wait(struct dispatcher *x, int fd, int64_t ms)
{
	struct pollfd *p;
	size_t i, j, pending;
	int64_t now;

	if (!x->stopping)
		start_all(x);
	now = clock_now();
	if (x->stopping && now > x->deadline) {
		for (i = 0; i < x->workers; i++)
			worker_end(x->w[i]);
		x->deadline = now + KILL_MS;
	}
	for (i = 0; i < x->workers; i++)
		if (x->w[i]->of->n)
			make_way_within(x, x->w[i]->of, now);
	make_way(x, now);
	if (x->done)
		ms = 0;
	else if ((x->stopping || x->waiting) && ms > 1000)
		ms = 1000;
	/* only those that run: poll(2) takes no more than there may be
	 * descriptors, and there may be far more destinations */
	pending = secrets_pending(x->run->secrets, NULL);
	p = mem_alloc((x->workers + 1 + pending) * sizeof(*p));
	for (i = 0; i < x->workers; i++)
		p[i] = (struct pollfd){ x->w[i]->fd, POLLIN, 0 };
	p[i] = (struct pollfd){ fd, POLLIN, 0 };
	secrets_pending(x->run->secrets, &p[i + 1]);
	/* downwards: a worker that is done is replaced by the last one */
	if (kernel_poll(p, i + 1 + pending, (int)ms) > 0) {
		for (j = 0; j < pending; j++)
			if (p[i + 1 + j].revents)
				x->told = true;
		while (i--)
			if (p[i].revents && !worker_hear(x->w[i], x->run))
				worker_done(x, i);
	}
	free(p);
}

void dispatcher_stop(struct dispatcher *x, int64_t ms)
{
	size_t i;

	if (x->stopping)
		return;
	x->stopping = true;
	x->deadline = clock_in(ms);
	for (i = 0; i < x->workers; i++)
		worker_ask(x->w[i]);
	/* downwards: one that has no more to do goes, the last one comes */
	for (i = x->n; i--;) {
		struct destination *d = x->d[i];

		while (d->n) {
			struct part p = part_take(x, d);

			p.untried = true;
			part_settle(x, d, &p);
		}
		destination_rest(x, d);
	}
}

struct dispatcher *dispatcher_new(struct run *run)
{
	struct dispatcher *x = mem_alloc(sizeof(*x));

	x->run = run;
	x->done_end = &x->done;
	return x;
}

void dispatcher_free(struct dispatcher *x)
{
	size_t i;

	for (i = 0; i < TABLE_SIZE; i++)
		while (x->table[i])
			destination_free(x, x->table[i]);
	while (x->limits)
		limited_release(&x->limited[--x->limits]);
	free(x->limited);
	free(x->d);
	free(x->w);
	free(x);
}

struct job *dispatcher_done(struct dispatcher *x)
{
	struct job *job = x->done;

	if (!job)
		return NULL;
	x->done = job->next;
	if (!x->done)
		x->done_end = &x->done;
	x->jobs--;
	return job;
}

size_t dispatcher_jobs(const struct dispatcher *x)
{
	return x->jobs;
}

bool dispatcher_lacked(const struct dispatcher *x)
{
	return x->lacked;
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
	x->waiting -= own.n;
	/* what another way takes, which may never be gone, is not asked for */
	fetch_secret(x, d->way[0]);
	parts_open(&own);
	serve(x->run, &all, NULL);
	destination_leave_alone(x, d, &own);
	for (i = 0; i < own.n; i++)
		part_settle(x, d, &own.part[i]);
	free(own.part);
	destination_rest(x, d);
}

void deliver(struct run *run, struct job *job)
{
	struct dispatcher *x = dispatcher_new(run);

	dispatcher_add(x, job);
	while (dispatcher_jobs(x)) {
		if (x->n != 1 || x->workers)
			dispatcher_wait(x, -1, 1000);
		else if (!destination_left_alone(x, x->d[0]))
			serve_here(x, x->d[0]);
		dispatcher_done(x);
	}
	dispatcher_free(x);
}
