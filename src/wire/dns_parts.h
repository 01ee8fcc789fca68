/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What dns.c and dns_ask.c share; nobody else includes this. */
#ifndef WIRE_DNS_PARTS_H
#define WIRE_DNS_PARTS_H

#include <ares.h>

#include "wire/dns.h"

/* ares_send is the oldest and the newest library's alike; the newest would
 * rather have a call that older ones lack. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

struct watched {
	ares_socket_t fd;
	short events;
};

struct pending;

struct dns {
	ares_channel channel;        /* NULL: unusable, for the reason words */
	char words[128];
	int64_t timeout;
	struct net_addresses server; /* those that the library has */
	bool trusted;
	bool plain;                  /* they know no EDNS (RFC 6891) */
	bool answered;               /* some answer came */
	struct watched *watched;     /* what the library waits for */
	size_t watching;
	struct pending *pending;     /* while dns_ask is under way */
	size_t pendings;
};

/* The library's socket calls (dns_ask.c); the context is the struct dns. */
extern const struct ares_socket_functions dns_socket_functions;

#endif
