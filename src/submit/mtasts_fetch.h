/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The caller's side of posthaste-fetch: the text of an MTA-STS policy. */
#ifndef SUBMIT_MTASTS_FETCH_H
#define SUBMIT_MTASTS_FETCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "submit/run.h"

/* Runs posthaste-fetch, through the transport's proxy where it has one.
 * False: no text, the reason in words; EX_UNAVAILABLE where it is the host's,
 * EX_SOFTWARE or EX_OSERR where it is ours. */
bool sts_fetch(struct run *run, const struct transport *through,
	       const char *domain, struct buf *text,
	       struct outcome *why) MUST_CHECK;
/* Another document of a host's, as posthaste-fetch calls them: "pacc",
 * "autoconfig", "well-known". */
bool document_fetch(struct run *run, const char *document, const char *host,
		    struct buf *text) MUST_CHECK;

#endif
