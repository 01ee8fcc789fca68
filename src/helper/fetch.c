/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * posthaste-fetch: gets an MTA-STS policy (RFC 8461 section 3.3) by HTTPS.
 *
 *   posthaste-fetch [-c CAFILE] [-p PORT] [-t MILLISECONDS] HOST ADDRESS...
 *
 * It asks no resolver, follows no redirect, uses no proxy of the
 * environment and prints the policy only once it is whole. Exit status:
 *   0   the policy was printed
 *   64  wrong use
 *   65  an answer that is no policy: status, type or size
 *   70  the library failed
 *   75  no connection, or no answer in time
 *   77  the certificate is not valid for HOST
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#include <curl/curl.h>

enum { BODY_MAX = 64 * 1024, TIME_MAX = 60 * 1000 };

#if LIBCURL_VERSION_NUM >= 0x075500
#define ALLOW_HTTPS_ALONE(c) \
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https")
#else
#define ALLOW_HTTPS_ALONE(c) \
	curl_easy_setopt(c, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS)
#endif

struct request {
	const char *ca_file;
	long port, time;
	const char *host;
	char **address;
	int addresses;
};

struct body {
	size_t n;
	bool full;
	char data[BODY_MAX];
};

static bool read_number(const char *text, long most, long *value)
{
	char *end;

	*value = strtol(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && *value > 0 &&
	       *value <= most;
}

static bool read_arguments(int argc, char **argv, struct request *r)
{
	bool ok = true;
	int c;

	while ((c = getopt(argc, argv, "+c:p:t:")) != -1) {
		if (c == 'c')
			r->ca_file = optarg;
		else if (c == 'p')
			ok = ok && read_number(optarg, 65535, &r->port);
		else if (c == 't')
			ok = ok && read_number(optarg, TIME_MAX, &r->time);
		else
			ok = false;
	}
	if (!ok || argc - optind < 2)
		return false;
	r->host = argv[optind];
	r->address = argv + optind + 1;
	r->addresses = argc - optind - 1;
	/* it becomes part of a URL */
	return strspn(r->host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") ==
	       strlen(r->host);
}

static size_t take_body(char *data, size_t size, size_t n, void *context)
{
	struct body *b = context;

	n *= size;
	if (n > sizeof(b->data) - b->n) {
		b->full = true;
		return 0;
	}
	memcpy(b->data + b->n, data, n);
	b->n += n;
	return n;
}

/* "HOST:PORT:ADDRESS,ADDRESS": the library asks nobody else then. */
static struct curl_slist *make_resolve(const struct request *r)
{
	char line[2048];
	size_t used;
	int i;

	used = (size_t)snprintf(line, sizeof(line), "%.255s:%ld:", r->host,
				r->port);
	for (i = 0; i < r->addresses && used < sizeof(line) - 80; i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used,
					 strchr(r->address[i], ':') ?
					 "%s[%.64s]" : "%s%.64s",
					 i ? "," : "", r->address[i]);
	return curl_slist_append(NULL, line);
}

static bool is_plain_text(CURL *c)
{
	static const char wanted[] = "text/plain";
	const size_t n = sizeof(wanted) - 1;
	char *type = NULL;

	if (curl_easy_getinfo(c, CURLINFO_CONTENT_TYPE, &type) || !type)
		return false;
	return !strncasecmp(type, wanted, n) &&
	       (!type[n] || type[n] == ';' || type[n] == ' ');
}

static int conclude(CURL *c, CURLcode rc, const struct body *b)
{
	long status = 0;

	if (rc == CURLE_PEER_FAILED_VERIFICATION ||
	    rc == CURLE_SSL_CACERT_BADFILE || rc == CURLE_SSL_ISSUER_ERROR)
		return EX_NOPERM;
	if (rc && !b->full)
		return EX_TEMPFAIL;
	if (curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status) ||
	    status != 200 || b->full || !is_plain_text(c))
		return EX_DATAERR;
	if (fwrite(b->data, 1, b->n, stdout) != b->n || fflush(stdout))
		return EX_IOERR;
	return EX_OK;
}

static void set_up(CURL *c, const struct request *r, const char *url,
		   struct curl_slist *resolve, struct body *b)
{
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_RESOLVE, resolve);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, r->time);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "posthaste");
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, b);
	if (r->ca_file) {
		curl_easy_setopt(c, CURLOPT_CAINFO, r->ca_file);
		curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	}
}

static int fetch(const struct request *r)
{
	static struct body body;
	struct curl_slist *resolve = make_resolve(r);
	CURL *c = curl_easy_init();
	int status = EX_SOFTWARE;
	char url[512];

	snprintf(url, sizeof(url),
		 "https://%.255s:%ld/.well-known/mta-sts.txt", r->host,
		 r->port);
	if (c && resolve && !ALLOW_HTTPS_ALONE(c)) {
		set_up(c, r, url, resolve, &body);
		status = conclude(c, curl_easy_perform(c), &body);
	}
	curl_easy_cleanup(c);
	curl_slist_free_all(resolve);
	return status;
}

int main(int argc, char **argv)
{
	struct request r = { .port = 443, .time = TIME_MAX };
	int status;

	opterr = 0;
	if (!read_arguments(argc, argv, &r)) {
		fputs("usage: posthaste-fetch [-c CAFILE] [-p PORT] "
		      "[-t MILLISECONDS] HOST ADDRESS...\n", stderr);
		return EX_USAGE;
	}
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return EX_SOFTWARE;
	status = fetch(&r);
	curl_global_cleanup();
	return status;
}
