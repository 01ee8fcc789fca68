/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/endpoint.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* "2001:db8:0000:0000:0000:0000:255.255.255.255", and what a zone's name may
 * be (IFNAMSIZ) with room to spare */
enum { ADDRESS_MAX = 46, ZONE_MAX = 32 };

const char *family_words(enum family family)
{
	return family == FAMILY_V4 ? "IPv4 address" :
	       family == FAMILY_V6 ? "IPv6 address" : "address";
}

enum ip_kind ip_kind(const char *text)
{
	unsigned char raw[16];
	const char *zone = strchr(text, '%');
	size_t n = zone ? (size_t)(zone - text) : strlen(text);
	char address[ADDRESS_MAX + 1];

	if (!n || n > ADDRESS_MAX ||
	    (zone && (!zone[1] || strlen(zone + 1) > ZONE_MAX)))
		return IP_NONE;
	memcpy(address, text, n);
	address[n] = '\0';
	if (inet_pton(AF_INET6, address, raw) == 1)
		return IP_V6;
	return !zone && inet_pton(AF_INET, address, raw) == 1 ? IP_V4 :
	       IP_NONE;
}

bool ip_lacks_zone(const char *text)
{
	unsigned char raw[16];

	return inet_pton(AF_INET6, text, raw) == 1 && raw[0] == 0xfe &&
	       (raw[1] & 0xc0) == 0x80;
}

/* 1 to 65535, digits alone. */
static bool port_parse(const char *text, unsigned *port)
{
	unsigned value = 0;
	const char *p;

	for (p = text; *p >= '0' && *p <= '9' && value <= 65535; p++)
		value = 10 * value + (unsigned)(*p - '0');
	if (*p || !value || value > 65535)
		return false;
	*port = value;
	return true;
}

bool endpoint_parse(const char *text, unsigned fallback,
		    struct endpoint *out)
{
	const char *end, *colon = strrchr(text, ':');

	*out = (struct endpoint){ .port = fallback };
	if (text[0] == '[') {
		end = strchr(text, ']');
		if (!end || (end[1] && (end[1] != ':' ||
					!port_parse(end + 2, &out->port))))
			goto bad;
		out->host = mem_stringn(text + 1, (size_t)(end - text) - 1);
		if (ip_kind(out->host) == IP_V6)
			return true;
		goto bad;
	}
	/* an IPv6 address without brackets has no room for a port */
	if (ip_kind(text) == IP_V6) {
		out->host = mem_string(text);
		return true;
	}
	end = colon ? colon : text + strlen(text);
	if (end == text || strcspn(text, ":[]") < (size_t)(end - text) ||
	    (colon && !port_parse(colon + 1, &out->port)))
		goto bad;
	out->host = mem_stringn(text, (size_t)(end - text));
	return true;
bad:
	endpoint_release(out);
	return false;
}

char *endpoint_text(const struct endpoint *e)
{
	return mem_printf(strchr(e->host, ':') ? "[%s]:%u" : "%s:%u", e->host,
			  e->port);
}

void endpoint_release(struct endpoint *e)
{
	free(e->host);
	*e = (struct endpoint){ 0 };
}
