/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/dns_parts.h"

#include <arpa/nameser.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/kernel.h"
#include "wire/interfaces.h"

enum {
	TIMEOUT_MS = 10000,    /* where none is set */
	CNAMES_MAX = 16,
	EDNS_PATIENCE = 2000,  /* ms for a question with EDNS before the same
				* is asked without */
	PAIR_LEAST = 50,       /* RFC 8305 3: ms for the second family */
	PAIR_MOST = 2000,
	PAIR_LOOKS = 8         /* addresses of the first that are looked at */
};

/* A question as the library has it. */
struct copy {
	struct pending *pending;
	unsigned turn;
	bool plain;
};

struct dns *dns_open(const struct dns_settings *settings)
{
	struct dns *d = mem_alloc(sizeof(*d));
	bool own_trust;

	d->timeout = settings->timeout > 0 ? settings->timeout : TIMEOUT_MS;
	if (!dns_channel_open(d))
		return d;
	own_trust = dns_servers_find(settings->resolver, &d->server, d->words);
	if (!d->server.n || !dns_channel_ask_servers(d))
		dns_channel_close(d);
	d->trusted = settings->trust == DNS_TRUST_ALWAYS ||
		     (settings->trust == DNS_TRUST_AUTO && own_trust);
	return d;
}

void dns_close(struct dns *d)
{
	struct outcome ignored;

	if (!d)
		return;
	dns_channel_close(d);
	if (ares_load(&ignored))
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
	return ARES_VERSION_STR;
}

/* --- ends --- */

static bool any_is_in_reach(const struct dns_answer *a)
{
	size_t i;

	for (i = 0; i < a->n && i < PAIR_LOOKS; i++)
		if (interfaces_lead_to(&a->record[i].address))
			return true;
	return false;
}

/* Where one family has an answer the other's is not waited for long; but what
 * this host cannot reach is of no use in its place. */
static void finish_question(struct pending *p, const struct dns_answer *a)
{
	int64_t patience = 2 * (clock_now() - p->since);

	p->question->answer = *a;
	p->done = true;
	if (a->status != DNS_FAILED)
		p->dns->answered = true;
	if (!p->other || p->other->done || a->status != DNS_OK ||
	    !any_is_in_reach(a))
		return;
	if (patience < PAIR_LEAST)
		patience = PAIR_LEAST;
	p->other->over_at = clock_in(patience < PAIR_MOST ? patience :
				     PAIR_MOST);
}

static void fail_question(struct pending *p, const char *words, bool astray)
{
	struct dns_answer a = { .status = DNS_FAILED, .astray = astray };

	snprintf(a.words, sizeof(a.words), "%s", words);
	finish_question(p, &a);
}

/* What a resolver said counts for more than what the library, by its version,
 * makes of it. */
static void give_up_question(struct pending *p, int status)
{
	const char *words;

	if (p->refusal == ns_r_servfail)
		words = "the resolver failed (SERVFAIL)";
	else if (p->refusal == ns_r_refused)
		words = "the resolver refused to answer (REFUSED)";
	else if (p->refusal)
		words = "the resolver answered with an error";
	else if (status == ARES_ETIMEOUT || status == ARES_ECANCELLED)
		words = "no answer from the resolver in time";
	else if (status == ARES_ECONNREFUSED)
		words = "no resolver answers here";
	else
		words = ares_strerror(status);
	fail_question(p, words, false);
}

/* --- asking --- */

static void dns_finish(void *context, int status, int timeouts,
		       unsigned char *data, int n);

static void send_query(struct pending *p, bool plain)
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
	ares_send(p->dns->channel, query, (int)n, dns_finish, c);
}

/* A fresh turn: the name as it is now. False: it is not a DNS name. */
static bool ask_again(struct pending *p)
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
		send_query(p, p->dns->plain);
	return p->n > 0;
}

/* The answer was a CNAME and nothing more. */
static void follow_cname(struct pending *p, struct dns_answer *a)
{
	bool circle;

	list_add(&p->seen, p->name);
	circle = list_has_nocase(&p->seen, a->cname);
	free(p->name);
	p->name = mem_string(a->cname);
	p->insecure = p->insecure || !a->authentic;
	dns_answer_release(a);
	if (circle || p->seen.n > CNAMES_MAX)
		fail_question(p, circle ? "the CNAME records lead round in a "
			      "circle" : "the CNAME records are too many",
			      true);
	else if (!ask_again(p))
		fail_question(p, "a malformed CNAME in the answer", false);
}

static void dns_take_answer(struct pending *p, bool plain,
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
		follow_cname(p, &a);
		return;
	}
	if (!a.cname && p->seen.n)
		a.cname = mem_string(p->name);
	finish_question(p, &a);
}

static void dns_finish(void *context, int status, int timeouts,
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
		dns_take_answer(p, plain, data, (size_t)n);
		return;
	}
	p->status = status;
	if (p->refusal == ns_r_formerr || p->refusal == ns_r_notimpl)
		p->wants_plain = true;
}

/* --- waiting --- */

/* Until something comes, the library or a question wants attention, or the
 * deadline. */
static void dns_attend(struct dns *d, struct pollfd *set, int64_t deadline)
{
	const short in = POLLIN | POLLERR | POLLHUP | POLLNVAL;
	const short out = POLLOUT | POLLERR;
	struct timeval tv, *next = ares_timeout(d->channel, NULL, &tv);
	size_t i, n = d->watching;
	const struct pending *p;

	if (next)
		deadline = clock_earlier(deadline, clock_in(
			(int64_t)next->tv_sec * 1000 + next->tv_usec / 1000 +
			1));
	for (p = d->pending; p < d->pending + d->pendings; p++) {
		if (p->done)
			continue;
		deadline = clock_earlier(deadline, p->over_at);
		if (!p->plain_asked)
			deadline = clock_earlier(deadline, p->plain_at);
	}
	for (i = 0; i < n; i++)
		set[i] = (struct pollfd){ .fd = d->watched[i].fd,
					  .events = d->watched[i].events };
	if (kernel_poll(set, n, clock_left(deadline)) <= 0) {
		ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
		return;
	}
	for (i = 0; i < n; i++)
		if (set[i].revents)
			ares_process_fd(d->channel,
					set[i].revents & in ? set[i].fd :
					ARES_SOCKET_BAD,
					set[i].revents & out ? set[i].fd :
					ARES_SOCKET_BAD);
}

static bool any_question(const struct dns *d)
{
	size_t i;

	for (i = 0; i < d->pendings; i++)
		if (!d->pending[i].done)
			return true;
	return false;
}

static void wait_for_answers(struct dns *d, int64_t deadline)
{
	struct pollfd *poll_set = NULL;
	struct pending *p;
	int64_t now;

	while (any_question(d) && clock_left(deadline)) {
		poll_set = mem_resize(poll_set, d->watching + 1,
				      sizeof(*poll_set));
		dns_attend(d, poll_set, deadline);
		now = clock_now();
		for (p = d->pending; p < d->pending + d->pendings; p++) {
			if (p->done)
				continue;
			if (now >= p->over_at)
				give_up_question(p, ARES_ETIMEOUT);
			else if (!p->plain_asked &&
				 (p->wants_plain || now >= p->plain_at))
				send_query(p, true);
			else if (!p->copies)
				give_up_question(p, p->status);
		}
	}
	free(poll_set);
	for (p = d->pending; p < d->pending + d->pendings; p++)
		if (!p->done)
			give_up_question(p, ARES_ETIMEOUT);
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
	const struct dns_answer nothing = { .status = DNS_NXDOMAIN };
	int64_t deadline = clock_in(d->timeout);
	struct pending *p;
	size_t i;

	d->pending = mem_alloc(n * sizeof(*d->pending));
	d->pendings = n;
	for (i = 0; i < n; i++)
		d->pending[i] = (struct pending){ .dns = d,
						  .question = &question[i] };
	for (i = 0; i < n; i++)
		d->pending[i].other = other_family(d, i);
	for (p = d->pending; p < d->pending + n; p++) {
		p->since = clock_now();
		p->over_at = CLOCK_NEVER;
		p->name = mem_string(p->question->name);
		if (!d->channel)
			fail_question(p, d->words, false);
		else if (!ask_again(p))
			finish_question(p, &nothing);
	}
	wait_for_answers(d, deadline);
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
