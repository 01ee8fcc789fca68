/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names of an address that lead back to it (RFC 7208 sections 5.5 and
 * 7.3). */
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "dnscheck/spf_parts.h"

enum { NAMES_MAX = 10 };

bool spf_is_within(const char *name, const char *domain)
{
	const size_t n = strlen(name), d = strlen(domain);

	return n >= d && !strcasecmp(name + n - d, domain) &&
	       (n == d || name[n - d - 1] == '.');
}

enum dns_type spf_address_type(const struct net_address *ip)
{
	return ip->sa.ss_family == AF_INET ? DNS_A : DNS_AAAA;
}

bool spf_leads_to(struct dns *dns, const char *name,
		  const struct net_address *ip)
{
	struct dns_answer a = { 0 };
	char wanted[64], text[64];
	bool found = false;
	size_t i;

	net_address_text(ip, wanted);
	dns_query(dns, name, spf_address_type(ip), &a);
	for (i = 0; a.status == DNS_OK && i < a.n && !found; i++) {
		net_address_text(&a.record[i].address, text);
		found = !strcmp(text, wanted);
	}
	dns_answer_release(&a);
	return found;
}

/* Failures here only mean that there are fewer names. */
const struct list *spf_validated(struct spf *s)
{
	struct dns_answer a = { 0 };
	char reverse[80];
	size_t i;

	if (s->ptr_asked)
		return &s->validated;
	s->ptr_asked = true;
	dns_reverse_name(s->query->ip, reverse);
	dns_query(s->dns, reverse, DNS_PTR, &a);
	s->ptr_void = a.status == DNS_NODATA || a.status == DNS_NXDOMAIN;
	for (i = 0; a.status == DNS_OK && i < a.n && i < NAMES_MAX; i++)
		if (a.record[i].name && spf_leads_to(s->dns, a.record[i].name,
						     s->query->ip))
			list_add(&s->validated, a.record[i].name);
	dns_answer_release(&a);
	return &s->validated;
}

const char *spf_ptr_name(struct spf *s, const char *domain)
{
	const struct list *name = spf_validated(s);
	const char *best = "unknown";
	size_t i;

	if (name->n)
		best = name->item[0];
	for (i = name->n; i > 0; i--)
		if (spf_is_within(name->item[i - 1], domain))
			best = name->item[i - 1];
	return list_has_nocase(name, domain) ? domain : best;
}
