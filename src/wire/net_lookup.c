/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The system's resolver under a deadline. getaddrinfo runs in a thread of
 * its own, which is left behind if it does not come back in time.
 *
 * Not getaddrinfo_a: its pool of idle threads does not survive fork, and a
 * worker that inherits the pool's books would wait for a thread that is not
 * there.
 */
#include "wire/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "wire/interfaces.h"
#include "wire/net_parts.h"

struct question {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool done;        /* the thread has its answer */
	bool abandoned;   /* nobody waits: the thread cleans up */
	char *host;
	struct addrinfo hints;
	struct addrinfo *found;
	int error;
};

static void question_free(struct question *q)
{
	if (q->found)
		freeaddrinfo(q->found);
	pthread_cond_destroy(&q->answered);
	pthread_mutex_destroy(&q->lock);
	free(q->host);
	free(q);
}

static void *question_ask(void *context)
{
	struct question *q = context;
	struct addrinfo *found = NULL;
	int error = getaddrinfo(q->host, NULL, &q->hints, &found);
	bool abandoned;

	pthread_mutex_lock(&q->lock);
	q->error = error;
	q->found = error ? NULL : found;
	q->done = true;
	abandoned = q->abandoned;
	pthread_cond_signal(&q->answered);
	pthread_mutex_unlock(&q->lock);
	if (abandoned)
		question_free(q);
	return NULL;
}

static struct question *question_new(const char *host, enum family family)
{
	struct question *q = mem_alloc(sizeof(*q));
	pthread_condattr_t attr;

	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->answered, &attr);
	pthread_condattr_destroy(&attr);
	q->host = mem_string(host);
	q->hints.ai_socktype = SOCK_STREAM;
	q->hints.ai_family = family == FAMILY_V4 ? AF_INET :
			     family == FAMILY_V6 ? AF_INET6 : AF_UNSPEC;
	return q;
}

/* The thread takes no signals: they belong to the main one. */
static bool question_start(struct question *q)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &attr, question_ask, q);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return !error;
}

/* False: it is still under way, and its thread owns it from here on. */
static bool question_wait(struct question *q, int64_t deadline)
{
	struct timespec until = {
		.tv_sec = (time_t)(deadline / 1000),
		.tv_nsec = (long)(deadline % 1000) * 1000000,
	};
	int error = 0;
	bool done;

	pthread_mutex_lock(&q->lock);
	while (!q->done && !error)
		error = deadline == CLOCK_NEVER ?
			pthread_cond_wait(&q->answered, &q->lock) :
			pthread_cond_timedwait(&q->answered, &q->lock,
					       &until);
	done = q->done;
	q->abandoned = !done;
	pthread_mutex_unlock(&q->lock);
	return done;
}

static const char *family_words(enum family family)
{
	return family == FAMILY_V4 ? "IPv4 address" :
	       family == FAMILY_V6 ? "IPv6 address" : "address";
}

/* Without descriptors getaddrinfo, which cannot even read /etc/hosts, says
 * that the name does not exist. That must not pass for an answer. */
static bool out_of_descriptors(void)
{
	int fd[4], i, n;

	for (n = 0; n < 4; n++) {
		fd[n] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (fd[n] < 0)
			break;
	}
	for (i = 0; i < n; i++)
		close(fd[i]);
	return n < 4;
}

static bool lookup_failed(const struct question *q, enum family family,
			  struct outcome *why)
{
	if (q->error == EAI_MEMORY || out_of_descriptors())
		return outcome_fail(why, STAGE_DNS, EX_OSERR,
				    "cannot look up %s: out of %s", q->host,
				    q->error == EAI_MEMORY ? "memory" :
				    "descriptors");
	switch (q->error) {
	case EAI_NONAME:
		return outcome_fail(why, STAGE_DNS, EX_NOHOST,
				    "the host name %s does not exist",
				    q->host);
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return outcome_fail(why, STAGE_DNS, EX_TEMPFAIL,
				    "%s has no %s", q->host,
				    family_words(family));
	default:
		outcome_fail(why, STAGE_DNS, EX_TEMPFAIL,
			     "cannot look up %s: %s", q->host,
			     gai_strerror(q->error));
		why->no_network = !interfaces_way_out();
		return false;
	}
}

static void set_port(struct net_address *a, unsigned port)
{
	struct sockaddr_in *v4 = (void *)&a->sa;
	struct sockaddr_in6 *v6 = (void *)&a->sa;

	if (a->sa.ss_family == AF_INET)
		v4->sin_port = htons((uint16_t)port);
	else
		v6->sin6_port = htons((uint16_t)port);
}

static bool lookup_taken(const struct question *q, unsigned port,
			 struct net_addresses *out)
{
	const struct addrinfo *i;

	for (i = q->found; i; i = i->ai_next) {
		if (i->ai_family != AF_INET && i->ai_family != AF_INET6)
			continue;
		net_addresses_add(out, i->ai_addr, i->ai_addrlen);
		set_port(&out->item[out->n - 1], port);
	}
	return out->n > 0;
}

static bool lookup_numeric(const char *host, const struct net_address *a,
			   enum family family, struct net_addresses *out,
			   struct outcome *why)
{
	if (!net_family_allows(family, a))
		return outcome_fail(why, STAGE_CONNECT, EX_TEMPFAIL,
				    "%s is no %s, and ip_family allows no "
				    "other", host, family_words(family));
	net_addresses_add(out, (const void *)&a->sa, a->len);
	return true;
}

bool net_lookup(const char *host, unsigned port, enum family family,
		int64_t deadline, struct net_addresses *out,
		struct outcome *why)
{
	struct net_address numeric;
	struct question *q;
	bool done;

	*out = (struct net_addresses){ 0 };
	if (net_address_parse(host, port, &numeric))
		return lookup_numeric(host, &numeric, family, out, why);
	q = question_new(host, family);
	if (!question_start(q)) {
		question_free(q);
		return outcome_fail(why, STAGE_DNS, EX_OSERR,
				    "cannot look up %s: no thread to be had",
				    host);
	}
	if (!question_wait(q, deadline)) {
		outcome_fail(why, STAGE_DNS, EX_TEMPFAIL,
			     "the look-up of %s was not answered in time",
			     host);
		why->no_network = !interfaces_way_out();
		return false;
	}
	done = !q->error && lookup_taken(q, port, out);
	if (!done) {
		q->error = q->error ? q->error : EAI_NODATA;
		lookup_failed(q, family, why);
	}
	question_free(q);
	return done;
}

char *net_canonical_name(const char *name)
{
	enum { WAIT_MS = 2000 };
	struct question *q = question_new(name, FAMILY_ANY);
	char *full = NULL;

	q->hints.ai_flags = AI_CANONNAME;
	if (!question_start(q)) {
		question_free(q);
		return NULL;
	}
	if (!question_wait(q, clock_in(WAIT_MS)))
		return NULL;
	if (!q->error && q->found->ai_canonname)
		full = mem_string(q->found->ai_canonname);
	question_free(q);
	return full;
}
