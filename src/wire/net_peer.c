/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/net_peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "wire/net_address.h"

/* An address and port as /proc/net/tcp and tcp6 have them: words of 32 bits
 * in hexadecimal, as they lie in memory. */
static void proc_form(const struct net_address *a, char out[48])
{
	const bool v6 = a->sa.ss_family == AF_INET6;
	uint32_t word[4] = { 0 };
	size_t i, at = 0;

	memcpy(word, v6 ? (const void *)&a->v6.sin6_addr :
	       (const void *)&a->v4.sin_addr, v6 ? 16 : 4);
	for (i = 0; i < (v6 ? 4 : 1); i++)
		at += (size_t)snprintf(out + at, 48 - at, "%08" PRIX32,
				       word[i]);
	snprintf(out + at, 48 - at, ":%04X",
		 ntohs(v6 ? a->v6.sin6_port : a->v4.sin_port));
}

/* Whose the socket at the other end is: that which is connected from their
 * address to ours, if it is of this host (and of this network namespace). */
static bool peer_uid(const struct net_address *theirs,
		     const struct net_address *ours, unsigned long *uid)
{
	const bool v6 = theirs->sa.ss_family == AF_INET6;
	char from[48], to[48], line[512], local[48], remote[48];
	FILE *f = fopen(v6 ? "/proc/net/tcp6" : "/proc/net/tcp", "re");
	bool found = false;

	if (!f)
		return false;
	proc_form(theirs, from);
	proc_form(ours, to);
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, " %*d: %47s %47s %*s %*s %*s %*s %lu",
			       local, remote, uid) == 3 &&
			!strcmp(local, from) && !strcmp(remote, to);
	fclose(f);
	return found;
}

bool net_peer_name(int fd, char out[NET_PEER_SIZE])
{
	struct net_address theirs = { .len = sizeof(theirs.sa) };
	struct net_address ours = { .len = sizeof(ours.sa) };
	char address[64];
	unsigned long uid;
	unsigned port;

	if (getpeername(fd, &theirs.any, &theirs.len) ||
	    getsockname(fd, &ours.any, &ours.len))
		return false;
	net_address_text(&theirs, address);
	if (!address[0])
		return false;
	port = ntohs(theirs.sa.ss_family == AF_INET6 ? theirs.v6.sin6_port :
		     theirs.v4.sin_port);
	if (peer_uid(&theirs, &ours, &uid))
		snprintf(out, NET_PEER_SIZE, "[%s]:%u, uid %lu", address,
			 port, uid);
	else
		snprintf(out, NET_PEER_SIZE, "[%s]:%u", address, port);
	return true;
}
