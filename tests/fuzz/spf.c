/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SPF: a record of any bytes, which every name it asks for has too, or after
 * a line "%" others, in their order; one that is "!" cannot be looked up, and
 * "-" is not there. DNS is replaced here at link time. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "dnscheck/spf.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static const unsigned char *bytes, *others;
static size_t length, others_left;

/* What the next question gets: its own line, or the record once more. */
static const unsigned char *next_text(size_t *n)
{
	const unsigned char *line = others, *end;

	if (!others_left) {
		*n = length;
		return bytes;
	}
	end = memchr(others, '\n', others_left);
	*n = end ? (size_t)(end - others) : others_left;
	others += *n + (end ? 1 : 0);
	others_left -= *n + (end ? 1 : 0);
	return line;
}

void dns_query(struct dns *d, const char *name, enum dns_type type,
	       struct dns_answer *a)
{
	static const char *const address[2][2] = {
		{ "192.0.2.9", "192.0.2.1" }, { "2001:db8::9", "2001:db8::1" }
	};
	struct dns_record *r = mem_alloc(sizeof(*r));
	const unsigned char *text;
	size_t n;

	(void)d;
	text = next_text(&n);
	if (n == 1 && (*text == '!' || *text == '-')) {
		free(r);
		*a = (struct dns_answer){ .status = *text == '!' ? DNS_FAILED :
						    DNS_NXDOMAIN };
		return;
	}
	*a = (struct dns_answer){ .status = DNS_OK, .record = r, .n = 1 };
	if (strlen(name) > 253)
		abort();
	if (type == DNS_TXT) {
		r->text = mem_stringn((const char *)text, n);
		r->text_len = n;
	} else if (type == DNS_A || type == DNS_AAAA) {
		if (!net_address_parse(address[type == DNS_AAAA][n % 2], 0,
				       &r->address))
			abort();
	} else {
		r->name = mem_string(n % 2 ? "mx.lab.example" : "mx.example");
	}
}

void dns_answer_release(struct dns_answer *a)
{
	if (a->record) {
		free(a->record->name);
		free(a->record->text);
	}
	free(a->record);
	*a = (struct dns_answer){ 0 };
}

void dns_reverse_name(const struct net_address *a, char out[80])
{
	(void)a;
	snprintf(out, 80, "1.2.0.192.in-addr.arpa");
}

static void check(const char *ip, const unsigned char *data, size_t n)
{
	const unsigned char *stop = n ? memmem(data, n, "\n%\n", 3) : NULL;
	struct net_address a;
	const struct spf_query q = { &a, "lab.example", n % 3 ?
				     "x@lab.example" : "lab.example",
				     "helo.example" };
	char words[200];

	bytes = data;
	length = stop ? (size_t)(stop - data) : n;
	others = stop ? stop + 3 : data + n;
	others_left = (size_t)(data + n - others);

	if (!net_address_parse(ip, 0, &a))
		abort();
	(void)spf_name(spf_check(NULL, &q, words));
	if (!memchr(words, '\0', sizeof(words)))
		abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	check("192.0.2.1", data, n);
	check("2001:db8::1", data, n);
	return 0;
}
