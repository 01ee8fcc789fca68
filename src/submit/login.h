/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Logins: the OAuth 2.0 tokens (RFC 6749) of transports with oauth, one file a
 * transport and owner. What is here reads that file; whatever needs the
 * issuer is done by posthaste-token, which alone writes it.
 */
#ifndef SUBMIT_LOGIN_H
#define SUBMIT_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/outcome.h"
#include "config/config.h"

enum login_health {
	LOGIN_GOOD,
	LOGIN_DYING,     /* it works now, and ends within a week */
	LOGIN_DEAD,      /* ended, refused, or for another issuer or client */
	LOGIN_NONE,      /* nobody has logged in yet */
	LOGIN_UNREADABLE /* it is another user's, or no file that we wrote */
};

struct login_state {
	enum login_health health;
	int64_t ends;     /* UNIX time; 0: not known */
	char words[384];  /* "the login of transport x ends on ...: posthaste
			   * --login x"; "" where all is well */
};

/* How the login of a transport with oauth is; asks no issuer. */
void login_look(const struct config *c, const struct transport *t,
		struct login_state *state);

#endif
