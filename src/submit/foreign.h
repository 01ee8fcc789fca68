/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An entry that another user put in the queue: hostile input, which is
 * composed as if he had called us now. */
#ifndef SUBMIT_FOREIGN_H
#define SUBMIT_FOREIGN_H

#include "queue/queue.h"
#include "submit/compose.h"

/* Completes the message (*m, which was parsed anew) and normalises the
 * addresses; account and sender follow from the file's owner. Recipients keep
 * their places: what is not an address is recorded as failed, one that comes
 * twice is sent to once. False: EX_DATAERR and the like where it is not mail
 * that he could have sent, temporary statuses as of compose(). */
bool foreign_compose(const struct config *config, struct entry *e,
		     struct message **m, const struct account **account,
		     struct outcome *why) MUST_CHECK;
/* For an entry that goes no further, and the reports of it: account and sender
 * follow from the file's owner here, too, and what is no parameter goes. */
void foreign_sender(const struct config *config, struct entry *e);

#endif
