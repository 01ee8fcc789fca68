/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Questions: names and queries. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "wire/dns_parse.h"

enum {
	LABEL_MAX = 63,
	NAME_MAX_OCTETS = 255,
	TYPE_OPT = 41
};

static bool label_ok(const char *label, size_t n)
{
	size_t i;

	if (!n || n > LABEL_MAX)
		return false;
	for (i = 0; i < n; i++)
		if ((unsigned char)label[i] <= ' ' ||
		    (unsigned char)label[i] >= 0x7f || label[i] == '\\')
			return false;
	return true;
}

/* RFC 1035 3.1; 0 where it is no name. The root is not asked for. */
static size_t name_put(const char *name, unsigned char *out)
{
	size_t n, used = 0;

	do {
		n = strcspn(name, ".");
		if (!label_ok(name, n) || used + n + 2 > NAME_MAX_OCTETS)
			return 0;
		out[used++] = (unsigned char)n;
		memcpy(out + used, name, n);
		used += n;
		name += n;
		if (*name == '.')
			name++;
	} while (*name);
	out[used++] = 0;
	return used;
}

static unsigned char *put16(unsigned char *p, unsigned value)
{
	*p++ = (unsigned char)(value >> 8);
	*p++ = (unsigned char)value;
	return p;
}

size_t dns_query_build(const char *name, enum dns_type type, uint16_t id,
		       unsigned char out[DNS_QUERY_MAX])
{
	unsigned char *p = out;
	size_t n;

	p = put16(p, id);
	p = put16(p, 0x0120);           /* RD, AD */
	p = put16(p, 1);
	p = put16(p, 0);
	p = put16(p, 0);
	p = put16(p, 1);
	n = name_put(name, p);
	if (!n)
		return 0;
	p += n;
	p = put16(p, type);
	p = put16(p, 1);                /* IN */
	*p++ = 0;                       /* RFC 6891 6.1.2 */
	p = put16(p, TYPE_OPT);
	p = put16(p, DNS_UDP_SIZE);
	p = put16(p, 0);
	p = put16(p, 0);
	p = put16(p, 0);
	return (size_t)(p - out);
}

size_t dns_query_plain(unsigned char *query, size_t n)
{
	query[11] = 0;                  /* ARCOUNT */
	return n - DNS_OPT;
}

void dns_reverse_name(const struct net_address *a, char out[80])
{
	const unsigned char *b;
	size_t used = 0;
	int i;

	out[0] = '\0';
	if (a->sa.ss_family == AF_INET) {
		b = (const void *)&a->v4.sin_addr;
		snprintf(out, 80, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2],
			 b[1], b[0]);
	} else if (a->sa.ss_family == AF_INET6) {
		b = a->v6.sin6_addr.s6_addr;
		for (i = 15; i >= 0; i--, used += 4)
			snprintf(out + used, 80 - used, "%x.%x.", b[i] & 15u,
				 b[i] >> 4);
		snprintf(out + used, 80 - used, "ip6.arpa");
	}
}
