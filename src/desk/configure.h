/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The configuration for what was found, as text. */
#ifndef DESK_CONFIGURE_H
#define DESK_CONFIGURE_H

#include <stdbool.h>

#include "base/buf.h"
#include "desk/discover.h"

/* For whom, and what he has said. */
struct configuring {
	bool done;                   /* somebody does the steps for him: they
				      * are not told */
	const char *secrets;         /* directory of the password's file; NULL:
				      * ~/.config/posthaste */
	bool queued;                 /* by a queue that its owner runs */
	bool login;                  /* no password, but a login */
	const char *client;          /* oauth_client_id; NULL: not known */
	const char *username;        /* NULL: as far as it is known */
};

/* The name of the transport in it. */
const char *configure_name(const struct finding *f);
/* Adds the configuration, a file that --check accepts. */
void configure_text(const struct finding *f, const struct configuring *how,
		    struct buf *out);

#endif
