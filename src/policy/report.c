/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reports: who hears of a failure or a delay, and what. */
#include <string.h>

#include "mail/address.h"
#include "policy/policy.h"

bool policy_wants_report(const char *sender, unsigned notify, bool delay)
{
	if (!*sender)
		return false;
	return !notify || notify & (delay ? NOTIFY_DELAY : NOTIFY_FAILURE);
}

bool policy_gave_up(const struct outcome *o)
{
	return o->exit == EX_TEMPFAIL || o->code / 100 == 4 ||
	       (!o->code && o->status[0] == '4');
}

const char *policy_report_status(const struct outcome *o, bool delay)
{
	/* where time was up, that is what happened (RFC 3463 3.5); the
	 * server's status is in its own words */
	if (!delay && policy_gave_up(o))
		return "4.4.7";
	if (o->status[0] == (delay ? '4' : '5'))
		return o->status;
	if (delay)
		return o->code ? "4.0.0" : "4.4.1";
	switch (o->exit) {
	case EX_NOUSER:
		return "5.1.1";
	case EX_NOHOST:
		return "5.1.2";
	case EX_DATAERR:
		return "5.6.0";
	default:
		return "5.0.0";
	}
}

/* Whether an enhanced status code goes on so after its class. */
static bool status_goes_on(const struct outcome *o, const char *detail)
{
	return strlen(o->status) > 2 &&
	       !strncmp(o->status + 2, detail, strlen(detail));
}

const char *policy_report_advice(const struct outcome *o)
{
	if (policy_gave_up(o) || o->exit == EX_NOPERM)
		return "It was tried until its time was up. If it still "
		       "matters, send it again later, or ask whoever runs "
		       "mail on this machine.";
	if (o->exit == EX_NOUSER || status_goes_on(o, "1.1"))
		return "Check the spelling of the address.";
	if (o->exit == EX_NOHOST || status_goes_on(o, "1.2"))
		return "Check the part of the address after the @.";
	if (status_goes_on(o, "3.4"))
		return "Send a smaller message, or a link to what is large.";
	if (status_goes_on(o, "2.2"))
		return "The mailbox is full; its owner has to make room.";
	if (status_goes_on(o, "7."))
		return "The receiving server does not want it; its words "
		       "above tell why. Whoever runs mail on this machine "
		       "can act on them.";
	return "The words above tell why; whoever runs mail on this machine "
	       "can act on them.";
}

bool policy_returns_body(const struct envelope *cause, bool delay,
			 int64_t size)
{
	/* a report goes without REQUIRETLS, which the body was not to do
	 * (RFC 8689 section 5) */
	return !delay && cause->dsn_return == RETURN_FULL &&
	       !cause->require_tls && size <= REPORT_FULL_MAX;
}

bool policy_report_is_global(const struct envelope *cause, const size_t *rcpt,
			     size_t n)
{
	size_t i;

	if (address_is_utf8(cause->sender))
		return true;
	/* a way that would not take the cause for want of SMTPUTF8 would not
	 * take such a report either */
	for (i = 0; i < n; i++)
		if (!strcmp(cause->rcpt[rcpt[i]].last.status, "5.6.7"))
			return false;
	return cause->utf8;
}
