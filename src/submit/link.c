/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/conn.h"
#include "wire/lookup.h"

/* --- the small parameter structs of the layers below --- */

static void fill_tls(struct link *link, bool want_certificates)
{
	const struct config *c = link->run->config;
	const struct transport *t = link->transport;
	const struct host *h = link->host;
	struct session_params *p = &link->params;

	p->want_certificates = want_certificates;
	p->tls = (struct tls_params){
		.server_name = h->tls_name,
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

static const char *renew_token(void *context, struct outcome *why)
{
	struct link *link = context;
	const struct secret *secret;

	if (!secrets_renew_token(link->run->secrets, link->transport, &secret,
				 why))
		return NULL;
	link->params.token = secret->token;
	return secret->token;
}

/* With where the password comes from, for whoever has to find the wrong
 * one. */
static bool fill_credentials(struct link *link, struct outcome *why)
{
	const struct transport *t = link->transport;
	struct session_params *p = &link->params;
	const size_t size = sizeof(link->secret_from);
	const struct secret *secret;

	if (!secrets_get(link->run->secrets, t, &secret, why))
		return false;
	p->username = secret->username;
	p->password = secret->password;
	p->token = secret->token;
	if (t->password_file)
		snprintf(link->secret_from, size, "password of %s",
			 t->password_file);
	else if (t->password_command)
		snprintf(link->secret_from, size, "password of "
			 "password_command");
	else if (t->password_credential)
		snprintf(link->secret_from, size, "password of credential %s",
			 t->password_credential);
	else if (!t->password)
		snprintf(link->secret_from, size, "password of ~/.netrc or "
			 "typed");
	if (p->password && link->secret_from[0])
		p->secret_from = link->secret_from;
	p->mechanisms = &t->mechanisms;
	p->authenticate = p->username || p->password || p->token ||
			  t->mechanisms.n;
	p->renew_token = t->token_command || t->oauth ? renew_token : NULL;
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
		.stranger = transport_is_direct(t),
		.by_chance = link->host->demand == DEMAND_OPPORTUNISTIC,
		.timeout = c->general.timeout,
		.watch = link->run->watch,
	};
}

/* --- addresses --- */

/* Resolvers that the configuration names are asked for a relay's name, too.
 * What they do not know, and a name without a dot, is for the system to find
 * (/etc/hosts); that it knows none proves nothing where they failed, or know
 * it. */
static bool look_up_relay(struct run *run, const struct transport *t,
			  const struct host *host, struct net_addresses *out,
			  struct outcome *why)
{
	const enum family family = (enum family)t->ip_family;
	int64_t deadline = clock_in(run->config->general.connect_timeout);
	enum dns_status status = DNS_NXDOMAIN;
	struct net_address numeric;
	char words[128];

	if (run->config->dns.resolver.n && strchr(host->name, '.') &&
	    !net_is_localhost(host->name) &&
	    !net_address_parse(host->name, 0, &numeric))
		status = dns_addresses(run_dns(run), host->name, host->port,
				       family, out, words);
	if (out->n || net_lookup(host->name, host->port, family, deadline,
				 out, why)) {
		net_interleave(out, family);
		return true;
	}
	if (why->exit == EX_NOHOST && status == DNS_FAILED)
		outcome_fail(why, STAGE_DNS, EX_TEMPFAIL,
			     "%s cannot be looked up: %s", host->name, words);
	else if (why->exit == EX_NOHOST && status == DNS_NODATA)
		outcome_fail(why, STAGE_DNS, EX_TEMPFAIL,
			     "%s has no %s", host->name, family_words(family));
	return false;
}

bool link_addresses(struct run *run, const struct transport *t,
		    const struct host *host, struct net_addresses *out,
		    struct outcome *why)
{
	const bool proxied = transport_proxy(t);
	struct net_address numeric, source;
	int unwanted = t->ip_family == FAMILY_V4 ? AF_INET6 :
		       t->ip_family == FAMILY_V6 ? AF_INET : 0;
	size_t i, n = 0;

	*out = (struct net_addresses){ 0 };
	if (host->have_addresses)
		for (i = 0; i < host->addresses.n; i++)
			net_addresses_add(out, &host->addresses.item[i]);
	else if (host->name[0] == '/' ||
		 (proxied && transport_proxy_dns(t) &&
		  !net_address_parse(host->name, 0, &numeric)))
		return true;
	else if (!look_up_relay(run, t, host, out, why))
		return false;
	source.sa.ss_family = AF_UNSPEC;
	if (t->source_address && !proxied &&
	    !net_address_parse(t->source_address, 0, &source))
		source.sa.ss_family = AF_UNSPEC;
	for (i = 0; i < out->n; i++) {
		int family = out->item[i].sa.ss_family;

		if (family != unwanted && (source.sa.ss_family == AF_UNSPEC ||
					   source.sa.ss_family == family))
			out->item[n++] = out->item[i];
	}
	/* where none is allowed the dialling says so */
	if (n)
		out->n = n;
	return true;
}

/* --- early pipelining --- */

static struct early_server server_of(const struct link *link)
{
	return (struct early_server){
		.transport = link->transport->name,
		.host = link->host->name, .address = link->peer.address,
		.port = link->host->port,
	};
}

/* What is known of the server that was dialled, if that could be of use. */
static void recall_server(struct link *link)
{
	const struct early_server server = server_of(link);
	struct session_params *p = &link->params;
	const bool verified = p->demand == DEMAND_VERIFIED;
	const struct early_facts best = {
		.wanted = link->early, .known = true,
		.was_verified = verified, .lmtp = p->lmtp, .socket = p->local,
		.demand = p->demand, .tls = verified, .verified = verified,
	};

	early_release(&link->known);
	p->learn_early = policy_early(&best);
	p->early = p->learn_early &&
		   early_find(link->run->config->general.cache, &server,
			      &link->known) ? &link->known : NULL;
	if (link->known.never) {
		p->early = NULL;
		p->learn_early = false;
	}
}

static void remember_server(struct link *link)
{
	const struct early_server server = server_of(link);
	const struct session_facts *f = session_facts(link->session);
	struct early now = {
		.hello = f->hello, .verified = f->tls.verified,
	};

	if (!f->hello)
		return;
	snprintf(now.mechanism, sizeof(now.mechanism), "%s",
		 f->mechanism ? f->mechanism : "");
	if (!link->known.hello || strcmp(link->known.hello, now.hello) != 0 ||
	    strcmp(link->known.mechanism, now.mechanism) != 0 ||
	    link->known.verified != now.verified)
		early_keep(link->run->config->general.cache, &server, &now);
}

/* Whether the server was not what it was; then nothing is sent to it early any
 * more for as long as that is remembered: one that offers what it does not do
 * would cost every other message a deadline, if it were known anew. */
static bool gives_up_early(struct link *link)
{
	const struct early never = { .never = true };
	struct early_server server;

	if (!link->early || !link->session ||
	    !session_facts(link->session)->early_failed)
		return false;
	link->early = false;
	server = server_of(link);
	early_keep(link->run->config->general.cache, &server, &never);
	if (!list_has(&link->run->no_early, link->host->name))
		list_add(&link->run->no_early, link->host->name);
	log_say(LOG_AT_INFO, "%s answers otherwise than it did: no early "
		"pipelining for a day", link->host->name);
	return true;
}

/* --- opening --- */

/* Dials, and opens a session with link->params.demand. Whatever comes after
 * it stays with the address that answered. */
static bool open_session(struct link *link, struct outcome *why)
{
	const struct transport *t = link->transport;
	struct net_addresses *a = &link->addresses;
	struct session_params *p = &link->params;
	struct net_dial d = {
		.host = link->host->name,
		.port = link->host->port,
		.addresses = a->n ? a : NULL,
		.family = (enum family)t->ip_family,
		.source_address = t->source_address,
		.proxy = link->proxy.host ? &link->proxy : NULL,
		.connect_timeout = link->run->config->general.connect_timeout,
	};
	const struct net_peer before = link->peer;
	char text[64];
	size_t i;
	int fd;

	session_close(link->session);
	link->session = NULL;
	if (!net_dial(&d, &fd, &link->peer, why)) {
		/* it was dialled anew, and no other address was */
		if (before.address[0])
			link->peer = before;
		return false;
	}
	for (i = 0; i < a->n; i++) {
		net_address_text(&a->item[i], text);
		if (strcmp(text, link->peer.address))
			continue;
		a->item[0] = a->item[i];
		a->n = 1;
		break;
	}
	if (!p->helo || p->helo == link->literal) {
		net_local_literal(fd, link->literal);
		p->helo = link->literal;
	}
	p->tls.verify = p->demand == DEMAND_VERIFIED;
	recall_server(link);
	return session_open(p, conn_new(fd), &link->session, why);
}

/* Whether to log in anew, with a token that the server has not heard: once, as
 * there is one fresh token a run. */
static bool has_fresh_token(const struct link *link)
{
	return link->session && session_facts(link->session)->token_unheard;
}

bool link_open(struct run *run, const struct transport *t,
	       const struct host *host, const struct link_options *options,
	       struct link *link, struct outcome *why)
{
	const struct endpoint *proxy = transport_proxy(t);
	const struct net_addresses *given = options->addresses;
	enum tls_demand *demand = &link->params.demand;
	size_t i;

	*link = (struct link){ .run = run, .transport = t, .host = host };
	fill_session(link);
	if (options->timeout && options->timeout < link->params.timeout)
		link->params.timeout = options->timeout;
	fill_tls(link, options->want_certificates);
	if (proxy)
		link->proxy = (struct net_proxy){
			.host = proxy->host, .port = proxy->port,
			.username = t->proxy_username,
			.password = t->proxy_password,
			.names = transport_proxy_dns(t),
		};
	if (!fill_credentials(link, why))
		return false;
	for (i = 0; given && i < given->n; i++)
		net_addresses_add(&link->addresses, &given->item[i]);
	if (!given && !link_addresses(run, t, host, &link->addresses, why))
		return false;
	link->early = options->early && t->early_pipelining == EARLY_AUTO &&
		      run->config->general.cache &&
		      !list_has(&run->no_early, host->name);
	*demand = policy_first_demand(host->demand, host->sts_testing);
	while (!open_session(link, why)) {
		if (gives_up_early(link) || has_fresh_token(link))
			continue;
		if (!policy_falls_back(demand, host->demand, why))
			return false;
		if (*demand == DEMAND_OPPORTUNISTIC)
			log_say(LOG_AT_INFO, "MTA-STS: a policy in mode "
				"testing would refuse %s: %s", host->name,
				why->text);
	}
	remember_server(link);
	return true;
}

void link_close(struct link *link)
{
	(void)gives_up_early(link);
	session_close(link->session);
	early_release(&link->known);
	net_addresses_release(&link->addresses);
	*link = (struct link){ 0 };
}
