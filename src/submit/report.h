/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Failure and delay reports: multipart/report (RFC 6522) with a delivery
 * status (RFC 3464), or their international forms (RFC 6533) where the cause
 * needed SMTPUTF8.
 */
#ifndef SUBMIT_REPORT_H
#define SUBMIT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/outcome.h"
#include "mail/envelope.h"
#include "mail/message.h"
#include "queue/queue.h"

enum {
	REPORT_HEADER_MAX = 64 * 1024     /* longer: cut at a line's end */
};

struct report_place {
	const char *hostname;       /* Reporting-MTA */
	const char *from;           /* address of the From field */
	int64_t now;                /* wall clock, seconds */
	int64_t retry_until;        /* of a delay: when it will be given up */
};

/* Of these recipients, those whose sender wants to hear of it. wanted has room
 * for n; gives their number. */
size_t report_wanted(const struct entry *e, enum report_kind kind,
		     const size_t *rcpt, size_t n, size_t *wanted);

/* How many of these, from the first on and at least one, a report can name
 * without becoming larger than servers take: all of them, but where addresses
 * are very many and very long. */
size_t report_holds(const struct entry *e, const size_t *rcpt, size_t n);

/* The report about these recipients of the entry, as many as it holds;
 * cause is its message, NULL where that cannot be read as one. id is the one
 * to queue it under; *v is its envelope: null sender, the cause's account. The
 * caller frees *m and releases *v.
 * False: EX_IOERR (the cause's bytes cannot be read), EX_DATAERR. */
bool report_make(const struct entry *e, struct message *cause,
		 const struct report_place *place, enum report_kind kind,
		 const size_t *rcpt, size_t n, char id[QUEUE_ID_SIZE],
		 struct message **m, struct envelope *v,
		 struct outcome *why) MUST_CHECK;

#endif
