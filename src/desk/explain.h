/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What would happen to a message, and why (--explain, -bv, --dry-run). */
#ifndef DESK_EXPLAIN_H
#define DESK_EXPLAIN_H

#include "desk/desk.h"

/* --dry-run: composes *m and prints envelope, ways and message. Gives the
 * exit status. */
int explain_dry_run(const struct desk *d, const struct request *request,
		    struct message **m);

#endif
