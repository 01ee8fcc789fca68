/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bytes of a message within a session: what they are, and how they leave,
 * by BDAT (RFC 3030) or after 354 (RFC 5321 4.5.2). */
#ifndef SUBMIT_SMTP_BODY_H
#define SUBMIT_SMTP_BODY_H

#include "submit/smtp_session.h"

/* With the prefix. */
int64_t body_size(const struct delivery *d);
/* Whether a line of what will be sent could be taken for a command; of what
 * is larger than ONE_FLIGHT nobody asks: false. */
bool body_has_command(const struct delivery *d, int64_t size);
/* Gathers all of it as it is. False: EX_IOERR, it can no longer be read. */
bool body_gather(struct session *s, const struct delivery *d,
		 struct outcome *why) MUST_CHECK;
/* Writes all of it, stuffed, and the final dot, a small one at once. False:
 * the dot did not leave, so that nothing is in doubt; the session is broken,
 * and what the server said meanwhile is *why. */
bool body_write(struct session *s, const struct delivery *d, int64_t size,
		struct outcome *why) MUST_CHECK;

#endif
