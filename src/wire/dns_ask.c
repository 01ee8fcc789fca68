/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Questions and what becomes of them. */
#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "wire/dns_parse.h"
#include "wire/dns_parts.h"

enum {
	CNAMES_MAX = 16,
	EDNS_PATIENCE = 2000,  /* ms for a question with EDNS before the same
				* is asked without */
	PAIR_LEAST = 50,       /* RFC 8305 3: ms for the second family */
	PAIR_MOST = 2000
};

/* A question until it is settled. */
struct pending {
	struct dns *dns;
	struct dns_question *question;
	struct pending *other;   /* the other family of its name; NULL */
	char *name;              /* asked for: at the end of the CNAMEs */
	struct list seen;        /* names before it */
	bool insecure;           /* one of their answers was not authentic */
	bool done;
	unsigned turn;           /* what was asked in an earlier one is void */
	unsigned copies;         /* that the library has of this turn */
	bool plain_asked, wants_plain;
	int64_t since, plain_at, over_at;
	unsigned char query[DNS_QUERY_MAX];
	size_t n;
	int refusal;             /* RCODE of failure last heard; 0: none */
	int status;              /* the library's, of a copy that failed */
};

/* A question as the library has it. */
struct copy {
	struct pending *pending;
	unsigned turn;
	bool plain;
};

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

/*
 * The library passes over an answer of failure in favour of the next
 * resolver, and when none is left reports that nobody could be reached; an
 * answer that does not repeat the question it drops. What they said is seen
 * here. Over TCP the message may come behind its length.
 */
static void overhear(struct dns *d, const unsigned char *data, size_t n)
{
	size_t i, at;
	int rcode;

	for (at = 0; at <= 2; at += 2) {
		if (n < at + DNS_HEAD || !(data[at + 2] & 0x80))
			continue;
		rcode = data[at + 3] & 15;
		if (rcode != ns_r_servfail && rcode != ns_r_refused &&
		    rcode != ns_r_notimpl && rcode != ns_r_formerr)
			continue;
		for (i = 0; i < d->pendings; i++) {
			struct pending *p = &d->pending[i];

			if (is_question(data + at + DNS_HEAD,
					n - at - DNS_HEAD, p))
				p->refusal = rcode;
			else if (rcode == ns_r_formerr && n == DNS_HEAD)
				p->wants_plain = true;
		}
	}
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

static ares_ssize_t dns_receive(ares_socket_t fd, void *data, size_t size,
				int flags, struct sockaddr *from,
				ares_socklen_t *len, void *context)
{
	ssize_t n = recvfrom(fd, data, size, flags, from, len);

	if (n > 0)
		overhear(context, data, (size_t)n);
	return n;
}

static ares_ssize_t dns_send(ares_socket_t fd, const struct iovec *vector,
			     int n, void *context)
{
	(void)context;
	return writev(fd, vector, n);
}

const struct ares_socket_functions dns_socket_functions = {
	dns_socket, dns_close_socket, dns_connect, dns_receive, dns_send
};

/* --- ends --- */

static const char *failure_words(int status)
{
	switch (status) {
	case ARES_ETIMEOUT:
	case ARES_ECANCELLED:
		return "no answer from the resolver in time";
	case ARES_ECONNREFUSED:
		return "no resolver answers here";
	default:
		return ares_strerror(status);
	}
}

static const char *refusal_words(int rcode)
{
	switch (rcode) {
	case ns_r_servfail:
		return "the resolver failed (SERVFAIL)";
	case ns_r_refused:
		return "the resolver refused to answer (REFUSED)";
	default:
		return "the resolver answered with an error";
	}
}

/* Whoever has an answer does not wait long for the other family's. */
static void settle(struct pending *p, const struct dns_answer *a)
{
	int64_t patience = 2 * (clock_now() - p->since);

	p->question->answer = *a;
	p->done = true;
	if (a->status != DNS_FAILED)
		p->dns->answered = true;
	if (!p->other || a->status != DNS_OK)
		return;
	if (patience < PAIR_LEAST)
		patience = PAIR_LEAST;
	p->other->over_at = clock_in(patience < PAIR_MOST ? patience :
				     PAIR_MOST);
}

static void settle_failed(struct pending *p, const char *words, bool astray)
{
	struct dns_answer a = { .status = DNS_FAILED, .astray = astray };

	snprintf(a.words, sizeof(a.words), "%s", words);
	settle(p, &a);
}

/* What a resolver said counts for more than what the library, by its version,
 * makes of it. */
static void give_up(struct pending *p, int status)
{
	if (p->refusal)
		settle_failed(p, refusal_words(p->refusal), false);
	else
		settle_failed(p, failure_words(status), false);
}

/* --- asking --- */

static void finish(void *context, int status, int timeouts,
		   unsigned char *data, int n);

static void send_copy(struct pending *p, bool plain)
{
	struct copy *c = mem_alloc(sizeof(*c));
	unsigned char query[DNS_QUERY_MAX];
	size_t n = p->n;

	memcpy(query, p->query, n);
	if (getrandom(query, 2, 0) != 2)    /* the ID */
		query[0] = (unsigned char)clock_now();
	if (plain)
		n = dns_query_plain(query, n);
	*c = (struct copy){ p, p->turn, plain };
	p->plain_asked = p->plain_asked || plain;
	p->copies++;
	ares_send(p->dns->channel, query, (int)n, finish, c);
}

/* A fresh turn: the name as it is now. False: it is no DNS name. */
static bool ask(struct pending *p)
{
	p->turn++;
	p->copies = 0;
	p->refusal = 0;
	p->status = ARES_ETIMEOUT;
	p->plain_asked = p->wants_plain = false;
	p->plain_at = clock_in(p->dns->timeout / 4 < EDNS_PATIENCE ?
			       p->dns->timeout / 4 : EDNS_PATIENCE);
	p->n = dns_query_build(p->name, p->question->type, 0, p->query);
	if (p->n)
		send_copy(p, p->dns->plain);
	return p->n > 0;
}

static void ask_first(struct pending *p)
{
	struct dns_answer nothing = { .status = DNS_NXDOMAIN };

	p->since = clock_now();
	p->over_at = CLOCK_NEVER;
	p->name = mem_string(p->question->name);
	if (!p->dns->channel)
		settle_failed(p, p->dns->words, false);
	else if (!ask(p))
		settle(p, &nothing);
}

/* The answer was a CNAME and nothing more. */
static void follow(struct pending *p, struct dns_answer *a)
{
	bool circle;

	list_add(&p->seen, p->name);
	circle = list_has_nocase(&p->seen, a->cname);
	free(p->name);
	p->name = mem_string(a->cname);
	p->insecure = p->insecure || !a->authentic;
	dns_answer_release(a);
	if (circle || p->seen.n > CNAMES_MAX)
		settle_failed(p, circle ? "the CNAME records lead round in a "
			      "circle" : "the CNAME records are too many",
			      true);
	else if (!ask(p))
		settle_failed(p, "a malformed CNAME in the answer", false);
}

static void take_answer(struct pending *p, bool plain,
			const unsigned char *data, size_t n)
{
	struct dns_answer a;

	if (!plain && dns_refuses_edns(data, n)) {
		p->refusal = ns_r_formerr;
		p->wants_plain = true;
		return;
	}
	dns_answer_parse(data, n, p->name, p->question->type, &a);
	a.authentic = a.authentic && p->dns->trusted && !p->insecure;
	/* the library may have asked again without EDNS by itself */
	if (a.status != DNS_FAILED &&
	    (plain || p->refusal == ns_r_formerr))
		p->dns->plain = true;
	if (a.leads_on) {
		follow(p, &a);
		return;
	}
	if (!a.cname && p->seen.n)
		a.cname = mem_string(p->name);
	settle(p, &a);
}

static void finish(void *context, int status, int timeouts,
		   unsigned char *data, int n)
{
	struct copy *c = context;
	struct pending *p = c->pending;
	const bool plain = c->plain, stale = p->done || c->turn != p->turn;

	(void)timeouts;
	free(c);
	if (stale)
		return;
	p->copies--;
	if (status == ARES_SUCCESS && data && n > 0) {
		take_answer(p, plain, data, (size_t)n);
		return;
	}
	p->status = status;
	if (p->refusal == ns_r_formerr || p->refusal == ns_r_notimpl)
		p->wants_plain = true;
}

/* What is due for a question by now. */
static void pursue(struct pending *p, int64_t now)
{
	if (p->done)
		return;
	if (now >= p->over_at)
		give_up(p, ARES_ETIMEOUT);
	else if (!p->plain_asked && (p->wants_plain || now >= p->plain_at))
		send_copy(p, true);
	else if (!p->copies)
		give_up(p, p->status);
}

/* --- waiting --- */

static int64_t next_event(const struct dns *d, int64_t deadline)
{
	size_t i;

	for (i = 0; i < d->pendings; i++) {
		const struct pending *p = &d->pending[i];

		if (p->done)
			continue;
		deadline = clock_earlier(deadline, p->over_at);
		if (!p->plain_asked)
			deadline = clock_earlier(deadline, p->plain_at);
	}
	return deadline;
}

static int wait_ms(struct dns *d, int64_t deadline)
{
	struct timeval tv, *next = ares_timeout(d->channel, NULL, &tv);
	int left = clock_left(next_event(d, deadline));
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
	for (i = 0; i < n; i++)
		if (p[i].revents)
			ares_process_fd(d->channel,
					p[i].revents & in ? p[i].fd :
					ARES_SOCKET_BAD,
					p[i].revents & out ? p[i].fd :
					ARES_SOCKET_BAD);
}

static bool any_open(const struct dns *d)
{
	size_t i;

	for (i = 0; i < d->pendings; i++)
		if (!d->pending[i].done)
			return true;
	return false;
}

static void wait_for_all(struct dns *d, int64_t deadline)
{
	struct pollfd *poll_set = NULL;
	size_t i;

	while (any_open(d) && clock_left(deadline)) {
		poll_set = mem_resize(poll_set, d->watching + 1,
				      sizeof(*poll_set));
		attend(d, poll_set, deadline);
		for (i = 0; i < d->pendings; i++)
			pursue(&d->pending[i], clock_now());
	}
	free(poll_set);
	for (i = 0; i < d->pendings; i++)
		if (!d->pending[i].done)
			give_up(&d->pending[i], ARES_ETIMEOUT);
	/* copies that nobody waits for any more */
	if (d->channel)
		ares_cancel(d->channel);
}

static struct pending *other_family(const struct dns *d, size_t i)
{
	const struct dns_question *q = d->pending[i].question, *other;
	size_t j;

	if (q->type != DNS_A && q->type != DNS_AAAA)
		return NULL;
	for (j = 0; j < d->pendings; j++) {
		other = d->pending[j].question;
		if (other->type == (q->type == DNS_A ? DNS_AAAA : DNS_A) &&
		    !strcasecmp(other->name, q->name))
			return &d->pending[j];
	}
	return NULL;
}

void dns_ask(struct dns *d, struct dns_question *question, size_t n)
{
	int64_t deadline = clock_in(d->timeout);
	size_t i;

	d->pending = mem_alloc(n * sizeof(*d->pending));
	d->pendings = n;
	for (i = 0; i < n; i++)
		d->pending[i] = (struct pending){ .dns = d,
						  .question = &question[i] };
	for (i = 0; i < n; i++)
		d->pending[i].other = other_family(d, i);
	for (i = 0; i < n; i++)
		ask_first(&d->pending[i]);
	wait_for_all(d, deadline);
	for (i = 0; i < n; i++) {
		free(d->pending[i].name);
		list_release(&d->pending[i].seen);
	}
	free(d->pending);
	d->pending = NULL;
	d->pendings = 0;
}

void dns_query(struct dns *d, const char *name, enum dns_type type,
	       struct dns_answer *answer)
{
	struct dns_question question = { .name = name, .type = type };

	dns_ask(d, &question, 1);
	*answer = question.answer;
}
