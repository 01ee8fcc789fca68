/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The library's channel: its sockets are made and read by us, which shows what
 * it would not tell. */
#include "wire/dns_parts.h"

#include <arpa/nameser.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TRY_MS_MIN = 100, TRY_MS_MAX = 3000, TRIES = 3 };

/* --- what the library sees --- */

static bool is_question(const unsigned char *data, size_t n,
			const struct pending *p)
{
	const size_t length = p->n - DNS_HEAD - DNS_OPT;
	size_t i;

	if (n < length)
		return false;
	for (i = 0; i < length; i++) {
		unsigned char a = data[i], b = p->query[DNS_HEAD + i];

		if (a != b && ((a ^ b) != 0x20 || (a | 0x20) < 'a' ||
			       (a | 0x20) > 'z'))
			return false;
	}
	return true;
}

static ares_socket_t dns_socket(int domain, int type, int protocol,
				void *context)
{
	int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC,
			protocol);
	int moved;

	(void)context;
	if (fd < 0 || fd > 2)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return moved;
}

static int dns_close_socket(ares_socket_t fd, void *context)
{
	(void)context;
	return close(fd);
}

static int dns_connect(ares_socket_t fd, const struct sockaddr *sa,
		       ares_socklen_t len, void *context)
{
	const struct dns *d = context;
	const struct sockaddr_in6 *known;
	struct sockaddr_in6 v6;
	size_t i;

	if (sa->sa_family != AF_INET6 || len < sizeof(v6))
		return connect(fd, sa, len);
	memcpy(&v6, sa, sizeof(v6));
	for (i = 0; i < d->server.n && !v6.sin6_scope_id; i++) {
		known = &d->server.item[i].v6;
		if (known->sin6_family == AF_INET6 &&
		    !memcmp(&known->sin6_addr, &v6.sin6_addr,
			    sizeof(v6.sin6_addr)))
			v6.sin6_scope_id = known->sin6_scope_id;
	}
	return connect(fd, (const void *)&v6, sizeof(v6));
}

/*
 * The library passes over an answer of failure in favour of the next
 * resolver, and when none is left reports that nobody could be reached; an
 * answer that does not repeat the question it drops. What they said is seen
 * here. Over TCP the message may come after its length.
 */
static ares_ssize_t dns_receive(ares_socket_t fd, void *data, size_t size,
				int flags, struct sockaddr *from,
				ares_socklen_t *len, void *context)
{
	const ssize_t n = recvfrom(fd, data, size, flags, from, len);
	const struct dns *d = context;
	const unsigned char *m = data;
	struct pending *p;
	ssize_t left;

	for (left = n; left >= n - 2 && left >= DNS_HEAD; left -= 2, m += 2) {
		int rcode = m[3] & 15;

		if (!(m[2] & 0x80) ||
		    (rcode != ns_r_servfail && rcode != ns_r_refused &&
		     rcode != ns_r_notimpl && rcode != ns_r_formerr))
			continue;
		for (p = d->pending; p < d->pending + d->pendings; p++)
			if (is_question(m + DNS_HEAD,
					(size_t)left - DNS_HEAD, p))
				p->refusal = rcode;
			else if (rcode == ns_r_formerr && n == DNS_HEAD)
				p->wants_plain = true;
	}
	return n;
}

static ares_ssize_t dns_send(ares_socket_t fd, const struct iovec *vector,
			     int n, void *context)
{
	(void)context;
	return writev(fd, vector, n);
}

static const struct ares_socket_functions dns_socket_functions = {
	dns_socket, dns_close_socket, dns_connect, dns_receive, dns_send
};

static void dns_watch(void *context, ares_socket_t fd, int readable,
		      int writable)
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

/* Older libraries know no zones: there the address goes without, and the
 * zone is put in where the socket is connected. */
bool dns_channel_ask_servers(struct dns *d)
{
	int rc = ARES_EBADSTR, zones;
	char *text;

	for (zones = 1; zones >= 0 && rc != ARES_SUCCESS; zones--) {
		text = dns_servers_text(&d->server, zones);
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

/* --- the channel --- */

bool dns_channel_open(struct dns *d)
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
		.sock_state_cb = dns_watch,
		.sock_state_cb_data = d,
	};
	struct outcome why;
	int rc;

	if (!ares_load(&why)) {
		snprintf(d->words, sizeof(d->words), "%s", why.text);
		return false;
	}
	rc = ares_library_init(ARES_LIB_INIT_ALL);
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

void dns_channel_close(struct dns *d)
{
	if (d->channel)
		ares_destroy(d->channel);
	d->channel = NULL;
}
