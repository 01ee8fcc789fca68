/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DNS messages (RFC 1035 4), without a network; nobody but dns*.c and their
 * tests includes this. */
#ifndef WIRE_DNS_PARSE_H
#define WIRE_DNS_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/dns.h"

enum {
	DNS_HEAD = 12,
	DNS_OPT = 11,
	DNS_QUERY_MAX = DNS_HEAD + 255 + 4 + DNS_OPT,
	DNS_UDP_SIZE = 1232
};

/* A recursive query with AD (RFC 6840 5.7) and EDNS: header, question, and
 * DNS_OPT octets of an OPT record. Its length, or 0 where the name is not a
 * DNS name. */
size_t dns_query_build(const char *name, enum dns_type type, uint16_t id,
		       unsigned char out[DNS_QUERY_MAX]);
/* The same without EDNS; its length. */
size_t dns_query_plain(unsigned char *query, size_t n);
/* Fills a with what an answer says about name and type; CNAMEs within it are
 * followed, 16 at most. Records that are malformed or name what could be no
 * host are dropped; where none is left that way it is DNS_FAILED, never
 * DNS_NODATA. authentic is the AD bit as it came. */
void dns_answer_parse(const unsigned char *data, size_t n, const char *name,
		      enum dns_type type, struct dns_answer *a);

/* Whether an answer says no more than that EDNS is not understood (FORMERR,
 * NOTIMP; RFC 6891 7) or not this version of it (BADVERS). */
bool dns_refuses_edns(const unsigned char *data, size_t n);

#endif
