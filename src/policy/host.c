/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The walk over hosts and their addresses (RFC 5321 5.1): what an answer
 * means for the next one. */
#include <stdio.h>
#include <string.h>

#include "policy/policy.h"

static bool is_final(const struct outcome *o)
{
	return !o->lacking && policy_verdict(o, true) == RCPT_FAILED;
}

/* A host spoke at one of its addresses, and nobody listens at another. */
static bool is_heard_elsewhere(const struct outcome *unheard,
			       const struct outcome *heard)
{
	return unheard->stage == STAGE_CONNECT &&
	       heard->stage > STAGE_CONNECT && heard->host[0] &&
	       !strcmp(unheard->host, heard->host);
}

bool policy_replaces(const struct outcome *old, const struct outcome *new)
{
	if (is_heard_elsewhere(new, old))
		return false;
	if (is_heard_elsewhere(old, new))
		return true;
	if (new->exit == EX_OK || new->in_doubt)
		return true;
	/* that nobody was asked says less than any answer "for now" */
	if (new->unasked && outcome_is_temporary(old))
		return false;
	if (old->unasked && outcome_is_temporary(new))
		return true;
	/* an answer to MAIL, RCPT or the data; 503 there is about the order
	 * of the commands before it, and so about the session */
	if (new->code && new->code != 503 && new->stage >= STAGE_MAIL)
		return true;
	if (is_final(old))
		return false;
	if (is_final(new) || old->lacking)
		return true;
	if (new->lacking)
		return false;
	if (!outcome_is_temporary(old))
		return true;
	/* what is wrong here (a key that cannot be read) is so at every host,
	 * and is what somebody has to mend */
	if (old->stage == STAGE_LOCAL && policy_is_attempt(old))
		return false;
	return outcome_is_temporary(new) && new->stage >= old->stage;
}

bool policy_needs_mending(const struct outcome *o)
{
	return o->exit == EX_CONFIG || o->exit == EX_NOPERM ||
	       o->exit == EX_NOINPUT;
}

bool policy_refuses_login(const struct outcome *o)
{
	return o->stage == STAGE_AUTH && o->exit == EX_NOPERM &&
	       o->code >= 500;
}

bool policy_next_address(const struct outcome *o)
{
	/* what is wrong here, or with the login, is so at every address, and
	 * a wrong password said often enough locks the account */
	if (policy_needs_mending(o) || o->exit == EX_SOFTWARE ||
	    o->stage == STAGE_LOCAL)
		return false;
	return policy_try_elsewhere(o);
}

bool policy_other_family(const struct outcome *o)
{
	if (o->exit == EX_OK || o->in_doubt || !o->code)
		return false;
	if (o->stage < STAGE_MAIL)
		return o->stage == STAGE_HELLO;
	/* RFC 3463 3.8: security or policy */
	return o->status[0] && !strncmp(o->status + 1, ".7.", 3);
}

size_t policy_addresses(size_t known, size_t hosts_behind, size_t left)
{
	size_t room = left > hosts_behind ? left - hosts_behind : 1;

	return known < room ? known : room;
}

bool policy_lacks(const struct features *f, const struct message_needs *need,
		  bool verified, struct outcome *why)
{
	if (f->size && f->size_limit > 0 && need->size > f->size_limit)
		outcome_fail_status(why, STAGE_MAIL, EX_DATAERR, "5.3.4",
				    "too large: the message has %lld bytes, "
				    "the server takes %lld",
				    (long long)need->size,
				    (long long)f->size_limit);
	else if (need->utf8 && !f->smtputf8)
		outcome_fail_status(why, STAGE_MAIL, EX_DATAERR, "5.6.7",
				    "an address has a non-ASCII local part, "
				    "and the server lacks SMTPUTF8");
	else if (need->require_tls && !(f->require_tls && verified))
		outcome_fail_status(why, STAGE_MAIL, EX_UNAVAILABLE, "5.7.30",
				    "REQUIRETLS was asked for, and the server "
				    "%s", f->require_tls ?
				    "was not verified" : "lacks it");
	else
		return false;
	why->lacking = true;
	return true;
}
