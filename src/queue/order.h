/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Administration of entries; for posthaste-drop too. */
#ifndef QUEUE_ORDER_H
#define QUEUE_ORDER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/outcome.h"
#include "queue/qdir.h"
#include "queue/queue.h"

/* Whose entries may be touched, instead of a user's number: anybody's. */
#define QDIR_ANY ((uid_t)-1)

/* As queue_order; an entry of another user is no entry. */
bool qdir_order(struct qdir *s, enum order order, const char *id,
		uid_t uid, const char *transport,
		struct outcome *why) MUST_CHECK;
/* The same for every entry of that user, in one pass over the directory. What
 * one is refused stops no other; *why is then the first one's. ORDER_RETRY
 * without a transport and ORDER_RELEASE pass over what is being delivered. */
bool qdir_order_all(struct qdir *s, enum order order, uid_t uid,
		    const char *transport, struct outcome *why) MUST_CHECK;

#endif
