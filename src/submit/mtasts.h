/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * MTA-STS (RFC 8461): policies of recipients' domains, fetched by the helper
 * program posthaste-fetch and kept on disk until they expire.
 */
#ifndef SUBMIT_MTASTS_H
#define SUBMIT_MTASTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/outcome.h"
#include "submit/run.h"

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };

struct sts_policy {
	enum sts_mode mode;
	struct list mx;          /* patterns; lower case */
	int64_t max_age;         /* seconds */
};
void sts_policy_release(struct sts_policy *p);

/* The most bytes a policy may have (RFC 8461 section 3.3). */
enum { STS_POLICY_MAX = 64 * 1024 };

/* Reads a policy's text (RFC 8461 section 3.2): LF or CRLF, unknown keys
 * passed over, of a key that may come once the first counts. False: no
 * valid policy; out is empty then. */
bool sts_policy_read(const char *text, size_t n, struct sts_policy *out);
/* Reads a TXT record (RFC 8461 section 3.1); id gets 1 to 32 letters and
 * digits. False: it is none. */
bool sts_record_read(const char *text, size_t n, char id[33]);
/* Whether a policy lists a host; "*." stands for exactly one label. */
bool sts_lists(const struct sts_policy *p, const char *host);

/* The policy in effect for a domain; mode STS_NONE where there is none.
 * through: the transport whose proxy it is fetched through; NULL or one
 * without a proxy: directly. cached_only: no question and no connection is
 * made. A policy is refreshed before it expires; one that cannot be had or
 * refreshed leaves the one in the cache in force until it expires, and the
 * same version is not tried again for five minutes or more (RFC 8461 section
 * 3.3). False: there may be one, but it could not be asked for, for a fault
 * of ours. */
bool sts_find(struct run *run, const struct transport *through,
	      const char *domain, bool cached_only, struct sts_policy *out,
	      struct outcome *why) MUST_CHECK;
/* What the domain's policy host gives now, whatever is in the cache, which
 * stays as it is. False: the reason in words; EX_UNAVAILABLE where it is
 * theirs. */
bool sts_fetch_now(struct run *run, const struct transport *through,
		   const char *domain, struct sts_policy *out,
		   struct outcome *why) MUST_CHECK;

#endif
