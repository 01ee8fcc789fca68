/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The system's resolver (/etc/hosts and nsswitch count) under a deadline.
 * getaddrinfo runs in a process of its own: nothing else can be stopped
 * whatever it waits for, and threads do not go with the fork of workers.
 */
#ifndef WIRE_LOOKUP_H
#define WIRE_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/outcome.h"
#include "wire/net_address.h"

/* localhost and what is below it: this host, with or without a line in
 * /etc/hosts, whatever a resolver says of it (RFC 6761 section 6.3). */
bool net_is_localhost(const char *name);
/* The addresses of a name (no process is started for a numeric address); the
 * caller releases. False, STAGE_DNS: EX_TEMPFAIL (no answer, no address for
 * now), EX_NOHOST (the name does not exist), EX_OSERR (no memory, process or
 * descriptor for it). why->no_network is set where it was not answered and
 * this host has no way out in any family. */
bool net_lookup(const char *host, unsigned port, enum family family,
		int64_t deadline, struct net_addresses *out,
		struct outcome *why) MUST_CHECK;
/* The full name that the system's resolver (/etc/hosts before all) has for a
 * short one; NULL: none in time. The caller frees. Where /etc/hosts is asked
 * first and has one, no process is started. */
char *net_canonical_name(const char *name);
/* That of /etc/hosts, with /etc/nsswitch.conf ("": there is none), if no other
 * source comes before it; NULL: another has to be asked. The caller frees. */
char *net_hosts_name(const char *nsswitch, const char *hosts,
		     const char *name);

#endif
