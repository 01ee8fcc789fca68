/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logging a transport in at its issuer, for --login and --setup. */
#ifndef DESK_LOGIN_H
#define DESK_LOGIN_H

#include <stdbool.h>

#include "base/outcome.h"
#include "config/config.h"

/* Talks with the person on standard output and input (who opens an address in
 * a browser, anywhere) until the tokens are on disk. False: EX_CONFIG (no
 * oauth, no client and none to be had: the words say what to register and
 * where), EX_NOPERM (refused), EX_TEMPFAIL (the issuer does not answer, or
 * the person did not in time), EX_CANTCREAT. */
bool login_perform(const struct config *c, const struct transport *t,
		   struct outcome *why) MUST_CHECK;
/* What a person has to do at this issuer before a login can be had (lines,
 * each with its LF); NULL: nothing. */
const char *login_preparation(const struct transport *t);

/* A line on standard error for a login that has ended, is about to, or is
 * still to be had; t NULL: of each transport. One that is not the caller's to
 * see is not spoken of. */
void login_complain(const struct config *c, const struct transport *t);

#endif
