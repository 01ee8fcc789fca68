/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mail providers that are known, as facts; providers_table.c has a row each.
 * Those that contrib/examples has are held against it by a test.
 */
#ifndef DESK_PROVIDERS_H
#define DESK_PROVIDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

struct provider {
	const char *name;            /* of the transport, and for --setup */
	const char *title;
	const char *const *domain;   /* of addresses, NULL after the last;
				      * ".example.org": all below */
	const char *const *mx;       /* the same of a domain's mail hosts */
	const char *host;            /* NULL: none says why */
	unsigned port;
	enum kind kind;
	bool local;                  /* the host is a program of the provider
				      * on this machine */
	bool token;                  /* takes no password, but a token */
	const char *issuer;          /* of a login, as the key oauth has it;
				      * NULL: none that is known */
	const char *mechanisms;      /* as its pages say; NULL: they do not */
	const char *user;            /* the login name: "%u" the part before
				      * the @; NULL: the address */
	const char *username;        /* what it is, in words, where nobody but
				      * its owner knows; NULL: user says */
	const char *secret;          /* how to get it, in words */
	int64_t size;                /* of a message, at most; 0: not known */
	const char *rate;            /* limits, in words; NULL: not known */
	const char *rate_key;        /* as the key rate has them, in recipients;
				      * NULL: it cannot */
	const char *from;            /* what From must be, in words; NULL:
				      * nothing is known */
	const char *more;            /* what else to know; NULL: nothing */
	const char *none;            /* why there is no host */
};

/* Row i, NULL after the last. */
const struct provider *provider_at(size_t i);
/* Each gives NULL where none is known. Names are A-labels in lower case. */
const struct provider *provider_of_domain(const char *domain);
/* By one of the mail hosts of a domain. */
const struct provider *provider_of_mx(const char *name);
/* By the server that mail is submitted to. */
const struct provider *provider_of_host(const char *host);
const struct provider *provider_of_name(const char *name);
/* The login name of an address there, as far as it is known; p NULL: of any
 * provider. The caller frees. */
char *provider_username(const struct provider *p, const char *address);

#endif
