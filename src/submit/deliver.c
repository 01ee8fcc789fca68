/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Recipients to destinations, and what came of it: whoever failed for now and
 * would go another way at the next attempt makes that attempt at once.
 *
 * Workers: who is next, how many at once, and what is done about those that
 * stand still. A place is a destination that is being worked on, and there
 * are [queue] concurrency of them. Whoever holds one without an end for a
 * while (a server that says nothing) no longer counts, so that others come in;
 * where too many stand still, the oldest is ended for the sake of those that
 * wait.
 */
#include "submit/deliver.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mail/address.h"
#include "policy/policy.h"
#include "submit/deliver_parts.h"

/* How long a destination that did not answer is left alone by a run that
 * goes on and on. */
enum { DEAD_MS = 10 * 60 * 1000, DEAD_MOST = 16 * 1024 };

enum {
	MESSAGES_A_CONNECTION = 50,   /* that justify one of their own */
	PLACE_MS = 10 * 1000,         /* that a worker counts */
	PATIENCE_MS = 5 * 1000,       /* of what cannot start */
	STILL_MS = 30 * 1000,         /* before a worker may be ended */
	WORKERS_A_PLACE = 4,          /* at most, with those that stand still */
	KILL_MS = 5 * 1000
};

enum { TABLE_SIZE = 4099 };

/* Whose jobs are here. */
struct user {
	uid_t uid;
	size_t jobs;
	size_t running;           /* parts in workers' hands */
	size_t rank;              /* while a share is composed */
	struct user *next;
};

/* A destination that did not answer. */
struct dead {
	char *key;
	int64_t until;            /* monotonic ms */
};

struct dispatcher {
	struct run *run;
	struct destination *table[TABLE_SIZE];
	struct destination **d;
	size_t n;
	struct user *user;
	struct worker **w;
	size_t workers;
	struct dead *dead;
	size_t deads;
	struct job *done, **done_end;
	size_t jobs;
	bool stopping;
	int64_t deadline;         /* of stopping */
	bool lacked;
};

/* --- users --- */

static void user_enter(struct dispatcher *x, struct job *job)
{
	struct user *u = x->user;

	while (u && u->uid != job->uid)
		u = u->next;
	if (!u) {
		u = mem_alloc(sizeof(*u));
		u->uid = job->uid;
		u->next = x->user;
		x->user = u;
	}
	u->jobs++;
	job->user = u;
}

static void user_leave(struct dispatcher *x, struct job *job)
{
	struct user **at = &x->user, *u = job->user;

	if (--u->jobs)
		return;
	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	free(u);
}

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

static void destination_free(struct dispatcher *x, size_t i)
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

static void part_give(struct destination *d, const struct part *p)
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

/* A part that was served, or handed back for good: its job moves on. */
static void part_settle(struct dispatcher *x, const struct destination *d,
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
static bool destination_left_alone(struct dispatcher *x, struct destination *d)
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
static void note_dead(struct dispatcher *x, const struct destination *d,
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

/* --- the share of a worker --- */

struct place {
	bool late;
	size_t rank, at;
};

static int place_order(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->late != y->late)
		return x->late ? 1 : -1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->at < y->at ? -1 : 1;
}

/* How many of what waits one of the workers that it may still have gets. */
static size_t share_size(const struct run *run, const struct destination *d)
{
	size_t most = (size_t)run->config->queue.connections - d->running;
	size_t n = (d->n + MESSAGES_A_CONNECTION - 1) / MESSAGES_A_CONNECTION;

	n = n > most ? most : n;
	return (d->n + n - 1) / n;
}

/* Users take turns, what was cut off before comes last. */
static void share_compose(struct dispatcher *x, struct destination *d,
			  struct worker *w)
{
	size_t size = share_size(x->run, d), i;
	struct place *order = mem_alloc(d->n * sizeof(*order));
	struct destination rest = { .part = NULL };
	struct user *u;

	for (u = x->user; u; u = u->next)
		u->rank = 0;
	for (i = 0; i < d->n; i++)
		order[i] = (struct place){ d->part[i].job->late,
			d->part[i].job->user->rank++, i };
	qsort(order, d->n, sizeof(*order), place_order);
	w->of = d;
	w->d = *d;
	w->d.part = NULL;
	w->d.n = w->d.room = 0;
	for (i = 0; i < d->n; i++)
		part_give(i < size ? &w->d : &rest, &d->part[order[i].at]);
	w->uid = w->d.part[0].job->uid;
	free(order);
	free(d->part);
	d->part = rest.part;
	d->n = rest.n;
	d->room = rest.room;
}

/* A command may ask for a passphrase, and forked workers must not ask
 * again. One that cannot be had fails again, with its words, where it is
 * used. */
static void destination_secrets(struct dispatcher *x, const struct destination *d)
{
	const struct secret *secret;
	struct outcome ignored;
	size_t i;

	for (i = 0; d->way[i]; i++)
		if (!secrets_get(x->run->secrets, d->way[i], &secret,
				 &ignored))
			continue;
}

static void count(struct worker *w, bool more)
{
	size_t i;

	w->of->running += more ? 1 : (size_t)-1;
	for (i = 0; i < w->d.n; i++) {
		w->d.part[i].job->running += more ? 1 : (size_t)-1;
		w->d.part[i].job->user->running += more ? 1 : (size_t)-1;
	}
}

static void worker_free(struct worker *w)
{
	free(w->d.part);
	free(w);
}

/* What could not even be begun is an outcome like any other. */
static void share_fail(struct dispatcher *x, struct worker *w,
		       const struct outcome *why)
{
	size_t i;

	x->lacked = true;
	for (i = 0; i < w->d.n; i++) {
		part_fail(x->run, &w->d.part[i], why);
		part_settle(x, w->of, &w->d.part[i]);
	}
	worker_free(w);
}

static void start(struct dispatcher *x, struct destination *d)
{
	struct worker *w = mem_alloc(sizeof(*w));
	struct outcome why;

	destination_secrets(x, d);
	share_compose(x, d, w);
	if (!worker_start(w, x->run, &why)) {
		share_fail(x, w, &why);
		return;
	}
	count(w, true);
	x->w = mem_resize(x->w, x->workers + 1, sizeof(*x->w));
	x->w[x->workers++] = w;
}

/* --- who is next --- */

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

static struct claim claim_of(const struct job *job)
{
	return (struct claim){
		.late = job->late, .user = job->user->running,
		.entry = job->running, .since = job->since,
	};
}

static struct claim best_claim(const struct destination *d)
{
	struct claim best = claim_of(d->part[0].job), other;
	size_t i;

	for (i = 1; i < d->n; i++) {
		other = claim_of(d->part[i].job);
		if (policy_claim_before(&other, &best))
			best = other;
	}
	return best;
}

/* The destination to start next; open: a place is free, else only one that
 * has a place already. */
static struct destination *choose(struct dispatcher *x, bool open,
				  struct claim *best)
{
	size_t most = (size_t)x->run->config->queue.connections, i;
	struct destination *chosen = NULL, *d;
	const struct job *alone = NULL;
	struct claim claim;

	for (i = 0; i < x->n; i++) {
		d = x->d[i];
		if (!d->n || d->running >= most || (!open && !d->running))
			continue;
		/* a job's destinations are many, and claim alike */
		if (d->n == 1 && d->part[0].job == alone)
			continue;
		if (d->n == 1)
			alone = d->part[0].job;
		claim = best_claim(d);
		if (chosen && !policy_claim_before(&claim, best))
			continue;
		chosen = d;
		*best = claim;
	}
	return chosen;
}

static size_t workers_most(const struct dispatcher *x)
{
	return WORKERS_A_PLACE * (size_t)x->run->config->queue.concurrency;
}

static void start_all(struct dispatcher *x)
{
	size_t places = (size_t)x->run->config->queue.concurrency;
	struct destination *d;
	struct claim claim;

	while (x->workers < workers_most(x) + places) {
		bool open = x->workers < workers_most(x) &&
			    places_taken(x, clock_now()) < places;

		d = choose(x, open, &claim);
		if (!d)
			return;
		if (!destination_left_alone(x, d))
			start(x, d);
	}
}

/* --- those that stand in the way --- */

/* Where all of a destination's connections work for others, one of them
 * stops after the message in hand and hands back what it has not begun. */
static void make_way_within(struct dispatcher *x, struct destination *d,
			    int64_t now)
{
	struct worker *oldest = NULL;
	size_t i;

	for (i = 0; i < d->n; i++)
		if (!d->part[i].job->user->running &&
		    now - d->part[i].job->since > PATIENCE_MS)
			break;
	if (i == d->n)
		return;
	for (i = 0; i < x->workers; i++) {
		if (x->w[i]->of != d)
			continue;
		if (x->w[i]->asked)
			return;
		if (!oldest || x->w[i]->since < oldest->since)
			oldest = x->w[i];
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

	if (x->workers < workers_most(x) || !choose(x, true, &claim) ||
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

static void enforce(struct dispatcher *x)
{
	int64_t now = clock_now();
	size_t i;

	if (x->stopping && now > x->deadline) {
		for (i = 0; i < x->workers; i++)
			worker_end(x->w[i]);
		x->deadline = now + KILL_MS;
	}
	for (i = 0; i < x->n; i++)
		if (x->d[i]->n && x->d[i]->running)
			make_way_within(x, x->d[i], now);
	make_way(x, now);
}

/* --- the loop --- */

/* What a worker hands back waits again; what it was ended for comes last. */
static void take_back(struct dispatcher *x, struct worker *w, struct part *p)
{
	p->job->since = clock_now();
	p->job->late = p->job->late || w->ended;
	if (x->stopping) {
		part_settle(x, w->of, p);
		return;
	}
	p->untried = false;
	part_give(w->of, p);
}

static void worker_done(struct dispatcher *x, size_t at)
{
	struct worker *w = x->w[at];
	size_t i;

	x->w[at] = x->w[--x->workers];
	count(w, false);
	note_dead(x, w->of, &w->d);
	for (i = 0; i < w->d.n; i++) {
		if (w->d.part[i].untried)
			take_back(x, w, &w->d.part[i]);
		else
			part_settle(x, w->of, &w->d.part[i]);
	}
	worker_free(w);
}

static bool anything_waits(const struct dispatcher *x)
{
	size_t i;

	for (i = 0; i < x->n; i++)
		if (x->d[i]->n)
			return true;
	return false;
}

/* Only those that run: poll(2) takes no more than there may be descriptors,
 * and there may be far more destinations. */
static void listen_to_all(struct dispatcher *x, int fd, int64_t ms)
{
	struct pollfd *p = mem_alloc((x->workers + 1) * sizeof(*p));
	size_t i;

	for (i = 0; i < x->workers; i++)
		p[i] = (struct pollfd){ x->w[i]->fd, POLLIN, 0 };
	p[i] = (struct pollfd){ fd, POLLIN, 0 };
	/* downwards: a worker that is done is replaced by the last one */
	if (poll(p, i + 1, (int)ms) > 0)
		while (i--)
			if (p[i].revents && !worker_hear(x->w[i], x->run))
				worker_done(x, i);
	free(p);
}

void dispatcher_wait(struct dispatcher *x, int fd, int64_t ms)
{
	size_t i;

	if (!x->stopping)
		start_all(x);
	enforce(x);
	if (x->done)
		ms = 0;
	else if ((x->stopping || anything_waits(x)) && ms > 1000)
		ms = 1000;
	listen_to_all(x, fd, ms);
	for (i = x->n; i--;)
		if (!x->d[i]->n && !x->d[i]->running)
			destination_free(x, i);
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
	for (i = 0; i < x->n; i++) {
		while (x->d[i]->n) {
			struct part p = x->d[i]->part[--x->d[i]->n];

			p.untried = true;
			part_settle(x, x->d[i], &p);
		}
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
	while (x->n)
		destination_free(x, x->n - 1);
	while (x->deads)
		free(x->dead[--x->deads].key);
	free(x->dead);
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
