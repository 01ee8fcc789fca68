/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "helper/token_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/outcome.h"
#include "helper/certificate.h"
#include "wire/dns.h"
#include "wire/lookup.h"

enum { REQUEST_MS = 20 * 1000, CONNECT_MS = 10 * 1000, URL_MAX = 2048,
       RESOLVE_MAX = 8 };

#if LIBCURL_VERSION_NUM >= 0x075500
#define HTTPS_ALONE(c) curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https")
#else
#define HTTPS_ALONE(c) \
	curl_easy_setopt(c, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS)
#endif

/* --- addresses of the Web --- */

struct place {
	char *host;       /* as it stands in the URL; curl_free */
	unsigned port;
};

static bool part_is_absent(CURLU *u, CURLUPart part)
{
	char *value = NULL;
	bool absent = curl_url_get(u, part, &value, 0) != CURLUE_OK;

	curl_free(value);
	return absent;
}

static bool http_place(const char *url, struct place *p)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *port = NULL;
	bool good;

	*p = (struct place){ 0 };
	good = u && strlen(url) < URL_MAX &&
	       !curl_url_set(u, CURLUPART_URL, url, 0) &&
	       !curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
	       !strcmp(scheme, "https") &&
	       !curl_url_get(u, CURLUPART_HOST, &p->host, 0) && *p->host &&
	       !curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) &&
	       part_is_absent(u, CURLUPART_USER) &&
	       part_is_absent(u, CURLUPART_PASSWORD) &&
	       part_is_absent(u, CURLUPART_FRAGMENT);
	if (good)
		p->port = (unsigned)strtoul(port, NULL, 10);
	curl_free(scheme);
	curl_free(port);
	curl_url_cleanup(u);
	if (!good) {
		curl_free(p->host);
		p->host = NULL;
	}
	return good;
}

bool http_is_url(const char *url)
{
	struct place p;
	const char *c;
	bool good;

	for (c = url; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '"' || *c == '<' ||
		    *c == '>' || *c == '\\')
			return false;
	good = http_place(url, &p);
	curl_free(p.host);
	return good;
}

/* --- who is asked for addresses --- */

static struct curl_slist *longer(struct http *h, struct curl_slist *list,
				 const char *line)
{
	struct curl_slist *more = curl_slist_append(list, line);

	h->lacking |= !more;
	return more ? more : list;
}

/* "HOST:PORT:ADDRESS,ADDRESS" of what the configured resolvers know; what they
 * do not, and a name without a dot, is for the system to find. */
static struct curl_slist *resolve(struct http *h, const struct place *p)
{
	const int64_t left = clock_left(h->deadline);
	const struct dns_settings settings = {
		.resolver = &h->resolver,
		.timeout = clock_earlier(left ? left : 1, CONNECT_MS),
	};
	struct net_addresses found = { 0 };
	struct net_address numeric;
	struct curl_slist *list = NULL;
	struct buf line = BUF(4096);
	struct dns *dns;
	char text[128];
	size_t i;

	if (!h->resolver.n || h->proxy.names || !strchr(p->host, '.') ||
	    net_is_localhost(p->host) ||
	    net_address_parse(p->host, 0, &numeric))
		return NULL;
	dns = dns_open(&settings);
	(void)dns_addresses(dns, p->host, 0, FAMILY_ANY, &found, text);
	dns_close(dns);
	buf_addf(&line, "%s:%u:", p->host, p->port);
	for (i = 0; i < found.n && i < RESOLVE_MAX; i++) {
		net_address_text(&found.item[i], text);
		buf_addf(&line, strchr(text, ':') ? "%s[%s]" : "%s%s",
			 i ? "," : "", text);
	}
	if (found.n)
		list = longer(h, NULL, buf_text(&line));
	net_addresses_release(&found);
	buf_release(&line);
	return list;
}

/* --- what comes --- */

static size_t take_data(char *data, size_t size, size_t n, void *context)
{
	struct http *h = context;

	n *= size;
	if (buf_add(&h->body, data, n))
		return n;
	h->too_much = true;
	return 0;
}

static size_t take_header(char *data, size_t size, size_t n, void *context)
{
	struct http *h = context;

	(void)data;
	n *= size;
	h->header += n;
	if (h->header <= HTTP_HEADER_MAX)
		return n;
	h->too_much = true;
	return 0;
}

/* --- what goes --- */

/* The way to whom it is for took its time; without the body he can do nothing
 * yet. */
static size_t give_body(char *to, size_t size, size_t n, void *context)
{
	struct http *h = context;
	size_t left = h->post->len - h->given;

	if (!h->given && clock_left(h->deadline) < h->least) {
		h->too_late = true;
		return CURL_READFUNC_ABORT;
	}
	n *= size;
	n = n < left ? n : left;
	memcpy(to, buf_text(h->post) + h->given, n);
	h->given += n;
	return n;
}

/* --- a request --- */

/* What memory was lacking for would be passed by: a proxy, a CA file. */
#define SET(h, option, value) \
	((h)->lacking |= curl_easy_setopt((h)->curl, option, value) == \
			 CURLE_OUT_OF_MEMORY)

static void choose_way(struct http *h)
{
	char url[320];
	bool v6 = h->proxy.host && strchr(h->proxy.host, ':');

	if (!h->proxy.host) {
		SET(h, CURLOPT_PROXY, "");
		return;
	}
	snprintf(url, sizeof(url), "socks5%s://%s%.255s%s:%d",
		 h->proxy.names ? "h" : "", v6 ? "[" : "", h->proxy.host,
		 v6 ? "]" : "", (int)h->proxy.port);
	SET(h, CURLOPT_PROXY, url);
	SET(h, CURLOPT_NOPROXY, "");
	if (!h->proxy.username)
		return;
	SET(h, CURLOPT_PROXYUSERNAME, h->proxy.username);
	SET(h, CURLOPT_PROXYPASSWORD, h->proxy.password ?
	    h->proxy.password : "");
}

static void http_prepare(struct http *h, const char *url)
{
	curl_easy_reset(h->curl);
	SET(h, CURLOPT_URL, url);
	SET(h, CURLOPT_FOLLOWLOCATION, 0L);
	SET(h, CURLOPT_NOSIGNAL, 1L);
	SET(h, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(h, CURLOPT_SSL_VERIFYHOST, 2L);
	SET(h, CURLOPT_CERTINFO, 1L);
	/* one that is used again shows no certificate */
	SET(h, CURLOPT_FORBID_REUSE, 1L);
	SET(h, CURLOPT_FRESH_CONNECT, 1L);
	SET(h, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	SET(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(h, CURLOPT_USERAGENT, "posthaste");
	SET(h, CURLOPT_WRITEFUNCTION, take_data);
	SET(h, CURLOPT_WRITEDATA, h);
	SET(h, CURLOPT_HEADERFUNCTION, take_header);
	SET(h, CURLOPT_HEADERDATA, h);
	SET(h, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	if (h->ca_file) {
		SET(h, CURLOPT_CAINFO, h->ca_file);
		SET(h, CURLOPT_CAPATH, NULL);
	}
	choose_way(h);
}

static const char *meaning(const struct http *h, CURLcode rc)
{
	if (h->too_much)
		return "says more than any answer needs";
	if (h->too_late)
		return "too little time is left for its answer";
	switch (rc) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		return "its certificate is not valid";
	case CURLE_SSL_CACERT_BADFILE:
		return "the CA certificates cannot be read";
	case CURLE_COULDNT_RESOLVE_HOST:
		return "its address cannot be found";
	case CURLE_OPERATION_TIMEDOUT:
		return "does not answer in time";
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_PROXY:
		return "cannot be reached";
	case CURLE_SSL_CONNECT_ERROR:
		return "TLS fails";
	default:
		return curl_easy_strerror(rc);
	}
}

static bool perform(struct http *h, const struct place *p,
		    struct curl_slist *headers)
{
	struct curl_slist *addresses = resolve(h, p);
	int64_t left = clock_left(h->deadline);
	struct net_address numeric;
	CURLcode rc;

	if (!h->least)
		left = clock_earlier(left, REQUEST_MS);
	SET(h, CURLOPT_TIMEOUT_MS, (long)(left ? left : 1));
	SET(h, CURLOPT_RESOLVE, addresses);
	SET(h, CURLOPT_HTTPHEADER, headers);
	rc = h->lacking ? CURLE_OUT_OF_MEMORY : curl_easy_perform(h->curl);
	curl_slist_free_all(addresses);
	curl_easy_setopt(h->curl, CURLOPT_RESOLVE, NULL);
	if (rc) {
		snprintf(h->words, sizeof(h->words), "%.100s: %s", p->host,
			 meaning(h, rc));
		return false;
	}
	if (!net_address_parse(p->host, 0, &numeric) &&
	    !certificate_names_hosts(h->curl)) {
		buf_reset(&h->body);
		snprintf(h->words, sizeof(h->words), "%.100s: its certificate "
			 "names no host", p->host);
		return false;
	}
	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &h->status);
	if (h->status < 300 || h->status > 399)
		return true;
	snprintf(h->words, sizeof(h->words), "%.100s: leads elsewhere (%ld), "
		 "which is not followed", p->host, h->status);
	return false;
}

static bool http_begin(struct http *h, const char *url, struct place *p)
{
	h->status = 0;
	h->header = h->given = 0;
	h->too_much = h->too_late = h->lacking = false;
	h->body.max = HTTP_BODY_MAX;
	h->body.secret = true;
	buf_reset(&h->body);
	if (!h->curl)
		h->curl = curl_easy_init();
	if (!h->curl || !http_place(url, p)) {
		snprintf(h->words, sizeof(h->words), "not an https address");
		return false;
	}
	http_prepare(h, url);
	if (!HTTPS_ALONE(h->curl))
		return true;
	curl_free(p->host);
	snprintf(h->words, sizeof(h->words), "libcurl has no https");
	return false;
}

bool http_get(struct http *h, const char *url)
{
	struct curl_slist *headers;
	struct place p;
	bool done;

	if (!http_begin(h, url, &p))
		return false;
	headers = longer(h, NULL, "Accept: application/json");
	done = perform(h, &p, headers);
	curl_slist_free_all(headers);
	curl_free(p.host);
	return done;
}

bool http_post(struct http *h, const char *url, const char *type,
	       const struct buf *body, const char *credentials)
{
	struct curl_slist *headers;
	struct place p;
	char line[96];
	bool done;

	if (!http_begin(h, url, &p))
		return false;
	snprintf(line, sizeof(line), "Content-Type: %s", type);
	headers = longer(h, NULL, "Accept: application/json");
	headers = longer(h, headers, line);
	headers = longer(h, headers, "Expect:");
	h->post = body;
	SET(h, CURLOPT_POST, 1L);
	SET(h, CURLOPT_POSTFIELDSIZE, (long)body->len);
	SET(h, CURLOPT_READFUNCTION, give_body);
	SET(h, CURLOPT_READDATA, h);
	if (credentials) {
		SET(h, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		SET(h, CURLOPT_USERPWD, credentials);
	}
	done = perform(h, &p, headers);
	curl_slist_free_all(headers);
	curl_free(p.host);
	return done;
}

void http_release(struct http *h)
{
	if (h->curl)
		curl_easy_cleanup(h->curl);
	buf_release(&h->body);
	list_release(&h->resolver);
	h->curl = NULL;
}
