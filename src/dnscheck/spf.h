/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SPF (RFC 7208), for --dnscheck: what receivers will find. */
#ifndef DNSCHECK_SPF_H
#define DNSCHECK_SPF_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/dns.h"
#include "wire/net.h"

enum spf_result {
	SPF_NONE, SPF_NEUTRAL, SPF_PASS, SPF_FAIL, SPF_SOFTFAIL,
	SPF_TEMPERROR, SPF_PERMERROR
};
/* "pass" and so on, as in RFC 7208 section 2.6. */
const char *spf_name(enum spf_result result);

struct spf_query {
	const struct net_address *ip;
	const char *domain;   /* whose record decides; A-labels */
	const char *sender;   /* "local@domain"; without local part:
			       * postmaster */
	const char *helo;
};
/* check_host() of RFC 7208 section 4: at most 10 terms that ask DNS and 2
 * look-ups that find nothing. words gets what decided, or what is wrong. */
enum spf_result spf_check(struct dns *dns, const struct spf_query *query,
			  char words[200]);

/* The type of record that holds addresses of this family. */
enum dns_type spf_address_type(const struct net_address *ip);
/* Whether one of a name's addresses is this one. */
bool spf_leads_to(struct dns *dns, const char *name,
		  const struct net_address *ip);

#endif
