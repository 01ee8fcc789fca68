/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What --configure found, and the text made of it. */
#ifndef DESK_CONFIGURE_H
#define DESK_CONFIGURE_H

#include <stdbool.h>

#include "base/buf.h"
#include "desk/providers.h"
#include "config/config.h"

struct finding {
	const char *address;         /* whom it is for, as inside the program */
	const struct provider *provider; /* NULL: none that is known */
	char *host;
	unsigned port;
	enum kind kind;
	bool token;                  /* takes no password, but a token */
	bool foreign;                /* a server elsewhere, by DNS alone */
	char how[256];               /* it was found, in words */
};

/* Adds the configuration, a file that --check accepts. */
void configure_text(const struct finding *f, struct buf *out);

#endif
