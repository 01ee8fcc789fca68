/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/interfaces.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct network {
	uint32_t net;
	unsigned bits;
};

static bool is_within(uint32_t address, const struct network *n, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!((address ^ n[i].net) >> (32 - n[i].bits)))
			return true;
	return false;
}

static bool is_public_v4(uint32_t address)
{
	static const struct network kept_out[] = {
		{ 0x00000000, 8 }, { 0x0a000000, 8 }, { 0x64400000, 10 },
		{ 0x7f000000, 8 }, { 0xa9fe0000, 16 }, { 0xac100000, 12 },
		{ 0xc0000000, 24 }, { 0xc0a80000, 16 }, { 0xc6120000, 15 },
		{ 0xe0000000, 3 },
	};

	return !is_within(address, kept_out,
			  sizeof(kept_out) / sizeof(*kept_out));
}

/* 2000::/3 is all that has been given out. */
static bool is_public_v6(const struct in6_addr *address)
{
	return (address->s6_addr[0] & 0xe0) == 0x20;
}

/* RFC 5737, RFC 3849: found on interfaces in laboratories alone. */
static bool is_documentation(const struct net_address *a)
{
	static const struct network v4_nets[] = {
		{ 0xc0000200, 24 }, { 0xc6336400, 24 }, { 0xcb007100, 24 },
	};
	static const unsigned char v6_net[] = { 0x20, 0x01, 0x0d, 0xb8 };
	const struct sockaddr_in *v4 = (const void *)&a->sa;
	const struct sockaddr_in6 *v6 = (const void *)&a->sa;

	if (a->sa.ss_family == AF_INET)
		return is_within(ntohl(v4->sin_addr.s_addr), v4_nets,
				 sizeof(v4_nets) / sizeof(*v4_nets));
	return !memcmp(v6->sin6_addr.s6_addr, v6_net, sizeof(v6_net));
}

bool net_address_is_public(const struct net_address *a)
{
	const struct sockaddr_in *v4 = (const void *)&a->sa;
	const struct sockaddr_in6 *v6 = (const void *)&a->sa;

	if (a->sa.ss_family == AF_INET)
		return is_public_v4(ntohl(v4->sin_addr.s_addr));
	return a->sa.ss_family == AF_INET6 && is_public_v6(&v6->sin6_addr);
}

/* False: not up, or neither IPv4 nor IPv6. */
static bool address_of(const struct ifaddrs *i, struct net_address *a)
{
	*a = (struct net_address){ 0 };
	if (!i->ifa_addr || !(i->ifa_flags & IFF_UP))
		return false;
	if (i->ifa_addr->sa_family == AF_INET)
		a->len = sizeof(struct sockaddr_in);
	else if (i->ifa_addr->sa_family == AF_INET6)
		a->len = sizeof(struct sockaddr_in6);
	memcpy(&a->sa, i->ifa_addr, a->len);
	return a->len > 0;
}

void interfaces_public(struct net_addresses *out)
{
	struct ifaddrs *all, *i;
	struct net_address a;

	if (getifaddrs(&all))
		return;
	for (i = all; i; i = i->ifa_next)
		if (address_of(i, &a) && net_address_is_public(&a) &&
		    !is_documentation(&a))
			net_addresses_add(out, (const struct sockaddr *)&a.sa,
					  a.len);
	freeifaddrs(all);
}

bool interfaces_have_ipv6(void)
{
	struct ifaddrs *all, *i;
	struct net_address a;
	bool found = false;

	if (getifaddrs(&all))
		return false;
	for (i = all; i && !found; i = i->ifa_next)
		found = address_of(i, &a) && a.sa.ss_family == AF_INET6 &&
			net_address_is_public(&a);
	freeifaddrs(all);
	return found;
}

/* Connecting a datagram socket sends nothing and fails where there is no
 * route; a source address that nobody beyond the link could answer to, as an
 * interface without a lease has it, is no way out either. */
static bool has_route(const char *text)
{
	struct net_address there, here = { .len = sizeof(here.sa) };
	bool found;
	int fd;

	if (!net_address_parse(text, 53, &there))
		return false;
	fd = socket(there.sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno != EAFNOSUPPORT;
	found = !connect(fd, (const void *)&there.sa, there.len) &&
		!getsockname(fd, (void *)&here.sa, &here.len) &&
		!net_address_is_local(&here);
	close(fd);
	return found;
}

/* A bridge of containers keeps its address with nobody on it: without a
 * carrier it is nothing to go out by. */
static bool has_address(void)
{
	struct ifaddrs *all, *i;
	struct net_address a;
	bool found = false;

	if (getifaddrs(&all))
		return true;
	for (i = all; i && !found; i = i->ifa_next)
		found = i->ifa_flags & IFF_RUNNING && address_of(i, &a) &&
			!net_address_is_local(&a);
	freeifaddrs(all);
	return found;
}

/* The addresses are a.root-servers.net's: any that is global would do. A
 * network without a way to the Internet is one, too. */
bool interfaces_way_out(void)
{
	return has_route("198.41.0.4") || has_route("2001:503:ba3e::2:30") ||
	       has_address();
}
