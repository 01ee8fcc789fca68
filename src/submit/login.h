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
#include <sys/types.h>

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

/* The access token: that of the file, or a fresh one where it is due; *ages: it
 * is, and was not to be had. bad: one that a server refused, NULL: none. The
 * caller wipes and frees. False, STAGE_AUTH: EX_TEMPFAIL (the issuer cannot be
 * asked now), EX_NOPERM (nobody has logged in, or the issuer refuses: the words
 * say what to do), EX_CONFIG (a file that cannot be used, no
 * posthaste-token). */
bool login_token(const struct config *c, const struct transport *t,
		 const char *bad, char **out, bool *ages, struct outcome *why)
	MUST_CHECK;
/* Whether a token had before is still to be used without another look. */
bool login_token_holds(const struct config *c, const struct transport *t,
		       const char *token);
/* Whether its file is there and another user's. */
bool login_is_denied(const struct config *c, const struct transport *t);
/* The login's file, whether it is there or not; the caller frees. NULL: he
 * has no home. Where the caller has none, it is that of the queue's owner;
 * login_own_path gives the one that he would write. */
char *login_path(const struct config *c, const struct transport *t);
char *login_own_path(const struct config *c, const struct transport *t);
/* As root, before it becomes that user: the place for the logins of the
 * queue's owner. */
void login_prepare(const struct config *c, uid_t uid, gid_t gid);

#endif
