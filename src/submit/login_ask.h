/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The caller's side of posthaste-token. */
#ifndef SUBMIT_LOGIN_ASK_H
#define SUBMIT_LOGIN_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/outcome.h"
#include "config/config.h"

enum { LOGIN_TEXT_MAX = 512 * 1024 };

/* Runs it for a transport with oauth: verb, and pairs beside those that the
 * configuration gives; answer (a secret; may be NULL) gets its pairs. Ends
 * within ms and a little. False, STAGE_AUTH: EX_TEMPFAIL, EX_NOPERM,
 * EX_CONFIG or EX_CANTCREAT, with words that go on from the transport's
 * name. */
bool login_ask(const struct config *c, const struct transport *t,
	       const char *verb, const struct buf *more, int64_t ms,
	       struct buf *answer, struct outcome *why) MUST_CHECK;

#endif
