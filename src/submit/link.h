/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a transport of the configuration to an open session: host by host,
 * with everything that the layers below must know filled into their
 * parameter structs.
 */
#ifndef SUBMIT_TRANSPORT_H
#define SUBMIT_TRANSPORT_H

#include <stdbool.h>

#include "base/outcome.h"
#include "submit/hosts.h"
#include "submit/run.h"
#include "submit/smtp.h"
#include "wire/net.h"

/* A session with what it stands on; not to be copied while open. */
struct link {
	struct session *session;       /* NULL: the dialling failed */
	struct net_peer peer;
	struct run *run;
	const struct transport *transport;
	const struct host *host;
	struct session_params params;
	char secret_from[200];
	char literal[80];              /* what EHLO says without a name */
	struct net_proxy proxy;
	struct net_addresses addresses; /* to try; the one that answered */
	bool early;                    /* early pipelining may be used */
	struct early known;            /* of the server, for that */
};

/* The addresses of a host in the order to try, as ip_family and
 * source_address allow; none where they are not ours to know (a socket, a
 * name that a proxy looks up). False as net_lookup. */
bool link_addresses(struct run *run, const struct transport *t,
		    const struct host *host, struct net_addresses *out,
		    struct outcome *why) MUST_CHECK;

struct link_options {
	bool want_certificates;
	bool early;                /* a message is at hand: early pipelining
				    * may be used, and what the server is like
				    * be remembered */
	/* those of link_addresses that are to be tried; NULL: all */
	const struct net_addresses *addresses;
	int64_t timeout;           /* ms, where less than [general] timeout;
				    * 0: that */
};
/* Dials one host of the transport and opens a session, trying once more in
 * clear at the same address where TLS was only opportunistic and failed.
 * False: stage CONNECT, TLS, HELLO or AUTH; link->session may still be there
 * for its facts. */
bool link_open(struct run *run, const struct transport *t,
	       const struct host *host, const struct link_options *options,
	       struct link *link, struct outcome *why) MUST_CHECK;
void link_close(struct link *link);

#endif
