/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mail providers that are known by the domains of their users, as facts: the
 * table is held against contrib/examples by a test.
 */
#ifndef DESK_PROVIDERS_H
#define DESK_PROVIDERS_H

#include <stdbool.h>

#include "config/config.h"

struct provider {
	const char *name;            /* of the transport in its example */
	const char *title;
	const char *const *domain;   /* of addresses, NULL behind the last;
				      * ".example.org": all below */
	const char *const *mx;       /* the same of a domain's mail hosts */
	const char *host;
	unsigned port;
	enum kind kind;
	bool token;                  /* takes no password, but a token */
	const char *username;        /* what the login name is, in words;
				      * NULL: the address */
	const char *secret;          /* how to get it, in words */
	const char *more;            /* what else to know; NULL: nothing */
};

/* Each gives NULL where none is known. Names are A-labels in lower case. */
const struct provider *provider_of_domain(const char *domain);
/* By one of the mail hosts of a domain. */
const struct provider *provider_of_mx(const char *name);
/* By the server that mail is submitted to. */
const struct provider *provider_of_host(const char *host);

#endif
