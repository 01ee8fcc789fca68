/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whom to ask: the resolvers that are named, else those of resolv.conf(5). */
#ifndef WIRE_DNS_SERVERS_H
#define WIRE_DNS_SERVERS_H

#include <stdbool.h>

#include "base/list.h"
#include "wire/net_address.h"

enum { DNS_WORDS = 192 };

/* resolv.conf(5), as far as it concerns who is asked and who is believed. */
struct resolv_conf {
	struct list nameserver;  /* as written, in order; none: this host */
	bool trust_ad;           /* the option of this name */
};
/* The caller releases the list. */
void resolv_conf_parse(const char *text, struct resolv_conf *out);

/* Adds those that can be asked; words name one that cannot. True: what they
 * say of authenticity may be believed, as all are of this host, or
 * resolv.conf says so. resolver NULL or empty: the system's. */
bool dns_servers_find(const struct list *resolver, struct net_addresses *out,
		      char words[DNS_WORDS]);
/* They in the form of c-ares, with zones or without; the caller frees. */
char *dns_servers_text(const struct net_addresses *server, bool zones);

#endif
