/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which entries of the queue somebody means, and what is done with them. */
#ifndef MAIL_SELECTION_H
#define MAIL_SELECTION_H

#include <stdbool.h>

/* -qI, -qR, -qS, -q!... */
struct selection {
	char field;          /* 'I', 'R', 'S'; 0: those that are due */
	bool negated;
	const char *substring;
};

enum order {
	ORDER_HOLD,      /* not to be tried */
	ORDER_RELEASE,   /* held no more, and due */
	ORDER_REMOVE,
	/* due; a transport that is named is used for its next attempt, after
	 * which it waits for the time that it would have waited for. A held
	 * one stays held. */
	ORDER_RETRY
};

#endif
