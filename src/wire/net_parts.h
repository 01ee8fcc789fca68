/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of net and dns share; nobody else includes this. */
#ifndef WIRE_NET_PARTS_H
#define WIRE_NET_PARTS_H

#include <stdbool.h>

#include "wire/net.h"

/* Whether the family admits such an address (the prefer forms admit all). */
bool net_family_allows(enum family family, const struct net_address *a);
/* 127.0.0.0/8 and ::1. */
bool net_address_is_loopback(const struct net_address *a);

#endif
