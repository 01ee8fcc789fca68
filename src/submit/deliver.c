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

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mail/address.h"
#include "policy/policy.h"
#include "submit/deliver_parts.h"

/* How long a destination that did not answer is left alone by a run that
 * goes on and on. */
enum { ALONE_MS = 10 * 60 * 1000, ALONE_MOST = 16 * 1024 };

/* So many destinations are looked at, at least, for who is next; the next
 * look begins where this one ended. */
enum { LOOK_MOST = 256 };

/* What a part of a weight has at most; and any part, so that others get their
 * turn between two of a job's. */
static const struct {
	size_t recipients;
	int64_t size;
} weights[HEAVY] = {
	[LIGHT] = { 100, 1024 * 1024 },
	[MEDIUM] = { 1000, 16 * 1024 * 1024 },
};

enum { PART_MOST = 2000 };

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
	size_t rank[WEIGHTS];     /* while a share is composed */
	struct user *next;
};

struct dispatcher {
	struct run *run;
	/* all of them: with anything to do, or left alone */
	struct destination *table[TABLE_SIZE];
	struct destination **d;   /* those with parts that wait or run */
	size_t n, next;
	size_t alone;
	struct user *user;
	struct worker **w;
	size_t workers;
	size_t waiting;           /* parts */
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

static void destination_busy(struct dispatcher *x, struct destination *d)
{
	if (d->busy)
		return;
	x->d = mem_grow(x->d, x->n, sizeof(*x->d));
	d->busy = true;
	d->at = x->n;
	x->d[x->n++] = d;
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
		destination_busy(x, d);
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
	destination_busy(x, d);
	return d;
}

static void destination_free(struct dispatcher *x, struct destination *d)
{
	struct destination **at = &x->table[hash_of(d->key)];

	while (*at != d)
		at = &(*at)->link;
	*at = d->link;
	free(d->key);
	free(d->domain);
	free(d->part);
	free(d);
}

/* After the last of its parts has gone, and its last worker. */
static void destination_rest(struct dispatcher *x, struct destination *d)
{
	if (!d->busy || d->n || d->running)
		return;
	d->busy = false;
	x->d[d->at] = x->d[--x->n];
	x->d[d->at]->at = d->at;
	if (!d->left_alone)
		destination_free(x, d);
}

/* --- parts --- */

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

static struct part part_take(struct dispatcher *x, struct destination *d)
{
	x->waiting--;
	return d->part[--d->n];
}

/* The part of a job that is being taken up comes last. */
static struct part *part_for(struct dispatcher *x, struct destination *d,
			     struct job *job)
{
	struct part fresh = { .job = job };

	if (!d->n || d->part[d->n - 1].job != job ||
	    d->part[d->n - 1].n == PART_MOST) {
		part_give(d, &fresh);
		x->waiting++;
		job->parts++;
	}
	return &d->part[d->n - 1];
}

static void assign(struct dispatcher *x, struct job *job,
		   struct recipient *r)
{
	part_add(part_for(x, destination_for(x, job, r), job), r);
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

/* Destinations that did not answer are left alone for the rest of the run,
 * at no cost to the attempts of whoever would go there: unless the next
 * attempt goes another way. */
static bool destination_left_alone(struct dispatcher *x, struct destination *d)
{
	struct outcome why;

	if (!d->left_alone || !d->n)
		return false;
	if (clock_now() > d->left_alone) {
		d->left_alone = 0;
		x->alone--;
		return false;
	}
	outcome_fail(&why, STAGE_CONNECT, EX_TEMPFAIL, "left alone: it did "
		     "not answer earlier in this run");
	while (d->n) {
		struct part p = part_take(x, d);
		const struct recipient *r = p.to[0].rcpt;

		why.no_network = !other_way(x, p.job, r, r->attempts + 1, d);
		if (why.no_network)
			part_pass_over(x->run, &p, &why);
		else
			part_fail(x->run, &p, &why);
		part_settle(x, d, &p);
	}
	destination_rest(x, d);
	return true;
}

/* share is what a worker just did of d. */
static void leave_alone(struct dispatcher *x, struct destination *d,
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
	if (!n || x->alone == ALONE_MOST || d->left_alone)
		return;
	d->left_alone = clock_in(ALONE_MS);
	x->alone++;
}

/* --- the share of a worker --- */

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
	size_t most = (size_t)run->config->queue.connections, held = 0;
	enum weight w;

	if (d->running >= most)
		return false;
	for (w = weight; w < WEIGHTS; w++)
		held += d->heavy[w];
	return held + (size_t)weight < most || !held;
}

/* How many of n that may start one of the workers that there may still be
 * gets. */
static size_t share_size(const struct run *run, const struct destination *d,
			 size_t n)
{
	size_t most = (size_t)run->config->queue.connections - d->running;
	size_t workers = (n + MESSAGES_A_CONNECTION - 1) /
			 MESSAGES_A_CONNECTION;

	workers = workers > most ? most : workers;
	return (n + workers - 1) / workers;
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

/* All of a weight, or one that is not light. */
static void share_compose(struct dispatcher *x, struct destination *d,
			  struct worker *w)
{
	struct place *order = mem_alloc(d->n * sizeof(*order));
	size_t able = share_order(x, d, order), i;
	size_t size = share_size(x->run, d, able);
	struct destination rest = { .part = NULL };

	w->of = d;
	w->d = *d;
	w->d.part = NULL;
	w->d.n = w->d.room = 0;
	w->weight = part_weight(&d->part[order[0].at]);
	for (i = 0; i < d->n; i++) {
		struct part *p = &d->part[order[i].at];
		bool now = !i || (w->d.n < size && w->weight == LIGHT &&
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
	destination_rest(x, w->of);
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

/* The best claim of what may start there. False: there is none. */
static bool best_claim(const struct run *run, const struct destination *d,
		       struct claim *best)
{
	bool able[WEIGHTS], found = false;
	struct claim other;
	enum weight w;
	size_t i;

	for (w = LIGHT; w < WEIGHTS; w++)
		able[w] = weight_able(run, d, w);
	for (i = 0; able[LIGHT] && i < d->n; i++) {
		if (!able[part_weight(&d->part[i])])
			continue;
		other = claim_of(d->part[i].job);
		if (!found || policy_claim_before(&other, best))
			*best = other;
		found = true;
	}
	return found;
}

/* What was chosen so far, and what it was last looked at for. */
struct choice {
	struct destination *d;
	struct claim claim;
	const struct job *alone;
};

static void consider(const struct run *run, struct choice *c,
		     struct destination *d)
{
	struct claim claim;

	/* a job's destinations are many, and claim alike */
	if (d->n == 1 && d->part[0].job == c->alone)
		return;
	if (!best_claim(run, d, &claim))
		return;
	if (d->n == 1)
		c->alone = d->part[0].job;
	if (c->d && !policy_claim_before(&claim, &c->claim))
		return;
	c->d = d;
	c->claim = claim;
}

/* The destination to start next; open: a place is free, else only one that
 * has a place already. */
static struct destination *choose(struct dispatcher *x, bool open,
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

/* The lightest of what waits there in vain: of a user who has nothing under
 * way, for a while. WEIGHTS: there is none. */
static enum weight waits_in_vain(const struct dispatcher *x,
				 const struct destination *d, int64_t now)
{
	enum weight lightest = WEIGHTS, w;
	size_t i;

	for (i = 0; i < d->n; i++) {
		const struct job *job = d->part[i].job;

		if (job->user->running || now - job->since <= PATIENCE_MS)
			continue;
		w = part_weight(&d->part[i]);
		if (w < lightest && !weight_able(x->run, d, w))
			lightest = w;
	}
	return lightest;
}

/* Where a destination's connections work for others, one of them stops after
 * the message in hand and hands back what it has not begun. */
static void make_way_within(struct dispatcher *x, struct destination *d,
			    int64_t now)
{
	bool full = d->running >= (size_t)x->run->config->queue.connections;
	enum weight weight = waits_in_vain(x, d, now);
	struct worker *oldest = NULL;
	size_t i;

	for (i = 0; weight < WEIGHTS && i < x->workers; i++) {
		struct worker *w = x->w[i];

		if (w->of != d || (!full && w->weight < weight))
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
	for (i = 0; i < x->workers; i++)
		if (x->w[i]->of->n)
			make_way_within(x, x->w[i]->of, now);
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
	x->waiting++;
}

static void worker_done(struct dispatcher *x, size_t at)
{
	struct worker *w = x->w[at];
	size_t i;

	x->w[at] = x->w[--x->workers];
	count(w, false);
	leave_alone(x, w->of, &w->d);
	for (i = 0; i < w->d.n; i++) {
		if (w->d.part[i].untried)
			take_back(x, w, &w->d.part[i]);
		else
			part_settle(x, w->of, &w->d.part[i]);
	}
	destination_rest(x, w->of);
	worker_free(w);
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
	if (!x->stopping)
		start_all(x);
	enforce(x);
	if (x->done)
		ms = 0;
	else if ((x->stopping || x->waiting) && ms > 1000)
		ms = 1000;
	listen_to_all(x, fd, ms);
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
	destination_secrets(x, d);
	parts_open(&own);
	serve(x->run, &all, NULL);
	leave_alone(x, d, &own);
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
