/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whose turn it is in a run of the queue. */
#include "policy/policy.h"

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
