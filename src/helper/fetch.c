/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * posthaste-fetch: gets an MTA-STS policy (RFC 8461 section 3.3) by HTTPS, or
 * with -d another document of a host's: pacc, autoconfig or well-known.
 *
 *   posthaste-fetch [-d DOCUMENT] [-c CAFILE] [-p PORT] [-t MILLISECONDS]
 *       [-x PROXY [-q PORT] [-a ADDRESS]... [-n] [-u]] HOST ADDRESS...
 *
 * It asks no resolver, follows no redirect, uses no proxy of the
 * environment and prints the policy only once it is whole. With -x all goes
 * through that SOCKS5 proxy (RFC 1928), which is reached at the ADDRESSes of
 * -a; with -n it looks up HOST, and there are no further arguments; with -u
 * user name and password for it are two lines of standard input. Exit
 * status:
 *   0   the policy was printed
 *   64  wrong use
 *   65  an answer that is not a policy: status, type or size
 *   66  the CA certificates cannot be read
 *   70  the library failed
 *   71  there is not enough memory
 *   75  no connection, or no answer in time
 *   77  the certificate is not valid for HOST
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "helper/certificate.h"

enum { BODY_MAX = 64 * 1024, TIME_MAX = 60 * 1000, ADDRESSES_MAX = 16,
       CREDENTIAL_MAX = 258 };

#if LIBCURL_VERSION_NUM >= 0x075500
#define ALLOW_HTTPS_ALONE(c) \
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https")
#else
#define ALLOW_HTTPS_ALONE(c) \
	curl_easy_setopt(c, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS)
#endif

/* What it gets, and the types that it may have. */
struct document {
	const char *name, *path, *type[2];
};

static const struct document documents[] = {
	{ "sts", "/.well-known/mta-sts.txt", { "text/plain" } },
	{ "pacc", "/.well-known/user-agent-configuration.json",
	  { "application/json" } },
	{ "autoconfig", "/mail/config-v1.1.xml",
	  { "text/xml", "application/xml" } },
	{ "well-known", "/.well-known/autoconfig/mail/config-v1.1.xml",
	  { "text/xml", "application/xml" } },
};

struct request {
	const struct document *document; /* NULL: there is no such */
	const char *ca_file;
	long port, time;
	const char *host;
	char **address;
	int addresses;
	struct {
		const char *host;       /* NULL: none */
		long port;
		char *address[ADDRESSES_MAX];
		int addresses;
		bool names, authenticates;
		char username[CREDENTIAL_MAX];
		char password[CREDENTIAL_MAX];
	} proxy;
	bool lacking;           /* memory, for what is asked for */
};

struct body {
	size_t n;
	bool full;
	char data[BODY_MAX];
};

static bool option_number(const char *text, long most, long *value)
{
	char *end;

	*value = strtol(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && *value > 0 &&
	       *value <= most;
}

/* What becomes part of a URL. */
static bool is_host(const char *text, const char *others)
{
	static const char usual[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";

	for (; *text; text++)
		if (!strchr(usual, *text) && !strchr(others, *text))
			return false;
	return true;
}

static const struct document *document_named(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(documents) / sizeof(*documents); i++)
		if (!strcmp(documents[i].name, name))
			return &documents[i];
	return NULL;
}

static bool read_arguments(int argc, char **argv, struct request *r)
{
	bool ok = true;
	int c;

	while ((c = getopt(argc, argv, "+d:c:p:t:x:q:a:nu")) != -1)
		switch (c) {
		case 'd':
			r->document = document_named(optarg);
			break;
		case 'c':
			r->ca_file = optarg;
			break;
		case 'p':
			ok = ok && option_number(optarg, 65535, &r->port);
			break;
		case 't':
			ok = ok && option_number(optarg, TIME_MAX, &r->time);
			break;
		case 'x':
			r->proxy.host = optarg;
			break;
		case 'q':
			ok = ok && option_number(optarg, 65535,
						 &r->proxy.port);
			break;
		case 'a':
			ok = ok && r->proxy.addresses < ADDRESSES_MAX;
			if (ok)
				r->proxy.address[r->proxy.addresses++] =
					optarg;
			break;
		case 'n':
			r->proxy.names = true;
			break;
		case 'u':
			r->proxy.authenticates = true;
			break;
		default:
			ok = false;
		}
	if (!ok || !r->document || argc - optind < 1)
		return false;
	r->host = argv[optind];
	r->address = argv + optind + 1;
	r->addresses = argc - optind - 1;
	if (r->proxy.names ? r->addresses > 0 || !r->proxy.host :
	    r->addresses == 0)
		return false;
	return is_host(r->host, "") &&
	       (!r->proxy.host ||
		is_host(r->proxy.host, ":ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
}

/* Without one the library would go on, and blame the host's certificate. */
static bool has_certificate(const char *path)
{
	FILE *f = fopen(path, "re");
	bool found = false;
	char line[256];

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, "-----BEGIN ", 11) &&
			strstr(line, "CERTIFICATE-----");
	if (f)
		fclose(f);
	return found;
}

static bool read_credential(char line[CREDENTIAL_MAX])
{
	if (!fgets(line, CREDENTIAL_MAX, stdin))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return true;
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
static struct curl_slist *add_resolve(struct request *r,
				      struct curl_slist *list,
				      const char *host, long port,
				      char *const *address, int addresses)
{
	struct curl_slist *longer;
	char line[2048];
	size_t used;
	int i;

	used = (size_t)snprintf(line, sizeof(line), "%.255s:%ld:", host,
				port);
	for (i = 0; i < addresses && used < sizeof(line) - 80; i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used,
					 strchr(address[i], ':') ?
					 "%s[%.64s]" : "%s%.64s",
					 i ? "," : "", address[i]);
	longer = curl_slist_append(list, line);
	r->lacking |= !longer;
	return longer ? longer : list;
}

static bool has_type(CURL *c, const struct document *d)
{
	char *type = NULL;
	size_t i, n;

	if (curl_easy_getinfo(c, CURLINFO_CONTENT_TYPE, &type) || !type)
		return false;
	for (i = 0; i < 2 && d->type[i]; i++) {
		n = strlen(d->type[i]);
		if (!strncasecmp(type, d->type[i], n) &&
		    (!type[n] || type[n] == ';' || type[n] == ' '))
			return true;
	}
	return false;
}

static int fetch_status(CURL *c, CURLcode rc, const struct document *d,
			const struct body *b)
{
	long status = 0;

	if (rc == CURLE_OUT_OF_MEMORY)
		return EX_OSERR;
	/* a fault of ours is no word of the host's */
	if (rc == CURLE_SSL_CACERT_BADFILE)
		return EX_NOINPUT;
	if (rc == CURLE_SETOPT_OPTION_SYNTAX)
		return EX_SOFTWARE;
	if (rc == CURLE_PEER_FAILED_VERIFICATION ||
	    rc == CURLE_SSL_ISSUER_ERROR)
		return EX_NOPERM;
	if (rc && !b->full)
		return EX_TEMPFAIL;
	if (!certificate_names_hosts(c))
		return EX_NOPERM;
	if (curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status) ||
	    status != 200 || b->full || !has_type(c, d))
		return EX_DATAERR;
	if (fwrite(b->data, 1, b->n, stdout) != b->n || fflush(stdout))
		return EX_IOERR;
	return EX_OK;
}

/* What memory was lacking for would be passed by: a proxy, a CA file, an
 * address. */
#define SET(r, c, option, value) \
	((r)->lacking |= curl_easy_setopt(c, option, value) == \
			 CURLE_OUT_OF_MEMORY)

/* Without CURLOPT_NOPROXY the environment could lead past the proxy. */
static void set_up(CURL *c, struct request *r, struct body *b)
{
	const bool v6 = r->proxy.host && strchr(r->proxy.host, ':');
	char url[512];

	snprintf(url, sizeof(url),
		 "https://%.255s:%ld%s", r->host, r->port,
		 r->document->path);
	SET(r, c, CURLOPT_URL, url);
	SET(r, c, CURLOPT_FOLLOWLOCATION, 0L);
	SET(r, c, CURLOPT_NOSIGNAL, 1L);
	SET(r, c, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(r, c, CURLOPT_SSL_VERIFYHOST, 2L);
	SET(r, c, CURLOPT_CERTINFO, 1L);
	SET(r, c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(r, c, CURLOPT_USERAGENT, "posthaste");
	SET(r, c, CURLOPT_WRITEFUNCTION, take_body);
	SET(r, c, CURLOPT_WRITEDATA, b);
	if (r->ca_file) {
		SET(r, c, CURLOPT_CAINFO, r->ca_file);
		SET(r, c, CURLOPT_CAPATH, NULL);
	}
	if (!r->proxy.host) {
		SET(r, c, CURLOPT_PROXY, "");
		return;
	}
	snprintf(url, sizeof(url), "socks5%s://%s%.255s%s:%ld",
		 r->proxy.names ? "h" : "", v6 ? "[" : "", r->proxy.host,
		 v6 ? "]" : "", r->proxy.port);
	SET(r, c, CURLOPT_PROXY, url);
	SET(r, c, CURLOPT_NOPROXY, "");
	SET(r, c, CURLOPT_SOCKS5_AUTH, r->proxy.authenticates ?
			 CURLAUTH_BASIC : CURLAUTH_NONE);
	if (r->proxy.authenticates) {
		SET(r, c, CURLOPT_PROXYUSERNAME, r->proxy.username);
		SET(r, c, CURLOPT_PROXYPASSWORD, r->proxy.password);
	}
}

static long milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long)(t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

/* One transfer to some of the host's addresses. */
static CURLcode fetch_once(CURL *c, struct request *r, long time,
			   char *const *address, int addresses, struct body *b)
{
	struct curl_slist *resolve = NULL;
	CURLcode rc;

	b->n = 0;
	if (addresses)
		resolve = add_resolve(r, resolve, r->host, r->port, address,
				      addresses);
	/* an address needs none, and the library takes no such entry */
	if (r->proxy.addresses && !strchr(r->proxy.host, ':'))
		resolve = add_resolve(r, resolve, r->proxy.host,
				      r->proxy.port, r->proxy.address,
				      r->proxy.addresses);
	SET(r, c, CURLOPT_RESOLVE, resolve);
	SET(r, c, CURLOPT_TIMEOUT_MS, time);
	rc = r->lacking ? CURLE_OUT_OF_MEMORY : curl_easy_perform(c);
	curl_slist_free_all(resolve);
	return rc;
}

/* Through a proxy the library would try one address alone. */
static CURLcode perform_each(CURL *c, struct request *r, struct body *b)
{
	const long end = milliseconds() + r->time;
	CURLcode rc = CURLE_COULDNT_CONNECT;
	long left;
	int i;

	for (i = 0; i < r->addresses; i++) {
		left = end - milliseconds();
		if (left <= 0)
			break;
		rc = fetch_once(c, r, left / (r->addresses - i),
				&r->address[i], 1, b);
		if (rc != CURLE_COULDNT_CONNECT && rc != CURLE_PROXY &&
		    rc != CURLE_OPERATION_TIMEDOUT)
			break;
	}
	return rc;
}

int main(int argc, char **argv)
{
	static struct body body;
	struct request r = { .document = documents, .port = 443,
			     .time = TIME_MAX, .proxy.port = 1080 };
	int status = EX_SOFTWARE;
	CURLcode rc;
	CURL *c;

	/* proxies, CA files, keys: libcurl and what is below it would take
	 * them from there */
	clearenv();
	opterr = 0;
	if (!read_arguments(argc, argv, &r)) {
		fputs("usage: posthaste-fetch [-c CAFILE] [-p PORT] "
		      "[-t MILLISECONDS]\n\t[-x PROXY [-q PORT] "
		      "[-a ADDRESS]... [-n] [-u]] HOST ADDRESS...\n",
		      stderr);
		return EX_USAGE;
	}
	/* a user name without a password is what separates streams in Tor */
	if (r.proxy.authenticates &&
	    (!read_credential(r.proxy.username) || !r.proxy.username[0] ||
	     !read_credential(r.proxy.password)))
		return EX_USAGE;
	if (r.ca_file && !has_certificate(r.ca_file))
		return EX_NOINPUT;
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return EX_SOFTWARE;
	c = curl_easy_init();
	if (!c)
		status = EX_OSERR;
	else if (!ALLOW_HTTPS_ALONE(c)) {
		set_up(c, &r, &body);
		rc = r.proxy.host && !r.proxy.names ?
		     perform_each(c, &r, &body) :
		     fetch_once(c, &r, r.time, r.address, r.addresses, &body);
		status = fetch_status(c, rc, r.document, &body);
	}
	curl_easy_cleanup(c);
	curl_global_cleanup();
	return status;
}
