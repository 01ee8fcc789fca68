/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses as text and back, and what kind they are. */
#include "wire/net.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "wire/net_parts.h"

void net_addresses_add(struct net_addresses *a, const struct sockaddr *sa,
		       socklen_t len)
{
	struct net_address *item;

	if (len > sizeof(item->sa))
		return;
	a->item = mem_resize(a->item, a->n + 1, sizeof(*a->item));
	item = &a->item[a->n++];
	*item = (struct net_address){ .len = len };
	memcpy(&item->sa, sa, len);
}

void net_addresses_release(struct net_addresses *a)
{
	free(a->item);
	*a = (struct net_addresses){ 0 };
}

void net_address_text(const struct net_address *a, char out[64])
{
	const struct sockaddr_in *v4 = (const void *)&a->sa;
	const struct sockaddr_in6 *v6 = (const void *)&a->sa;

	out[0] = '\0';
	if (a->sa.ss_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, out, 64);
	else if (a->sa.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &v6->sin6_addr, out, 64);
}

void net_local_literal(int fd, char out[80])
{
	struct net_address a = { .len = sizeof(a.sa) };
	struct sockaddr_in6 *v6 = (void *)&a.sa;
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	char text[64] = "";

	if (!getsockname(fd, (void *)&a.sa, &a.len)) {
		if (a.sa.ss_family == AF_INET6 &&
		    IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
			memcpy(&v4.sin_addr, &v6->sin6_addr.s6_addr[12], 4);
			memcpy(&a.sa, &v4, sizeof(v4));
		}
		net_address_text(&a, text);
	}
	/* a UNIX socket is of this host, too */
	snprintf(out, 80, "[%s%s]", strchr(text, ':') ? "IPv6:" : "",
		 *text ? text : "127.0.0.1");
}

void net_address_set_port(struct net_address *a, unsigned port)
{
	struct sockaddr_in *v4 = (void *)&a->sa;
	struct sockaddr_in6 *v6 = (void *)&a->sa;

	if (a->sa.ss_family == AF_INET)
		v4->sin_port = htons((uint16_t)port);
	else if (a->sa.ss_family == AF_INET6)
		v6->sin6_port = htons((uint16_t)port);
}

/* "fe80::1%eth0" or "fe80::1%2" */
static bool parse_v6(char *text, struct sockaddr_in6 *sin6)
{
	char *zone = strchr(text, '%'), *end;

	if (zone) {
		*zone++ = '\0';
		sin6->sin6_scope_id = if_nametoindex(zone);
		if (!sin6->sin6_scope_id && *zone >= '1' && *zone <= '9') {
			sin6->sin6_scope_id =
				(uint32_t)strtoul(zone, &end, 10);
			if (*end)
				return false;
		}
		if (!sin6->sin6_scope_id)
			return false;
	}
	sin6->sin6_family = AF_INET6;
	return inet_pton(AF_INET6, text, &sin6->sin6_addr) == 1;
}

bool net_address_parse(const char *text, unsigned port,
		       struct net_address *out)
{
	struct net_address a = { 0 };
	struct sockaddr_in *v4 = (void *)&a.sa;
	struct sockaddr_in6 *v6 = (void *)&a.sa;
	size_t n = strlen(text);
	char copy[80];

	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (n > 5 && !strncasecmp(text, "IPv6:", 5)) {
		text += 5;
		n -= 5;
	}
	if (!n || n >= sizeof(copy) || port > 65535)
		return false;
	memcpy(copy, text, n);
	copy[n] = '\0';
	if (inet_pton(AF_INET, copy, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		a.len = sizeof(*v4);
	} else if (parse_v6(copy, v6)) {
		v6->sin6_port = htons((uint16_t)port);
		a.len = sizeof(*v6);
	} else {
		return false;
	}
	*out = a;
	return true;
}

bool net_address_is_loopback(const struct net_address *a)
{
	const struct sockaddr_in *v4 = (const void *)&a->sa;
	const struct sockaddr_in6 *v6 = (const void *)&a->sa;

	if (a->sa.ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return a->sa.ss_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static bool is_local_v4(uint32_t address)
{
	return address >> 24 == 127 || address >> 24 == 0 ||
	       address >> 16 == 0xa9fe;
}

bool net_address_is_local(const struct net_address *a)
{
	const struct sockaddr_in *v4 = (const void *)&a->sa;
	const struct sockaddr_in6 *v6 = (const void *)&a->sa;
	const unsigned char *byte = v6->sin6_addr.s6_addr;
	static const unsigned char zero[12];
	uint32_t low;

	if (a->sa.ss_family == AF_INET)
		return is_local_v4(ntohl(v4->sin_addr.s_addr));
	if (a->sa.ss_family != AF_INET6)
		return true;
	if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))
		return true;
	low = (uint32_t)byte[12] << 24 | (uint32_t)byte[13] << 16 |
	      (uint32_t)byte[14] << 8 | byte[15];
	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		return is_local_v4(low);
	/* ::, ::1 and the rest of the IPv4-compatible block */
	return !memcmp(byte, zero, 12) && (low <= 1 || is_local_v4(low));
}
