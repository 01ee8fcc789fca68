/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * posthaste-token: gets OAuth 2.0 tokens for a transport and keeps them.
 *
 *   posthaste-token begin|poll|exchange|refresh|service
 *
 * begin finds the issuer and what a person has to do there; poll waits for
 * him to have done it (RFC 8628), exchange takes the code that he got (RFC
 * 6749 4.1, RFC 7636); refresh renews a login, service has no person (RFC
 * 6749 4.4). The last four write the login's file under its lock; whoever
 * finds there that another process has just done so is content.
 *
 * What it needs comes on standard input, what it found goes to standard
 * output, as lines "name value": nothing of it is to be seen in a list of
 * processes. Exit status:
 *   0   done
 *   64  wrong use
 *   65  an issuer that is not to be believed
 *   70  a library failed
 *   73  the file cannot be written
 *   75  not now: no answer, or "later"
 *   77  refused for good
 *   78  there is no client, and none is registered
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/pairs.h"
#include "helper/token_parts.h"

enum { REQUEST_MAX = 512 * 1024, TIME_MAX = 3600 * 1000 };

static const struct {
	const char *name;
	int (*run)(struct helper *h);
} verbs[] = {
	{ "begin", token_begin },
	{ "poll", token_poll },
	{ "exchange", token_exchange },
	{ "refresh", token_refresh },
	{ "service", token_service },
};

static int run_verb(struct helper *h, const char *name)
{
	char *resolvers = helper_get(h, "resolver"), *names;
	char *ca_file = helper_get(h, "trust");
	char *proxy = helper_get(h, "proxy");
	char *username = helper_get(h, "proxy_user");
	char *password = helper_secret(h, "proxy_secret");
	int status = EX_USAGE;
	size_t i;

	names = helper_get(h, "proxy_names");
	h->time = pairs_number(h->request, "time");
	if (!h->time || h->time > TIME_MAX)
		h->time = TIME_MAX;
	h->http = (struct http){
		.ca_file = ca_file, .deadline = clock_in(h->time),
		.proxy = { .host = proxy, .username = username,
			   .password = password, .names = names != NULL,
			   .port = pairs_number(h->request, "proxy_port") },
	};
	if (resolvers)
		list_split(&h->http.resolver, resolvers, " ");
	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(verbs[i].name, name))
			status = verbs[i].run(h);
	http_release(&h->http);
	free(resolvers);
	free(ca_file);
	free(proxy);
	free(names);
	free(username);
	mem_wipe_string(password);
	return status;
}

static int answer(struct helper *h, int status)
{
	if (status)
		buf_reset(&h->answer);
	if (status && *h->words)
		pairs_add(&h->answer, "words", h->words);
	return fwrite(buf_text(&h->answer), 1, h->answer.len, stdout) ==
	       h->answer.len && !fflush(stdout) ? status : EX_IOERR;
}

int main(int argc, char **argv)
{
	const struct rlimit none = { 0, 0 };
	struct buf request = BUF_SECRET(REQUEST_MAX);
	struct helper h = { .answer = BUF_SECRET(REQUEST_MAX) };
	int status = EX_USAGE;

	/* proxies, CA files, keys: libcurl and what is below it would take
	 * them from there */
	clearenv();
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	file_reserve_standard();
	if (argc == 2 && buf_read(&request, STDIN_FILENO) &&
	    !memchr(buf_text(&request), '\0', request.len)) {
		h.request = buf_text(&request);
		if (curl_global_init(CURL_GLOBAL_DEFAULT))
			status = EX_SOFTWARE;
		else
			status = run_verb(&h, argv[1]);
		curl_global_cleanup();
	}
	if (status == EX_USAGE)
		fputs("usage: posthaste-token begin|poll|exchange|refresh|"
		      "service < REQUEST\n", stderr);
	status = answer(&h, status);
	mask_release(&h.secrets);
	buf_release(&h.answer);
	buf_release(&request);
	return status;
}
