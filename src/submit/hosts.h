/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who to connect to for a destination, in which order, and with which TLS
 * demand. deliver, --explain and --probe alike ask here.
 */
#ifndef SUBMIT_HOSTS_H
#define SUBMIT_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/outcome.h"
#include "config/config.h"
#include "policy/policy.h"
#include "submit/run.h"
#include "wire/net.h"
#include "wire/tls.h"

struct host {
	char *name;                /* as connected to and shown; A-labels,
				    * literal, or a socket's path */
	unsigned port;
	bool implicit_tls;
	enum tls_demand demand;
	char *tls_name;            /* name the certificate must have */
	struct list more_names;    /* also acceptable (DANE-TA) */
	bool have_addresses;       /* looked up here (direct) */
	struct net_addresses addresses;
	struct tlsa *tlsa;         /* usable records */
	size_t tlsas;
	bool sts_testing;          /* a policy in mode testing lists it: what it
				    * would refuse is logged */
	char why[160];             /* where the demand comes from, in words */
};

/* The most hosts that are tried for a destination, and the most addresses of
 * all of them together. */
enum { HOSTS_MOST = 10, ADDRESSES_MOST = 20 };

struct hosts {
	struct host *item;
	size_t n;
	bool direct;
	/* for one or more that are not among them for now (a look-up that
	 * failed, TLS that cannot be judged): it counts as a host's answer, so
	 * that the others do not stand for all. EX_OK: there are none. Not
	 * those that were found unfit: an enforced policy does not list them,
	 * a domain has no SRV record */
	struct outcome not_now;
};
void hosts_release(struct hosts *h);

/* Whether a TLSA record counts for mail (RFC 7672 section 3.1): usage 2 or 3,
 * a selector and matching type that are known, a digest of its length. */
bool tlsa_is_usable(const struct tlsa *t);

/* The hosts of a transport for mail to domain (which only direct kinds look
 * at). relaxed as in policy_tls; require_tls: REQUIRETLS was asked. cached
 * only: MTA-STS policies are taken from the cache alone, no connection is
 * made but DNS. False: EX_NOHOST (5.1.10 null MX, 5.1.2 no such domain),
 * EX_TEMPFAIL, EX_UNAVAILABLE (5.7.30); STAGE_DNS. */
struct hosts_query {
	const struct transport *transport;
	const char *domain;
	bool relaxed;
	bool require_tls;
	bool cached_only;
};
bool hosts_find(struct run *run, const struct hosts_query *query,
		struct hosts *out, struct outcome *why) MUST_CHECK;

#endif
