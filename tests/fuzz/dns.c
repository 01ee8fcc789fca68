/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DNS answers, and queries for names of any bytes, which the library's own
 * parser reads as it should. The first octet chooses the type asked for. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "wire/dns_parse.h"
#include "wire/dns_parse_library.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static void check(const struct dns_answer *a)
{
	size_t i;

	if ((a->status == DNS_OK) != (a->n > 0 && a->status != DNS_NXDOMAIN))
		abort();
	if (a->status == DNS_FAILED && a->n)
		abort();
	if (a->cname && strpbrk(a->cname, "\\ \n\r\t"))
		abort();
	for (i = 0; i < a->n; i++)
		if (a->record[i].name &&
		    strpbrk(a->record[i].name, "\\ \n\r\t"))
			abort();
}

static void query(const unsigned char *data, size_t n, enum dns_type type)
{
	char *name = mem_stringn((const char *)data, n), text[80], back[1025];
	unsigned char q[DNS_QUERY_MAX];
	size_t size = dns_query_build(name, type, 7, q);
	struct net_address a;
	ns_msg m;
	ns_rr rr;

	if (size) {
		if (ns_initparse(q, (int)size, &m) ||
		    ns_msg_count(m, ns_s_qd) != 1 ||
		    ns_msg_count(m, ns_s_ar) != 1 ||
		    ns_parserr(&m, ns_s_qd, 0, &rr) ||
		    (enum dns_type)ns_rr_type(rr) != type)
			abort();
		/* but for what is escaped in text */
		snprintf(back, sizeof(back), "%s", ns_rr_name(rr));
		if (!strpbrk(name, "\"$();@\\") &&
		    strncmp(name, back, strlen(back)))
			abort();
		size = dns_query_plain(q, size);
		if (ns_initparse(q, (int)size, &m) ||
		    ns_msg_count(m, ns_s_ar))
			abort();
	}
	if (net_address_parse(name, 0, &a)) {
		dns_reverse_name(&a, text);
		if (!dns_query_build(text, DNS_PTR, 7, q))
			abort();
	}
	free(name);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	static const enum dns_type types[] = {
		DNS_A, DNS_CNAME, DNS_PTR, DNS_MX, DNS_TXT, DNS_AAAA, DNS_SRV,
		DNS_TLSA
	};
	struct dns_answer a;

	if (!n)
		return 0;
	dns_answer_parse(data + 1, n - 1, "t", types[data[0] % 8], &a);
	check(&a);
	dns_answer_release(&a);
	(void)dns_refuses_edns(data + 1, n - 1);
	query(data + 1, n - 1, types[data[0] % 8]);
	return 0;
}
