/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The queue (SPEC 8): one directory, files that a person can read. libc
 * alone, so that posthaste-drop can use it.
 *
 *   tmp/ID         being written; locked by its writer while that lives
 *   mess/ID        an accepted entry: envelope as text, then the message
 *   log/ID         its journal: an append-only line per event
 *   corrupt/       damaged entries and reports that could not be delivered
 *   last-run       touched by every -q: the queue is "tended"
 */
#ifndef MAIL_QUEUE_H
#define MAIL_QUEUE_H

#include <stdbool.h>

struct queue;
struct entry;

#endif
