/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Administration of entries; for posthaste-drop too. */
#ifndef QUEUE_ORDER_H
#define QUEUE_ORDER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/outcome.h"
#include "queue/qdir.h"

/* Whose entries may be touched, instead of a user's number: anybody's. */
#define QDIR_ANY ((uid_t)-1)

/* As queue_hold and so on; an entry of another user is no entry. */
bool qdir_hold(struct qdir *s, const char *id, uid_t uid,
		struct outcome *why) MUST_CHECK;
bool qdir_unhold(struct qdir *s, const char *id, uid_t uid,
		   struct outcome *why) MUST_CHECK;
bool qdir_withdraw(struct qdir *s, const char *id, uid_t uid,
		    struct outcome *why) MUST_CHECK;
bool qdir_retry(struct qdir *s, const char *id, uid_t uid,
		 const char *transport, struct outcome *why) MUST_CHECK;

#endif
