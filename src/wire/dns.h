/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * DNS questions (RFC 1035) by c-ares with queries of our own (EDNS, AD bit)
 * and deadlines that hold whatever the resolver does.
 */
#ifndef WIRE_DNS_H
#define WIRE_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/outcome.h"
#include "wire/net_address.h"
#include "wire/tls.h"

enum dns_type {
	DNS_A = 1, DNS_CNAME = 5, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16,
	DNS_AAAA = 28, DNS_SRV = 33, DNS_TLSA = 52
};

enum dns_status {
	DNS_OK,          /* at least one record of the type */
	DNS_NODATA,      /* the name exists, such a record does not */
	DNS_NXDOMAIN,
	DNS_FAILED       /* SERVFAIL, refused, no answer in time, nonsense */
};

enum dns_trust { DNS_TRUST_AUTO, DNS_TRUST_ALWAYS, DNS_TRUST_NEVER };

struct dns_settings {
	const struct list *resolver;  /* address or address:port, link-local
				       * ones with "%interface"; empty or
				       * NULL: resolv.conf's */
	enum dns_trust trust;         /* auto: all that are asked are on this
				       * host, or resolv.conf says trust-ad */
	int64_t timeout;              /* ms for one question, retries and all */
};

struct dns_record {
	char *name;              /* MX, SRV target; CNAME, PTR: lower case, no
				  * final dot ("" for "."); NULL otherwise */
	unsigned preference;     /* MX preference, SRV priority */
	unsigned weight, port;   /* SRV */
	struct net_address address; /* A, AAAA (port 0) */
	char *text;              /* TXT: its strings joined; may hold any byte
				  * but is NUL-terminated */
	size_t text_len;
	struct tlsa tlsa;
};

struct dns_answer {
	enum dns_status status;
	bool authentic;          /* AD, and the resolver is believed; of every
				  * answer on the way here */
	bool leads_on;           /* DNS_NODATA, but cname was not asked about:
				  * dns_ask does that */
	bool astray;             /* DNS_FAILED: CNAMEs in a circle, or more
				  * than 16 */
	char *cname;             /* the owner of the records, where CNAMEs led
				  * elsewhere; NULL otherwise */
	struct dns_record *record;
	size_t n;
	char words[128];         /* for DNS_FAILED: what went wrong */
};
void dns_answer_release(struct dns_answer *a);

struct dns;
/* Reads resolv.conf once. Never fails: a host without resolver gives
 * DNS_FAILED answers. */
struct dns *dns_open(const struct dns_settings *settings);
void dns_close(struct dns *d);
/* No resolver gave an answer, and this host has no way out in any family.
 * What a resolver fails to do while there is one is a failure of its own. */
bool dns_no_network(const struct dns *d);

struct dns_question {
	const char *name;        /* A-labels */
	enum dns_type type;
	struct dns_answer answer;
};
/* Asks all at once; returns when all are answered or have run out of time.
 * CNAMEs are followed, whether the resolver does so or not, 16 at most. Where
 * A and AAAA of one name are asked, one that has been answered does not wait
 * long for the other (RFC 8305 3), unless no route leads to what it says: that
 * is DNS_FAILED then. A name that is no DNS name is answered DNS_NXDOMAIN
 * without asking. */
void dns_ask(struct dns *d, struct dns_question *question, size_t n);
/* One question. */
void dns_query(struct dns *d, const char *name, enum dns_type type,
	       struct dns_answer *answer);
/* The addresses of a name, A and AAAA asked at once: IPv6 first, or IPv4 where
 * the family says so; of each 32 at most. The caller releases. Where there are
 * none, the worse of both answers; words are those of DNS_FAILED. */
enum dns_status dns_addresses(struct dns *d, const char *name, unsigned port,
			      enum family family, struct net_addresses *out,
			      char words[128]);
/* The name asked for an address's PTR ("4.3.2.1.in-addr.arpa"). */
void dns_reverse_name(const struct net_address *a, char out[80]);
const char *dns_library_version(void);

#endif
