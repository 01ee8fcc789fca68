/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What hosts.c, hosts_srv.c, hosts_direct.c, hosts_mx.c and hosts_tls.c
 * share, and nobody else sees. */
#ifndef SUBMIT_HOSTS_PARTS_H
#define SUBMIT_HOSTS_PARTS_H

#include "submit/hosts.h"

/* A zeroed host of this name and port at the end of the list; the name is
 * copied. The pointer is good until the next call. */
struct host *hosts_add(struct hosts *h, const char *name, unsigned port);
/* Frees what a host holds. */
void host_release(struct host *h);

/* 0 to most, near enough to evenly: it shares load, it guards nothing. */
unsigned hosts_random(unsigned most);

/* The servers that the SRV records of a domain name (hosts_srv.c). */
bool hosts_by_srv(struct run *run, const struct hosts_query *query,
		  const char *domain, struct hosts *out,
		  struct outcome *why) MUST_CHECK;

/* The hosts of query->domain, with addresses unless a proxy looks them up
 * (hosts_direct.c). */
bool hosts_by_domain(struct run *run, const struct hosts_query *query,
		     struct hosts *out, struct outcome *why) MUST_CHECK;

/* Where mail for a domain goes, as DNS says it (hosts_mx.c). */
struct exchanges {
	struct list name;      /* in the order to try, at most HOSTS_MOST */
	bool authentic;        /* came with DNSSEC authentication */
	bool has_mx;           /* by MX records, not by default */
	char *canonical;       /* the domain at the end of its CNAMEs */
};
/* The exchanges of a domain: MX records by preference, equals shuffled, else
 * the domain itself. False: EX_NOHOST (no such domain, null MX),
 * EX_TEMPFAIL (also a loop of CNAMEs). */
bool exchanges_find(struct dns *dns, const char *domain,
		    struct exchanges *out, struct outcome *why) MUST_CHECK;
void exchanges_release(struct exchanges *e);

/* What DNSSEC says of a host of a direct delivery. */
struct assurance {
	bool authentic;        /* its name and its addresses */
	char *cname;           /* where CNAMEs of it led; NULL: nowhere */
};

/* Raises the TLS demand of direct hosts by DANE and MTA-STS, and drops those
 * that may not be used: not listed by an enforced policy, TLSA records not
 * to be had, REQUIRETLS without either (hosts_tls.c). assurance[i] belongs
 * to host i; canonical is the domain behind its CNAMEs. False: no host is
 * left; EX_TEMPFAIL, EX_UNAVAILABLE (5.7.30). */
bool hosts_secure(struct run *run, const struct hosts_query *query,
		  const char *canonical, struct assurance *assurance,
		  struct hosts *out, struct outcome *why) MUST_CHECK;

#endif
