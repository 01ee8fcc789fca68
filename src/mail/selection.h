/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which entries of the queue somebody means. */
#ifndef MAIL_SELECTION_H
#define MAIL_SELECTION_H

#include <stdbool.h>

/* -qI, -qR, -qS, -q!... */
struct selection {
	char field;          /* 'I', 'R', 'S'; 0: those that are due */
	bool negated;
	const char *substring;
};

#endif
