/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What servers that offer early pipelining said to EHLO, remembered for a day
 * in the cache: one small file a server, in a fixed number of places, so that
 * servers without number fill no disk.
 */
#ifndef SUBMIT_EARLY_H
#define SUBMIT_EARLY_H

#include <stdbool.h>

#include "mail/reply.h"

/* Whom it is about: a transport, so that other trust or another login is
 * another server, and one address of a host. */
struct early_server {
	const char *transport, *host, *address;
	unsigned port;
};
struct early {
	char *hello;            /* the extensions, a line each, joined by LF */
	char mechanism[24];     /* that was used; "": no login */
	bool verified;          /* the certificate was; false: no TLS */
	bool never;             /* it is not for this server, which offers it
				 * and was another when it was used; nothing
				 * else is known then */
};

/* False: nothing is known that may still be believed. To be released. */
bool early_find(const char *cache, const struct early_server *server,
		struct early *out) MUST_CHECK;
/* As far as that can be done. */
void early_keep(const char *cache, const struct early_server *server,
		const struct early *early);
void early_release(struct early *early);

/* The extensions, as if the server had announced them now. */
void early_features(const char *hello, struct features *out);

#endif
