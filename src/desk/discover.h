/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From an address to the server that takes its mail, for --configure and
 * --setup. */
#ifndef DESK_DISCOVER_H
#define DESK_DISCOVER_H

#include <stdbool.h>

#include "base/outcome.h"
#include "desk/desk.h"
#include "desk/providers.h"

struct finding {
	const char *address;         /* whom it is for, as inside the program */
	const struct provider *provider; /* NULL: none that is known */
	char *host;
	unsigned port;
	enum kind kind;
	bool token;                  /* takes no password, but a token */
	const char *issuer;          /* of a login; NULL: none that is known */
	char said[512];              /* where the domain itself named it */
	bool local_part;             /* the login name is what stands before
				      * the @, says the domain */
	bool foreign;                /* a server elsewhere, by DNS alone */
	char how[256];               /* it was found, in words */
};

/* The address of an option's value, with a domain that can be asked about; the
 * caller frees it, in either case. EX_USAGE. */
bool discover_address(const char *option, const char *text, char **address,
		      struct outcome *why) MUST_CHECK;
/* Looks for the server: SRV records (RFC 6186, RFC 8314), with https what the
 * domain itself says there (see mail/autoconfig), the known providers, hosts
 * that answer. f points to address, and is to be released in either
 * case. False: EX_NOHOST, nothing was found; EX_UNAVAILABLE, the provider
 * takes no mail from programs. */
bool discover(const struct desk *d, const char *address, bool https,
	      struct finding *f, struct outcome *why) MUST_CHECK;
/* A provider that somebody named. */
void finding_of_provider(struct finding *f, const struct provider *p,
			 const char *how);
/* A host that somebody named: submission over TLS. */
void finding_of_host(struct finding *f, const char *host, const char *how);
/* EX_UNAVAILABLE: the provider takes no mail from programs. */
bool finding_usable(const struct finding *f, struct outcome *why) MUST_CHECK;
void finding_release(struct finding *f);

#endif
