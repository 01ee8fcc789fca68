/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The transaction: how a message goes, and what answers say of the session
 * rather than of the message. */
#include <string.h>

#include "policy/policy.h"

bool policy_one_flight(const struct flight_facts *f)
{
	return f->chunking && f->pipelining && !f->lmtp && !f->has_command &&
	       f->size <= ONE_FLIGHT;
}

bool policy_bdat_ahead(unsigned carried, bool dirty)
{
	/* where RSET is refused, an old sender would get the new message; and
	 * many a server closes after its first message: a chunk that went to
	 * it unseen would be in doubt */
	return !dirty && carried != 1;
}

bool policy_chunking_is_broken(int code, size_t accepted)
{
	return accepted && (code == 500 || code == 502 || code == 503 ||
			    code == 504);
}

/* Whether an enhanced status code ends in these two (RFC 3463). */
static bool status_ends(const struct outcome *o, const char *tail)
{
	return o->status[0] && !strcmp(o->status + 1, tail);
}

static bool status_speaks_of_address(const struct outcome *o)
{
	return o->status[0] && !strncmp(o->status + 1, ".1.", 3);
}

bool policy_too_many(const struct outcome *o, size_t accepted)
{
	return accepted && (o->code == 452 || o->code == 552) &&
	       !status_ends(o, ".2.2") && !status_speaks_of_address(o);
}

bool policy_learns_limit(const struct rcpt_answers *a)
{
	return a->accepted && a->too_many && !a->otherwise &&
	       (a->named || a->too_many > 1);
}

bool policy_names_limit(const struct outcome *o)
{
	return status_ends(o, ".5.3");
}

bool policy_session_is_spent(const struct session_end *end,
			     const struct outcome *o)
{
	if (o->exit == EX_OK || o->in_doubt || o->stage == STAGE_LOCAL)
		return false;
	if (end->refused && end->left)
		return true;
	if (!end->carried || end->accepted)
		return false;
	/* an answer for good is about the message, but for one about commands
	 * and their order (RFC 3463: 5.5.0, 5.5.1), whatever its code */
	return o->code < 500 || o->code == 500 || o->code == 502 ||
	       o->code == 503 || status_ends(o, ".5.0") ||
	       status_ends(o, ".5.1");
}

bool policy_doubts_answer(const struct outcome *o, bool lmtp)
{
	/* several LMTP servers say 2.1.5 of each recipient's copy */
	return !lmtp && o->exit == EX_OK && status_speaks_of_address(o);
}

bool policy_doubts_refusal(const struct outcome *o, size_t recipients)
{
	return recipients > 1 && o->exit != EX_OK;
}
