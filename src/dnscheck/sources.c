/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The addresses that mail may leave from, with what EHLO says there. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dnscheck/dnscheck_parts.h"
#include "submit/link.h"
#include "wire/interfaces.h"

/* --- whether anything is sent from here at all --- */

static bool catches_all(const struct route *r)
{
	return !r->account && !r->domain && !r->from_domain.n &&
	       !r->to_domain.n && !r->minimum_attempts;
}

static bool delivers_directly(const struct config *c)
{
	const struct transport *const *way;
	bool caught = false;
	size_t i;

	for (i = 0; i < c->routes; i++) {
		for (way = c->route[i].way; *way; way++)
			if (transport_is_direct(*way) && !transport_proxy(*way))
				return true;
		caught = caught || catches_all(&c->route[i]);
	}
	return !caught;
}

enum grade source_grade(const struct dnscheck *c, const struct source *s)
{
	return s->direct && !c->delivers_directly ? GRADE_WARN : GRADE_FAIL;
}

/* --- collecting --- */

static void add(struct dnscheck *c, const struct net_address *ip,
		const char *helo, bool direct)
{
	struct source *s;
	char text[64];
	size_t i;

	net_address_text(ip, text);
	for (i = 0; i < c->sources; i++)
		if (!strcmp(c->source[i].text, text) &&
		    !strcasecmp(c->source[i].helo, helo))
			return;
	c->source = mem_resize(c->source, c->sources + 1, sizeof(*s));
	s = &c->source[c->sources++];
	*s = (struct source){ .ip = *ip, .helo = mem_string(helo),
			      .direct = direct };
	memcpy(s->text, text, sizeof(text));
}

/* "A 192.0.2.1" lines for the addresses that this host has. */
static char *suggested_address(const char *hostname,
			       const struct net_addresses *own)
{
	struct buf out = BUF(4096);
	char text[64];
	size_t i;

	for (i = 0; i < own->n; i++) {
		net_address_text(&own->item[i], text);
		buf_addf(&out, "%s%s. %s %s", i ? "; " : "", hostname,
			 own->item[i].sa.ss_family == AF_INET ? "A" : "AAAA",
			 text);
	}
	if (!own->n)
		buf_addf(&out, "%s. A (the address that mail leaves from)",
			 hostname);
	return buf_take(&out);
}

static void no_address(struct dnscheck *c, const char *hostname,
		       const struct net_addresses *own)
{
	const enum grade grade = c->delivers_directly ? GRADE_FAIL :
				 GRADE_WARN;
	char *publish;

	if (!strchr(hostname, '.')) {
		report(c, grade, "hostname", hostname, NULL, "no full name: "
		       "set \"hostname\" to one that DNS knows");
		return;
	}
	publish = suggested_address(hostname, own);
	report(c, grade, "hostname", hostname, publish,
	       "the name that EHLO says has no address%s", own->n ? "" :
	       ", and this host has no public one: where mail leaves from "
	       "cannot be told");
	free(publish);
}

static void take_answers(struct dnscheck *c, const char *hostname,
			 const struct net_addresses *at,
			 const struct net_addresses *own)
{
	struct buf words = BUF(4096);
	bool public = false;
	char text[64], *publish;
	size_t i;

	for (i = 0; i < at->n; i++) {
		net_address_text(&at->item[i], text);
		buf_addf(&words, "%s%s", words.len ? ", " : "", text);
		public = public || net_address_is_public(&at->item[i]) ||
			 c->d->config->dns.allow_loopback_mx;
		add(c, &at->item[i], hostname, true);
	}
	publish = public ? NULL : suggested_address(hostname, own);
	report(c, public ? GRADE_OK : GRADE_WARN, "hostname", hostname,
	       publish, "%s%s", buf_text(&words), public ? "" :
	       ": no address that the Internet knows");
	free(publish);
	buf_release(&words);
}

static void by_hostname(struct dnscheck *c, const char *hostname,
			const struct net_addresses *own)
{
	struct net_addresses at;
	char words[128];

	switch (dns_addresses(c->dns, hostname, 0, FAMILY_PREFER_V4, &at,
			      words)) {
	case DNS_OK:
		take_answers(c, hostname, &at, own);
		break;
	case DNS_FAILED:
		c->deaf = true;
		report(c, GRADE_FAIL, "hostname", hostname, NULL,
		       "cannot be looked up: %s", words);
		break;
	default:
		no_address(c, hostname, own);
	}
	net_addresses_release(&at);
}

/* A direct transport may say another name, and leave from another address. */
static void by_direct(struct dnscheck *c, const struct transport *t,
		      const struct net_addresses *own)
{
	const char *hostname = c->d->config->general.hostname;
	struct net_address ip;

	if (t->source_address && net_address_parse(t->source_address, 0, &ip) &&
	    net_address_is_public(&ip))
		add(c, &ip, t->hostname ? t->hostname : hostname, true);
	else if (t->hostname && strcasecmp(t->hostname, hostname))
		by_hostname(c, t->hostname, own);
}

static void by_proxy(struct dnscheck *c, const struct transport *t)
{
	const char *helo = t->remote_hostname ? t->remote_hostname :
			   t->hostname ? t->hostname :
			   c->d->config->general.hostname;
	struct net_address ip;
	size_t i;

	if (!t->remote_ips.n)
		report(c, GRADE_WARN, "socks", t->name, NULL,
		       "without \"remote_ips\" nobody knows where mail "
		       "through this proxy leaves from");
	for (i = 0; i < t->remote_ips.n; i++)
		if (net_address_parse(t->remote_ips.item[i], 0, &ip))
			add(c, &ip, helo, false);
}

void sources_find(struct dnscheck *c)
{
	const struct config *config = c->d->config;
	const char *hostname = config->general.hostname;
	struct net_addresses own = { 0 };
	const struct transport *t;
	size_t i;

	c->delivers_directly = delivers_directly(config);
	/* a host that connects to nothing but its proxy: the transport of the
	 * route that catches all */
	for (i = 0; i < config->routes; i++) {
		if (!catches_all(&config->route[i]) ||
		    !config->route[i].transport.n)
			continue;
		t = config->route[i].way[0];
		c->proxy = kind_has(t->kind, IS_PROXIED) ? t : NULL;
		break;
	}
	interfaces_public(&own);
	by_hostname(c, hostname, &own);
	for (i = 0; i < own.n; i++)
		add(c, &own.item[i], hostname, true);
	for (i = 0; i < config->transports; i++)
		if (kind_has(config->transport[i].kind, IS_PROXIED))
			by_proxy(c, &config->transport[i]);
		else if (transport_is_direct(&config->transport[i]))
			by_direct(c, &config->transport[i], &own);
	net_addresses_release(&own);
}

void sources_release(struct dnscheck *c)
{
	size_t i;

	for (i = 0; i < c->sources; i++)
		free(c->source[i].helo);
	free(c->source);
}
