/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/dns_servers.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/endpoint.h"
#include "base/file.h"
#include "base/scan.h"

void resolv_conf_parse(const char *text, struct resolv_conf *out)
{
	struct scan rest = scan_text(text), line, word, value;

	*out = (struct resolv_conf){ 0 };
	while (scan_line(&rest, &line)) {
		/* some readers of this file pass over leading blanks: whom
		 * they would ask is asked, and judged, here too */
		if (!scan_word(&line, " \t", &word))
			continue;
		/* one that is left empty cannot be asked, and is told of */
		if (scan_is(&word, "nameserver") && scan_left(&line)) {
			if (!scan_word(&line, " \t\r", &value))
				value = scan_text("");
			list_addn(&out->nameserver, value.p,
				  scan_left(&value));
		}
		while (scan_is(&word, "options") &&
		       scan_word(&line, " \t\r", &value))
			out->trust_ad = out->trust_ad ||
					scan_is(&value, "trust-ad");
	}
}

/* Takes those that can be asked; words name one that cannot. */
static void take_resolvers(const struct list *resolver, const char *where,
			   struct net_addresses *out, char words[DNS_WORDS])
{
	struct net_address a;
	struct endpoint e;
	char shown[64];
	bool known;
	size_t i;

	for (i = 0; i < resolver->n; i++) {
		known = endpoint_parse(resolver->item[i], 53, &e);
		if (known) {
			known = net_address_parse(e.host, e.port, &a);
			endpoint_release(&e);
		}
		if (known && (a.sa.ss_family != AF_INET6 ||
			      a.v6.sin6_scope_id ||
			      !IN6_IS_ADDR_LINKLOCAL(&a.v6.sin6_addr))) {
			net_addresses_add(out, &a);
			continue;
		}
		text_printable(shown, sizeof(shown), resolver->item[i],
			       strlen(resolver->item[i]));
		snprintf(words, DNS_WORDS, "the resolver \"%s\" of "
			 "%s cannot be asked: %s", shown, where,
			 known ? "it is a link-local address without its "
			 "interface" : strchr(shown, '%') ?
			 "no such interface is here" : "it is not an address");
	}
}

bool dns_servers_find(const struct list *resolver, struct net_addresses *out,
		      char words[DNS_WORDS])
{
	struct resolv_conf conf = { 0 };
	struct buf text = BUF(64 * 1024);
	struct outcome ignored;
	bool trusted = true;
	size_t i;

	if (resolver && resolver->n) {
		take_resolvers(resolver, "the configuration", out, words);
	} else {
		/* what cannot be read is as if it were not there, and of what
		 * is too long the beginning counts */
		if (!file_read("/etc/resolv.conf", FILE_OPTIONAL, &text, NULL,
			       &ignored))
			text.full = false;
		resolv_conf_parse(buf_text(&text), &conf);
		if (!conf.nameserver.n)
			list_add(&conf.nameserver, "127.0.0.1");
		take_resolvers(&conf.nameserver, "/etc/resolv.conf", out,
			       words);
	}
	for (i = 0; i < out->n; i++)
		trusted = trusted && net_address_is_loopback(&out->item[i]);
	trusted = trusted || conf.trust_ad;
	list_release(&conf.nameserver);
	buf_release(&text);
	return trusted;
}

char *dns_servers_text(const struct net_addresses *server, bool zones)
{
	struct buf text = BUF(64 * 1024);
	const struct sockaddr_in6 *v6;
	char shown[64], zone[IF_NAMESIZE];
	size_t i;

	for (i = 0; i < server->n; i++) {
		v6 = &server->item[i].v6;
		net_address_text(&server->item[i], shown);
		buf_adds(&text, text.len ? "," : "");
		buf_addf(&text, v6->sin6_family == AF_INET6 ? "[%s]" : "%s",
			 shown);
		buf_addf(&text, ":%u", (unsigned)ntohs(v6->sin6_port));
		/* c-ares 1.34 passes over an address with a zone within the
		 * brackets, and says that all is well */
		if (zones && v6->sin6_family == AF_INET6 &&
		    v6->sin6_scope_id &&
		    if_indextoname(v6->sin6_scope_id, zone))
			buf_addf(&text, "%%%s", zone);
	}
	return buf_take(&text);
}
