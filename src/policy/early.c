/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Early pipelining: when, and what the answers mean. */
#include "policy/policy.h"

bool policy_early(const struct early_facts *f)
{
	if (!f->wanted || !f->known || f->lmtp || f->socket)
		return false;
	if (f->tls)
		return f->verified && f->was_verified;
	return f->demand == DEMAND_NONE && !f->was_verified;
}

bool policy_early_offered(const struct features *f, enum tls_demand demand,
			  bool tls, bool verified)
{
	return f->early_pipelining && f->pipelining &&
	       (tls ? verified : demand == DEMAND_NONE);
}

enum early_verdict policy_early_answer(enum early_step step, int code,
				       bool same, const struct features *f)
{
	static const int expected[] = {
		[EARLY_GREETING] = 220, [EARLY_HELLO] = 250,
		[EARLY_LOGIN] = 235,
	};

	/* 334 to a login: more is wanted, the next command is none to it */
	if (code >= 400 || (step == EARLY_LOGIN && code == 334))
		return EARLY_REFUSED;
	if (code != expected[step])
		return EARLY_LOST;
	if (step != EARLY_HELLO || same)
		return EARLY_HOLDS;
	/* a 250 is the answer to many a command, with extensions to EHLO */
	return f->pipelining ? EARLY_CHANGED : EARLY_LOST;
}

bool policy_early_again(const struct early_end *end)
{
	if (!end->message_sent)
		return true;
	return !end->taken && end->in_step &&
	       (end->code || (end->refused && !end->silent));
}
