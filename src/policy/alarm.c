/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When and how somebody is told that mail stands still. */
#include "policy/policy.h"

enum { DAY = 24 * 60 * 60 };

int64_t policy_still_from(const struct config *c, const struct still_facts *f)
{
	if (!c->queue.alarm_after || f->held || f->report || !f->pending ||
	    f->queued > INT64_MAX / 2)
		return 0;
	return f->queued + (c->queue.alarm_after + 999) / 1000 +
	       (f->pending <= f->limited ? DAY : 0);
}

bool policy_alarm_due(const struct config *c, int64_t last, int64_t now)
{
	if (!c->queue.alarm_after)
		return false;
	/* one of the future was written by another clock */
	return !last || (last <= now ? now - last >= DAY : last - now >= DAY);
}

static bool stands_among(const struct transport *t,
		     const struct transport *const *some)
{
	while (*some && *some != t)
		some++;
	return *some;
}

static bool tells_nobody(const struct transport *t)
{
	return t->kind == KIND_FAIL || t->kind == KIND_DISCARD;
}

const struct transport *
policy_alarm_way(const struct config *c, const struct account *account,
		 const char *recipient, const struct transport *const *still)
{
	const struct transport *const *way, *first = NULL;
	unsigned attempts;
	size_t i;

	/* routes change where one of them says so */
	for (i = 0; i <= c->routes; i++) {
		attempts = i ? (unsigned)c->route[i - 1].minimum_attempts : 0;
		way = policy_transports(c, NULL, account, "", recipient,
					attempts, NULL);
		for (; *way; way++) {
			if (!first)
				first = *way;
			if (!stands_among(*way, still) && !tells_nobody(*way))
				return *way == first ? NULL : *way;
		}
	}
	return NULL;
}
