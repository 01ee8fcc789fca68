/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What hosts.c, hosts_srv.c, hosts_direct.c, hosts_mx.c and hosts_tls.c
 * share, and nobody else sees. */
#ifndef SUBMIT_HOSTS_PARTS_H
#define SUBMIT_HOSTS_PARTS_H

#include "submit/hosts.h"

/* The most hosts of a domain that are tried, and addresses of all of them
 * (SPEC 6.1). */
enum { HOSTS_MAX = 10, ADDRESSES_MAX = 20 };

/* A zeroed host of this name and port at the end of the list; the name is
 * copied. The pointer is good until the next call. */
struct host *hosts_add(struct hosts *h, const char *name, unsigned port);
/* Frees what a host holds. */
void host_release(struct host *h);

/* The servers that the SRV records of a domain name (hosts_srv.c). */
bool hosts_by_srv(struct run *run, const struct hosts_query *query,
		  const char *domain, struct hosts *out,
		  struct outcome *why) MUST_CHECK;

/* The hosts of query->domain, with addresses unless a proxy looks them up
 * (hosts_direct.c). */
bool hosts_by_domain(struct run *run, const struct hosts_query *query,
		     struct hosts *out, struct outcome *why) MUST_CHECK;

/* Where mail for a domain goes, as DNS says it (hosts_mx.c). */
struct exchange {
	char *name;
	unsigned preference;
	bool authentic;        /* this name came with DNSSEC authentication */
};
struct exchanges {
	struct exchange *item; /* in the order to try */
	size_t n;
	bool has_mx;           /* by MX records, not by default */
	char *canonical;       /* the domain at the end of its CNAMEs */
	bool looked;           /* address answers were asked for already */
};
/* The exchanges of a domain: MX records by preference, equals shuffled, else
 * the domain itself. False: EX_NOHOST (no such domain, null MX, a loop of
 * CNAMEs), EX_TEMPFAIL. */
bool exchanges_find(struct dns *dns, const char *domain,
		    struct exchanges *out, struct outcome *why) MUST_CHECK;
void exchanges_release(struct exchanges *e);

/* Raises the TLS demand of direct hosts by DANE and MTA-STS, and drops hosts
 * that an enforced policy does not list, or that cannot give what
 * REQUIRETLS asks (hosts_tls.c). authentic[i]: the name and the addresses of
 * host i are authenticated. False: no host is left; EX_TEMPFAIL,
 * EX_UNAVAILABLE (5.7.30). */
bool hosts_secure(struct run *run, const struct hosts_query *query,
		  const bool *authentic, struct hosts *out,
		  struct outcome *why) MUST_CHECK;

#endif
