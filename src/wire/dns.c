/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/dns.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "wire/dns_parse.h"
#include "wire/interfaces.h"
#include "wire/net_parts.h"

/* ares_send is the oldest and the newest library's alike; the newest would
 * rather have a call that older ones lack. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

enum {
	TRY_MS_MIN = 100,
	TRY_MS_MAX = 3000,
	TRIES = 3,
	TIMEOUT_MS = 10000    /* where none is set */
};

struct watched {
	ares_socket_t fd;
	short events;
};

struct dns {
	ares_channel channel;     /* NULL: unusable, for the reason words */
	char words[128];
	int64_t timeout;
	bool trusted;
	bool answered;            /* some answer came */
	int refusal;              /* last RCODE of failure heard; 0: none */
	struct watched *watched;  /* what the library waits for */
	size_t watching;
};

struct pending {
	struct dns *dns;
	struct dns_question *question;
	size_t *open;             /* questions that are still open */
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

static bool resolver_parse(const char *text, struct net_address *out,
			   unsigned *port)
{
	struct endpoint e;
	bool done;

	if (!endpoint_parse(text, 53, &e))
		return false;
	*port = e.port;
	done = net_address_parse(e.host, e.port, out);
	endpoint_release(&e);
	return done;
}

/* The configured resolvers in the library's form; *local where all of them
 * are on this host. */
static char *servers_text(const struct list *resolver, bool *local)
{
	struct buf text = BUF(64 * 1024);
	struct net_address address;
	char shown[64];
	unsigned port;
	size_t i;

	*local = true;
	for (i = 0; i < resolver->n; i++) {
		if (!resolver_parse(resolver->item[i], &address, &port))
			continue;
		net_address_text(&address, shown);
		buf_addf(&text, strchr(shown, ':') ? "%s[%s]:%u" : "%s%s:%u",
			 text.len ? "," : "", shown, port);
		*local = *local && net_address_is_loopback(&address);
	}
	return buf_take(&text);
}

static bool set_servers(struct dns *d, const struct list *resolver,
			bool *local)
{
	char *text = servers_text(resolver, local);
	bool done = *text &&
		    ares_set_servers_ports_csv(d->channel, text) ==
		    ARES_SUCCESS;

	free(text);
	if (!done)
		snprintf(d->words, sizeof(d->words),
			 "no resolver that is set is an address");
	return done;
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
	buf_release(&text);
}

static bool open_channel(struct dns *d)
{
	int64_t one = d->timeout / 5;
	struct ares_options options = {
		/* EDNS here: how long answers may be, and that a resolver
		 * which knows no EDNS is asked without */
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

struct dns *dns_open(const struct dns_settings *settings)
{
	struct dns *d = mem_alloc(sizeof(*d));
	struct resolv_conf conf;
	bool local = false;

	d->timeout = settings->timeout > 0 ? settings->timeout : TIMEOUT_MS;
	if (!open_channel(d))
		return d;
	if (settings->resolver && settings->resolver->n) {
		if (!set_servers(d, settings->resolver, &local)) {
			ares_destroy(d->channel);
			d->channel = NULL;
		}
	} else {
		read_resolv_conf(&conf);
		local = conf.all_loopback || conf.trust_ad;
	}
	d->trusted = settings->trust == DNS_TRUST_ALWAYS ||
		     (settings->trust == DNS_TRUST_AUTO && local);
	return d;
}

void dns_close(struct dns *d)
{
	if (!d)
		return;
	if (d->channel)
		ares_destroy(d->channel);
	ares_library_cleanup();
	free(d->watched);
	free(d);
}

bool dns_no_network(const struct dns *d)
{
	/* a resolver of this very host fails where it can ask nobody */
	return !d->answered && !interfaces_way_out();
}

/* The library passes over an answer of failure in favour of the next
 * resolver, and when none is left reports that nobody could be reached: what
 * they said is to be had from the socket alone. */
static void overhear(struct dns *d, ares_socket_t fd)
{
	unsigned char head[6];
	int type = 0;
	socklen_t len = sizeof(type);
	ssize_t n = recv(fd, head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
	size_t flags = 2;

	if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return;
	if (type == SOCK_STREAM)
		flags += 2;
	if ((size_t)n < flags + 2 || !(head[flags] & 0x80))
		return;
	switch (head[flags + 1] & 15) {
	case ns_r_servfail:
	case ns_r_notimpl:
	case ns_r_refused:
		d->refusal = head[flags + 1] & 15;
	}
}

/* What stands behind the library's word that nobody could be reached. */
static int true_status(const struct dns *d, int status)
{
	if (status != ARES_ECONNREFUSED || !d->refusal)
		return status;
	return d->refusal == ns_r_refused ? ARES_EREFUSED :
	       d->refusal == ns_r_notimpl ? ARES_ENOTIMP : ARES_ESERVFAIL;
}

static const char *failure_words(int status)
{
	switch (status) {
	case ARES_ETIMEOUT:
	case ARES_ECANCELLED:
		return "no answer from the resolver in time";
	case ARES_ECONNREFUSED:
		return "no resolver answers here";
	case ARES_ESERVFAIL:
		return "the resolver failed (SERVFAIL)";
	case ARES_EREFUSED:
		return "the resolver refused to answer (REFUSED)";
	default:
		return ares_strerror(status);
	}
}

static void finish(void *context, int status, int timeouts,
		   unsigned char *data, int n)
{
	struct pending *p = context;
	struct dns_answer *a = &p->question->answer;

	(void)timeouts;
	--*p->open;
	status = true_status(p->dns, status);
	if (status == ARES_SUCCESS)
		p->dns->answered = true;
	if (status != ARES_SUCCESS || !data || n <= 0) {
		snprintf(a->words, sizeof(a->words), "%s",
			 failure_words(status));
		return;
	}
	dns_answer_parse(data, (size_t)n, p->question->name,
			 p->question->type, a);
	a->authentic = a->authentic && p->dns->trusted;
}

static void ask(struct dns *d, struct pending *p)
{
	struct dns_question *q = p->question;
	unsigned char query[DNS_QUERY_MAX];
	uint16_t id;
	size_t n;

	q->answer = (struct dns_answer){ .status = DNS_FAILED };
	if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
		id = (uint16_t)clock_now();
	n = dns_query_build(q->name, q->type, id, query);
	if (!n) {
		q->answer.status = DNS_NXDOMAIN;
	} else if (!d->channel) {
		snprintf(q->answer.words, sizeof(q->answer.words), "%s",
			 d->words);
	} else {
		++*p->open;
		ares_send(d->channel, query, (int)n, finish, p);
	}
}

static int wait_ms(struct dns *d, int64_t deadline)
{
	struct timeval tv, *next = ares_timeout(d->channel, NULL, &tv);
	int left = clock_left(deadline);
	int64_t ms;

	if (!next)
		return left;
	ms = (int64_t)next->tv_sec * 1000 + next->tv_usec / 1000 + 1;
	return ms < left ? (int)ms : left;
}

static void attend(struct dns *d, struct pollfd *p, int64_t deadline)
{
	const short in = POLLIN | POLLERR | POLLHUP | POLLNVAL;
	const short out = POLLOUT | POLLERR;
	size_t i, n = d->watching;
	int ready;

	for (i = 0; i < n; i++)
		p[i] = (struct pollfd){ .fd = d->watched[i].fd,
					.events = d->watched[i].events };
	ready = poll(p, n, wait_ms(d, deadline));
	if (ready <= 0) {
		ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
		return;
	}
	for (i = 0; i < n; i++) {
		if (p[i].revents & POLLIN)
			overhear(d, p[i].fd);
		if (p[i].revents)
			ares_process_fd(d->channel,
					p[i].revents & in ? p[i].fd :
					ARES_SOCKET_BAD,
					p[i].revents & out ? p[i].fd :
					ARES_SOCKET_BAD);
	}
}

void dns_ask(struct dns *d, struct dns_question *question, size_t n)
{
	struct pending *pending = mem_alloc(n * sizeof(*pending));
	struct pollfd *poll_set = NULL;
	int64_t deadline = clock_in(d->timeout);
	size_t i, open = 0;

	d->refusal = 0;
	for (i = 0; i < n; i++) {
		pending[i] = (struct pending){ d, &question[i], &open };
		ask(d, &pending[i]);
	}
	while (open && clock_left(deadline)) {
		poll_set = mem_resize(poll_set, d->watching + 1,
				      sizeof(*poll_set));
		attend(d, poll_set, deadline);
	}
	if (open)
		ares_cancel(d->channel);
	free(poll_set);
	free(pending);
}

void dns_query(struct dns *d, const char *name, enum dns_type type,
	       struct dns_answer *answer)
{
	struct dns_question question = { .name = name, .type = type };

	dns_ask(d, &question, 1);
	*answer = question.answer;
}

const char *dns_library_version(void)
{
	return ares_version(NULL);
}
