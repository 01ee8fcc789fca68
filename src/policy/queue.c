/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The queue: whether it is used, when its mail is tried again, and whose turn
 * it is in a run. */
#include "policy/policy.h"

enum { HOUR = 3600 * 1000, FEW_ATTEMPTS = 20 };

enum queue_use policy_queue_use(const struct config *c, bool asked)
{
	if (c->queue.queue == QUEUE_NEVER || !c->queue.directory)
		return USE_NONE;
	if (c->queue.queue != QUEUE_UNSET)
		return USE_PROMISED;
	return asked ? USE_ASKED : USE_IF_TENDED;
}

bool policy_queues_first(const struct config *c, enum delivery_mode mode)
{
	if (mode == MODE_UNSET)
		return c->queue.queue == QUEUE_ALWAYS;
	return mode == MODE_BACKGROUND || mode == MODE_QUEUE;
}

/* The wait after an attempt, without jitter. */
static int64_t wait_after(const struct config *c, unsigned attempt)
{
	size_t i = attempt ? attempt - 1 : 0;

	if (!c->queue.steps)
		return HOUR;
	return c->queue.step[i < c->queue.steps ? i : c->queue.steps - 1];
}

int64_t policy_delay(const struct config *c, unsigned attempts,
		     uint32_t random)
{
	int64_t wait = wait_after(c, attempts);
	int64_t jitter = (int64_t)(random % 601) - 300;

	if (wait > INT64_MAX / 10000)
		return wait;
	return wait + wait * jitter / 10000;
}

int64_t policy_next(const struct config *c, unsigned attempts, int64_t now,
		    uint32_t random)
{
	return now + (policy_delay(c, attempts, random) + 500) / 1000;
}

int64_t policy_longest_wait(const struct config *c)
{
	int64_t most = 0;
	size_t i;

	for (i = 0; i < c->queue.steps; i++)
		if (c->queue.step[i] > most)
			most = c->queue.step[i];
	return most / 1000 + most / 1000 / 10 + 60;
}

int64_t policy_regular(const struct config *c, int64_t now, int64_t regular)
{
	return regular > now && regular - now <= policy_longest_wait(c) ?
	       regular : 0;
}

int64_t policy_turn(const struct config *c, int64_t now, int64_t turn)
{
	const int64_t most = now + policy_longest_wait(c);

	return turn < most ? turn : most;
}

unsigned policy_missed(const struct config *c, unsigned attempts,
		       int64_t waited)
{
	enum { LEAST = 60 };
	const int64_t most = policy_longest_wait(c);
	unsigned missed = 0;
	int64_t wait;

	if (waited > most)
		waited = most;
	for (;; missed++) {
		wait = wait_after(c, attempts + missed) / 1000;
		waited -= wait > LEAST ? wait : LEAST;
		if (waited < 0)
			return missed;
	}
}

int64_t policy_retry(const struct config *c, const struct retry_facts *f,
		     int64_t now, uint32_t random)
{
	int64_t at = policy_regular(c, now, f->wait);

	if (at)
		return at;
	if (f->turn)
		return policy_turn(c, now, f->turn);
	at = policy_regular(c, now, f->regular);
	return at ? at : policy_next(c, f->attempts ? f->attempts : 1, now,
				     random);
}

bool policy_delayed(const struct config *c, unsigned attempts, int64_t waited)
{
	int64_t after = c->queue.delay_report_after;

	return after && (int64_t)attempts >= after && waited >= HOUR;
}

bool policy_expired(const struct config *c, unsigned attempts, int64_t age)
{
	const int64_t lifetime = c->queue.lifetime;
	int64_t least = lifetime / FEW_ATTEMPTS, left = lifetime, wait;
	unsigned i;

	if (!attempts || age < lifetime)
		return false;
	if (lifetime < HOUR)
		return true;
	for (i = 1; i <= attempts; i++) {
		wait = wait_after(c, i);
		left -= wait > least ? wait : least;
		if (left <= 0)
			return true;
	}
	return false;
}

bool policy_claim_before(const struct claim *a, const struct claim *b)
{
	if (a->late != b->late)
		return b->late;
	if (a->user != b->user)
		return a->user < b->user;
	if (a->entry != b->entry)
		return a->entry < b->entry;
	return a->since < b->since;
}

bool policy_has_room(const struct room *r, size_t more)
{
	const size_t other_jobs = r->jobs - r->own_jobs;
	const size_t others = r->memory - r->own_memory;

	if (!r->jobs)
		return true;
	if (r->jobs >= r->most ||
	    (r->own_jobs && r->own_jobs >= (r->most - other_jobs) / 3 * 2))
		return false;
	if (!r->memory)
		return true;
	if (others >= r->together)
		return false;
	return r->own_memory + more <= (r->together - others) / 3 * 2 ||
	       (!r->own_jobs && r->memory + more <= r->together);
}
