/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An entry that another user put in the queue: hostile input, which
 * is judged as if its owner had called us now. */
#ifndef DESK_ADOPT_H
#define DESK_ADOPT_H

#include "submit/compose.h"
#include "queue/queue.h"

/* Completes the message (*m, which was parsed anew) and normalises the
 * addresses; account and sender follow from the file's owner. Recipients keep
 * their places: what is not an address is recorded as failed, one that comes
 * twice is sent to once. False: EX_DATAERR and the like where it is not mail
 * that he could have sent, temporary statuses as of compose(). */
bool adopt(const struct config *config, struct entry *e, struct message **m,
	   const struct account **account, struct outcome *why) MUST_CHECK;
/* For an entry that goes no further: its sender becomes an address that a
 * report can be sent to, by the rules of his account. */
void adopt_sender(const struct config *config, struct entry *e);

#endif
