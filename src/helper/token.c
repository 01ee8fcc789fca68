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
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/outcome.h"
#include "base/pairs.h"
#include "helper/token_parts.h"
#include "wire/digest.h"

enum { REQUEST_MAX = 512 * 1024, FORM_MAX = 256 * 1024,
       TIME_MAX = 3600 * 1000, RANDOM = SHA256_SIZE, WORD_SIZE = 64 };

static const char device_grant[] =
	"urn:ietf:params:oauth:grant-type:device_code";

/* --- what all do --- */

/* The client that was configured, or else registered before, and where. */
static void take_client(struct helper *h, struct token *t)
{
	t->issuer = helper_get(h, "issuer");
	t->client = helper_get(h, "client");
	t->client_id = helper_get(h, "client_id");
	t->client_secret = helper_secret(h, "registered_secret");
	t->method = helper_get(h, "method");
	t->endpoint = helper_get(h, "endpoint");
}

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

/* --- what to ask for --- */

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

/* What sending mail takes, where it is known. */
static char *scope_for(struct helper *h, const struct issuer *i, bool service)
{
	char *scope = helper_get(h, "scope"), *issuer = helper_get(h,
								  "issuer");

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

/* --- begin --- */

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

static int begin(struct helper *h)
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

/* --- what writes the file --- */

static int keep(struct helper *h, const struct token *t)
{
	char *path = helper_get(h, "file");
	int status = EX_USAGE;
	struct store s;

	if (path && path[0] == '/') {
		status = store_open(h, path, &s);
		if (!status)
			status = store_write(h, &s, t);
		store_close(&s);
	}
	free(path);
	if (!status && !t->refresh)
		pairs_add(&h->answer, "renewable", "no");
	if (!status)
		pairs_add_number(&h->answer, "expires", t->expires);
	return status;
}

/* What goes wrong on the way to the issuer, in between, is no answer. */
static int poll(struct helper *h)
{
	char *code = helper_secret(h, "device_code");
	char *secret = helper_secret(h, "client_secret");
	struct token t = { 0 };
	struct buf form = BUF_SECRET(FORM_MAX);
	int64_t end = h->http.deadline;
	int status = EX_USAGE;
	struct timespec pause = { 0 };

	take_client(h, &t);
	h->interval = pairs_number(h->request, "interval");
	if (h->interval < 1)
		h->interval = 1;
	while (code && t.endpoint && t.method && t.client_id) {
		if (clock_left(end) < h->interval * 1000) {
			status = helper_fail(h, EX_TEMPFAIL, "nobody logged "
					     "in in time");
			break;
		}
		pause.tv_sec = (time_t)h->interval;
		nanosleep(&pause, NULL);
		buf_reset(&form);
		form_add(&form, "grant_type", device_grant);
		form_add(&form, "device_code", code);
		status = grant_ask(h, &form, secret, &t);
		if (status != PENDING && status != EX_TEMPFAIL)
			break;
	}
	if (!status)
		status = keep(h, &t);
	buf_release(&form);
	token_release(&t);
	mem_wipe_string(code);
	mem_wipe_string(secret);
	return status;
}

static int exchange(struct helper *h)
{
	char *code = helper_secret(h, "code");
	char *secret = helper_secret(h, "client_secret");
	char *verifier = helper_secret(h, "verifier");
	char *redirect = helper_get(h, "redirect");
	struct token t = { 0 };
	struct buf form = BUF_SECRET(FORM_MAX);
	int status = EX_USAGE;

	take_client(h, &t);
	if (code && verifier && redirect && t.endpoint && t.method &&
	    t.client_id) {
		form_add(&form, "grant_type", "authorization_code");
		form_add(&form, "code", code);
		form_add(&form, "redirect_uri", redirect);
		form_add(&form, "code_verifier", verifier);
		status = grant_ask(h, &form, secret, &t);
	}
	if (!status)
		status = keep(h, &t);
	buf_release(&form);
	token_release(&t);
	mem_wipe_string(code);
	mem_wipe_string(secret);
	mem_wipe_string(verifier);
	free(redirect);
	return status;
}

/* Whether what lies in the file is not what the caller found to be no good. */
static bool is_renewed(struct helper *h, const struct token *t)
{
	char *bad = helper_secret(h, "bad_token");
	bool other = !bad || (t->access && strcmp(t->access, bad));

	mem_wipe_string(bad);
	return other && token_age(t, (int64_t)time(NULL)) == TOKEN_HOLDS;
}

/* From here until the new tokens are on disk the login may be in our hands
 * alone: the issuer may have forgotten the old ones. Nobody but SIGKILL ends
 * us in between. */
static void token_hold_signals(bool on)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGALRM);
	sigprocmask(on ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static void note_refusal(struct helper *h, const struct store *s,
			 struct token *t)
{
	char words[sizeof(h->words)];

	memcpy(words, h->words, sizeof(words));
	t->refused = (int64_t)time(NULL);
	free(t->refusal);
	t->refusal = mem_string(words);
	(void)store_write(h, s, t);
	memcpy(h->words, words, sizeof(words));
}

/* The file is written anew before the issuer is asked, and room for the next
 * is kept: where that cannot be done, or a disk fills up meanwhile, its one
 * refresh token would be spent for nothing. So it would be where we did not
 * wait for the answer: what went before (the lock, a resolver, the way there)
 * may take two fifths of the time, the answer has the rest. */
static int renew(struct helper *h, const struct store *s, const char *secret,
		 struct token *t)
{
	struct buf form = BUF_SECRET(FORM_MAX);
	int status, room = -1;

	if (!t->refresh) {
		buf_release(&form);
		return helper_fail(h, EX_NOPERM, "the login has ended: the "
				   "issuer gave no way to renew it");
	}
	status = store_write(h, s, t);
	if (!status)
		status = store_reserve(h, s, t, &room);
	if (!status) {
		form_add(&form, "grant_type", "refresh_token");
		form_add(&form, "refresh_token", t->refresh);
		h->http.least = h->time / 5 * 3;
		token_hold_signals(true);
		status = grant_ask(h, &form, secret, t);
		if (room >= 0)
			close(room);
		if (!status)
			status = store_write(h, s, t);
		else if (status == EX_NOPERM)
			note_refusal(h, s, t);
		token_hold_signals(false);
	}
	buf_release(&form);
	return status;
}

static int ask_as_service(struct helper *h, const struct store *s,
			  const char *secret)
{
	struct token t = { .issuer = helper_get(h, "issuer"),
			   .client = helper_get(h, "client"),
			   .client_id = helper_get(h, "client") };
	struct buf form = BUF_SECRET(FORM_MAX);
	struct issuer i = { 0 };
	char *scope;
	int status;

	if (!t.client_id || !secret || !t.issuer)
		status = helper_fail(h, EX_CONFIG, "a service needs "
				     "a client and its secret");
	else if (!strcmp(t.issuer, "microsoft"))
		status = helper_fail(h, EX_CONFIG, "a service logs in at a "
				     "tenant: set oauth = https://login."
				     "microsoftonline.com/TENANT-ID/v2.0");
	else
		status = issuer_find(h, &i);
	if (!status) {
		t.endpoint = mem_string(i.token);
		t.method = mem_string(i.method);
		scope = scope_for(h, &i, true);
		form_add(&form, "grant_type", "client_credentials");
		form_add(&form, "scope", scope);
		free(scope);
		status = grant_ask(h, &form, secret, &t);
	}
	/* RFC 6749 4.4.3: none should come, and it would be used wrongly */
	mem_wipe_string(t.refresh);
	t.refresh = NULL;
	if (!status)
		status = store_write(h, s, &t);
	issuer_release(&i);
	buf_release(&form);
	token_release(&t);
	return status;
}

static int under_lock(struct helper *h, bool service)
{
	char *path = helper_get(h, "file"), *issuer = helper_get(h, "issuer");
	char *client = helper_get(h, "client");
	char *secret = helper_secret(h, "client_secret");
	int status = EX_USAGE, there;
	struct token t = { 0 };
	struct store s = { NULL, -1, -1 };
	bool ours;

	if (path && path[0] == '/')
		status = store_open(h, path, &s);
	if (!status) {
		there = store_read(h, &s, &t);
		ours = !there && issuer && token_is_for(&t, issuer, client);
		mask_add_secret(&h->secrets, t.client_secret);
		mask_add_secret(&h->secrets, t.refresh);
		mask_add_secret(&h->secrets, t.access);
		if (there == EX_TEMPFAIL)
			status = there;
		else if (ours && is_renewed(h, &t))
			status = EX_OK;
		else if (service)
			status = ask_as_service(h, &s, secret);
		else if (!ours)
			status = helper_fail(h, EX_NOPERM, "nobody has logged "
					     "in");
		else if (token_is_refused(&t, (int64_t)time(NULL)))
			status = helper_fail(h, EX_NOPERM, "%s", t.refusal ?
					     t.refusal : "refused");
		else
			status = renew(h, &s, secret, &t);
	}
	store_close(&s);
	token_release(&t);
	free(path);
	free(issuer);
	free(client);
	mem_wipe_string(secret);
	return status;
}

static int refresh(struct helper *h)
{
	return under_lock(h, false);
}

static int service(struct helper *h)
{
	return under_lock(h, true);
}

/* --- beginning and end --- */

static const struct {
	const char *name;
	int (*run)(struct helper *h);
} verbs[] = {
	{ "begin", begin }, { "poll", poll }, { "exchange", exchange },
	{ "refresh", refresh }, { "service", service },
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
