/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SPF: a record of any bytes, which every name it asks for has too. DNS is
 * replaced here at link time. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "dnscheck/spf.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static const unsigned char *bytes;
static size_t length;

void dns_query(struct dns *d, const char *name, enum dns_type type,
	       struct dns_answer *a)
{
	struct dns_record *r = mem_alloc(sizeof(*r));

	(void)d;
	*a = (struct dns_answer){ .status = DNS_OK, .record = r, .n = 1 };
	if (strlen(name) > 253)
		abort();
	if (type == DNS_TXT) {
		r->text = mem_stringn((const char *)bytes, length);
		r->text_len = length;
	} else if (type == DNS_A || type == DNS_AAAA) {
		if (!net_address_parse(type == DNS_A ? "192.0.2.9" :
				       "2001:db8::9", 0, &r->address))
			abort();
	} else {
		r->name = mem_string("mx.example");
	}
}

void dns_answer_release(struct dns_answer *a)
{
	free(a->record->name);
	free(a->record->text);
	free(a->record);
	*a = (struct dns_answer){ 0 };
}

void dns_reverse_name(const struct net_address *a, char out[80])
{
	(void)a;
	snprintf(out, 80, "1.2.0.192.in-addr.arpa");
}

static void check(const char *ip)
{
	struct net_address a;
	const struct spf_query q = { &a, "lab.example", "x@lab.example",
				     "helo.example" };
	char words[200];

	if (!net_address_parse(ip, 0, &a))
		abort();
	(void)spf_name(spf_check(NULL, &q, words));
	if (!memchr(words, '\0', sizeof(words)))
		abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	bytes = data;
	length = n;
	check("192.0.2.1");
	check("2001:db8::1");
	return 0;
}
