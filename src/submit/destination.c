/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/destination.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "mail/address.h"
#include "policy/policy.h"
#include "submit/rate.h"

/* How long a destination that did not answer is left alone by a run that
 * goes on and on. */
enum { ALONE_MS = 10 * 60 * 1000, ALONE_MOST = 16 * 1024 };

/* The longest pause of one that asks for less; then it is left alone. */
enum { PAUSE_MOST = 20 * 1000 };

/* What a part has at most, so that others get their turn between two of a
 * job's. */
enum { PART_MOST = 2000 };

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

/* Whether that attempt takes another way than the destination's. */
static bool other_way(const struct dispatcher *x, const struct job *job,
		      const struct recipient *r, unsigned attempts,
		      const struct destination *d)
{
	const struct transport *const *a = way_of(x, job, r, attempts);
	const struct transport *const *b = d->way;

	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a != *b;
}

/* Mail that shares connections has the same key, and one destination. */
static struct destination *destination_for(struct dispatcher *x,
					   const struct job *job,
					   const struct recipient *r)
{
	const struct envelope *e = job->envelope;
	const struct transport *const *way = way_of(x, job, r, r->attempts);
	struct buf key = BUF(64 * 1024);
	struct destination **at, *d;
	bool direct = false;
	size_t i;

	for (i = 0; way[i]; i++) {
		buf_addf(&key, "%s ", way[i]->name);
		direct = direct || transport_is_direct(way[i]);
	}
	if (direct)
		buf_addf(&key, "@%s ", address_domain(r->address));
	if (e->tls_required_no)
		buf_adds(&key, "relaxed");
	if (e->require_tls)
		buf_adds(&key, "requiretls");
	at = &x->table[hash_of(buf_text(&key))];
	for (d = *at; d && strcmp(d->key, buf_text(&key)) != 0; d = d->link)
		continue;
	if (!d) {
		d = mem_alloc(sizeof(*d));
		*d = (struct destination){
			.key = buf_take(&key), .way = way, .link = *at,
			.alone = { way[0] },
			.domain = mem_string(address_domain(r->address)),
			.relaxed = e->tls_required_no,
			.require_tls = e->require_tls,
		};
		if (way == job->way) /* which goes before this does */
			d->way = d->alone;
		*at = d;
	}
	buf_release(&key);
	if (!d->busy) {
		x->d = mem_grow(x->d, x->n, sizeof(*x->d));
		d->busy = true;
		d->at = x->n;
		x->d[x->n++] = d;
	}
	return d;
}

void destination_free(struct dispatcher *x, struct destination *d)
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

void destination_rest(struct dispatcher *x, struct destination *d)
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

struct part part_take(struct dispatcher *x, struct destination *d)
{
	x->waiting--;
	return d->part[--d->n];
}

/* The part of a job that is being taken up comes last. */
static void assign(struct dispatcher *x, struct job *job,
		   struct recipient *r)
{
	struct destination *d = destination_for(x, job, r);
	struct part fresh = { .job = job };

	if (!d->n || d->part[d->n - 1].job != job ||
	    d->part[d->n - 1].n == PART_MOST) {
		part_give(d, &fresh);
		x->waiting++;
		job->parts++;
	}
	part_add(&d->part[d->n - 1], r);
}

/* --- jobs --- */

/* Its user leaves with his last one. */
static void job_done(struct dispatcher *x, struct job *job)
{
	struct user **at = &x->user, *u = job->user;

	if (!--u->jobs) {
		while (*at != u)
			at = &(*at)->next;
		*at = u->next;
		free(u);
	}
	job->next = NULL;
	*x->done_end = job;
	x->done_end = &job->next;
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

static void remember(struct recipient *r)
{
	if (!r->earlier)
		r->earlier = mem_alloc(sizeof(*r->earlier));
	*r->earlier = r->last;
	/* a turn that a rate gave was for that try */
	r->earlier->not_before = 0;
}

/* Which of both stands, with what the other says where that is to be mended.
 * Whether the last does not stand as it was. */
static bool settle_outcome(struct outcome *last, const struct outcome *earlier)
{
	struct outcome other = *earlier;
	char words[sizeof(other.host) + sizeof(other.text) + 64];
	const bool stands = policy_replaces(earlier, last);

	if (!stands) {
		other = *last;
		*last = *earlier;
	}
	if (!policy_needs_mending(&other) || !outcome_is_temporary(last))
		return !stands;
	outcome_words(&other, words, sizeof(words));
	outcome_append(last, "; %.250s", words);
	return true;
}

/* What is told of a recipient after one more try of a run. An entry's journal
 * has that try alone, if it counts, and gets both. */
static void settle_words(const struct part *p, struct attempt *a, bool counts)
{
	struct entry *e = p->job->entry;
	struct recipient *r = a->rcpt;
	struct outcome why;

	/* an entry's that is settled stays so, and whose turn comes by a rate
	 * was not tried */
	if (!r->earlier ||
	    (e && (r->state != RCPT_PENDING || r->last.not_before)))
		return;
	if (settle_outcome(&r->last, r->earlier) && e && counts &&
	    !entry_record(e, place_of(p, a), &r->last, r->state, r->attempts,
			  &why))
		log_say(LOG_AT_ERROR, "%s: %s", e->id, why.text);
}

void part_settle(struct dispatcher *x, const struct destination *d,
		 struct part *p)
{
	struct job *job = p->job;
	const struct entry *e = job->entry;
	struct outcome why;
	size_t i;

	if (x->stopping || (e && e->broken) ||
	    (d && !find_override(x, job, &why)))
		d = NULL;
	job->since = clock_now();
	for (i = 0; i < p->n && !p->untried; i++) {
		struct recipient *r = p->to[i].rcpt;
		const bool counts = policy_is_attempt(&r->last);
		const bool goes_on = policy_goes_on(&r->last);

		settle_words(p, &p->to[i], counts);
		/* the journal has set the facts of an entry's already */
		if (!e) {
			r->state = policy_verdict(&r->last, x->run->queue);
			r->attempts += counts;
		}
		/* where the attempt that would come next takes another way,
		 * waiting for it has no sense; a try without any network
		 * counted as none */
		if (!d || !goes_on || !other_way(x, job, r, r->attempts, d))
			continue;
		/* without a queue a refusal of the session is final, unless
		 * there is another way */
		r->state = RCPT_PENDING;
		remember(r);
		assign(x, job, r);
	}
	part_release(p);
	if (!--job->parts)
		job_done(x, job);
}

/* An entry comes for its first recipient that is due. */
static bool is_recipient_due(const struct dispatcher *x,
			     const struct job *job,
			     const struct recipient *r)
{
	const struct entry *e = job->entry;

	return !e || job->by_hand ||
	       !policy_regular(x->run->config, (int64_t)time(NULL),
			       e->progress[r - e->envelope.rcpt].wait);
}

void dispatcher_add(struct dispatcher *x, struct job *job)
{
	struct part lost = { .job = job };
	struct recipient *r = job->envelope->rcpt;
	struct user *u = x->user;
	struct outcome why;
	bool known = find_override(x, job, &why);

	job->parts = job->running = 0;
	job->since = clock_now();
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
	x->jobs++;
	for (; r < job->envelope->rcpt + job->envelope->n && !x->stopping;
	     r++) {
		free(r->earlier);
		r->earlier = NULL;
		if (r->state != RCPT_PENDING ||
		    (job->entry && job->entry->broken) ||
		    !is_recipient_due(x, job, r))
			continue;
		else if (known)
			assign(x, job, r);
		else
			part_add(&lost, r);
	}
	if (lost.n) {
		job->parts++;
		part_fail(x->run, &lost, &why);
		part_settle(x, NULL, &lost);
	} else if (!job->parts) {
		job_done(x, job);
	}
}

/* --- destinations that are left alone --- */

bool destination_left_alone(struct dispatcher *x, struct destination *d)
{
	struct outcome why;

	if (!d->left_alone || !d->n)
		return false;
	if (clock_now() > d->left_alone) {
		d->left_alone = 0;
		x->alone--;
		return false;
	}
	outcome_fail(&why, STAGE_CONNECT, EX_TEMPFAIL, "left alone: %s "
		     "earlier in this run", d->pace.step > PAUSE_MOST ?
		     "it asked for less mail" : "it did not answer");
	why.unasked = true;
	while (d->n) {
		struct part p = part_take(x, d);
		const struct recipient *r = p.to[0].rcpt;
		size_t i;

		/* what was said in another run is told, too */
		for (i = 0; i < p.n; i++)
			if (!p.to[i].rcpt->earlier &&
			    p.to[i].rcpt->last.exit != EX_OK)
				remember(p.to[i].rcpt);
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

void destination_leave_alone(struct dispatcher *x, struct destination *d,
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

/* --- those that are slow --- */

static struct limited *limit_of(const struct dispatcher *x,
				const struct destination *d)
{
	size_t i;

	/* another way goes on at once */
	for (i = 0; !d->way[1] && i < x->limits; i++)
		if (x->limited[i].transport == d->way[0])
			return &x->limited[i];
	return NULL;
}

static void limited_count(struct limited *l, int64_t n, int64_t users)
{
	size_t class = 0;

	while (n >> class > 1)
		class++;
	if (n) {
		l->class[class].users += users;
		l->class[class].n += users * n;
	}
}

/* How many turns come before the next one of this user's, which are n: users
 * take turns here, too, and nobody has more before it than he has had
 * himself. */
static int64_t limited_before(struct limited *l, uid_t uid, int64_t n)
{
	struct turns **u = &l->user[uid % TURNS_SIZE];
	int64_t before = 0, most;
	size_t i;

	while (*u && (*u)->uid != uid)
		u = &(*u)->next;
	if (!*u) {
		*u = mem_alloc(sizeof(**u));
		(*u)->uid = uid;
	}
	for (i = 0; i < TURNS_CLASSES; i++) {
		most = l->class[i].users * (*u)->n;
		before += most < l->class[i].n ? most : l->class[i].n;
	}
	limited_count(l, (*u)->n, -1);
	(*u)->n += n;
	limited_count(l, (*u)->n, 1);
	return before;
}

void limited_release(struct limited *l)
{
	struct turns *u;
	size_t i;

	for (i = 0; i < TURNS_SIZE; i++)
		while ((u = l->user[i])) {
			l->user[i] = u->next;
			free(u);
		}
}

/* One that was put off before, and whose turn has come while the rate is used
 * up for longer than it seemed then, does not come after all the others
 * again. */
static bool had_turn(const struct limited *l, const struct part *p)
{
	const int64_t turn = p->to[0].rcpt->last.not_before;

	return turn > l->since && turn <= (int64_t)time(NULL);
}

bool destination_put_off(struct dispatcher *x, struct destination *d)
{
	struct limited *l = limit_of(x, d);
	int64_t most[RATE_UNITS], left, before;
	struct outcome why;

	if (!l || !d->n)
		return false;
	left = l->until - clock_now();
	if (left <= 0) {
		limited_release(l);
		*l = x->limited[--x->limits];
		return false;
	}
	(void)transport_rates(l->transport, most);
	while (d->n) {
		struct part p = part_take(x, d);

		before = had_turn(l, &p) ? 0 :
			 limited_before(l, p.job->uid, (int64_t)p.n);
		rate_fail(l->transport, left + policy_rate_turn(most, before),
			  &why);
		part_fail(x->run, &p, &why);
		part_settle(x, d, &p);
	}
	destination_rest(x, d);
	return true;
}

/* uid: whose recipient its worker put off, which is one turn given away. */
static void note_limit(struct dispatcher *x, const struct destination *d,
		       uid_t uid, int64_t until)
{
	struct limited *l = limit_of(x, d);

	if (!l && !d->way[1]) {
		x->limited = mem_grow(x->limited, x->limits,
				      sizeof(*x->limited));
		l = &x->limited[x->limits++];
		*l = (struct limited){ .transport = d->way[0],
				       .since = (int64_t)time(NULL) };
	}
	if (!l)
		return;
	(void)limited_before(l, uid, 1);
	/* whatever becomes of the wall clock in this run */
	until = clock_in((until - (int64_t)time(NULL)) * 1000);
	if (until > l->until)
		l->until = until;
}

void destination_pace(struct dispatcher *x, struct destination *d,
		      const struct destination *share)
{
	bool took = false, slows = false;
	const struct outcome *o;
	size_t i, j;

	for (i = 0; i < share->n; i++)
		for (j = 0; j < share->part[i].n; j++) {
			o = &share->part[i].to[j].rcpt->last;
			if (share->part[i].untried)
				continue;
			took = took || o->exit == EX_OK;
			slows = slows || policy_slows(o);
			if (o->not_before)
				note_limit(x, d, share->part[i].job->uid,
					   o->not_before);
		}
	if (slows)
		policy_slow_down(&d->pace, clock_now());
	else if (took)
		policy_speed_up(&d->pace);
	if (slows && d->pace.step > PAUSE_MOST && !d->left_alone &&
	    x->alone < ALONE_MOST) {
		d->left_alone = clock_in(ALONE_MS);
		x->alone++;
	}
}
