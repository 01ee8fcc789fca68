/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The hosts of a recipient's domain, with their addresses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "mail/address.h"
#include "submit/hosts_parts.h"
#include "wire/lookup.h"

/* The two answers about one host. */
struct lookup {
	struct dns_question question[2];
	size_t n;
};

struct search {
	struct run *run;
	const struct hosts_query *query;
	struct hosts *out;
	struct exchanges exchanges;
	struct lookup lookup[HOSTS_MOST];
	struct assurance assurance[HOSTS_MOST];
	char local[80];            /* an address that the guard held back */
	char failed[200];          /* words of a look-up that failed */
};

static bool asks_v4(const struct transport *t)
{
	return t->ip_family != FAMILY_V6;
}

static bool asks_v6(const struct transport *t)
{
	return t->ip_family != FAMILY_V4;
}

/* RFC 6724 would sort what this host cannot reach last; of two families only
 * the lack of one matters here. A proxy's families are not ours to know. */
static bool puts_v4_first(struct run *run, const struct transport *t)
{
	if (t->ip_family != FAMILY_ANY)
		return t->ip_family == FAMILY_PREFER_V4;
	return !kind_has(t->kind, IS_PROXIED) && !run_has_ipv6(run);
}

/* --- words --- */

static bool is_here(const struct config *c, const char *domain)
{
	const char *dot = strrchr(domain, '.');

	return !dot || !strcasecmp(dot, ".localhost") ||
	       !strcasecmp(dot, ".localdomain") ||
	       (c->general.hostname &&
		!strcasecmp(domain, c->general.hostname)) ||
	       (c->general.domain && !strcasecmp(domain, c->general.domain));
}

static const char advice[] =
	"mail for local users needs an address elsewhere, by \"aliases\" or "
	"\"default_recipient\", or a route to a relay";

/* A machine's own name is mostly not meant as a mail domain at all. */
static bool advise(const struct search *s, struct outcome *why)
{
	struct outcome first = *why;

	if (first.exit == EX_NOHOST && strcmp(first.status, "5.1.10") &&
	    is_here(s->run->config, s->query->domain))
		return outcome_fail_status(why, STAGE_DNS, EX_NOHOST,
					   first.status, "%s; %s", first.text,
					   advice);
	return false;
}

static bool loops_back(const struct search *s, struct outcome *why)
{
	return outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.4.6",
				   "the mail host of %s is this machine "
				   "itself (%s); %s", s->query->domain,
				   s->local, advice);
}

static bool nowhere(const struct search *s, struct outcome *why)
{
	const int family = s->query->transport->ip_family;

	if (s->failed[0])
		return outcome_fail_status(why, STAGE_DNS, EX_TEMPFAIL,
					   "4.4.3", "%s", s->failed);
	if (s->local[0])
		return loops_back(s, why);
	(void)outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.1.2",
				  "%s has no %s an %saddress",
				  s->query->domain, s->exchanges.has_mx ?
				  "mail host with" : "MX record and not",
				  family == FAMILY_V4 ? "IPv4 " :
				  family == FAMILY_V6 ? "IPv6 " : "");
	return advise(s, why);
}

/* --- addresses --- */

static bool is_forbidden(struct search *s, const struct net_address *a)
{
	if (!net_address_is_local(a) ||
	    s->run->config->dns.allow_loopback_mx)
		return false;
	net_address_text(a, s->local);
	return true;
}

static void take_address(struct search *s, struct host *h,
			 const struct dns_question *q, size_t i)
{
	struct net_address a;

	if (i >= q->answer.n)
		return;
	a = q->answer.record[i].address;
	if (is_forbidden(s, &a))
		return;
	net_address_set_port(&a, h->port);
	net_addresses_add(&h->addresses, &a);
}

/* Both families in turn (RFC 8305 section 4), the preferred one first. */
static void take_addresses(struct search *s, struct host *h,
			   const struct lookup *l)
{
	size_t i, j;

	h->have_addresses = true;
	for (i = 0; i < ADDRESSES_MOST; i++)
		for (j = 0; j < l->n; j++)
			take_address(s, h, &l->question[j], i);
}

static void note_failure(struct search *s, const struct lookup *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->question[i].answer.status == DNS_FAILED)
			snprintf(s->failed, sizeof(s->failed),
				 "the addresses of %.100s cannot be looked "
				 "up: %.60s", l->question[i].name,
				 l->question[i].answer.words);
}

static bool is_authentic(const struct lookup *l)
{
	bool any = false;
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (l->question[i].answer.status != DNS_OK)
			continue;
		if (!l->question[i].answer.authentic)
			return false;
		any = true;
	}
	return any;
}

static const char *cname_of(const struct lookup *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->question[i].answer.status == DNS_OK)
			return l->question[i].answer.cname;
	return NULL;
}

static void ask_all(struct search *s)
{
	const struct list *name = &s->exchanges.name;
	const struct transport *t = s->query->transport;
	struct dns_question all[2 * HOSTS_MOST] = { 0 };
	const bool v4_first = puts_v4_first(s->run, t);
	size_t i, j, n = 0;

	for (i = 0; i < name->n; i++) {
		if (asks_v6(t))
			all[n++] = (struct dns_question){
				.name = name->item[i],
				.type = v4_first ? DNS_A : DNS_AAAA };
		if (asks_v4(t))
			all[n++] = (struct dns_question){
				.name = name->item[i],
				.type = v4_first ? DNS_AAAA : DNS_A };
	}
	dns_ask(run_dns(s->run), all, n);
	for (i = 0, n = 0; i < name->n; i++) {
		s->lookup[i].n = (size_t)asks_v4(t) + (size_t)asks_v6(t);
		for (j = 0; j < s->lookup[i].n; j++)
			s->lookup[i].question[j] = all[n++];
	}
}

static struct host *add_host(struct search *s, const char *name,
			     const char *tls_name)
{
	const struct transport *t = s->query->transport;
	struct host *h = hosts_add(s->out, name, transport_port(t));

	h->demand = policy_tls(t, false, NULL, s->query->relaxed);
	h->tls_name = mem_string(t->tls_name ? t->tls_name : tls_name);
	snprintf(h->why, sizeof(h->why), "neither DANE nor MTA-STS asks for "
		 "more");
	return h;
}

static void take_host(struct search *s, size_t i)
{
	const char *name = s->exchanges.name.item[i];
	struct lookup *l = &s->lookup[i];
	struct assurance *a = &s->assurance[s->out->n];
	struct host *h = add_host(s, name, name);

	take_addresses(s, h, l);
	if (!h->addresses.n) {
		note_failure(s, l);
		host_release(h);
		s->out->n--;
		return;
	}
	a->authentic = s->exchanges.authentic && is_authentic(l);
	a->cname = mem_string(cname_of(l));
}

/* Cuts addresses so that each later host keeps one. */
static void limit_addresses(struct hosts *h)
{
	size_t i, room, left = ADDRESSES_MOST;

	for (i = 0; i < h->n; i++) {
		room = policy_addresses(h->item[i].addresses.n, h->n - i - 1,
					left);
		h->item[i].addresses.n = room;
		left -= h->item[i].addresses.n;
	}
}

/* --- the ways to a domain --- */

static bool by_literal(struct search *s, struct outcome *why)
{
	const char *domain = s->query->domain;
	struct net_address a;
	struct host *h;
	char text[64];

	if (!net_address_parse(domain, transport_port(s->query->transport),
			       &a))
		return outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.1.2",
					   "%s is no address literal", domain);
	if (is_forbidden(s, &a))
		return loops_back(s, why);
	net_address_text(&a, text);
	h = add_host(s, domain, text);
	h->have_addresses = true;
	net_addresses_add(&h->addresses, &a);
	return true;
}

/* A proxy that looks up names gets them; what it finds is not ours to see,
 * but for the one name that is always local. */
static bool by_names(struct search *s, struct outcome *why)
{
	const struct list *name = &s->exchanges.name;
	size_t i;

	for (i = 0; i < name->n; i++)
		if (s->run->config->dns.allow_loopback_mx ||
		    !net_is_localhost(name->item[i]))
			add_host(s, name->item[i], name->item[i]);
	if (s->out->n)
		return true;
	snprintf(s->local, sizeof(s->local), "localhost");
	return loops_back(s, why);
}

static bool by_addresses(struct search *s, struct outcome *why)
{
	size_t i;

	ask_all(s);
	for (i = 0; i < s->exchanges.name.n; i++)
		take_host(s, i);
	limit_addresses(s->out);
	return s->out->n ? true : nowhere(s, why);
}

static bool by_exchanges(struct search *s, struct outcome *why)
{
	const struct transport *t = s->query->transport;

	if (!exchanges_find(run_dns(s->run), s->query->domain, &s->exchanges,
			    why)) {
		why->no_network = dns_no_network(s->run->dns);
		return advise(s, why);
	}
	if (kind_has(t->kind, IS_PROXIED) && transport_proxy_dns(t))
		return by_names(s, why);
	return by_addresses(s, why);
}

static void search_release(struct search *s)
{
	size_t i, j;

	for (i = 0; i < HOSTS_MOST; i++) {
		for (j = 0; j < s->lookup[i].n; j++)
			dns_answer_release(&s->lookup[i].question[j].answer);
		free(s->assurance[i].cname);
	}
	exchanges_release(&s->exchanges);
}

bool hosts_by_domain(struct run *run, const struct hosts_query *query,
		     struct hosts *out, struct outcome *why)
{
	struct search s = { .run = run, .query = query, .out = out };
	bool ok;

	if (!query->domain || !*query->domain)
		return outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.1.2",
					   "an address without a domain");
	if (domain_is_literal(query->domain))
		ok = by_literal(&s, why);
	else
		ok = by_exchanges(&s, why);
	ok = ok && hosts_secure(run, query, s.exchanges.canonical,
				s.assurance, out, why);
	search_release(&s);
	return ok;
}
