/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/lookup.h"

#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/kernel.h"
#include "base/scan.h"
#include "wire/interfaces.h"

enum {
	LOOKUP_MOST = 64,   /* addresses of a name */
	CANONICAL_TIME = 2000, /* ms for the full name of this host */
	PAIR_MOST = 2000,   /* ms for both families in one question */
	NO_ANSWER = 1       /* beside the library's codes: it was cut off */
};

struct inquiry {
	const char *host;
	int family;         /* AF_*, AF_UNSPEC: any */
};

/* What the process says: the error, then the addresses. */
struct lookup_head {
	int error;          /* EAI_*, 0: none */
	bool descriptors;   /* the error is that there are none to be had */
	size_t n;
};

static int look_up_here(void *context)
{
	const struct inquiry *q = context;
	const struct addrinfo hints = { .ai_family = q->family,
					.ai_socktype = SOCK_STREAM };
	struct lookup_head head = { 0 };
	struct addrinfo *found = NULL, *i;
	struct net_address a[LOOKUP_MOST] = { { .len = 0 } };
	struct buf out = BUF(sizeof(head) + sizeof(a));
	int fd[4], n;
	bool told;

	head.error = getaddrinfo(q->host, NULL, &hints, &found);
	/* without descriptors it cannot even read /etc/hosts, and says that
	 * the name does not exist: that must not pass for an answer */
	for (n = 0; head.error && n < 4; n++) {
		fd[n] = kernel_open(AT_FDCWD, "/dev/null",
				    O_RDONLY | O_CLOEXEC, 0);
		head.descriptors = fd[n] < 0;
		if (fd[n] < 0)
			break;
	}
	while (n)
		close(fd[--n]);
	for (i = head.error ? NULL : found; i && head.n < LOOKUP_MOST;
	     i = i->ai_next) {
		if (i->ai_family != AF_INET && i->ai_family != AF_INET6)
			continue;
		a[head.n].len = i->ai_addrlen;
		memcpy(&a[head.n++].sa, i->ai_addr, i->ai_addrlen);
	}
	buf_add(&out, &head, sizeof(head));
	buf_add(&out, a, head.n * sizeof(*a));
	told = write(STDOUT_FILENO, out.data, out.len) == (ssize_t)out.len;
	buf_release(&out);
	return told ? EX_OK : EX_IOERR;
}

/* One question of the system. False: no process could be made. *error is 0
 * where addresses were found. */
static bool inquire(const char *host, int family, unsigned port,
		    int64_t deadline, struct net_addresses *out, int *error,
		    struct outcome *why)
{
	struct inquiry q = { host, family };
	struct lookup_head head = { .error = NO_ANSWER };
	struct buf unheard = BUF(0);
	struct buf said = BUF(sizeof(head) +
			      LOOKUP_MOST * sizeof(struct net_address));
	const struct child c = {
		.call = look_up_here, .context = &q, .output = &said,
		.words = &unheard, .deadline = deadline,
		.may_gain_rights = true,
	};
	struct net_address a;
	bool made = true;
	int status;
	size_t i;

	if (child_run(&c, &status, why)) {
		if (!status && said.len >= sizeof(head))
			memcpy(&head, said.data, sizeof(head));
		if (head.n && head.n > (said.len - sizeof(head)) /
		    sizeof(struct net_address))
			head.n = 0;
		for (i = 0; i < head.n && i < LOOKUP_MOST; i++) {
			memcpy(&a, said.data + sizeof(head) + i * sizeof(a),
			       sizeof(a));
			net_address_set_port(&a, port);
			net_addresses_add(out, &a);
		}
	} else if (why->exit == EX_OSERR) {
		made = outcome_fail(why, STAGE_DNS, EX_OSERR,
				    "cannot look up %s: no process or "
				    "descriptors for it", host);
	}
	if (head.descriptors)
		made = outcome_fail(why, STAGE_DNS, EX_OSERR,
				    "cannot look up %s: out of descriptors",
				    host);
	buf_release(&said);
	buf_release(&unheard);
	*error = out->n ? 0 : head.error ? head.error : EAI_NODATA;
	return made;
}

/* Both families at once, as the system sorts them (RFC 6724). Where that
 * takes long, one family's question may be the one that nobody answers: each
 * alone then, and with what time is left both again. */
static bool inquire_of_all(const char *host, enum family family,
			   unsigned port, int64_t deadline,
			   struct net_addresses *out, int *error,
			   struct outcome *why)
{
	static const int turns[] = { AF_UNSPEC, AF_INET, AF_INET6 };
	int64_t left, until;
	size_t i;

	if (family == FAMILY_V4 || family == FAMILY_V6)
		return inquire(host, family == FAMILY_V4 ? AF_INET : AF_INET6,
			       port, deadline, out, error, why);
	for (i = 0; i < sizeof(turns) / sizeof(*turns); i++) {
		left = (deadline - clock_now()) / 2;
		until = clock_in(left < PAIR_MOST ? left : PAIR_MOST);
		if (!inquire(host, turns[i], port, until, out, error, why))
			return false;
		if (!*error || (*error != NO_ANSWER && !i))
			return true;
	}
	return inquire(host, AF_UNSPEC, port, deadline, out, error, why);
}

static bool lookup_failed(const char *host, int error, enum family family,
			  struct outcome *why)
{
	switch (error) {
	case EAI_MEMORY:
		return outcome_fail(why, STAGE_DNS, EX_OSERR,
				    "cannot look up %s: out of memory", host);
	case EAI_NONAME:
		return outcome_fail(why, STAGE_DNS, EX_NOHOST,
				    "the host name %s does not exist", host);
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return outcome_fail(why, STAGE_DNS, EX_TEMPFAIL,
				    "%s has no %s", host,
				    family_words(family));
	case NO_ANSWER:
		outcome_fail(why, STAGE_DNS, EX_TEMPFAIL,
			     "the look-up of %s was not answered in time",
			     host);
		break;
	default:
		outcome_fail(why, STAGE_DNS, EX_TEMPFAIL,
			     "cannot look up %s: %s", host,
			     gai_strerror(error));
	}
	why->no_network = !interfaces_way_out();
	return false;
}

bool net_is_localhost(const char *name)
{
	size_t n = strlen(name);
	static const char local[] = "localhost";
	const size_t length = sizeof(local) - 1;

	if (n && name[n - 1] == '.')
		n--;
	return n >= length && !strncasecmp(name + n - length, local, length) &&
	       (n == length || name[n - length - 1] == '.');
}

/* Which of this host's own addresses are meant may stand in /etc/hosts. */
static void take_hosts_file(const char *name, unsigned port,
			    enum family family, struct net_addresses *out)
{
	struct buf text = BUF(256 * 1024);
	struct outcome ignored;
	struct scan rest, line, words, address, word;
	struct net_address a;
	char shown[64];

	if (!file_read("/etc/hosts", FILE_OPTIONAL, &text, NULL, &ignored))
		text.full = false;
	rest = scan_text(buf_text(&text));
	while (out->n < LOOKUP_MOST && scan_line(&rest, &line)) {
		if (!scan_until(&line, '#', &words) ||
		    !scan_word(&words, " \t\r", &address))
			continue;
		while (scan_word(&words, " \t\r", &word))
			if (scan_is_nocase(&word, name) &&
			    scan_copy_to(&address, shown, sizeof(shown)) &&
			    net_address_parse(shown, port, &a) &&
			    net_address_is_loopback(&a) &&
			    net_address_is_of(&a, family))
				net_addresses_add(out, &a);
	}
	buf_release(&text);
}

bool net_lookup(const char *host, unsigned port, enum family family,
		int64_t deadline, struct net_addresses *out,
		struct outcome *why)
{
	static const char *const loopback[] = { "127.0.0.1", "::1" };
	struct net_address numeric;
	int error = 0;
	size_t i;

	*out = (struct net_addresses){ 0 };
	if (net_address_parse(host, port, &numeric)) {
		if (!net_address_is_of(&numeric, family))
			return outcome_fail(why, STAGE_CONNECT, EX_TEMPFAIL,
					    "%s is not an %s, and the address "
					    "family allows no other", host,
					    family_words(family));
		net_addresses_add(out, &numeric);
		return true;
	}
	/* RFC 6761 6.3: not for any resolver to say */
	if (net_is_localhost(host)) {
		take_hosts_file(host, port, family, out);
		for (i = out->n ? 2 : 0; i < 2; i++)
			if (net_address_parse(loopback[i], port, &numeric) &&
			    net_address_is_of(&numeric, family))
				net_addresses_add(out, &numeric);
		return out->n || lookup_failed(host, EAI_NODATA, family, why);
	}
	if (inquire_of_all(host, family, port, deadline, out, &error, why))
		return !error || lookup_failed(host, error, family, why);
	net_addresses_release(out);
	return false;
}

static int full_name_here(void *context)
{
	const struct addrinfo hints = { .ai_flags = AI_CANONNAME,
					.ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	int status = EX_NOHOST;
	size_t n;

	if (getaddrinfo(context, NULL, &hints, &found))
		return EX_NOHOST;
	if (found->ai_canonname) {
		n = strlen(found->ai_canonname);
		status = write(STDOUT_FILENO, found->ai_canonname, n) ==
			 (ssize_t)n ? EX_OK : EX_IOERR;
	}
	freeaddrinfo(found);
	return status;
}

/* Whether the first source of the line "hosts:" is files, as where there is no
 * such line. */
static bool asks_hosts_first(const char *nsswitch)
{
	struct scan rest = scan_text(nsswitch), line, words, word;

	while (scan_line(&rest, &line)) {
		if (!scan_until(&line, '#', &words))
			continue;
		scan_skip_blanks(&words);
		if (scan_skip(&words, "hosts:"))
			return scan_word(&words, " \t", &word) &&
			       scan_is(&word, "files");
	}
	return true;
}

char *net_hosts_name(const char *nsswitch, const char *hosts,
		     const char *name)
{
	struct scan rest = scan_text(hosts), line, words, first, word;

	if (!asks_hosts_first(nsswitch))
		return NULL;
	while (scan_line(&rest, &line)) {
		if (!scan_until(&line, '#', &words) ||
		    !scan_word(&words, " \t\r", &word) ||
		    !scan_word(&words, " \t\r", &first))
			continue;
		word = first;
		do
			if (scan_is_nocase(&word, name))
				return scan_copy(&first);
		while (scan_word(&words, " \t\r", &word));
	}
	return NULL;
}

static char *name_of_files(const char *name)
{
	struct buf hosts = BUF(256 * 1024), nsswitch = BUF(64 * 1024);
	struct outcome ignored;
	char *full = NULL;

	if (file_read("/etc/nsswitch.conf", FILE_OPTIONAL, &nsswitch, NULL,
		      &ignored) &&
	    file_read("/etc/hosts", FILE_OPTIONAL, &hosts, NULL, &ignored))
		full = net_hosts_name(buf_text(&nsswitch), buf_text(&hosts),
				      name);
	buf_release(&nsswitch);
	buf_release(&hosts);
	return full;
}

char *net_canonical_name(const char *name)
{
	struct buf unheard = BUF(0), said = BUF(1024);
	const struct child c = {
		.call = full_name_here, .context = (void *)name,
		.output = &said, .words = &unheard,
		.deadline = clock_in(CANONICAL_TIME), .may_gain_rights = true,
	};
	struct outcome ignored;
	char *full = name_of_files(name);
	int status;

	if (full)
		return full;
	if (child_run(&c, &status, &ignored) && !status && said.len &&
	    !memchr(said.data, '\0', said.len))
		full = mem_string(buf_text(&said));
	buf_release(&said);
	buf_release(&unheard);
	return full;
}
