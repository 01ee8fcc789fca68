/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/kernel.h"
#include "wire/interfaces.h"
#include "wire/lookup.h"
#include "wire/socks.h"

enum {
	STAGGER = 250,     /* ms, RFC 8305 8, Connection Attempt Delay */
	RACE_MOST = 64     /* addresses of one host */
};

/* A socket above descriptor 2, non-blocking and close-on-exec; -1 and
 * errno. */
static int net_socket(int domain)
{
	int fd, moved;

	fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || fd > 2)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return moved;
}

/* --- the race for one host --- */

struct race {
	const struct net_addresses *list;
	const struct net_address *source;  /* NULL: any */
	struct pollfd *pending;            /* one a started address */
	size_t started;
	int64_t next;                      /* when to start another */
	size_t unreachable;                /* ended for want of a route */
	struct buf words;                  /* what went wrong, by address */
	bool source_missing;
};

static void race_lost(struct race *r, size_t i, int error)
{
	char text[64];

	if (r->pending[i].fd >= 0)
		close(r->pending[i].fd);
	r->pending[i].fd = -1;
	if (error == ENETUNREACH || error == ENETDOWN ||
	    (error == EADDRNOTAVAIL && !r->source))
		r->unreachable++;
	net_address_text(&r->list->item[i], text);
	buf_addf(&r->words, "%s%s: %s", r->words.len ? "; " : "", text,
		 r->source_missing ? "the source address is not here" :
				     strerror(error));
}

/* True: connected already (as may happen on loopback). */
static bool race_start(struct race *r)
{
	size_t i = r->started++;
	const struct net_address *a = &r->list->item[i];
	int fd = net_socket(a->sa.ss_family), one = 1;

	r->pending[i] = (struct pollfd){ .fd = fd, .events = POLLOUT };
	if (fd >= 0 && r->source &&
	    bind(fd, &r->source->any, r->source->len)) {
		r->source_missing = errno == EADDRNOTAVAIL;
		race_lost(r, i, errno);
		return false;
	}
	if (fd < 0) {
		race_lost(r, i, errno);
		return false;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, &a->any, a->len) == 0)
		return true;
	if (errno != EINPROGRESS && errno != EINTR)
		race_lost(r, i, errno);
	return false;
}

/* The index of an address that answered, or -1. */
static int race_look(struct race *r)
{
	socklen_t len;
	size_t i;
	int error;

	for (i = 0; i < r->started; i++) {
		if (r->pending[i].fd < 0 || !r->pending[i].revents)
			continue;
		error = 0;
		len = sizeof(error);
		/* a loser lets the next one start at once (RFC 8305 5) */
		r->next = 0;
		if (getsockopt(r->pending[i].fd, SOL_SOCKET, SO_ERROR, &error,
			       &len) < 0)
			error = errno;
		if (!error)
			return (int)i;
		race_lost(r, i, error);
	}
	return -1;
}

static bool race_is_on(const struct race *r)
{
	size_t i;

	for (i = 0; i < r->started; i++)
		if (r->pending[i].fd >= 0)
			return true;
	return false;
}

static int race_run(struct race *r, int64_t deadline)
{
	int64_t now;
	int winner;

	for (;;) {
		now = clock_now();
		if (now >= deadline)
			return -1;
		while (r->started < r->list->n &&
		       (now >= r->next || !race_is_on(r))) {
			r->next = now + STAGGER;
			if (race_start(r))
				return (int)r->started - 1;
		}
		if (!race_is_on(r))
			return -1;
		if (r->started == r->list->n)
			r->next = deadline;
		kernel_poll(r->pending, r->started,
			    clock_left(clock_earlier(r->next, deadline)));
		winner = race_look(r);
		if (winner >= 0)
			return winner;
	}
}

static bool race(const struct net_dial *dial,
		 const struct net_addresses *list,
		 const struct net_address *source, int64_t deadline, int *fd,
		 struct net_address *winner, struct outcome *why)
{
	struct race r = { .list = list, .source = source,
			  .words = BUF(400) };
	char text[64];
	size_t i;
	int won;

	r.pending = mem_alloc(list->n * sizeof(*r.pending));
	won = race_run(&r, deadline);
	if (won >= 0) {
		*fd = r.pending[won].fd;
		r.pending[won].fd = -1;
		*winner = list->item[won];
	}
	for (i = 0; i < r.started; i++) {
		if (r.pending[i].fd < 0)
			continue;
		close(r.pending[i].fd);
		if (won >= 0)
			continue;
		net_address_text(&list->item[i], text);
		buf_addf(&r.words, "%s%s: no answer within %lld s",
			 r.words.len ? "; " : "", text,
			 ((long long)dial->connect_timeout + 999) / 1000);
	}
	if (won < 0) {
		outcome_fail(why, STAGE_CONNECT, EX_TEMPFAIL,
			     "cannot connect to %s port %u (%s)", dial->host,
			     dial->port, buf_text(&r.words));
		/* an address out of reach says nothing of this host alone */
		why->no_route = list->n && r.unreachable == list->n;
		why->no_network = why->no_route && !interfaces_way_out();
	}
	free(r.pending);
	buf_release(&r.words);
	return won >= 0;
}

/* --- which addresses --- */

static bool addresses_of(const struct net_dial *dial,
			 const struct net_address *source, int64_t deadline,
			 struct net_addresses *out, bool *dual,
			 struct outcome *why)
{
	size_t i, n = 0;

	*out = (struct net_addresses){ 0 };
	if (dial->addresses) {
		for (i = 0; i < dial->addresses->n; i++)
			net_addresses_add(out, &dial->addresses->item[i]);
	} else {
		if (!net_lookup(dial->host, dial->port, dial->family,
				deadline, out, why))
			return false;
		net_interleave(out, dial->family);
	}
	*dual = false;
	for (i = 0; i < out->n; i++) {
		const struct net_address *a = &out->item[i];

		*dual = *dual || a->sa.ss_family != out->item[0].sa.ss_family;
	}
	/* what family and source address admit */
	for (i = 0; i < out->n && n < RACE_MOST; i++) {
		const struct net_address *a = &out->item[i];

		if (net_address_is_of(a, dial->family) &&
		    (!source || source->sa.ss_family == a->sa.ss_family))
			out->item[n++] = *a;
	}
	out->n = n;
	if (n)
		return true;
	net_addresses_release(out);
	return outcome_fail(why, STAGE_CONNECT, EX_TEMPFAIL,
			    "%s has no address that the address family and "
			    "the source address allow", dial->host);
}

static void peer_set(struct net_peer *peer, const struct net_address *a)
{
	net_address_text(a, peer->address);
	peer->ipv6 = a->sa.ss_family == AF_INET6;
}

static bool dial_tcp(const struct net_dial *dial, int64_t deadline, int *fd,
		     struct net_peer *peer, struct outcome *why)
{
	const struct net_address *source = NULL;
	struct net_address here, winner;
	struct net_addresses list;
	bool done;

	if (dial->source_address) {
		if (!net_address_parse(dial->source_address, 0, &here))
			return outcome_fail(why, STAGE_CONNECT, EX_CONFIG,
					    "the source address %s is not an "
					    "address", dial->source_address);
		source = &here;
	}
	if (!addresses_of(dial, source, deadline, &list, &peer->dual_stack,
			  why))
		return false;
	done = race(dial, &list, source, deadline, fd, &winner, why);
	if (done)
		peer_set(peer, &winner);
	net_addresses_release(&list);
	return done;
}

void net_local_literal(int fd, char out[80])
{
	struct net_address a = { .len = sizeof(a.sa) };
	struct net_address v4 = { .v4.sin_family = AF_INET };
	char text[64] = "";

	if (!getsockname(fd, &a.any, &a.len)) {
		if (a.sa.ss_family == AF_INET6 &&
		    IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr)) {
			memcpy(&v4.v4.sin_addr, &a.v6.sin6_addr.s6_addr[12],
			       4);
			a = v4;
		}
		net_address_text(&a, text);
	}
	/* a UNIX socket is of this host, too */
	snprintf(out, 80, "[%s%s]", strchr(text, ':') ? "IPv6:" : "",
		 *text ? text : "127.0.0.1");
}

/* --- a UNIX socket --- */

static bool dial_unix(const struct net_dial *dial, int64_t deadline, int *fd,
		      struct net_peer *peer, struct outcome *why)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int error;

	if (strlen(dial->host) >= sizeof(sun.sun_path))
		return outcome_fail(why, STAGE_CONNECT, EX_CONFIG,
				    "the socket's path %s is longer than %zu "
				    "bytes", dial->host,
				    sizeof(sun.sun_path) - 1);
	memcpy(sun.sun_path, dial->host, strlen(dial->host));
	*fd = net_socket(AF_UNIX);
	error = *fd < 0 ? errno : 0;
	/* a full backlog is EAGAIN here, and nothing can be polled for */
	while (!error && connect(*fd, (const void *)&sun, sizeof(sun)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			error = errno;
		else if (!clock_left(deadline))
			error = ETIMEDOUT;
		else
			poll(NULL, 0, 20);
	}
	if (error) {
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		return outcome_fail(why, STAGE_CONNECT, EX_TEMPFAIL,
				    "cannot connect to the socket %s: %s",
				    dial->host, strerror(error));
	}
	snprintf(peer->address, sizeof(peer->address), "%s", dial->host);
	return true;
}

/* --- through a proxy --- */

static bool proxy_try(const struct net_dial *dial,
		      const struct net_address *a, int64_t deadline, int *fd,
		      struct outcome *why)
{
	struct net_dial there = {
		.host = dial->proxy->host, .port = dial->proxy->port,
		.source_address = dial->source_address,
		.connect_timeout = dial->connect_timeout,
	};
	struct net_peer ignored = { 0 };

	if (!dial_tcp(&there, deadline, fd, &ignored, why)) {
		/* whatever a proxy does is temporary */
		if (why->exit == EX_NOHOST)
			why->exit = EX_TEMPFAIL;
		outcome_prefix(why, "proxy");
		return false;
	}
	if (socks_connect(*fd, dial->proxy, dial->host, a, dial->port,
			  deadline, why))
		return true;
	close(*fd);
	*fd = -1;
	return false;
}

/* One address after the other: a proxy is not to be raced. One that it is
 * silent about leaves time for the others, but a long list no less than a
 * third of it for each: some proxies are slow. */
static bool dial_proxy(const struct net_dial *dial, int64_t deadline, int *fd,
		       struct net_peer *peer, struct outcome *why)
{
	struct net_addresses list;
	struct net_address numeric;
	int64_t until = deadline;
	bool done = false;
	size_t i, left;

	if (dial->proxy->names && !dial->addresses &&
	    !net_address_parse(dial->host, dial->port, &numeric))
		return proxy_try(dial, NULL, deadline, fd, why);
	if (!addresses_of(dial, NULL, deadline, &list, &peer->dual_stack,
			  why))
		return false;
	for (i = 0; i < list.n && !done; i++) {
		left = list.n - i < 3 ? list.n - i : 3;
		if (deadline != CLOCK_NEVER)
			until = clock_in((deadline - clock_now()) /
					 (int64_t)left);
		done = proxy_try(dial, &list.item[i], until, fd, why);
		if (done)
			peer_set(peer, &list.item[i]);
		else if (!clock_left(deadline))
			break;
	}
	net_addresses_release(&list);
	return done;
}

bool net_dial(const struct net_dial *dial, int *fd, struct net_peer *peer,
	      struct outcome *why)
{
	int64_t deadline = clock_in(dial->connect_timeout);

	*fd = -1;
	*peer = (struct net_peer){ 0 };
	if (dial->host[0] == '/' && !dial->addresses)
		return dial_unix(dial, deadline, fd, peer, why);
	if (dial->proxy)
		return dial_proxy(dial, deadline, fd, peer, why);
	return dial_tcp(dial, deadline, fd, peer, why);
}
