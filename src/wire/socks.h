/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SOCKS5 CONNECT (RFC 1928) with or without username and password
 * (RFC 1929), over a connected descriptor. */
#ifndef WIRE_SOCKS_H
#define WIRE_SOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/outcome.h"
#include "wire/net.h"

/* Asks the proxy for host (a name, sent as such) or, if address is not NULL,
 * for that address. False (EX_TEMPFAIL) with each reply code in words. Reads
 * not one byte beyond the proxy's answer. */
bool socks_connect(int fd, const struct net_proxy *proxy, const char *host,
		   const struct net_address *address, unsigned port,
		   int64_t deadline, struct outcome *why) MUST_CHECK;

#endif
