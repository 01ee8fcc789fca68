/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a person has to do for a login: the scope, the client, and a device's
 * code (RFC 8628 3.1) or the address for a browser (RFC 6749 4.1.1). */
#include "helper/token_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>

#include "base/outcome.h"
#include "base/pairs.h"
#include "wire/digest.h"

enum { RANDOM = SHA256_SIZE, WORD_SIZE = 64 };

/* RFC 4648 5, without padding. */
static void base64url(const unsigned char raw[RANDOM], char out[WORD_SIZE])
{
	struct buf text = BUF_SECRET(WORD_SIZE);
	char *p;

	buf_add_base64(&text, raw, RANDOM);
	snprintf(out, WORD_SIZE, "%s", buf_text(&text));
	buf_release(&text);
	for (p = out; *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	out[strcspn(out, "=")] = '\0';
}

/* A word that nobody can guess. */
static bool random_word(char out[WORD_SIZE])
{
	unsigned char raw[RANDOM];
	bool done = getrandom(raw, sizeof(raw), 0) == sizeof(raw);

	base64url(raw, out);
	mem_wipe(raw, sizeof(raw));
	return done;
}

static bool is_microsoft(const char *issuer)
{
	return !strcmp(issuer, "microsoft") ||
	       !strncmp(issuer, "https://login.microsoftonline.com/", 34);
}

static bool is_google(const char *issuer)
{
	return !strcmp(issuer, "google") ||
	       !strncmp(issuer, "https://accounts.google.com", 27);
}

char *scope_for(struct helper *h, const struct issuer *i, bool service)
{
	char *scope = helper_get(h, "scope");
	char *issuer = helper_get(h, "issuer");

	if (!scope && is_microsoft(issuer))
		scope = mem_string(service ?
				   "https://outlook.office365.com/.default" :
				   "https://outlook.office.com/SMTP.Send "
				   "offline_access");
	else if (!scope && is_google(issuer))
		scope = mem_string("https://mail.google.com/");
	else if (!scope && !service && i->knows_offline)
		scope = mem_string("offline_access");
	free(issuer);
	return scope;
}

static int begin_device(struct helper *h, const struct issuer *i,
			const char *scope, const char *secret,
			const struct token *t)
{
	struct buf form = BUF_SECRET(FORM_MAX);
	const char *code, *uri, *whole, *user;
	char words[JSON_REFUSAL_SIZE];
	json_t *root;
	int status;

	form_add(&form, "scope", scope);
	status = grant_post(h, i->device, &form, secret ? secret :
			    t->client_secret, t);
	buf_release(&form);
	if (status)
		return status;
	root = body_json(&h->http);
	code = json_text(root, "device_code", true, 16 * 1024);
	user = json_text(root, "user_code", true, 64);
	uri = json_text(root, "verification_uri", false, 1000);
	if (!uri)
		uri = json_text(root, "verification_url", false, 1000);
	whole = json_text(root, "verification_uri_complete", false, 1000);
	json_refusal(root, words);
	if (h->http.status != 200)
		status = helper_fail(h, h->http.status >= 500 ? EX_TEMPFAIL :
				     EX_NOPERM, "the issuer permits this "
				     "client no login by device (%ld%s%s)",
				     h->http.status, *words ? " " : "", words);
	else if (!code || !user || !uri || !http_is_url(uri))
		status = helper_fail(h, EX_DATAERR, "the issuer's answer to a "
				     "device has no code or no https address");
	if (!status) {
		pairs_add(&h->answer, "flow", "device");
		pairs_add(&h->answer, "device_code", code);
		pairs_add(&h->answer, "user_code", user);
		pairs_add(&h->answer, "uri", uri);
		if (whole && http_is_url(whole))
			pairs_add(&h->answer, "whole_uri", whole);
		pairs_add_number(&h->answer, "interval",
				 json_object_get(root, "interval") ?
				 json_number(root, "interval", 60) : 5);
		pairs_add_number(&h->answer, "lifetime",
				 json_number(root, "expires_in", 1800));
	}
	if (root)
		json_decref(root);
	return status;
}

static int begin_code(struct helper *h, const struct issuer *i,
		      const char *scope, const struct token *t)
{
	struct buf query = BUF(FORM_MAX);
	char verifier[WORD_SIZE], challenge[WORD_SIZE], state[WORD_SIZE];
	char *redirect = helper_get(h, "redirect"), *login;
	int status = EX_OK;
	unsigned char digest[SHA256_SIZE];

	if (!redirect || !i->authorization) {
		free(redirect);
		return helper_fail(h, EX_CONFIG, "the issuer has no way to "
				   "log in that is known here");
	}
	if (!random_word(verifier) || !random_word(state) ||
	    !digest_sha256(verifier, strlen(verifier), digest))
		status = helper_fail(h, EX_SOFTWARE, "no random numbers");
	if (status) {
		free(redirect);
		return status;
	}
	/* RFC 7636 4.2 */
	base64url(digest, challenge);
	form_add(&query, "response_type", "code");
	form_add(&query, "client_id", t->client_id);
	form_add(&query, "redirect_uri", redirect);
	form_add(&query, "scope", scope);
	form_add(&query, "state", state);
	form_add(&query, "code_challenge", challenge);
	form_add(&query, "code_challenge_method", "S256");
	login = helper_get(h, "username");
	form_add(&query, "login_hint", login);
	free(login);
	/* without them Google gives no refresh token, and OpenID providers
	 * (Connect Core 11) none for offline_access */
	if (is_google(t->issuer)) {
		form_add(&query, "access_type", "offline");
		form_add(&query, "prompt", "consent");
	} else if (!is_microsoft(t->issuer) && scope &&
		   strstr(scope, "offline_access")) {
		form_add(&query, "prompt", "consent");
	}
	pairs_add(&h->answer, "flow", "code");
	buf_addf(&h->answer, "url %s%c%s\n", i->authorization,
		 strchr(i->authorization, '?') ? '&' : '?', buf_text(&query));
	pairs_add(&h->answer, "verifier", verifier);
	pairs_add(&h->answer, "state", state);
	pairs_add(&h->answer, "exact", i->exact);
	if (i->sends_iss)
		pairs_add(&h->answer, "sends_iss", "yes");
	free(redirect);
	buf_release(&query);
	mem_wipe(verifier, sizeof(verifier));
	return status;
}

/* The configured client, or one that is registered now. */
static int begin_client(struct helper *h, const struct issuer *i, bool device,
			const char *secret, struct token *t)
{
	char *redirect;
	int status;

	t->endpoint = mem_string(i->token);
	if (t->client) {
		t->client_id = mem_string(t->client);
		t->method = mem_string(secret ? i->method : "none");
		return EX_OK;
	}
	if (!i->registration)
		return helper_fail(h, EX_CONFIG, "clients do not register "
				   "themselves at %.100s: register one there "
				   "and configure it", t->issuer);
	redirect = device ? NULL : helper_get(h, "redirect");
	status = issuer_register(h, i, redirect, t);
	free(redirect);
	return status;
}

static int begin_flow(struct helper *h, const struct issuer *i, bool device,
		      const char *scope, const char *secret)
{
	struct token t = { .issuer = helper_get(h, "issuer"),
			   .client = helper_get(h, "client") };
	int status;

	buf_reset(&h->answer);
	status = begin_client(h, i, device, secret, &t);
	if (!status)
		status = device ? begin_device(h, i, scope, secret, &t) :
			 begin_code(h, i, scope, &t);
	if (!status) {
		pairs_add(&h->answer, "client_id", t.client_id);
		pairs_add(&h->answer, "registered_secret", t.client_secret);
		pairs_add(&h->answer, "method", t.method);
		pairs_add(&h->answer, "endpoint", t.endpoint);
	}
	token_release(&t);
	return status;
}

int token_begin(struct helper *h)
{
	char *grant = helper_get(h, "grant"), *file = helper_get(h, "file");
	char *secret = helper_secret(h, "client_secret"), *scope;
	char *name = helper_get(h, "issuer");
	bool any = !grant || !strcmp(grant, "auto");
	struct issuer i = { 0 };
	int status = EX_OK;

	/* nobody shall log in for nothing */
	if (file && file[0] == '/')
		status = store_prove(h, file);
	if (!status)
		status = issuer_find(h, &i);
	scope = status ? NULL : scope_for(h, &i, false);
	if (!status) {
		/* Google's devices may not ask for mail */
		if (i.device && (any ? !is_google(name) :
				 !strcmp(grant, "device_code")))
			status = begin_flow(h, &i, true, scope, secret);
		else if (!any && !strcmp(grant, "device_code"))
			status = helper_fail(h, EX_CONFIG, "the issuer offers "
					     "no login by device");
		else
			status = begin_flow(h, &i, false, scope, secret);
		/* an issuer that has devices may not have them for everybody */
		if (any && status == EX_NOPERM && i.device && i.authorization)
			status = begin_flow(h, &i, false, scope, secret);
	}
	issuer_release(&i);
	mem_wipe_string(secret);
	free(file);
	free(grant);
	free(scope);
	free(name);
	return status;
}
