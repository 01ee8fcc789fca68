/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Issuers: where they are asked for what (RFC 8414, OpenID Connect Discovery),
 * and clients that register themselves (RFC 7591). */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "helper/token_parts.h"

#define MICROSOFT "https://login.microsoftonline.com/common/oauth2/v2.0/"
#define GOOGLE "https://accounts.google.com"

static const char device_grant[] =
	"urn:ietf:params:oauth:grant-type:device_code";

/* --- discovery --- */

/* RFC 8414 3.3; a slash at the end says nothing. */
static bool is_same_issuer(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	n -= n && a[n - 1] == '/';
	m -= m && b[m - 1] == '/';
	return n == m && !memcmp(a, b, n);
}

static char *endpoint(const json_t *root, const char *name)
{
	const char *url = json_text(root, name, false, 2000);

	return url && http_is_url(url) ? mem_string(url) : NULL;
}

static int take_metadata(struct helper *h, const char *name,
			 struct issuer *i)
{
	json_t *root = body_json(&h->http);
	const char *exact = json_text(root, "issuer", false, 2000);
	int status = EX_OK;

	if (!root)
		return helper_fail(h, EX_DATAERR, "%s: what it says of itself "
				   "is no JSON", name);
	if (!exact || !is_same_issuer(exact, name)) {
		status = helper_fail(h, EX_DATAERR, "%s: calls itself %.100s, "
				     "and is not believed", name,
				     exact ? exact : "nothing");
		json_decref(root);
		return status;
	}
	i->exact = mem_string(exact);
	i->authorization = endpoint(root, "authorization_endpoint");
	i->token = endpoint(root, "token_endpoint");
	if (json_lists(root, "grant_types_supported", device_grant, true))
		i->device = endpoint(root, "device_authorization_endpoint");
	i->registration = endpoint(root, "registration_endpoint");
	i->sends_iss = json_is_true(json_object_get(root,
		"authorization_response_iss_parameter_supported"));
	i->knows_offline = json_lists(root, "scopes_supported",
				      "offline_access", false);
	i->method = json_lists(root, "token_endpoint_auth_methods_supported",
			       "client_secret_basic", true) ? "basic" :
		    "post";
	json_decref(root);
	return i->token ? EX_OK :
	       helper_fail(h, EX_DATAERR, "%s: names no https address for "
			   "tokens", name);
}

/* The addresses that two standards give to what an issuer says of itself;
 * the way of the first (OpenID Connect) is the common one. */
static char *metadata_url(const char *name, int which)
{
	static const char openid[] = "/.well-known/openid-configuration",
		oauth[] = "/.well-known/oauth-authorization-server";
	const char *path = strchr(name + strlen("https://"), '/');
	size_t n = strlen(name), host = path ? (size_t)(path - name) : n;

	n -= name[n - 1] == '/';
	if (n < host)
		host = n;
	if (!which)
		return mem_printf("%.*s%s", (int)n, name, openid);
	return mem_printf("%.*s%s%.*s", (int)host, name,
			  which == 1 ? oauth : openid, (int)(n - host),
			  name + host);
}

int issuer_find(struct helper *h, struct issuer *out)
{
	char *name = helper_get(h, "issuer"), *url;
	int which, status = EX_USAGE;

	*out = (struct issuer){ 0 };
	if (name && !strcmp(name, "microsoft")) {
		/* its metadata names no issuer that could be held against
		 * ours: they are those of every tenant at once */
		*out = (struct issuer){
			.authorization = mem_string(MICROSOFT "authorize"),
			.token = mem_string(MICROSOFT "token"),
			.device = mem_string(MICROSOFT "devicecode"),
			.knows_offline = true,
			.method = "post",
		};
		free(name);
		return EX_OK;
	}
	if (name && !strcmp(name, "google")) {
		free(name);
		name = mem_string(GOOGLE);
	}
	if (name && strncmp(name, "https://", strlen("https://"))) {
		helper_fail(h, EX_USAGE, "%s: is not an issuer", name);
		free(name);
		return EX_USAGE;
	}
	for (which = 0; name && which < 3; which++) {
		url = metadata_url(name, which);
		if (!http_is_url(url) || !http_get(&h->http, url))
			status = helper_fail(h, EX_TEMPFAIL, "%s",
					     h->http.words);
		else if (h->http.status == 200)
			status = take_metadata(h, name, out);
		else
			status = helper_fail(h, h->http.status >= 500 ?
					     EX_TEMPFAIL : EX_DATAERR,
					     "%s: does not say where tokens "
					     "are had (%ld for %s)", name,
					     h->http.status, url);
		free(url);
		/* only one that has no such page is asked for another */
		if (!status || h->http.status < 400 || h->http.status > 499)
			break;
	}
	free(name);
	return status;
}

void issuer_release(struct issuer *i)
{
	free(i->exact);
	free(i->authorization);
	free(i->token);
	free(i->device);
	free(i->registration);
	*i = (struct issuer){ 0 };
}

/* --- registration --- */

static int issuer_client(struct helper *h, const struct issuer *i,
			 struct token *client)
{
	json_t *root = body_json(&h->http);
	const char *id = json_text(root, "client_id", true, 1000);
	const char *secret = json_text(root, "client_secret", true, 4000);
	const char *method = json_text(root, "token_endpoint_auth_method",
				       false, 100);
	char words[JSON_REFUSAL_SIZE];
	int status = EX_OK;

	json_refusal(root, words);
	mask_add_secret(&h->secrets, secret);
	if (h->http.status != 201 && h->http.status != 200) {
		status = helper_fail(h, h->http.status >= 500 ? EX_TEMPFAIL :
				     EX_CONFIG, "it registers no client by "
				     "itself (%ld%s%s): register one there "
				     "and configure it", h->http.status,
				     *words ? " " : "", words);
	} else if (!id) {
		status = helper_fail(h, EX_DATAERR, "its answer to a "
				     "registration names no client");
	} else {
		client->client_id = mem_string(id);
		client->client_secret = mem_string(secret);
		client->method = mem_string(!secret ? "none" :
			method && !strcmp(method, "client_secret_post") ?
			"post" : method ? "basic" : i->method);
	}
	if (root)
		json_decref(root);
	return status;
}

int issuer_register(struct helper *h, const struct issuer *i,
		    const char *redirect, struct token *client)
{
	struct buf body = BUF(4096);
	json_t *about = redirect ?
		json_pack("{s:s, s:s, s:s, s:[s], s:[s], s:[s, s]}",
			  "client_name", "posthaste",
			  "application_type", "native",
			  "token_endpoint_auth_method", "none",
			  "redirect_uris", redirect,
			  "response_types", "code",
			  "grant_types", "authorization_code",
			  "refresh_token") :
		json_pack("{s:s, s:s, s:s, s:[], s:[], s:[s, s]}",
			  "client_name", "posthaste",
			  "application_type", "native",
			  "token_endpoint_auth_method", "none",
			  "redirect_uris", "response_types",
			  "grant_types", device_grant, "refresh_token");
	char *text = json_dumps(about, JSON_COMPACT);
	int status;

	json_decref(about);
	/* an address that is no text of any alphabet */
	if (!text)
		return helper_fail(h, EX_USAGE, "the redirect is no address");
	buf_adds(&body, text);
	free(text);
	if (http_post(&h->http, i->registration, "application/json", &body,
		      NULL))
		status = issuer_client(h, i, client);
	else
		status = helper_fail(h, EX_TEMPFAIL, "%s", h->http.words);
	buf_release(&body);
	return status;
}
