/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What spf.c and spf_macro.c share, and nobody else sees. */
#ifndef DESK_SPF_PARTS_H
#define DESK_SPF_PARTS_H

#include <stdbool.h>

#include "base/buf.h"
#include "desk/spf.h"

/* One evaluation with everything that it includes. */
struct spf {
	struct dns *dns;
	const struct spf_query *query;
	unsigned lookups;      /* terms that ask DNS */
	unsigned voids;        /* look-ups without an answer */
	char *words;           /* 200 bytes */
};

/* Expands the macros of a domain-spec (RFC 7208 section 7), n bytes, for the
 * domain that is evaluated; at most 253 characters of it are left, by whole
 * labels from the right. Explanations alone may use "c", "r" and "t", so
 * that these are errors here. False: a syntax error. */
bool spf_expand(const struct spf *s, const char *domain, const char *text,
		size_t n, struct buf *out);

#endif
