/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/net_address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

void net_addresses_add(struct net_addresses *a, const struct net_address *one)
{
	a->item = mem_resize(a->item, a->n + 1, sizeof(*a->item));
	a->item[a->n++] = *one;
}

void net_addresses_release(struct net_addresses *a)
{
	free(a->item);
	*a = (struct net_addresses){ 0 };
}

void net_interleave(struct net_addresses *a, enum family family)
{
	struct net_address *sorted;
	size_t i, n, at[2] = { 0, 0 };
	int first, turn;

	if (a->n < 2)
		return;
	first = family == FAMILY_PREFER_V4 ? AF_INET :
		family == FAMILY_PREFER_V6 ? AF_INET6 : a->item[0].sa.ss_family;
	sorted = mem_alloc(a->n * sizeof(*sorted));
	for (n = 0, turn = 0; n < a->n; turn = !turn) {
		for (i = at[turn]; i < a->n; i++)
			if ((a->item[i].sa.ss_family == first) == !turn)
				break;
		at[turn] = i + 1;
		if (i < a->n)
			sorted[n++] = a->item[i];
	}
	free(a->item);
	a->item = sorted;
}

/* --- text --- */

/* "fe80::1", "fe80::1%eth0" or "fe80::1%2"; the text is cut at the zone. */
static bool v6_parse(char *text, struct sockaddr_in6 *sin6)
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
	if (inet_pton(AF_INET, copy, &a.v4.sin_addr) == 1) {
		a.v4.sin_family = AF_INET;
		a.len = sizeof(a.v4);
	} else if (v6_parse(copy, &a.v6)) {
		a.len = sizeof(a.v6);
	} else {
		return false;
	}
	net_address_set_port(&a, port);
	*out = a;
	return true;
}

void net_address_set_port(struct net_address *a, unsigned port)
{
	if (a->sa.ss_family == AF_INET)
		a->v4.sin_port = htons((uint16_t)port);
	else if (a->sa.ss_family == AF_INET6)
		a->v6.sin6_port = htons((uint16_t)port);
}

void net_address_text(const struct net_address *a, char out[64])
{
	out[0] = '\0';
	if (a->sa.ss_family == AF_INET)
		inet_ntop(AF_INET, &a->v4.sin_addr, out, 64);
	else if (a->sa.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &a->v6.sin6_addr, out, 64);
}

/* --- kinds --- */

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

bool net_address_is_of(const struct net_address *a, enum family family)
{
	if (family == FAMILY_V4)
		return a->sa.ss_family == AF_INET;
	if (family == FAMILY_V6)
		return a->sa.ss_family == AF_INET6;
	return true;
}

bool net_address_is_loopback(const struct net_address *a)
{
	if (a->sa.ss_family == AF_INET)
		return ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
	return a->sa.ss_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
}

bool net_address_is_local(const struct net_address *a)
{
	static const struct network local[] = {
		{ 0x00000000, 8 }, { 0x7f000000, 8 }, { 0xa9fe0000, 16 },
	};
	static const unsigned char zero[12];
	const size_t n = sizeof(local) / sizeof(*local);
	const unsigned char *byte = a->v6.sin6_addr.s6_addr;
	uint32_t low;

	if (a->sa.ss_family == AF_INET)
		return is_within(ntohl(a->v4.sin_addr.s_addr), local, n);
	if (a->sa.ss_family != AF_INET6 ||
	    IN6_IS_ADDR_LINKLOCAL(&a->v6.sin6_addr))
		return true;
	low = (uint32_t)byte[12] << 24 | (uint32_t)byte[13] << 16 |
	      (uint32_t)byte[14] << 8 | byte[15];
	if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
		return is_within(low, local, n);
	/* ::, ::1 and the rest of the IPv4-compatible block */
	return !memcmp(byte, zero, 12) &&
	       (low <= 1 || is_within(low, local, n));
}

bool net_address_is_public(const struct net_address *a)
{
	static const struct network kept_out[] = {
		{ 0x00000000, 8 }, { 0x0a000000, 8 }, { 0x64400000, 10 },
		{ 0x7f000000, 8 }, { 0xa9fe0000, 16 }, { 0xac100000, 12 },
		{ 0xc0000000, 24 }, { 0xc0a80000, 16 }, { 0xc6120000, 15 },
		{ 0xe0000000, 3 },
	};

	if (a->sa.ss_family == AF_INET)
		return !is_within(ntohl(a->v4.sin_addr.s_addr), kept_out,
				  sizeof(kept_out) / sizeof(*kept_out));
	/* 2000::/3 is all that has been given out */
	return a->sa.ss_family == AF_INET6 &&
	       (a->v6.sin6_addr.s6_addr[0] & 0xe0) == 0x20;
}

bool net_address_is_example(const struct net_address *a)
{
	static const struct network v4_nets[] = {
		{ 0xc0000200, 24 }, { 0xc6336400, 24 }, { 0xcb007100, 24 },
	};
	static const unsigned char v6_net[] = { 0x20, 0x01, 0x0d, 0xb8 };

	if (a->sa.ss_family == AF_INET)
		return is_within(ntohl(a->v4.sin_addr.s_addr), v4_nets,
				 sizeof(v4_nets) / sizeof(*v4_nets));
	return a->sa.ss_family == AF_INET6 &&
	       !memcmp(&a->v6.sin6_addr, v6_net, sizeof(v6_net));
}
