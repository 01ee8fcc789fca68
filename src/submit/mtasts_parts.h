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

/* A policy that was kept and has not expired; directory may be NULL. False:
 * none. */
bool sts_cache_get(const char *directory, const char *domain, char id[33],
		   struct sts_policy *out);
/* Keeps a policy's text for max_age seconds, in the place of an older one.
 * It cannot fail in a way that matters: then it is fetched anew. */
void sts_cache_put(const char *directory, const char *domain, const char *id,
		   int64_t max_age, const struct buf *text);

/* Whether this version of a policy could not be had a short while ago, and
 * that it could not now. */
bool sts_cache_failed(const char *directory, const char *domain,
		      const char *id);
void sts_cache_fail(const char *directory, const char *domain,
		    const char *id);

/* Runs posthaste-fetch, through the transport's proxy where it has one.
 * False: no text; EX_UNAVAILABLE, the reason in words. */
bool sts_fetch(struct run *run, const struct transport *through,
	       const char *domain, struct buf *text,
	       struct outcome *why) MUST_CHECK;

#endif
