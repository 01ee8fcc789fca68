/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What mtasts.c, mtasts_cache.c and mtasts_fetch.c share, and nobody else
 * sees. */
#ifndef SUBMIT_MTASTS_PARTS_H
#define SUBMIT_MTASTS_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "submit/mtasts.h"

/* RFC 8461 section 3.2: a year is the most. */
#define STS_AGE_MAX INT64_C(31557600)

/* RFC 8461 section 3.3: seconds between attempts at a version that could not
 * be had, at the least. */
enum { STS_PAUSE = 300 };

struct kept_policy {
	struct sts_policy policy;
	char id[33];
	int64_t expires;          /* seconds since the epoch */
};
/* A policy that was kept and has not expired; directory may be NULL. False:
 * none. */
bool sts_cache_get(const char *directory, const char *domain,
		   struct kept_policy *out);
/* Keeps a policy's text for max_age seconds, in the place of an older one.
 * Where it cannot be kept, that is logged, and it is fetched anew. */
void sts_cache_put(const char *directory, const char *domain, const char *id,
		   int64_t max_age, const struct buf *text);

/* Whether this version of a policy could not be had a while ago, and that it
 * could not now and is left alone for so many seconds: false, that cannot be
 * kept. */
bool sts_cache_failed(const char *directory, const char *domain,
		      const char *id);
bool sts_cache_fail(const char *directory, const char *domain,
		    const char *id, int64_t seconds);

/* Runs posthaste-fetch, through the transport's proxy where it has one.
 * False: no text, the reason in words; EX_UNAVAILABLE where it is the host's,
 * EX_SOFTWARE or EX_OSERR where it is ours. */
bool sts_fetch(struct run *run, const struct transport *through,
	       const char *domain, struct buf *text,
	       struct outcome *why) MUST_CHECK;

#endif
