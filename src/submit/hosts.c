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

/* Brings one of the n records to the front, each with a chance by its
 * weight. */
static void draw(struct dns_record *r, size_t n)
{
	struct dns_record chosen;
	unsigned sum = 0, mark;
	size_t i;

	for (i = 0; i < n; i++)
		sum += r[i].weight;
	mark = hosts_random(sum);
	for (i = 0, sum = 0; i + 1 < n; i++) {
		sum += r[i].weight;
		if (sum >= mark)
			break;
	}
	chosen = r[i];
	memmove(r + 1, r, i * sizeof(*r));
	r[0] = chosen;
}

static void arrange_by_weight(struct dns_record *r, size_t n)
{
	size_t i, same;

	qsort(r, n, sizeof(*r), by_priority);
	for (i = 0; i < n; i++) {
		for (same = 1; i + same < n &&
		     r[i + same].preference == r[i].preference; same++)
			;
		draw(r + i, same);
	}
}

static bool is_below(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	return n > d && name[n - d - 1] == '.' &&
	       !strcasecmp(name + n - d, domain);
}

/*
 * Whose certificate counts. SRV answers without DNSSEC may come from anyone
 * on the way, so that a target's own certificate proves nothing: RFC 6186
 * section 6 wants the domain that the user named in it, and asks the user
 * where a server has another one. Nobody is there to be asked, therefore a
 * target is believed only below that domain, or where the answer is
 * authentic; for all others tls_name is the user's word.
 */
static void fill_names(struct host *h, const struct transport *t,
		       const char *domain, bool authentic)
{
	if (t->tls_name) {
		h->tls_name = mem_string(t->tls_name);
		return;
	}
	h->tls_name = mem_string(domain);
	if (authentic || is_below(h->name, domain))
		list_add(&h->more_names, h->name);
	else if (strcasecmp(h->name, domain))
		snprintf(h->why, sizeof(h->why), "SRV records of %.50s "
			 "without DNSSEC lead elsewhere: the certificate must "
			 "name the domain, or set tls_name", domain);
}

static void add_target(const struct hosts_query *query, const char *domain,
		       const struct dns_record *r, bool authentic,
		       struct hosts *out)
{
	const struct transport *t = query->transport;
	struct host *h = hosts_add(out, r->name, r->port);

	h->implicit_tls = policy_tls_implicit(t);
	h->demand = policy_tls(t, false, NULL, query->relaxed);
	snprintf(h->why, sizeof(h->why), "SRV records of %.80s, kind %s",
		 domain, kind_name((enum kind)t->kind));
	fill_names(h, t, domain, authentic);
}

/* A port of 0 cannot be connected to; "." says: no such service here. */
static bool is_server(const struct dns_record *r)
{
	return r->name && r->name[0] && r->port > 0 && r->port <= 65535;
}

static bool take_answer(const struct hosts_query *query, const char *domain,
			const char *owner, struct dns_answer *a,
			struct hosts *out, struct outcome *why)
{
	const size_t before = out->n;
	size_t i;

	if (a->status == DNS_FAILED)
		return outcome_fail(why, STAGE_DNS, EX_TEMPFAIL,
				    "SRV records of %s cannot be looked up: "
				    "%s", owner, a->words);
	if (a->status != DNS_OK)
		return outcome_fail(why, STAGE_DNS, EX_TEMPFAIL,
				    "%s has no SRV record: name the "
				    "provider's server in \"host\" instead",
				    owner);
	arrange_by_weight(a->record, a->n);
	for (i = 0; i < a->n && out->n < HOSTS_MOST; i++)
		if (is_server(&a->record[i]))
			add_target(query, domain, &a->record[i],
				   a->authentic, out);
	if (out->n > before)
		return true;
	return outcome_fail(why, STAGE_DNS, EX_TEMPFAIL,
			    "by its SRV record %s offers no such service",
			    owner);
}

static bool hosts_by_srv(struct run *run, const struct hosts_query *query,
		  const char *domain, struct hosts *out, struct outcome *why)
{
	const char *service = kind_name((enum kind)query->transport->kind);
	char *owner = mem_printf("_%s._tcp.%s", service, domain);
	struct dns_answer answer = { 0 };
	bool ok;

	dns_query(run_dns(run), owner, DNS_SRV, &answer);
	ok = take_answer(query, domain, owner, &answer, out, why);
	dns_answer_release(&answer);
	free(owner);
	return ok;
}

/* --- all of them --- */

/* Several domains stand for each other as several hosts do: one that cannot
 * be looked up matters only if none can. */
static bool add_by_srv(struct run *run, const struct hosts_query *query,
		       struct hosts *out, struct outcome *why)
{
	const struct list *domain = &query->transport->host;
	size_t i;

	for (i = 0; i < domain->n; i++)
		if (!hosts_by_srv(run, query, domain->item[i], out, why) &&
		    i + 1 == domain->n && !out->n)
			return false;
	return true;
}

bool hosts_find(struct run *run, const struct hosts_query *query,
		struct hosts *out, struct outcome *why)
{
	const struct transport *t = query->transport;
	size_t i;

	*out = (struct hosts){ 0 };
	if (kind_facts(t->kind)->way == WAY_LOCAL)
		return true;
	if (transport_is_direct(t)) {
		out->direct = true;
		return hosts_by_domain(run, query, out, why);
	}
	if (t->srv)
		return add_by_srv(run, query, out, why);
	for (i = 0; i < t->host.n; i++)
		add_smarthost(query, t->host.item[i], out);
	return true;
}
