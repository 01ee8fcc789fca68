/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of net share, and dns for net_is_offline; nobody else
 * includes this. */
#ifndef WIRE_NET_PARTS_H
#define WIRE_NET_PARTS_H

#include <stdbool.h>

#include "wire/net.h"

/* No address beyond loopback and link-local on any interface that is up. */
bool net_is_offline(void);
/* Whether the family admits such an address (the prefer forms admit all). */
bool net_family_allows(enum net_family family, const struct net_address *a);
/* A socket above descriptor 2, non-blocking and close-on-exec; -1 and
 * errno. */
int net_socket(int domain);

#endif
