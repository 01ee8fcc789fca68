/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who is asked and who is believed; dns_ask.c asks. */
#include "wire/dns.h"

#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/endpoint.h"
#include "base/file.h"
#include "wire/dns_parse.h"
#include "wire/dns_parts.h"
#include "wire/interfaces.h"
#include "wire/resolv_conf.h"

enum {
	TRY_MS_MIN = 100,
	TRY_MS_MAX = 3000,
	TRIES = 3,
	TIMEOUT_MS = 10000    /* where none is set */
};

static void watch(void *context, ares_socket_t fd, int readable, int writable)
{
	struct dns *d = context;
	size_t i;

	for (i = 0; i < d->watching && d->watched[i].fd != fd; i++)
		;
	if (!readable && !writable) {
		if (i < d->watching)
			d->watched[i] = d->watched[--d->watching];
		return;
	}
	if (i == d->watching)
		d->watched = mem_resize(d->watched, ++d->watching,
					sizeof(*d->watched));
	d->watched[i].fd = fd;
	d->watched[i].events = (short)((readable ? POLLIN : 0) |
				       (writable ? POLLOUT : 0));
}

/* --- servers --- */

static bool resolver_parse(const char *text, struct net_address *out)
{
	struct endpoint e;
	bool done;

	if (!endpoint_parse(text, 53, &e))
		return false;
	done = net_address_parse(e.host, e.port, out);
	endpoint_release(&e);
	return done;
}

/* Takes those that can be asked; words name one that cannot. */
static void take_servers(struct dns *d, const struct list *resolver,
			 const char *where)
{
	struct net_address a;
	char shown[64];
	size_t i;

	for (i = 0; i < resolver->n; i++) {
		if (resolver_parse(resolver->item[i], &a)) {
			net_addresses_add(&d->server, &a);
			continue;
		}
		text_printable(shown, sizeof(shown), resolver->item[i],
			       strlen(resolver->item[i]));
		snprintf(d->words, sizeof(d->words), "the resolver \"%s\" of "
			 "%s cannot be asked: %s", shown, where,
			 strchr(shown, '%') ? "no such interface is here" :
			 "it is not an address");
	}
}

static bool all_on_this_host(const struct net_addresses *server)
{
	size_t i;

	for (i = 0; i < server->n; i++)
		if (!net_address_is_loopback(&server->item[i]))
			return false;
	return true;
}

/* The servers in the library's form. */
static char *servers_text(const struct net_addresses *server, bool zones)
{
	struct buf text = BUF(64 * 1024);
	const struct sockaddr_in6 *v6;
	char shown[64], zone[IF_NAMESIZE];
	size_t i;

	for (i = 0; i < server->n; i++) {
		v6 = &server->item[i].v6;
		net_address_text(&server->item[i], shown);
		buf_adds(&text, text.len ? "," : "");
		if (v6->sin6_family != AF_INET6)
			buf_adds(&text, shown);
		else if (zones && v6->sin6_scope_id &&
			 if_indextoname(v6->sin6_scope_id, zone))
			buf_addf(&text, "[%s%%%s]", shown, zone);
		else
			buf_addf(&text, "[%s]", shown);
		buf_addf(&text, ":%u", (unsigned)ntohs(v6->sin6_port));
	}
	return buf_take(&text);
}

/* Older libraries know no zones: there the address goes without, and the
 * zone is put in where the socket is connected. */
static bool set_servers(struct dns *d)
{
	int rc = ARES_EBADSTR;
	char *text;
	int zones;

	for (zones = 1; zones >= 0 && rc != ARES_SUCCESS; zones--) {
		text = servers_text(&d->server, zones);
		rc = ares_set_servers_ports_csv(d->channel, text);
		free(text);
	}
	/* not before: the newest library reads zones by its own alone */
	ares_set_socket_functions(d->channel, &dns_socket_functions, d);
	if (rc != ARES_SUCCESS)
		snprintf(d->words, sizeof(d->words), "the resolvers cannot be "
			 "asked: %s", ares_strerror(rc));
	return rc == ARES_SUCCESS;
}

static void read_resolv_conf(struct resolv_conf *conf)
{
	struct buf text = BUF(64 * 1024);
	struct outcome ignored;

	/* what cannot be read is as if it were not there, and of what is too
	 * long the beginning counts */
	if (!file_read("/etc/resolv.conf", FILE_OPTIONAL, &text, NULL,
		       &ignored))
		text.full = false;
	resolv_conf_parse(buf_text(&text), conf);
	if (!conf->nameserver.n)
		list_add(&conf->nameserver, "127.0.0.1");
	buf_release(&text);
}

/* --- the channel --- */

static bool open_channel(struct dns *d)
{
	int64_t one = d->timeout / 5;
	struct ares_options options = {
		/* EDNS here: how long answers may be */
		.flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH |
			 ARES_FLAG_NOALIASES,
		.ednspsz = DNS_UDP_SIZE,
		.timeout = (int)(one < TRY_MS_MIN ? TRY_MS_MIN :
				 one > TRY_MS_MAX ? TRY_MS_MAX : one),
		.tries = TRIES,
		.sock_state_cb = watch,
		.sock_state_cb_data = d,
	};
	int rc = ares_library_init(ARES_LIB_INIT_ALL);

	if (rc == ARES_SUCCESS)
		rc = ares_init_options(&d->channel, &options, ARES_OPT_FLAGS |
				       ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS |
				       ARES_OPT_TRIES |
				       ARES_OPT_SOCK_STATE_CB);
	if (rc == ARES_SUCCESS)
		return true;
	d->channel = NULL;
	snprintf(d->words, sizeof(d->words), "%s", ares_strerror(rc));
	return false;
}

static void close_channel(struct dns *d)
{
	if (d->channel)
		ares_destroy(d->channel);
	d->channel = NULL;
}

struct dns *dns_open(const struct dns_settings *settings)
{
	struct dns *d = mem_alloc(sizeof(*d));
	struct resolv_conf conf = { 0 };
	bool ours = settings->resolver && settings->resolver->n;

	d->timeout = settings->timeout > 0 ? settings->timeout : TIMEOUT_MS;
	if (!open_channel(d))
		return d;
	if (!ours)
		read_resolv_conf(&conf);
	take_servers(d, ours ? settings->resolver : &conf.nameserver,
		     ours ? "[dns] resolver" : "/etc/resolv.conf");
	if (!d->server.n || !set_servers(d))
		close_channel(d);
	d->trusted = settings->trust == DNS_TRUST_ALWAYS ||
		     (settings->trust == DNS_TRUST_AUTO &&
		      (all_on_this_host(&d->server) || conf.trust_ad));
	list_release(&conf.nameserver);
	return d;
}

void dns_close(struct dns *d)
{
	if (!d)
		return;
	close_channel(d);
	ares_library_cleanup();
	net_addresses_release(&d->server);
	free(d->watched);
	free(d);
}

bool dns_no_network(const struct dns *d)
{
	/* a resolver of this very host fails where it can ask nobody */
	return !d->answered && !interfaces_way_out();
}

const char *dns_library_version(void)
{
	return ares_version(NULL);
}
