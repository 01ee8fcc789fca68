/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "helper/certificate.h"

#include <string.h>

#include <curl/curl.h>

/* An element of DER. */
struct der {
	unsigned tag;
	const unsigned char *p, *end;
};

/* The next element of in, which goes on after it. */
static bool der_next(struct der *in, struct der *out)
{
	size_t n, octets;

	if (in->end - in->p < 2)
		return false;
	out->tag = *in->p++;
	n = *in->p++;
	if (n & 0x80) {
		for (octets = n & 0x7f, n = 0; octets; octets--) {
			if (in->p == in->end || n > 0xffff)
				return false;
			n = n << 8 | *in->p++;
		}
	}
	if (n > (size_t)(in->end - in->p))
		return false;
	out->p = in->p;
	out->end = in->p += n;
	return true;
}

/* Whether what follows an OID of subjectAltName (RFC 5280 4.2.1.6) has a
 * dNSName. */
static bool der_names_hosts(const unsigned char *der, size_t n)
{
	enum { BOOLEAN = 1, OCTETS = 4, SEQUENCE = 0x30, DNS_NAME = 0x82 };
	static const unsigned char oid[] = { 0x06, 0x03, 0x55, 0x1d, 0x11 };
	struct der in, value, names, name;
	size_t i;

	for (i = 0; i + sizeof(oid) <= n; i++) {
		if (memcmp(der + i, oid, sizeof(oid)))
			continue;
		in = (struct der){ 0, der + i + sizeof(oid), der + n };
		if (!der_next(&in, &value) ||
		    (value.tag == BOOLEAN && !der_next(&in, &value)) ||
		    value.tag != OCTETS || !der_next(&value, &names) ||
		    names.tag != SEQUENCE)
			continue;
		while (der_next(&names, &name))
			if (name.tag == DNS_NAME)
				return true;
	}
	return false;
}

/* The octets of what stands between the lines of PEM. */
static size_t pem_decode(const char *pem, unsigned char *out, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = strchr(pem, '\n'), *digit;
	unsigned value = 0, bits = 0;
	size_t n = 0;

	for (; p && *p && *p != '-' && n < size; p++) {
		digit = strchr(digits, *p);
		if (!digit)
			continue;
		value = value << 6 | (unsigned)(digit - digits);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[n++] = (unsigned char)(value >> bits);
		}
	}
	return n;
}

bool certificate_names_hosts(void *curl)
{
	static unsigned char der[64 * 1024];
	struct curl_certinfo *info = NULL;
	const struct curl_slist *line;

	if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &info) || !info ||
	    info->num_of_certs < 1)
		return false;
	for (line = info->certinfo[0]; line; line = line->next)
		if (!strncmp(line->data, "Cert:", 5))
			return der_names_hosts(der, pem_decode(line->data + 5,
							der, sizeof(der)));
	return false;
}
