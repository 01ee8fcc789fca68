/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SASL mechanisms and what each needs: the one table that configuration,
 * policy and dialogue read. */
#ifndef MAIL_MECHANISM_H
#define MAIL_MECHANISM_H

#include <stddef.h>

enum mechanism_need {
	NEED_TOKEN = 1,
	NEED_PASSWORD = 2,      /* and whom it belongs to */
	NEED_CERTIFICATE = 4,
	NEED_TICKET = 8,
	NEED_BINDING = 16,
	NEED_USERNAME = 32,
	NO_PASSWORD = 64,       /* unless named: else the password is meant */
	NEED_TLS = 128,         /* unless named */
	SHOWS_SECRET = 256,     /* sends the secret itself: verified TLS,
				 * unless named */
	NEED_NAMING = 512,      /* never chosen unless a person names it */
	NEED_PLAIN_STORE = 1024 /* the server must keep the password as it is:
				 * some offer it and cannot */
};

struct mechanism {
	const char *name;
	unsigned needs;         /* enum mechanism_need, as bits */
};

/* Row i, in the order of choice; NULL after the last. */
const struct mechanism *mechanism_row(size_t i);
/* Without case; NULL: not known. */
const struct mechanism *mechanism_find(const char *name);

/* Its needs; 0: not known. */
unsigned mechanism_needs(const char *name);

#endif
