/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "host:port" as people write it, and what kind of address a text is. */
#ifndef BASE_ENDPOINT_H
#define BASE_ENDPOINT_H

#include <stdbool.h>

/* Which addresses of a host are used, and which are tried first. */
enum family { FAMILY_ANY, FAMILY_V4, FAMILY_V6, FAMILY_PREFER_V4,
	      FAMILY_PREFER_V6 };

/* What is wanted then: "IPv4 address", "IPv6 address", "address". */
const char *family_words(enum family family);

enum ip_kind { IP_NONE, IP_V4, IP_V6 };

/* That of a SOCKS proxy where nothing else is said. */
enum { PORT_SOCKS = 1080 };

struct endpoint {
	char *host;      /* without brackets */
	unsigned port;
};

/* What the text is, without brackets; an IPv6 address may have a zone
 * ("fe80::1%eth0"). */
enum ip_kind ip_kind(const char *text);
/* Whether it is a link-local IPv6 address (RFC 4291 2.5.6) that does not say
 * of which interface: nothing can be sent to it. */
bool ip_lacks_zone(const char *text);

/* "host", "host:port", "192.0.2.1:25", "[2001:db8::1]:25", "[2001:db8::1]" or
 * "2001:db8::1"; fallback is the port where the text has none. Whether the
 * host is a valid name is not looked at, but it is not empty and holds no
 * colon or bracket unless it is an IPv6 address. False: it has not this form,
 * and out holds nothing. */
bool endpoint_parse(const char *text, unsigned fallback,
		    struct endpoint *out);
/* Back again, with the port and brackets where they are needed; the caller
 * frees. */
char *endpoint_text(const struct endpoint *e);
void endpoint_release(struct endpoint *e);

#endif
