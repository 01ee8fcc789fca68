/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What addresses this host has itself. */
#ifndef WIRE_INTERFACES_H
#define WIRE_INTERFACES_H

#include <stdbool.h>

#include "wire/net_address.h"

/* Adds the public addresses of interfaces that are up, but for those of
 * documentation (RFC 5737, RFC 3849). */
void interfaces_public(struct net_addresses *out);
/* Whether an interface that is up has a public IPv6 address. */
bool interfaces_have_ipv6(void);
/* Whether this host has a network in any family: a route to the Internet from
 * an address that is good for it, or an interface with a carrier and an
 * address beyond loopback and link-local. Nothing is sent. What cannot be
 * found out (no descriptors) counts as a way out. */
bool interfaces_way_out(void);
/* Whether a route leads to an address, by the same measure. */
bool interfaces_lead_to(const struct net_address *a);

#endif
