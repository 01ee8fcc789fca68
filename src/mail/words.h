/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a sender may ask of delivery, as values: NOTIFY and RET (RFC 3461),
 * BODY (RFC 6152). */
#ifndef MAIL_WORDS_H
#define MAIL_WORDS_H

#include <stdbool.h>

#include "base/outcome.h"

/* NOTIFY, as bits; none set: not asked for */
enum { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4,
       NOTIFY_DELAY = 8 };
enum dsn_return { RETURN_UNSET, RETURN_FULL, RETURN_HDRS };
enum body_type { BODY_UNSET, BODY_7BIT, BODY_8BITMIME };

/* NOTIFY words ("never", or success, failure, delay; commas or blanks) as
 * bits; RET. Without case. */
bool notify_parse(const char *text, unsigned *notify) MUST_CHECK;
bool return_parse(const char *text, int *dsn_return) MUST_CHECK;

#endif
