/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which hosts a transport means: the smarthost kinds are here, where all is
 * in the configuration. */
#include "submit/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/buf.h"
#include "submit/hosts_parts.h"

void host_release(struct host *h)
{
	size_t i;

	free(h->name);
	free(h->tls_name);
	list_release(&h->more_names);
	net_addresses_release(&h->addresses);
	for (i = 0; i < h->tlsas; i++)
		free(h->tlsa[i].data);
	free(h->tlsa);
	*h = (struct host){ 0 };
}

void hosts_release(struct hosts *h)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		host_release(&h->item[i]);
	free(h->item);
	*h = (struct hosts){ 0 };
}

struct host *hosts_add(struct hosts *h, const char *name, unsigned port)
{
	struct host *host;

	h->item = mem_resize(h->item, h->n + 1, sizeof(*h->item));
	host = &h->item[h->n++];
	*host = (struct host){ .name = mem_string(name), .port = port };
	return host;
}

unsigned hosts_random(unsigned most)
{
	unsigned value = 0;

	if (getrandom(&value, sizeof(value), GRND_NONBLOCK) < 0)
		return 0;
	return most == (unsigned)-1 ? value : value % (most + 1);
}

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
