/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/attempt.h"

#include "policy/policy.h"

void attempt_answer(struct attempt *a, const struct outcome *o,
		    const struct trace *trace)
{
	struct outcome *last = &a->rcpt->last;

	if (!a->answered || policy_replaces(last, o)) {
		*last = *o;
		a->trace = trace;
		a->fresh = true;
	}
	a->answered = true;
	a->state = last->exit != EX_OK && policy_try_elsewhere(last) ?
		   ATTEMPT_ANSWERED : ATTEMPT_OVER;
}
