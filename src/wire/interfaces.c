/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/interfaces.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
		    !net_address_is_example(&a))
			net_addresses_add(out, &a);
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
 * interface without a lease has it, is not a way out either. */
bool interfaces_lead_to(const struct net_address *a)
{
	struct net_address there = *a, here = { .len = sizeof(here.sa) };
	bool found;
	int fd;

	net_address_set_port(&there, 53);
	fd = socket(there.sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno != EAFNOSUPPORT;
	found = !connect(fd, &there.any, there.len) &&
		!getsockname(fd, &here.any, &here.len) &&
		(!net_address_is_local(&here) || net_address_is_local(a));
	close(fd);
	return found;
}

static bool has_route(const char *text)
{
	struct net_address there;

	return net_address_parse(text, 0, &there) &&
	       interfaces_lead_to(&there);
}

/* The addresses are a.root-servers.net's: any that is global would do. A
 * network without a way to the Internet is one, too. */
bool interfaces_way_out(void)
{
	struct ifaddrs *all, *i;
	struct net_address a;
	bool found = false;

	if (has_route("198.41.0.4") || has_route("2001:503:ba3e::2:30") ||
	    getifaddrs(&all))
		return true;
	/* a bridge of containers keeps its address with nobody on it: without
	 * a carrier it is nothing to go out by */
	for (i = all; i && !found; i = i->ifa_next)
		found = i->ifa_flags & IFF_RUNNING && address_of(i, &a) &&
			!net_address_is_local(&a);
	freeifaddrs(all);
	return found;
}
