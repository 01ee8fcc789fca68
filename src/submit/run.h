/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What belongs to this process while it delivers. */
#ifndef SUBMIT_RUN_H
#define SUBMIT_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/sandbox.h"
#include "config/config.h"
#include "queue/queue.h"
#include "submit/secret.h"
#include "wire/dns.h"

struct watch;

struct run {
	const struct config *config;
	struct secrets *secrets;
	struct dns *dns;           /* by run_dns; NULL: not asked yet */
	struct list no_chunking;   /* hosts whose BDAT was found not to work */
	struct list no_early;      /* those that are told nothing early */
	struct list no_policy;     /* "domain id": MTA-STS policies that could
				    * not be had, for want of a cache */
	struct list mend;          /* transports whose fault was logged, or
				    * told to whoever supervises this process
				    * and logs it */
	const struct transport *transport[2]; /* --transport: overrides the
				    * routes; [0] NULL: they count */
	struct queue *queue;       /* NULL: what fails for now is not held */
	const struct watch *watch; /* who looks on (-v); NULL: nobody */
	bool rate_told;            /* that a rate cannot be kept */
	const char *fetch_program; /* posthaste-fetch's path; NULL: the one
				    * compiled in */
	struct walls {             /* of workers (confine.h) */
		const struct transport *const *way; /* NULL: none yet */
		const struct transport *first; /* of it */
		struct sandbox built_of;
		int fd;            /* -1: they have none */
		int64_t until;     /* monotonic ms */
		uint64_t stamp;    /* of the files that they open by name */
	} walls;
	enum { IPV6_UNKNOWN, IPV6_THERE, IPV6_LACKING } ipv6;
				   /* a public address here; unknown until
				    * run_has_ipv6 is asked */
};

/* The run's DNS, opened by the configuration at the first call. */
struct dns *run_dns(struct run *run);
/* Whether this host has a public IPv6 address. */
bool run_has_ipv6(struct run *run);

#endif
