/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "desk/adopt.h"

#include <stdlib.h>

#include "base/list.h"

static void take_over(char **old, char **new)
{
	free(*old);
	*old = *new;
	*new = NULL;
}

/* A parameter that is no xtext is none of ours, and does not go on. */
static void keep_xtext(char **text)
{
	char *plain = NULL;

	if (*text && !xtext_decode(*text, &plain)) {
		free(*text);
		*text = NULL;
	}
	free(plain);
}

/* Recipients keep their places, which the journal knows them by. */
static bool take_envelope(struct entry *e, struct envelope *fresh,
			  struct outcome *why)
{
	size_t i;

	if (fresh->n != e->envelope.n)
		return outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
				    "its recipients are not what they seem");
	take_over(&e->envelope.sender, &fresh->sender);
	take_over(&e->envelope.account, &fresh->account);
	e->envelope.eight_bit = fresh->eight_bit;
	e->envelope.utf8 = fresh->utf8;
	e->envelope.tls_required_no = fresh->tls_required_no;
	keep_xtext(&e->envelope.envid);
	for (i = 0; i < fresh->n; i++) {
		take_over(&e->envelope.rcpt[i].address,
			  &fresh->rcpt[i].address);
		keep_xtext(&e->envelope.rcpt[i].orcpt);
	}
	return true;
}

bool adopt(const struct config *config, struct entry *e, struct message **m,
	   const struct account **account, struct outcome *why)
{
	struct envelope fresh = { 0 };
	struct list operands = { 0 };
	struct caller caller = { .uid = e->uid };
	struct request request = {
		.caller = &caller, .sender = e->envelope.sender,
		.require_tls = e->envelope.require_tls,
	};
	bool done;
	size_t i;

	for (i = 0; i < e->envelope.n; i++)
		list_add(&operands, e->envelope.rcpt[i].address);
	request.operand = operands.item;
	request.operands = operands.n;
	done = compose(config, &request, m, &fresh, account, why) &&
	       take_envelope(e, &fresh, why);
	if (!done && why->exit == EX_USAGE)
		why->exit = EX_DATAERR;
	envelope_release(&fresh);
	list_release(&operands);
	caller_release(&caller);
	return done;
}
