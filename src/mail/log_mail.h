/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the log says of mail: one event, one line, the same fields in the
 * same order and form whoever says it. */
#ifndef MAIL_LOG_MAIL_H
#define MAIL_LOG_MAIL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "base/outcome.h"

/* What is NULL, empty or 0 is not known and left out, but for the null sender
 * "". */
struct mail_event {
	const char *id;           /* of the queue's entry */
	const char *message_id;
	uid_t uid;                /* whose it is; always said */
	const char *from, *to;
	const char *account;
	const char *transport, *ip, *tls, *auth;
	int64_t size;             /* bytes */
	unsigned attempt;         /* the number of it */
	int64_t delay;            /* seconds since it was handed in; said where
				   * waited is set */
	bool waited;
};

/* status is "sent", "deferred", "failed", "duplicate_possible", "queued";
 * the outcome says host, code, dsn and text; NULL: nothing of that. */
void log_mail(enum log_level level, const struct mail_event *e,
	      const struct outcome *o, const char *status);

#endif
