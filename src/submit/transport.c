/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "wire/conn.h"

enum { RELAY_ADDRESSES = 10   /* of a family, by [dns] resolver */ };

const struct transport *transport_find(const struct config *c,
				       const char *name)
{
	if (!strcmp(name, "direct"))
		return config_direct();
	return config_transport(c, name);
}

/* --- the small parameter structs of the layers below --- */

static enum family dial_family(const struct transport *t,
			       const struct link_options *o)
{
	if (o->avoid_family)
		return o->avoid_ipv6 ? FAMILY_V4 : FAMILY_V6;
	return (enum family)t->ip_family;
}

static bool fill_proxy(struct link *link, struct outcome *why)
{
	const struct transport *t = link->transport;
	const char *where = transport_proxy(t);

	if (!where)
		return true;
	if (!endpoint_parse(where, PORT_SOCKS, &link->proxy_at))
		return outcome_fail(why, STAGE_CONNECT, EX_CONFIG,
				    "\"%s\" is no address of a proxy", where);
	link->proxy.host = link->proxy_at.host;
	link->proxy.port = link->proxy_at.port;
	link->proxy.username = t->proxy_username;
	link->proxy.password = t->proxy_password;
	link->proxy.names = transport_proxy_dns(t);
	return true;
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
			t->hostname ? t->hostname : c->general.hostname,
		.lmtp = t->kind == KIND_LMTP,
		.local = link->host->name[0] == '/',
		.implicit_tls = link->host->implicit_tls,
		.demand = link->host->demand,
		.timeout = c->general.timeout,
		.watch = link->run->watch,
	};
}

/* --- opening --- */

static void take_addresses(struct link *link, const struct dns_answer *a)
{
	struct net_address address;
	size_t i;

	for (i = 0; i < a->n && i < RELAY_ADDRESSES; i++) {
		address = a->record[i].address;
		net_address_set_port(&address, link->host->port);
		net_addresses_add(&link->addresses,
				  (const void *)&address.sa, address.len);
	}
}

/* Resolvers that the configuration names are asked for a relay's name, too.
 * What they do not know, and a name without a dot, is for the system to find
 * (/etc/hosts). */
static void ask_resolvers(struct link *link, enum family family)
{
	const char *name = link->host->name;
	struct dns_question question[] = {
		{ .name = name, .type = DNS_AAAA },
		{ .name = name, .type = DNS_A },
	};
	struct net_address numeric;
	size_t i;

	if (!link->run->config->dns.resolver.n || link->addresses.n ||
	    link->host->have_addresses || link->params.local ||
	    (link->proxy.host && link->proxy.names) || !strchr(name, '.') ||
	    net_address_parse(name, 0, &numeric))
		return;
	dns_ask(run_dns(link->run), question, 2);
	for (i = 0; i < 2; i++) {
		take_addresses(link, &question[i].answer);
		dns_answer_release(&question[i].answer);
	}
	net_interleave(&link->addresses, family);
}

static bool dial(struct link *link, const struct link_options *o, int *fd,
		 struct outcome *why)
{
	const struct transport *t = link->transport;
	struct net_dial d = {
		.host = link->host->name,
		.port = link->host->port,
		.addresses = link->host->have_addresses ?
			     &link->host->addresses : NULL,
		.family = dial_family(t, o),
		.source_address = t->source_address,
		.proxy = link->proxy.host ? &link->proxy : NULL,
		.connect_timeout = link->run->config->general.connect_timeout,
	};

	ask_resolvers(link, d.family);
	if (link->addresses.n)
		d.addresses = &link->addresses;
	return net_dial(&d, fd, &link->peer, why);
}

static bool open_session(struct link *link, const struct link_options *o,
			 struct outcome *why)
{
	int fd;

	if (!dial(link, o, &fd, why))
		return false;
	return session_open(&link->params, conn_new(fd), &link->session, why);
}

/* Another session to the same host, with another demand. */
static bool reopen(struct link *link, const struct link_options *o,
		   enum tls_demand demand, struct outcome *why)
{
	session_close(link->session);
	link->session = NULL;
	link->params.demand = demand;
	link->params.tls.verify = demand == DEMAND_VERIFIED;
	return open_session(link, o, why);
}

/* As if the policy were enforced; what it would have refused is logged and
 * then done as without a policy (RFC 8461 section 5). */
static bool open_tested(struct link *link, const struct link_options *o,
			struct outcome *why)
{
	if (reopen(link, o, DEMAND_VERIFIED, why))
		return true;
	if (why->stage != STAGE_TLS)
		return false;
	log_say(LOG_AT_INFO, "MTA-STS: a policy in mode testing would refuse "
		"%s: %s", link->host->name, why->text);
	return reopen(link, o, DEMAND_OPPORTUNISTIC, why);
}

bool link_open(struct run *run, const struct transport *t,
	       const struct host *host, const struct link_options *options,
	       struct link *link, struct outcome *why)
{
	*link = (struct link){ .run = run, .transport = t, .host = host };
	fill_session(link);
	fill_tls(link, options->want_certificates);
	if (!fill_proxy(link, why) || !fill_credentials(link, why))
		return false;
	if (host->sts_testing && host->demand == DEMAND_OPPORTUNISTIC ?
	    open_tested(link, options, why) : open_session(link, options, why))
		return true;
	if (link->params.demand != DEMAND_OPPORTUNISTIC ||
	    why->stage != STAGE_TLS)
		return false;
	/* clear text is what we would have had without STARTTLS */
	return reopen(link, options, DEMAND_NONE, why);
}

void link_close(struct link *link)
{
	session_close(link->session);
	endpoint_release(&link->proxy_at);
	net_addresses_release(&link->addresses);
	*link = (struct link){ 0 };
}
