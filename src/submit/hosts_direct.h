/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hosts that a recipient's domain names, as DNS has them. */
#ifndef SUBMIT_HOSTS_DIRECT_H
#define SUBMIT_HOSTS_DIRECT_H

#include "submit/hosts.h"

/* The hosts of query->domain, with addresses unless a proxy looks them up:
 * without those that may not be used (not listed by an enforced MTA-STS
 * policy, TLSA records not to be had, REQUIRETLS without either), or whose
 * addresses cannot be looked up. False: none is left; as hosts_find. */
bool hosts_by_domain(struct run *run, const struct hosts_query *query,
		     struct hosts *out, struct outcome *why) MUST_CHECK;

#endif
