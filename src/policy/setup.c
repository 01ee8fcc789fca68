/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What --setup makes of what it meets. */
#include "policy/policy.h"

enum queue_runner policy_runner(const struct runner_facts *f)
{
	/* a queue of root's alone is run by nobody: what is in it was not put
	 * there by those who send */
	if (f->root && !f->queue_owned)
		return RUNNER_NONE;
	if (f->root && f->systemd && f->units)
		return RUNNER_UNITS;
	if (f->root)
		return f->cron_d ? RUNNER_CRON_D : RUNNER_NONE;
	if (f->user_systemd)
		return RUNNER_USER_TIMER;
	return f->crontab ? RUNNER_CRONTAB : RUNNER_NONE;
}

bool policy_setup_password(const struct outcome *why)
{
	return why->stage == STAGE_AUTH && why->exit == EX_NOPERM &&
	       why->code;
}

const char *policy_setup_advice(const struct outcome *why)
{
	if (why->no_network || why->no_route)
		return "This machine has no way to the network: connect it, "
		       "then run this again.";
	switch (why->stage) {
	case STAGE_DNS:
		return why->exit == EX_NOHOST ?
		       "Ask the provider for the name of its server for "
		       "outgoing mail (SMTP), and run this again." :
		       "The resolver does not answer: look at "
		       "/etc/resolv.conf and the network, then run this "
		       "again.";
	case STAGE_CONNECT:
		return "Nothing answers there: a firewall here or on the way "
		       "may block the port. Ask whoever runs the network to "
		       "let TCP to ports 465 and 587 out.";
	case STAGE_TLS:
		return "Do not give a password to a server that cannot prove "
		       "its name. Is the clock right, and is the package "
		       "ca-certificates installed?";
	case STAGE_HELLO:
		return "The server would not talk: wait a while, or ask the "
		       "provider whether this machine's address is blocked.";
	case STAGE_AUTH:
		return policy_setup_password(why) ?
		       "The server refused the login name or the password. "
		       "Many providers want an app password here, not the "
		       "one for their web site." :
		       "The server and this program have no way to log in "
		       "in common, or the server wants to be asked later.";
	case STAGE_MAIL:
	case STAGE_RCPT:
	case STAGE_DATA:
	case STAGE_DOT:
		return "The server took the login, not the message: its words "
		       "above say why.";
	case STAGE_LOCAL:
		break;
	}
	return NULL;
}
