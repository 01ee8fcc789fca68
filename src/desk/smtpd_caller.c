/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "desk/smtpd_caller.h"

#include <unistd.h>

enum { SESSIONS_MOST = 8 };     /* of a user at once */

/* Nobody keeps others out by being here too often. */
static bool is_welcome(const struct desk *d)
{
	struct outcome ignored;
	struct queue *q;
	bool welcome;

	if (!desk_queue(d, true, &q, &ignored) || !q)
		return true;
	welcome = queue_session(q, d->caller->uid, SESSIONS_MOST);
	queue_close(q);
	return welcome;
}

const char *smtpd_caller(const struct desk *d, struct client *c, bool *known,
			 char peer[NET_PEER_SIZE])
{
	const enum unix_peer_is is = unix_peer_take(STDIN_FILENO,
						    d->caller->uid, &c->peer);
	const char *refusal = is == UNIX_PEER_UNTOLD ?
		"nothing says who you are" : is == UNIX_PEER_GONE ?
		"the process that connected is gone" : NULL;
	struct outcome why;

	if (is != UNIX_PEER_NONE || !net_peer_name(STDIN_FILENO, peer))
		peer[0] = '\0';
	*known = is == UNIX_PEER_TOLD;
	if ((is == UNIX_PEER_TOLD || is == UNIX_PEER_GONE) &&
	    c->peer.uid != d->caller->uid) {
		caller_release(d->caller);
		*d->caller = (struct caller){ .uid = c->peer.uid };
		if (!refusal && !is_welcome(d))
			return "too many sessions of yours";
	}
	if (refusal) {
		outcome_fail(&why, STAGE_LOCAL, EX_NOPERM, "-bs: %s",
			     refusal);
		desk_log_failure(d, &why);
	}
	return refusal;
}

bool smtpd_is_stranger(const struct client *c, struct outcome *why)
{
	return c->peer.stranger &&
	       !outcome_fail_status(why, STAGE_LOCAL, EX_NOPERM, "4.7.0",
				    "another than user %lu, who connected, "
				    "writes on this connection",
				    (unsigned long)c->peer.uid);
}
