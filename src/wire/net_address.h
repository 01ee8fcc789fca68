/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses as values: as text and back, and what kind they are. */
#ifndef WIRE_NET_ADDRESS_H
#define WIRE_NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/endpoint.h"

/* sa.ss_family says which it is; any is for the calls of the system. */
struct net_address {
	union {
		struct sockaddr_storage sa;
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t len;
};
struct net_addresses {
	struct net_address *item;
	size_t n;
};

void net_addresses_add(struct net_addresses *a, const struct net_address *one);
void net_addresses_release(struct net_addresses *a);
/* RFC 8305 4: families take turns, beginning with the preferred one (where
 * none is preferred, that of the first address); the order within a family
 * stays. */
void net_interleave(struct net_addresses *a, enum family family);

/* Parses a numeric address, brackets and "IPv6:" allowed. */
bool net_address_parse(const char *text, unsigned port,
		       struct net_address *out);
void net_address_set_port(struct net_address *a, unsigned port);
/* "192.0.2.1" without a port; "" where it is neither IPv4 nor IPv6. */
void net_address_text(const struct net_address *a, char out[64]);

/* Whether the family admits such an address (the prefer forms admit all). */
bool net_address_is_of(const struct net_address *a, enum family family);
/* 127.0.0.0/8 and ::1. */
bool net_address_is_loopback(const struct net_address *a);
/* Loopback, unspecified or link-local, also IPv4-mapped. */
bool net_address_is_local(const struct net_address *a);
/* Whether an address can be one of the whole Internet: not loopback,
 * link-local, private (RFC 1918, RFC 4193), shared (RFC 6598), multicast or
 * reserved. Those of documentation are let pass. */
bool net_address_is_public(const struct net_address *a);
/* Of documentation (RFC 5737, RFC 3849): found in laboratories alone. */
bool net_address_is_example(const struct net_address *a);

#endif
