/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The caller's side of posthaste-fetch: it gets addresses, a CA file, a proxy
 * and a deadline, and gives a policy's text. */
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
#include "base/process.h"
#include "submit/mtasts_parts.h"

#ifndef FETCH_PROGRAM
#define FETCH_PROGRAM "/usr/local/libexec/posthaste-fetch"
#endif

/* RFC 8461 section 3.3 suggests a minute; nobody's mail should wait that
 * long for a server that is not there. */
enum { FETCH_TIME = 20 * 1000, GRACE = 2 * 1000, POLICY_ADDRESSES = 8,
       ARGUMENTS_MAX = 40 };

/* One call of the helper. */
struct fetch {
	struct run *run;
	const struct transport *through;
	char *host;
	struct list address;       /* of the host */
	struct endpoint proxy;     /* host is NULL: none */
	struct list proxy_address;
	bool proxy_names;          /* the proxy looks up the host */
	struct buf credentials;    /* for the helper's standard input */
	int64_t time;              /* ms */
};

static bool fail(struct outcome *why, const char *host, const char *what)
{
	return outcome_fail(why, STAGE_DNS, EX_UNAVAILABLE,
			    "no policy from %s: %s", host, what);
}

/* --- the proxy --- */

static bool find_proxy(struct fetch *f, const char *where,
		       struct outcome *why)
{
	struct net_addresses found = { 0 };
	char text[64];
	size_t i;

	if (!endpoint_parse(where, PORT_SOCKS, &f->proxy))
		return fail(why, f->host, "its proxy has no valid address");
	if (!net_lookup(f->proxy.host, f->proxy.port, FAMILY_ANY,
			clock_in(f->time), &found, why))
		return false;
	for (i = 0; i < found.n && i < POLICY_ADDRESSES; i++) {
		net_address_text(&found.item[i], text);
		list_add(&f->proxy_address, text);
	}
	net_addresses_release(&found);
	return true;
}

/* What goes by a proxy goes by it whole: a policy fetched directly would
 * tell its server who asks. */
static bool take_proxy(struct fetch *f, struct outcome *why)
{
	const struct transport *t = f->through;
	const char *where = t ? transport_proxy(t) : NULL;

	if (!where)
		return true;
	f->proxy_names = transport_proxy_dns(t);
	if (t->proxy_username)
		buf_addf(&f->credentials, "%s\n%s\n", t->proxy_username,
			 t->proxy_password ? t->proxy_password : "");
	return find_proxy(f, where, why);
}

/* --- the host --- */

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

static void add_option(struct list *argv, const char *name,
		       const char *value)
{
	list_add(argv, name);
	list_add(argv, value);
}

static void add_proxy(const struct fetch *f, struct list *argv)
{
	size_t i;

	if (!f->proxy.host)
		return;
	add_option(argv, "-x", f->proxy.host);
	list_add(argv, "-q");
	add_number(argv, f->proxy.port);
	for (i = 0; i < f->proxy_address.n; i++)
		add_option(argv, "-a", f->proxy_address.item[i]);
	if (f->proxy_names)
		list_add(argv, "-n");
	if (f->credentials.len)
		list_add(argv, "-u");
}

static void make_argv(const struct fetch *f, struct list *argv)
{
	const struct config *c = f->run->config;
	size_t i;

	list_add(argv, "posthaste-fetch");
	if (c->tls.ca_file)
		add_option(argv, "-c", c->tls.ca_file);
	list_add(argv, "-p");
	add_number(argv, c->tls.mta_sts_port);
	list_add(argv, "-t");
	add_number(argv, f->time);
	add_proxy(f, argv);
	list_add(argv, f->host);
	for (i = 0; i < f->address.n; i++)
		list_add(argv, f->address.item[i]);
}

/* --- the helper --- */

static void become_helper(const char *path, const struct list *argv, int in,
			  int out)
{
	char *vector[ARGUMENTS_MAX] = { 0 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t i;

	for (i = 0; i < argv->n && i + 1 < sizeof(vector) / sizeof(*vector);
	     i++)
		vector[i] = argv->item[i];
	if (null >= 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 &&
	    dup2(null, 2) == 2)
		execv(path, vector);
	process_leave(127);
}

/* A descriptor that gives what was put into it. A user name and a password
 * of RFC 1929 are 255 bytes each and fit any pipe. */
static int filled_pipe(const struct buf *b)
{
	ssize_t written;
	int end[2];

	if (pipe2(end, O_CLOEXEC))
		return -1;
	written = write(end[1], buf_text(b), b->len);
	close(end[1]);
	if (written >= 0 && (size_t)written == b->len)
		return end[0];
	close(end[0]);
	return -1;
}

static pid_t start(const struct fetch *f, const struct list *argv, int *out)
{
	const char *path = f->run->fetch_program ? f->run->fetch_program :
			   FETCH_PROGRAM;
	int end[2], in = filled_pipe(&f->credentials);
	pid_t pid = -1;

	if (in >= 0 && !pipe2(end, O_CLOEXEC)) {
		pid = fork();
		if (!pid)
			become_helper(path, argv, in, end[1]);
		close(end[1]);
		*out = end[0];
		if (pid < 0)
			close(end[0]);
	}
	if (in >= 0)
		close(in);
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

static bool run_helper(const struct fetch *f, const struct list *argv,
		       struct buf *text, struct outcome *why)
{
	const int64_t deadline = clock_in(f->time + GRACE);
	int fd = -1, status = -1;
	pid_t pid = start(f, argv, &fd);
	bool ok;

	if (pid < 0)
		return fail(why, f->host, "posthaste-fetch cannot be started");
	ok = read_until(fd, deadline, text);
	close(fd);
	if (!ok)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ok && WIFEXITED(status) && !WEXITSTATUS(status))
		return true;
	return fail(why, f->host, meaning(status));
}

static bool prepare(struct fetch *f, struct outcome *why)
{
	if (!take_proxy(f, why))
		return false;
	if (f->proxy_names)
		return true;
	find_addresses(f->run, f->host, &f->address);
	return f->address.n ? true : fail(why, f->host, "it has no address");
}

static void fetch_release(struct fetch *f)
{
	list_release(&f->address);
	list_release(&f->proxy_address);
	buf_release(&f->credentials);
	endpoint_release(&f->proxy);
	free(f->host);
}

bool sts_fetch(struct run *run, const struct transport *through,
	       const char *domain, struct buf *text, struct outcome *why)
{
	struct fetch f = {
		.run = run, .through = through, .time = FETCH_TIME,
		.host = mem_printf("mta-sts.%s", domain),
		.credentials = BUF_SECRET(1024),
	};
	const int64_t most = run->config->general.timeout;
	struct list argv = { 0 };
	bool ok = false;

	if (most > 0 && most < f.time)
		f.time = most;
	if (prepare(&f, why)) {
		make_argv(&f, &argv);
		ok = run_helper(&f, &argv, text, why);
	}
	list_release(&argv);
	fetch_release(&f);
	return ok;
}
