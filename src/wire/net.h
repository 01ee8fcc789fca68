/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connections: names to addresses by the system's resolver (/etc/hosts and
 * nsswitch count), happy eyeballs (RFC 8305), UNIX sockets, SOCKS5. Nothing
 * here lands on descriptors 0 to 2, everything is close-on-exec.
 */
#ifndef WIRE_NET_H
#define WIRE_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/endpoint.h"
#include "base/outcome.h"

struct net_address {
	struct sockaddr_storage sa;
	socklen_t len;
};
struct net_addresses {
	struct net_address *item;
	size_t n;
};

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
 * name does not exist), EX_CONFIG (a source_address or path that can never
 * work), EX_OSERR (no memory, process or descriptor for a look-up).
 * why->no_route is set where there is no route to any of the addresses, and
 * why->no_network where this host has no way out in any family besides. The
 * words name host, address and port and say what to look at. */
bool net_dial(const struct net_dial *dial, int *fd, struct net_peer *peer,
	      struct outcome *why) MUST_CHECK;

/* localhost and what is below it: this host, with or without a line in
 * /etc/hosts, whatever a resolver says of it (RFC 6761 section 6.3). */
bool net_is_localhost(const char *name);
/* The addresses of a name, by getaddrinfo in a process under the deadline
 * (none is started for a numeric address); the caller releases. False as
 * above, STAGE_DNS. */
bool net_lookup(const char *host, unsigned port, enum family family,
		int64_t deadline, struct net_addresses *out,
		struct outcome *why) MUST_CHECK;
/* The full name that the system's resolver (/etc/hosts before all) has for a
 * short one; NULL: none in time. The caller frees. */
char *net_canonical_name(const char *name);
void net_addresses_add(struct net_addresses *a, const struct sockaddr *sa,
		       socklen_t len);
void net_addresses_release(struct net_addresses *a);
/* RFC 8305 4: families take turns, beginning with the preferred one (where
 * none is preferred, that of the first address); the order within a family
 * stays. */
void net_interleave(struct net_addresses *a, enum family family);
/* "192.0.2.1" without a port. */
void net_address_text(const struct net_address *a, char out[64]);
/* The address literal (RFC 5321 4.1.3) of this end of a connection, for EHLO
 * where there is no name: "[192.0.2.1]". */
void net_local_literal(int fd, char out[80]);
/* Parses a numeric address, brackets and "IPv6:" allowed. */
bool net_address_parse(const char *text, unsigned port,
		       struct net_address *out);
void net_address_set_port(struct net_address *a, unsigned port);
/* Loopback, unspecified or link-local, also IPv4-mapped. */
bool net_address_is_local(const struct net_address *a);

#endif
