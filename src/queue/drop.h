/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The caller's side of a queue whose directory we may not write, by
 * posthaste-drop (the queue's helper) or, where that gains no rights, by the
 * socket on which "posthaste -bs" runs as the queue's owner. What is asked is
 * the same, and so are status and words, which become the outcome.
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
 *
 * The helper runs with an empty environment; its status is its exit status, its
 * words are on standard error. On the socket:
 *
 *   server   220 ...              as for any client of -bs; or 421, later
 *   client   posthaste-drop 1 VERB ARGUMENT...
 *   server   posthaste-drop 1 UID who the client is, and no other: what it
 *                                 writes has to say so, and "foreign"
 *   client                        what is standard input above
 *   server                        what is standard output above, then
 *            posthaste-drop STATUS WORDS, and the end
 */
#ifndef QUEUE_DROP_H
#define QUEUE_DROP_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/outcome.h"
#include "queue/queue.h"

bool drop_write(const struct queue *q, const struct queue_item *item,
		const struct buf *header, const struct buf *journal,
		char id[QUEUE_ID_SIZE], struct outcome *why) MUST_CHECK;
bool drop_list(const struct queue *q, entry_visit *visit, void *context,
	       struct outcome *why) MUST_CHECK;
/* id NULL: all. */
bool drop_order(const struct queue *q, enum order order, const char *id,
		const char *transport, struct outcome *why) MUST_CHECK;

#endif
