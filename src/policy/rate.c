/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rates. What was sent is counted in slots of a fiftieth of the unit, and a
 * slot counts until all of it is longer ago than the unit: so there is no
 * second, wherever it begins, with more than the rate. Nobody knows when within
 * a transaction a server counts it: until its answer is here it counts as
 * under way, and afterwards from the answer on.
 */
#include <string.h>

#include "policy/policy.h"

enum {
	SLOTS_A_UNIT = 50,
	UNDER_WAY = 10 * 1000,     /* ms: of one whose end nobody tells */
	COARSE = 1000,             /* ms: those are told apart by */
	STEP_LEAST = 1000, STEP_MOST = 5 * 60 * 1000
};

static const int64_t unit_ms[RATE_UNITS] = {
	[RATE_SECOND] = 1000, [RATE_MINUTE] = 60 * 1000,
	[RATE_HOUR] = 3600 * 1000, [RATE_DAY] = 24 * 3600 * 1000,
};

static int64_t slot_ms(enum rate_unit u)
{
	return unit_ms[u] / SLOTS_A_UNIT;
}

/* The slot of what is begun now; few of them lie ahead at once. */
static int64_t slot_ahead(enum rate_unit u, int64_t now)
{
	const int64_t coarse = slot_ms(u) < COARSE ? COARSE / slot_ms(u) : 1;

	return ((now + UNDER_WAY) / slot_ms(u) / coarse + 1) * coarse;
}

/* In the order of the slots; where there is no place left, with one that
 * counts longer. */
static void slot_add(struct rate_row *row, int64_t slot, int64_t n)
{
	size_t i = 0;

	while (i < row->used && row->slot[i] < slot)
		i++;
	if (row->used == RATE_SLOTS && i == RATE_SLOTS)
		row->slot[--i] = slot;
	if (row->used < RATE_SLOTS &&
	    (i == row->used || row->slot[i] != slot)) {
		memmove(&row->slot[i + 1], &row->slot[i],
			(row->used - i) * sizeof(*row->slot));
		memmove(&row->n[i + 1], &row->n[i],
			(row->used - i) * sizeof(*row->n));
		row->slot[i] = slot;
		row->n[i] = 0;
		row->used++;
	}
	row->n[i] += n;
}

/* What no longer counts goes. What lies further ahead than anything that was
 * begun by this clock was written by another one: it counts from now on, and
 * so no longer than the unit. Gives what counts. */
static int64_t age(struct rate_row *row, enum rate_unit u, int64_t now)
{
	const int64_t first = now / slot_ms(u) - SLOTS_A_UNIT;
	struct rate_row old = *row;
	int64_t sum = 0;
	size_t i;

	row->used = 0;
	for (i = 0; i < old.used; i++) {
		if (old.slot[i] < first)
			continue;
		slot_add(row, old.slot[i] > slot_ahead(u, now) ?
		    now / slot_ms(u) : old.slot[i], old.n[i]);
		sum += old.n[i];
	}
	return sum;
}

/* Until so many of what counts do so no longer. What is under way will take
 * its end before long, and counts from there. */
static int64_t slots_free_in(const struct rate_row *row, enum rate_unit u,
			     int64_t now, int64_t many)
{
	const int64_t current = now / slot_ms(u);
	int64_t slot = current, freed = 0;
	size_t i;

	for (i = 0; i < row->used && freed < many; i++) {
		freed += row->n[i];
		slot = row->slot[i] < current ? row->slot[i] : current;
	}
	return (slot + SLOTS_A_UNIT + 1) * slot_ms(u) - now;
}

int64_t policy_rate_take(struct rate_state *s, const int64_t most[RATE_UNITS],
			 int64_t now, int64_t n)
{
	int64_t wait = 0, other, sum;
	enum rate_unit u;

	/* no pause is longer than this: a clock was set back, and the pause
	 * begins anew */
	if (s->pace.until - now > STEP_MOST)
		s->pace.until = now + (s->pace.step < STEP_MOST ?
				       s->pace.step : STEP_MOST);
	if (s->pace.until > now)
		wait = s->pace.until - now;
	for (u = RATE_SECOND; u < RATE_UNITS; u++) {
		sum = age(&s->row[u], u, now);
		if (!most[u] || sum + n <= most[u])
			continue;
		other = slots_free_in(&s->row[u], u, now,
				      sum + n - most[u]);
		wait = other > wait ? other : wait;
	}
	for (u = RATE_SECOND; !wait && u < RATE_UNITS; u++)
		if (most[u])
			slot_add(&s->row[u], slot_ahead(u, now), n);
	return wait;
}

void policy_rate_done(struct rate_state *s, const int64_t most[RATE_UNITS],
		      int64_t taken, int64_t now, int64_t n)
{
	struct rate_row *row;
	enum rate_unit u;
	int64_t ahead;
	size_t i;

	for (u = RATE_SECOND; u < RATE_UNITS; u++) {
		row = &s->row[u];
		ahead = slot_ahead(u, taken);
		age(row, u, now);
		if (!most[u])
			continue;
		for (i = 0; i < row->used; i++)
			if (row->slot[i] == ahead)
				row->n[i] -= row->n[i] < n ? row->n[i] : n;
		slot_add(row, now / slot_ms(u), n);
	}
}

int64_t policy_rate_least(const int64_t most[RATE_UNITS])
{
	int64_t least = INT64_MAX;
	enum rate_unit u;

	for (u = RATE_SECOND; u < RATE_UNITS; u++)
		if (most[u] && most[u] < least)
			least = most[u];
	return least;
}

int64_t policy_rate_turn(const int64_t most[RATE_UNITS], int64_t before)
{
	int64_t wait = 0, other;
	enum rate_unit u;

	for (u = RATE_SECOND; u < RATE_UNITS; u++) {
		other = most[u] ? before / most[u] * unit_ms[u] : 0;
		wait = other > wait ? other : wait;
	}
	return wait;
}

/* --- a server that wants less --- */

bool policy_slows(const struct outcome *o)
{
	if (o->code != 454)
		return o->code == 421;
	/* Amazon SES has no enhanced code there */
	return !strcmp(o->status, "4.7.0") ||
	       (!o->status[0] && o->stage >= STAGE_MAIL);
}

void policy_slow_down(struct pace *p, int64_t now)
{
	p->step = p->step ? 2 * p->step : STEP_LEAST;
	if (p->step > STEP_MOST)
		p->step = STEP_MOST;
	p->until = now + p->step;
}

void policy_speed_up(struct pace *p)
{
	p->step /= 2;
}
