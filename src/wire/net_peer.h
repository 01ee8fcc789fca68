/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who is at the other end of a connection that was made to us. */
#ifndef WIRE_NET_PEER_H
#define WIRE_NET_PEER_H

#include <stdbool.h>

enum { NET_PEER_SIZE = 128 };

/* "[127.0.0.1]:54321, uid 33": address and port, and whose socket it is where
 * that is one of this host. For the log: rights are not to rest on it. False:
 * no connection over IP. */
bool net_peer_name(int fd, char out[NET_PEER_SIZE]);

#endif
