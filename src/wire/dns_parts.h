/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What dns.c and dns_channel.c share; nobody else includes this. */
#ifndef WIRE_DNS_PARTS_H
#define WIRE_DNS_PARTS_H

#include "wire/dns.h"
#include "wire/dns_library.h"
#include "wire/dns_parse.h"
#include "wire/dns_servers.h"

struct watched {
	ares_socket_t fd;
	short events;
};

struct dns {
	ares_channel channel;        /* NULL: unusable, for the reason words */
	char words[DNS_WORDS];
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

/* A question until it has its answer. */
struct pending {
	struct dns *dns;
	struct dns_question *question;
	struct pending *other;   /* the other family of its name; NULL */
	char *name;              /* asked for: at the end of the CNAMEs */
	struct list seen;        /* names before it */
	bool insecure;           /* one of their answers was not authentic */
	bool done;
	unsigned turn;           /* what was asked in an earlier one is void */
	unsigned copies;         /* that the library has of this turn */
	bool plain_asked, wants_plain;
	int64_t since, plain_at, over_at;
	unsigned char query[DNS_QUERY_MAX];
	size_t n;
	int refusal;             /* RCODE of failure last heard; 0: none */
	int status;              /* the library's, of a copy that failed */
};

/* --- dns_channel.c --- */

/* A channel of the library's, whose sockets are watched. False: d->words. */
bool dns_channel_open(struct dns *d) MUST_CHECK;
/* It asks d's servers. False: d->words. */
bool dns_channel_ask_servers(struct dns *d) MUST_CHECK;
void dns_channel_close(struct dns *d);

#endif
