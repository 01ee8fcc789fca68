/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tells the postmaster that mail has stood still for alarm_after, once a day
 * at most. */
#ifndef DESK_ALARM_H
#define DESK_ALARM_H

#include "desk/desk.h"

/* After a run: from is the earliest time from which one that it tried and left
 * stands still (0: there is none). At that time, or one that an earlier run
 * had noted, it looks at what the queue holds; until then no entry is opened.
 * True: a message to the postmaster was queued. What goes wrong is logged. */
bool alarm_raise(const struct desk *d, struct queue *q, int64_t from);

#endif
