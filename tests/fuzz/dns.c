/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DNS answers. The first octet chooses the type asked for. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "wire/dns_parse.h"

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
	return 0;
}
