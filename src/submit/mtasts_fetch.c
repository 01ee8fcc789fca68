/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The caller's side of posthaste-fetch: it gets addresses, a CA file, a proxy
 * and a deadline, and gives a policy's text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "submit/mtasts_fetch.h"
#include "wire/lookup.h"

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
	const char *document;      /* of posthaste-fetch; NULL: a policy */
	unsigned port;
	char *host;
	struct list address;       /* of the host */
	const struct endpoint *proxy; /* NULL: none */
	struct list proxy_address;
	bool proxy_names;          /* the proxy looks up the host */
	struct buf credentials;    /* for the helper's standard input */
	int64_t time;              /* ms */
};

static bool no_policy(struct outcome *why, const char *host, const char *what)
{
	return outcome_fail(why, STAGE_DNS, EX_UNAVAILABLE,
			    "no policy from %s: %s", host, what);
}

/* What goes by a proxy goes by it whole: a policy fetched directly would
 * tell its server who asks. */
static bool find_proxy(struct fetch *f, struct outcome *why)
{
	const struct transport *t = f->through;
	struct net_addresses found = { 0 };
	char text[64];
	size_t i;

	f->proxy = t ? transport_proxy(t) : NULL;
	if (!f->proxy)
		return true;
	f->proxy_names = transport_proxy_dns(t);
	if (t->proxy_username)
		buf_addf(&f->credentials, "%s\n%s\n", t->proxy_username,
			 t->proxy_password ? t->proxy_password : "");
	if (!net_lookup(f->proxy->host, f->proxy->port, FAMILY_ANY,
			clock_in(f->time), &found, why))
		return false;
	for (i = 0; i < found.n && i < POLICY_ADDRESSES; i++) {
		net_address_text(&found.item[i], text);
		list_add(&f->proxy_address, text);
	}
	net_addresses_release(&found);
	return true;
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

static void make_argv(const struct fetch *f, struct list *argv)
{
	const struct config *c = f->run->config;
	size_t i;

	if (f->document)
		add_option(argv, "-d", f->document);
	if (c->tls.ca_file)
		add_option(argv, "-c", c->tls.ca_file);
	list_add(argv, "-p");
	add_number(argv, f->port);
	list_add(argv, "-t");
	add_number(argv, f->time);
	if (f->proxy) {
		add_option(argv, "-x", f->proxy->host);
		list_add(argv, "-q");
		add_number(argv, f->proxy->port);
		for (i = 0; i < f->proxy_address.n; i++)
			add_option(argv, "-a", f->proxy_address.item[i]);
		if (f->proxy_names)
			list_add(argv, "-n");
		if (f->credentials.len)
			list_add(argv, "-u");
	}
	list_add(argv, f->host);
	for (i = 0; i < f->address.n; i++)
		list_add(argv, f->address.item[i]);
}

/* --- the helper --- */

/* Its standard error is for whoever runs it by hand. */
static bool run_fetch(const struct fetch *f, const struct list *arguments,
		       struct buf *text, struct outcome *why)
{
	const char *argv[ARGUMENTS_MAX] = { NULL };
	struct buf unheard = BUF(0);
	const struct child c = {
		.argv = argv, .output = text, .words = &unheard,
		.input = &f->credentials,
		.deadline = clock_in(f->time + GRACE),
		.may_gain_rights = true,
	};
	const char *ca_file = f->run->config->tls.ca_file;
	struct outcome ended;
	int status;
	size_t i;

	argv[0] = f->run->fetch_program ? f->run->fetch_program :
		  FETCH_PROGRAM;
	for (i = 0; i < arguments->n && i + 2 < ARGUMENTS_MAX; i++)
		argv[i + 1] = arguments->item[i];
	if (!child_run(&c, &status, &ended)) {
		/* what somebody here did to it (memory ran out, say) is no
		 * word of the host's; that it talks without end is */
		if (ended.exit == EX_OSERR || status)
			return outcome_fail(why, STAGE_DNS, EX_OSERR,
					    "whether %s has a policy cannot "
					    "be found out: posthaste-fetch "
					    "%s", f->host, ended.text);
		return no_policy(why, f->host, "the helper was ended");
	}
	switch (status) {
	case EX_OK:
		return true;
	case EX_NOINPUT:
		return outcome_fail(why, STAGE_DNS, EX_CONFIG, "whether %s has "
				    "a policy cannot be found out: the CA "
				    "certificates%s%s cannot be read (PEM)",
				    f->host, ca_file ? " in " : "",
				    ca_file ? ca_file : "");
	case EX_USAGE:
	case EX_SOFTWARE:
	case EX_OSERR:
	case EX_IOERR:
		return outcome_fail(why, STAGE_DNS, status == EX_OSERR ?
				    EX_OSERR : EX_SOFTWARE, "whether %s has a "
				    "policy cannot be found out: "
				    "posthaste-fetch failed (status %d)",
				    f->host, status);
	case EX_DATAERR:
		return no_policy(why, f->host, "it gives no policy");
	case EX_NOPERM:
		return no_policy(why, f->host, "its certificate is not valid");
	case EX_TEMPFAIL:
		return no_policy(why, f->host, "it does not answer");
	case 126:
	case 127:
		return no_policy(why, f->host,
				 "posthaste-fetch is not installed");
	}
	return no_policy(why, f->host, "posthaste-fetch failed");
}

static bool fetch_by_helper(struct fetch *f, struct buf *text,
			    struct outcome *why)
{
	const int64_t most = f->run->config->general.timeout;
	struct list argv = { 0 };
	bool ok = false;
	struct net_addresses found;
	char shown[64], words[128];
	size_t i;

	f->time = most > 0 && most < FETCH_TIME ? most : FETCH_TIME;
	if (!find_proxy(f, why))
		goto out;
	if (!f->proxy_names) {
		(void)dns_addresses(run_dns(f->run), f->host, 0, FAMILY_ANY,
				    &found, words);
		for (i = 0; i < found.n && f->address.n < POLICY_ADDRESSES;
		     i++) {
			if (net_address_is_local(&found.item[i]) &&
			    !f->run->config->dns.allow_loopback_mx)
				continue;
			net_address_text(&found.item[i], shown);
			list_add(&f->address, shown);
		}
		net_addresses_release(&found);
		if (!f->address.n) {
			no_policy(why, f->host, "it has no address");
			goto out;
		}
	}
	make_argv(f, &argv);
	ok = run_fetch(f, &argv, text, why);
out:
	list_release(&argv);
	list_release(&f->address);
	list_release(&f->proxy_address);
	buf_release(&f->credentials);
	free(f->host);
	return ok;
}

bool sts_fetch(struct run *run, const struct transport *through,
	       const char *domain, struct buf *text, struct outcome *why)
{
	struct fetch f = {
		.run = run, .through = through,
		.port = (unsigned)run->config->tls.mta_sts_port,
		.host = mem_printf("mta-sts.%s", domain),
		.credentials = BUF_SECRET(1024),
	};

	return fetch_by_helper(&f, text, why);
}

bool document_fetch(struct run *run, const char *document, const char *host,
		    struct buf *text)
{
	struct fetch f = {
		.run = run, .document = document, .port = 443,
		.host = mem_string(host), .credentials = BUF_SECRET(1),
	};
	struct outcome ignored;

	return fetch_by_helper(&f, text, &ignored);
}
