/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The caller's side of posthaste-fetch: it gets addresses, a CA file and a
 * deadline, and gives a policy's text. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "submit/mtasts_parts.h"

#ifndef FETCH_PROGRAM
#define FETCH_PROGRAM "/usr/local/libexec/posthaste-fetch"
#endif

/* RFC 8461 section 3.3 suggests a minute; nobody's mail should wait that
 * long for a server that is not there. */
enum { FETCH_TIME = 20 * 1000, GRACE = 2 * 1000, POLICY_ADDRESSES = 8 };

static void add_addresses(const struct run *run, const struct dns_answer *a,
			  struct list *out)
{
	char text[64];
	size_t i;

	for (i = 0; i < a->n && out->n < POLICY_ADDRESSES; i++) {
		if (net_address_is_local(&a->record[i].address) &&
		    !run->config->dns.allow_loopback_mx)
			continue;
		net_address_text(&a->record[i].address, text);
		list_add(out, text);
	}
}

static void find_addresses(struct run *run, const char *host,
			   struct list *out)
{
	struct dns_question q[2] = {
		{ .name = host, .type = DNS_AAAA },
		{ .name = host, .type = DNS_A },
	};
	size_t i;

	dns_ask(run_dns(run), q, 2);
	for (i = 0; i < 2; i++) {
		if (q[i].answer.status == DNS_OK)
			add_addresses(run, &q[i].answer, out);
		dns_answer_release(&q[i].answer);
	}
}

static void add_number(struct list *argv, long long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", value);
	list_add(argv, text);
}

static void make_argv(const struct run *run, const char *host,
		      const struct list *address, int64_t time,
		      struct list *argv)
{
	const struct config *c = run->config;
	size_t i;

	list_add(argv, "posthaste-fetch");
	if (c->tls.ca_file) {
		list_add(argv, "-c");
		list_add(argv, c->tls.ca_file);
	}
	list_add(argv, "-p");
	add_number(argv, c->tls.mta_sts_port);
	list_add(argv, "-t");
	add_number(argv, time);
	list_add(argv, host);
	for (i = 0; i < address->n; i++)
		list_add(argv, address->item[i]);
}

static void become_helper(const char *path, const struct list *argv, int out)
{
	char *vector[POLICY_ADDRESSES + 16] = { 0 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t i;

	for (i = 0; i < argv->n && i + 1 < sizeof(vector) / sizeof(*vector);
	     i++)
		vector[i] = argv->item[i];
	if (null >= 0 && dup2(null, 0) == 0 && dup2(out, 1) == 1 &&
	    dup2(null, 2) == 2)
		execv(path, vector);
	process_leave(127);
}

static pid_t start(const struct run *run, const struct list *argv, int *out)
{
	const char *path = run->fetch_program ? run->fetch_program :
			   FETCH_PROGRAM;
	pid_t pid = -1;
	int end[2];

	if (!pipe2(end, O_CLOEXEC)) {
		pid = fork();
		if (!pid)
			become_helper(path, argv, end[1]);
		close(end[1]);
		*out = end[0];
		if (pid < 0)
			close(end[0]);
	}
	return pid;
}

static bool read_until(int fd, int64_t deadline, struct buf *text)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char part[4096];
	ssize_t n;
	int rc;

	for (;;) {
		rc = poll(&p, 1, clock_left(deadline));
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0)
			return false;
		n = read(fd, part, sizeof(part));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return !n;
		if (!buf_add(text, part, (size_t)n))
			return false;
	}
}

static const char *meaning(int status)
{
	if (!WIFEXITED(status))
		return "the helper was ended";
	switch (WEXITSTATUS(status)) {
	case EX_DATAERR:
		return "it gives no policy";
	case EX_NOPERM:
		return "its certificate is not valid";
	case EX_TEMPFAIL:
		return "it does not answer";
	case 127:
		return "posthaste-fetch is not installed";
	}
	return "posthaste-fetch failed";
}

static bool run_helper(const struct run *run, const struct list *argv,
		       const char *host, int64_t deadline, struct buf *text)
{
	int fd = -1, status = -1;
	pid_t pid = start(run, argv, &fd);
	bool ok;

	if (pid < 0) {
		log_say(LOG_AT_ERROR, "MTA-STS: posthaste-fetch cannot be "
			"started");
		return false;
	}
	ok = read_until(fd, deadline, text);
	close(fd);
	if (!ok)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ok && WIFEXITED(status) && !WEXITSTATUS(status))
		return true;
	log_say(LOG_AT_INFO, "MTA-STS: no policy from %s: %s", host,
		meaning(status));
	return false;
}

bool sts_fetch(struct run *run, const char *domain, struct buf *text)
{
	char *host = mem_printf("mta-sts.%s", domain);
	struct list address = { 0 }, argv = { 0 };
	int64_t most = run->config->general.timeout;
	bool ok = false;

	if (most <= 0 || most > FETCH_TIME)
		most = FETCH_TIME;
	find_addresses(run, host, &address);
	if (address.n) {
		make_argv(run, host, &address, most, &argv);
		ok = run_helper(run, &argv, host, clock_in(most + GRACE),
				text);
	} else {
		log_say(LOG_AT_INFO, "MTA-STS: %s has no address", host);
	}
	list_release(&address);
	list_release(&argv);
	free(host);
	return ok;
}
