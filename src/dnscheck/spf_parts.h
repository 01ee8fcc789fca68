/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What spf.c, spf_macro.c and spf_ptr.c share, and nobody else sees. */
#ifndef DNSCHECK_SPF_PARTS_H
#define DNSCHECK_SPF_PARTS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/list.h"
#include "dnscheck/spf.h"

/* One evaluation with everything that it includes. */
struct spf {
	struct dns *dns;
	const struct spf_query *query;
	unsigned lookups;      /* terms that ask DNS */
	unsigned voids;        /* look-ups without an answer */
	char *words;           /* 200 bytes */
	bool ptr_asked;        /* the next two hold */
	bool ptr_void;         /* the address has no name */
	struct list validated; /* see spf_validated; spf_check frees */
};

/* Whether text is a macro-string (RFC 7208 section 7.1), and, for a domain, a
 * domain-spec: it ends in a macro, or in a dot and a label that can be a top
 * label. Explanations alone may use "c", "r" and "t". */
bool spf_spec_valid(const char *text, size_t n, bool domain);
/* Expands the macros of a domain-spec (RFC 7208 section 7), n bytes, for the
 * domain that is evaluated; at most 253 characters of it are left, by whole
 * labels from the right. Explanations alone may use "c", "r" and "t", so
 * that these are errors here. False: a syntax error. */
bool spf_expand(struct spf *s, const char *domain, const char *text,
		size_t n, struct buf *out);

/* The names, of the first ten of the address, that lead back to it. They are
 * asked for once. */
const struct list *spf_validated(struct spf *s);
/* What "%{p}" stands for: of those names the domain, else one below it, else
 * any; "unknown" where there is none. */
const char *spf_ptr_name(struct spf *s, const char *domain);
/* Whether a name is the domain or below it. */
bool spf_is_within(const char *name, const char *domain);

#endif
