/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/dns.h"

#include <string.h>

/* Of one family; what comes after so many is never dialled. */
enum { FAMILY_MOST = 32 };

enum dns_status dns_addresses(struct dns *d, const char *name, unsigned port,
			      enum family family, struct net_addresses *out,
			      char words[128])
{
	const bool v4_first = family == FAMILY_V4 ||
			      family == FAMILY_PREFER_V4;
	struct dns_question q[2] = {
		{ .name = name, .type = v4_first ? DNS_A : DNS_AAAA },
		{ .name = name, .type = v4_first ? DNS_AAAA : DNS_A },
	};
	const size_t n = family == FAMILY_V4 || family == FAMILY_V6 ? 1 : 2;
	enum dns_status status = DNS_NXDOMAIN;
	size_t i, j;

	*out = (struct net_addresses){ 0 };
	words[0] = '\0';
	dns_ask(d, q, n);
	for (i = 0; i < n; i++) {
		struct dns_answer *a = &q[i].answer;

		for (j = 0; a->status == DNS_OK && j < a->n &&
		     j < FAMILY_MOST; j++) {
			net_address_set_port(&a->record[j].address, port);
			net_addresses_add(out, &a->record[j].address);
		}
		if (a->status == DNS_FAILED) {
			status = DNS_FAILED;
			memcpy(words, a->words, sizeof(a->words));
		} else if (a->status == DNS_NODATA && status != DNS_FAILED) {
			status = DNS_NODATA;
		}
		dns_answer_release(a);
	}
	return out->n ? DNS_OK : status;
}
