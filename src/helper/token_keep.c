/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What gets tokens and keeps them in a login's file. */
#include "helper/token_parts.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pairs.h"

static const char device_grant[] =
	"urn:ietf:params:oauth:grant-type:device_code";

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
int token_poll(struct helper *h)
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

int token_exchange(struct helper *h)
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

int token_refresh(struct helper *h)
{
	return under_lock(h, false);
}

int token_service(struct helper *h)
{
	return under_lock(h, true);
}
