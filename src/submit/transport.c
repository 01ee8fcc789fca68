/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/conn.h"
#include "wire/lookup.h"

/* --- the small parameter structs of the layers below --- */

static enum family dial_family(const struct transport *t)
{
	return (enum family)t->ip_family;
}

static void fill_proxy(struct link *link)
{
	const struct transport *t = link->transport;
	const struct endpoint *at = transport_proxy(t);

	if (!at)
		return;
	link->proxy.host = at->host;
	link->proxy.port = at->port;
	link->proxy.username = t->proxy_username;
	link->proxy.password = t->proxy_password;
	link->proxy.names = transport_proxy_dns(t);
}

static void fill_tls(struct link *link, bool want_certificates)
{
	const struct config *c = link->run->config;
	const struct transport *t = link->transport;
	const struct host *h = link->host;
	struct session_params *p = &link->params;

	p->want_certificates = want_certificates;
	p->tls = (struct tls_params){
		.server_name = h->tls_name,
		.verify = p->demand == DEMAND_VERIFIED,
		.verify_name = h->tls_name,
		.more_names = &h->more_names,
		/* a pin stands alone unless its own transport names a CA */
		.ca_file = t->ca_file || t->fingerprint.n ? t->ca_file :
			   c->tls.ca_file,
		.hold_ca = t->ca_file != NULL,
		.crl_file = c->tls.crl_file,
		.pins = &t->fingerprint,
		.tlsa = h->tlsa,
		.tlsas = h->tlsas,
		.certificate = t->certificate,
		.key = t->key ? t->key : t->certificate,
		.priorities = c->tls.priorities,
		.only_1_3 = c->tls.minimum == TLS_1_3,
	};
}

static const char *renew_token(void *context)
{
	struct link *link = context;
	const struct secret *secret;
	struct outcome ignored;

	if (!secrets_renew_token(link->run->secrets, link->transport, &secret,
				 &ignored))
		return NULL;
	return secret->token;
}

/* Where its password comes from, for whoever has to find the wrong one. */
static void say_source(struct link *link, const struct transport *t)
{
	if (t->password_file)
		snprintf(link->secret_from, sizeof(link->secret_from),
			 "password of %s", t->password_file);
	else if (t->password_command)
		snprintf(link->secret_from, sizeof(link->secret_from),
			 "password of password_command");
	else if (t->password_credential)
		snprintf(link->secret_from, sizeof(link->secret_from),
			 "password of credential %s", t->password_credential);
	else if (!t->password)
		snprintf(link->secret_from, sizeof(link->secret_from),
			 "password of ~/.netrc or typed");
	else
		return;
	link->params.secret_from = link->secret_from;
}

static bool fill_credentials(struct link *link, struct outcome *why)
{
	const struct transport *t = link->transport;
	struct session_params *p = &link->params;
	const struct secret *secret;

	if (!secrets_get(link->run->secrets, t, &secret, why))
		return false;
	p->username = secret->username;
	p->password = secret->password;
	p->token = secret->token;
	if (p->password)
		say_source(link, t);
	p->mechanisms = &t->mechanisms;
	p->authenticate = p->username || p->password || p->token ||
			  t->mechanisms.n;
	p->renew_token = t->token_command ? renew_token : NULL;
	p->context = link;
	return true;
}

static void fill_session(struct link *link)
{
	const struct config *c = link->run->config;
	const struct transport *t = link->transport;
	struct session_params *p = &link->params;

	*p = (struct session_params){
		.host = link->host->name,
		.port = link->host->port,
		.helo = t->remote_hostname ? t->remote_hostname :
			t->hostname ? t->hostname :
			c->general.nameless ? NULL : c->general.hostname,
		.lmtp = kind_has(t->kind, SPEAKS_LMTP),
		.local = link->host->name[0] == '/',
		.without = &t->without,
		.no_chunking = list_has(&link->run->no_chunking,
					link->host->name),
		.implicit_tls = link->host->implicit_tls,
		.demand = link->host->demand,
		.timeout = c->general.timeout,
		.watch = link->run->watch,
	};
}

/* --- addresses --- */

/* Resolvers that the configuration names are asked for a relay's name, too.
 * What they do not know, and a name without a dot, is for the system to find
 * (/etc/hosts). */
static void ask_resolvers(struct run *run, const struct host *host,
			  struct net_addresses *out)
{
	struct net_address numeric;
	char words[128];

	if (run->config->dns.resolver.n && strchr(host->name, '.') &&
	    !net_is_localhost(host->name) &&
	    !net_address_parse(host->name, 0, &numeric))
		(void)dns_addresses(run_dns(run), host->name, host->port,
				    FAMILY_ANY, out, words);
}

static bool look_up(struct run *run, const struct transport *t,
		    const struct host *host, struct net_addresses *out,
		    struct outcome *why)
{
	const enum family family = dial_family(t);
	int64_t deadline = clock_in(run->config->general.connect_timeout);

	ask_resolvers(run, host, out);
	if (!out->n && !net_lookup(host->name, host->port, family, deadline,
				   out, why))
		return false;
	net_interleave(out, family);
	return true;
}

static bool is_allowed(const struct net_address *a, const struct transport *t)
{
	const bool ipv6 = a->sa.ss_family == AF_INET6;
	struct net_address source;

	if (t->ip_family == (ipv6 ? FAMILY_V4 : FAMILY_V6))
		return false;
	return !t->source_address || transport_proxy(t) ||
	       !net_address_parse(t->source_address, 0, &source) ||
	       source.sa.ss_family == a->sa.ss_family;
}

bool link_addresses(struct run *run, const struct transport *t,
		    const struct host *host, struct net_addresses *out,
		    struct outcome *why)
{
	struct net_address numeric;
	size_t i, n = 0;

	*out = (struct net_addresses){ 0 };
	if (host->have_addresses)
		for (i = 0; i < host->addresses.n; i++)
			net_addresses_add(out, &host->addresses.item[i]);
	else if (host->name[0] == '/' ||
		 (transport_proxy(t) && transport_proxy_dns(t) &&
		  !net_address_parse(host->name, 0, &numeric)))
		return true;
	else if (!look_up(run, t, host, out, why))
		return false;
	for (i = 0; i < out->n; i++)
		if (is_allowed(&out->item[i], t))
			out->item[n++] = out->item[i];
	/* where none is allowed the dialling says so */
	if (n)
		out->n = n;
	return true;
}

/* --- opening --- */

static bool fill_addresses(struct link *link, const struct link_options *o,
			   struct outcome *why)
{
	size_t i;

	if (!o->addresses)
		return link_addresses(link->run, link->transport, link->host,
				      &link->addresses, why);
	for (i = 0; i < o->addresses->n; i++)
		net_addresses_add(&link->addresses, &o->addresses->item[i]);
	return true;
}

/* Whatever comes after it stays with the address that answered. */
static void keep_winner(struct link *link)
{
	char text[64];
	size_t i;

	for (i = 0; i < link->addresses.n; i++) {
		net_address_text(&link->addresses.item[i], text);
		if (strcmp(text, link->peer.address))
			continue;
		link->addresses.item[0] = link->addresses.item[i];
		link->addresses.n = 1;
		return;
	}
}

static bool dial(struct link *link, int *fd, struct outcome *why)
{
	const struct transport *t = link->transport;
	struct net_dial d = {
		.host = link->host->name,
		.port = link->host->port,
		.addresses = link->addresses.n ? &link->addresses : NULL,
		.family = dial_family(t),
		.source_address = t->source_address,
		.proxy = link->proxy.host ? &link->proxy : NULL,
		.connect_timeout = link->run->config->general.connect_timeout,
	};

	if (!net_dial(&d, fd, &link->peer, why))
		return false;
	keep_winner(link);
	return true;
}

static bool open_session(struct link *link, struct outcome *why)
{
	int fd;

	if (!dial(link, &fd, why))
		return false;
	if (!link->params.helo || link->params.helo == link->literal) {
		net_local_literal(fd, link->literal);
		link->params.helo = link->literal;
	}
	return session_open(&link->params, conn_new(fd), &link->session, why);
}

/* Another session to the same host, with another demand. */
static bool reopen(struct link *link, enum tls_demand demand,
		   struct outcome *why)
{
	session_close(link->session);
	link->session = NULL;
	link->params.demand = demand;
	link->params.tls.verify = demand == DEMAND_VERIFIED;
	return open_session(link, why);
}

/* As if the policy were enforced; what it would have refused is logged and
 * then done as without a policy (RFC 8461 section 5). */
static bool open_tested(struct link *link, struct outcome *why)
{
	if (reopen(link, DEMAND_VERIFIED, why))
		return true;
	if (why->stage != STAGE_TLS)
		return false;
	log_say(LOG_AT_INFO, "MTA-STS: a policy in mode testing would refuse "
		"%s: %s", link->host->name, why->text);
	return reopen(link, DEMAND_OPPORTUNISTIC, why);
}

bool link_open(struct run *run, const struct transport *t,
	       const struct host *host, const struct link_options *options,
	       struct link *link, struct outcome *why)
{
	*link = (struct link){ .run = run, .transport = t, .host = host };
	fill_session(link);
	if (options->timeout && options->timeout < link->params.timeout)
		link->params.timeout = options->timeout;
	fill_tls(link, options->want_certificates);
	fill_proxy(link);
	if (!fill_credentials(link, why) ||
	    !fill_addresses(link, options, why))
		return false;
	if (host->sts_testing && host->demand == DEMAND_OPPORTUNISTIC ?
	    open_tested(link, why) : open_session(link, why))
		return true;
	if (link->params.demand != DEMAND_OPPORTUNISTIC ||
	    why->stage != STAGE_TLS)
		return false;
	/* clear text is what we would have had without STARTTLS */
	return reopen(link, DEMAND_NONE, why);
}

void link_close(struct link *link)
{
	session_close(link->session);
	net_addresses_release(&link->addresses);
	*link = (struct link){ 0 };
}
