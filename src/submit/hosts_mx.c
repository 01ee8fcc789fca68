/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a domain to the names of its mail hosts (RFC 5321 5.1, RFC 7505). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "submit/hosts_parts.h"

void exchanges_release(struct exchanges *e)
{
	list_release(&e->name);
	free(e->canonical);
	*e = (struct exchanges){ 0 };
}

static int by_preference(const void *a, const void *b)
{
	const struct dns_record *x = a, *y = b;

	return (x->preference > y->preference) -
	       (x->preference < y->preference);
}

static void shuffle(struct dns_record *r, size_t n)
{
	struct dns_record kept;
	size_t i, j;

	for (i = n; i > 1; i--) {
		j = hosts_random((unsigned)(i - 1));
		kept = r[i - 1];
		r[i - 1] = r[j];
		r[j] = kept;
	}
}

static void arrange(struct dns_record *r, size_t n)
{
	size_t i, same;

	qsort(r, n, sizeof(*r), by_preference);
	for (i = 0; i < n; i += same) {
		for (same = 1; i + same < n &&
		     r[i + same].preference == r[i].preference; same++)
			;
		shuffle(r + i, same);
	}
}

static bool no_domain(const char *domain, struct outcome *why)
{
	return outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.1.2",
				   "the domain %s does not exist", domain);
}

static bool take_mx(struct dns_answer *a, const char *domain,
		    struct exchanges *out, struct outcome *why)
{
	const char *name;
	size_t i;

	out->has_mx = true;
	arrange(a->record, a->n);
	for (i = 0; i < a->n && out->name.n < HOSTS_MOST; i++) {
		name = a->record[i].name;
		/* the null MX stands alone; beside others it is a mistake */
		if (name && *name && !list_has_nocase(&out->name, name))
			list_add(&out->name, name);
	}
	if (out->name.n)
		return true;
	return outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.1.10",
				   "the domain %s takes no mail (null MX)",
				   domain);
}

static bool conclude(struct dns_answer *a, const char *domain,
		     struct exchanges *out, struct outcome *why)
{
	out->authentic = a->authentic;
	switch (a->status) {
	case DNS_OK:
		return take_mx(a, domain, out, why);
	case DNS_NODATA:
		list_add(&out->name, out->canonical);
		return true;
	case DNS_NXDOMAIN:
		return no_domain(domain, why);
	case DNS_FAILED:
		break;
	}
	return outcome_fail_status(why, STAGE_DNS, EX_TEMPFAIL,
				   a->astray ? "4.4.6" : "4.4.3", "the MX records of %s cannot be looked "
				   "up: %s", domain, a->words);
}

bool exchanges_find(struct dns *dns, const char *domain,
		    struct exchanges *out, struct outcome *why)
{
	struct dns_answer a = { 0 };
	bool ok;

	*out = (struct exchanges){ 0 };
	dns_query(dns, domain, DNS_MX, &a);
	out->canonical = mem_string(a.cname && *a.cname ? a.cname : domain);
	ok = conclude(&a, domain, out, why);
	dns_answer_release(&a);
	return ok;
}
