/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which hosts a transport means: the smarthost kinds are here, where all is
 * in the configuration. */
#include "submit/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "submit/hosts_direct.h"
#include "submit/hosts_list.h"

/* "[::1]" and "[IPv6:::1]" without what belongs to the notation alone, so
 * that it can be held against a certificate's addresses; a final dot is no
 * part of a certificate's name either. */
static char *bare_name(const char *text)
{
	size_t n = strlen(text);
	struct net_address a;

	if (net_address_parse(text, 0, &a)) {
		if (text[0] != '[')
			return mem_string(text);
		text++;
		n -= 2;
		return strncasecmp(text, "IPv6:", 5) ? mem_stringn(text, n) :
		       mem_stringn(text + 5, n - 5);
	}
	if (n > 1 && text[0] != '/' && text[n - 1] == '.')
		n--;
	return mem_stringn(text, n);
}

/* --- servers of a domain for submission (RFC 6186, RFC 8314) by SRV records
 * (RFC 2782) --- */

static int by_priority(const void *a, const void *b)
{
	const struct dns_record *x = a, *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	/* RFC 2782 wants those without weight first, so that they have a
	 * chance at all */
	return (x->weight != 0) - (y->weight != 0);
}

/* By priority; of those with the same each in its turn is drawn with a chance
 * by its weight. */
static void arrange_by_weight(struct dns_record *r, size_t n)
{
	struct dns_record drawn;
	unsigned sum, mark;
	size_t i, j, same;

	qsort(r, n, sizeof(*r), by_priority);
	for (i = 0; i < n; i++) {
		for (sum = 0, same = 0; i + same < n &&
		     r[i + same].preference == r[i].preference; same++)
			sum += r[i + same].weight;
		mark = hosts_random(sum);
		for (j = i, sum = 0; j + 1 < i + same; j++) {
			sum += r[j].weight;
			if (sum >= mark)
				break;
		}
		drawn = r[j];
		memmove(r + i + 1, r + i, (j - i) * sizeof(*r));
		r[i] = drawn;
	}
}

static void add_target(const struct hosts_query *query, const char *domain,
		       const struct dns_record *r, bool authentic,
		       struct hosts *out)
{
	const struct transport *t = query->transport;
	struct host *h = hosts_add(out, r->name, r->port);

	h->implicit_tls = policy_tls_implicit(t);
	h->demand = policy_tls(t, false, NULL, query->relaxed);
	h->tls_name = mem_string(t->tls_name ? t->tls_name : domain);
	snprintf(h->why, sizeof(h->why), "SRV records of %.80s, kind %s",
		 domain, kind_name((enum kind)t->kind));
	if (t->tls_name)
		return;
	if (policy_believes_target(h->name, domain, authentic))
		list_add(&h->more_names, h->name);
	else if (strcasecmp(h->name, domain))
		snprintf(h->why, sizeof(h->why), "SRV records of %.50s "
			 "without DNSSEC lead elsewhere: the certificate must "
			 "name the domain, or set tls_name", domain);
}

/* False: the domain has no host of its own here, for what is in out->not_now
 * where that could not be looked up, else in *why. */
static bool hosts_by_srv(struct run *run, const struct hosts_query *query,
			 const char *domain, struct hosts *out,
			 struct outcome *why)
{
	const char *service = kind_name((enum kind)query->transport->kind);
	char *owner = mem_printf("_%s._tcp.%s", service, domain);
	struct dns_answer a = { 0 };
	const size_t before = out->n;
	const struct dns_record *r;

	dns_query(run_dns(run), owner, DNS_SRV, &a);
	if (a.status == DNS_OK)
		arrange_by_weight(a.record, a.n);
	for (r = a.record; a.status == DNS_OK && r < a.record + a.n &&
	     out->n < HOSTS_MOST; r++)
		/* a port of 0 cannot be connected to; "." says: no such
		 * service here */
		if (r->name && r->name[0] && r->port > 0 && r->port <= 65535)
			add_target(query, domain, r, a.authentic, out);
	if (a.status == DNS_FAILED)
		outcome_set(&out->not_now, STAGE_DNS, EX_TEMPFAIL, "SRV "
			    "records of %s cannot be looked up: %s", owner,
			    a.words);
	else if (a.status != DNS_OK)
		outcome_fail(why, STAGE_DNS, EX_TEMPFAIL, "%s has no SRV "
			     "record: name the provider's server in \"host\" "
			     "instead", owner);
	else if (out->n == before)
		outcome_fail(why, STAGE_DNS, EX_TEMPFAIL, "by its SRV record "
			     "%s offers no such service", owner);
	dns_answer_release(&a);
	free(owner);
	return out->n > before;
}

/* --- all of them --- */

static void add_smarthost(const struct hosts_query *query, const char *text,
			  struct hosts *out)
{
	const struct transport *t = query->transport;
	const bool socket = text[0] == '/';
	char *name = bare_name(text);
	struct host *h = hosts_add(out, name, transport_port(t));

	h->implicit_tls = policy_tls_implicit(t);
	h->demand = policy_tls(t, socket, NULL, query->relaxed);
	if (t->tls_name)
		h->tls_name = mem_string(t->tls_name);
	else if (!socket)
		h->tls_name = mem_string(name);
	snprintf(h->why, sizeof(h->why), "the transport's kind is %s",
		 kind_name((enum kind)t->kind));
	free(name);
}

bool hosts_find(struct run *run, const struct hosts_query *query,
		struct hosts *out, struct outcome *why)
{
	const struct transport *t = query->transport;
	const struct list *host = &t->host;
	bool lacking = false;
	size_t i;

	*out = (struct hosts){ 0 };
	if (kind_facts(t->kind)->way == WAY_LOCAL)
		return true;
	if (transport_is_direct(t)) {
		out->direct = true;
		return hosts_by_domain(run, query, out, why);
	}
	/* several domains stand for each other as several hosts do */
	for (i = 0; i < host->n; i++)
		if (!t->srv)
			add_smarthost(query, host->item[i], out);
		else if (!hosts_by_srv(run, query, host->item[i], out, why))
			lacking = true;
	if (out->not_now.exit)
		*why = out->not_now;
	return out->n || !lacking;
}
