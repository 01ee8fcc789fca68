/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An entry that another user put in the queue (SPEC 12): hostile input, which
 * is judged as if its owner had called us now. */
#ifndef DESK_ADOPT_H
#define DESK_ADOPT_H

#include "submit/compose.h"
#include "queue/queue.h"

/* Parses and completes the message and the addresses anew; account and
 * sender follow from the file's owner. False (EX_DATAERR): it is no mail that
 * he could have sent. */
bool adopt(const struct config *config, struct entry *e, struct message **m,
	   const struct account **account, struct outcome *why) MUST_CHECK;

#endif
