/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connections: happy eyeballs (RFC 8305), UNIX sockets, SOCKS5. Nothing here
 * lands on descriptors 0 to 2, everything is close-on-exec.
 */
#ifndef WIRE_NET_H
#define WIRE_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/outcome.h"
#include "wire/net_address.h"

/* A SOCKS5 proxy (RFC 1928, 1929). */
struct net_proxy {
	const char *host;        /* name or address, without brackets */
	unsigned port;
	const char *username;    /* NULL: no authentication */
	const char *password;
	bool names;              /* the proxy looks up names */
};

struct net_dial {
	const char *host;        /* name, address (brackets allowed), or a
				  * UNIX socket's path ("/...") */
	unsigned port;
	/* already looked up (direct delivery): used instead of host, in this
	 * order, which the family may filter but not reorder; NULL: none */
	const struct net_addresses *addresses;
	enum family family;
	const char *source_address; /* NULL: the system's choice */
	const struct net_proxy *proxy; /* NULL: none */
	int64_t connect_timeout; /* ms, for the whole of it */
};

/* What happened, for logs and reports. */
struct net_peer {
	char address[64];        /* "192.0.2.1", "2001:db8::1", a path, or ""
				  * where a proxy looked the name up */
	bool dual_stack;         /* addresses of both families were known */
	bool ipv6;
};

/* A connected non-blocking descriptor with TCP_NODELAY, or false: EX_TEMPFAIL
 * (no answer, no address for now, any failure of a proxy), EX_NOHOST (the
 * name does not exist), EX_CONFIG (a source address or path that can never
 * work), EX_OSERR (no memory, process or descriptor for a look-up).
 * why->no_route is set where there is no route to any of the addresses, and
 * why->no_network where this host has no way out in any family besides. The
 * words name host, address and port and say what to look at. */
bool net_dial(const struct net_dial *dial, int *fd, struct net_peer *peer,
	      struct outcome *why) MUST_CHECK;

/* The address literal (RFC 5321 4.1.3) of this end of a connection, for EHLO
 * where there is no name: "[192.0.2.1]". */
void net_local_literal(int fd, char out[80]);

#endif
