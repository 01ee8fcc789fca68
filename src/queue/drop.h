/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The caller's side of posthaste-drop, for a queue whose directory we may
 * not write. helper is its path. It runs with an empty
 * environment; its exit status and the words on its standard error become
 * the outcome.
 *
 *   posthaste-drop write NEXT     standard input: "posthaste-drop 1 N", a
 *                                 line end, then the N bytes of an entry's
 *                                 file; standard output: the id, which counts
 *                                 once it has ended with 0. NEXT as in an
 *                                 entry's name. What comes takes a minute at
 *                                 most to begin or go on, and five in all
 *   posthaste-drop list           standard output, for each of the caller's
 *                                 entries: "NAME H J", a line end, H bytes of
 *                                 header, J bytes of journal
 *   posthaste-drop hold|release|withdraw ID
 *   posthaste-drop retry ID [TRANSPORT]
 *                                 ID ALL: each of the caller's own
 */
#ifndef QUEUE_DROP_H
#define QUEUE_DROP_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/outcome.h"
#include "queue/queue.h"

bool drop_write(const char *helper, const struct queue_item *item,
		const struct buf *header, const struct buf *journal,
		char id[QUEUE_ID_SIZE], struct outcome *why) MUST_CHECK;
bool drop_list(const char *helper, entry_visit *visit, void *context,
	       struct outcome *why) MUST_CHECK;
/* id NULL: all. */
bool drop_order(const char *helper, enum queue_order order, const char *id,
		const char *transport, struct outcome *why) MUST_CHECK;

#endif
