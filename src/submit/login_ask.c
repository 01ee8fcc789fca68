/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/login_ask.h"

#include <stdlib.h>
#include <string.h>

#include "base/child.h"
#include "base/pairs.h"
#include "submit/login.h"
#include "submit/secret_source.h"

#ifndef TOKEN_PROGRAM
#define TOKEN_PROGRAM "/usr/local/libexec/posthaste-token"
#endif

enum { GRACE_MS = 5 * 1000 };

static const char *const grant_words[] = {
	[GRANT_AUTO] = "auto", [GRANT_DEVICE] = "device_code",
	[GRANT_CODE] = "authorization_code",
	[GRANT_CLIENT] = "client_credentials",
};

static bool make_request(const struct config *c, const struct transport *t,
			 bool renewal, const struct buf *more, int64_t ms,
			 struct buf *out, struct outcome *why)
{
	char *path = renewal ? login_path(c, t) : login_own_path(c, t);
	const struct endpoint *proxy = transport_proxy(t);
	char *secret = NULL;
	char *scope = list_join(&t->oauth_scope, " ");
	char *resolvers = list_join(&c->dns.resolver, " ");
	bool good = path != NULL;

	if (!good)
		outcome_fail(why, STAGE_AUTH, EX_CONFIG, "there is no home "
			     "directory to keep a login in");
	else if (t->oauth_client_secret_file)
		good = secret_file(t->oauth_client_secret_file, &secret, why);
	if (good)
		good = pairs_add(out, "issuer", t->oauth) &&
		       pairs_add(out, "client", t->oauth_client_id) &&
		       pairs_add(out, "client_secret", secret) &&
		       pairs_add(out, "scope", scope) &&
		       pairs_add(out, "grant", grant_words[t->oauth_grant]) &&
		       pairs_add(out, "username", t->username) &&
		       pairs_add(out, "trust", c->tls.ca_file) &&
		       pairs_add(out, "resolver", resolvers) &&
		       pairs_add(out, "file", path) &&
		       pairs_add_number(out, "time", ms) &&
		       (!more || buf_add(out, buf_text(more), more->len)) ?
		       true : outcome_fail(why, STAGE_AUTH, EX_CONFIG,
					   "its login has settings that are "
					   "no text");
	/* what goes by a proxy goes by it whole: the issuer, too, would else
	 * be told who asks */
	if (good && proxy) {
		pairs_add(out, "proxy", proxy->host);
		pairs_add_number(out, "proxy_port", proxy->port);
		pairs_add(out, "proxy_user", t->proxy_username);
		pairs_add(out, "proxy_secret", t->proxy_password);
		if (transport_proxy_dns(t))
			pairs_add(out, "proxy_names", "yes");
	}
	free(path);
	mem_wipe_string(secret);
	free(scope);
	free(resolvers);
	return good;
}

static bool ask_end(int status, const struct buf *answer, struct outcome *why)
{
	char *words = pairs_get(buf_text(answer), "words");
	int exit = status == EX_NOPERM || status == EX_CONFIG ||
		   status == EX_CANTCREAT ? status : EX_TEMPFAIL;

	if (status == 126 || status == 127)
		outcome_fail(why, STAGE_AUTH, EX_CONFIG, "posthaste-token, "
			     "which gets tokens, is not installed (%s)",
			     TOKEN_PROGRAM);
	else if (words)
		outcome_fail(why, STAGE_AUTH, exit, "%s", words);
	else
		outcome_fail(why, STAGE_AUTH, exit, "posthaste-token failed "
			     "(status %d)", status);
	free(words);
	return false;
}

bool login_ask(const struct config *c, const struct transport *t,
	       const char *verb, const struct buf *more, int64_t ms,
	       struct buf *answer, struct outcome *why)
{
	const char *argv[] = { TOKEN_PROGRAM, verb, NULL };
	struct buf request = BUF_SECRET(LOGIN_TEXT_MAX);
	struct buf got = BUF_SECRET(LOGIN_TEXT_MAX), unheard = BUF(0);
	const struct child child = {
		.argv = argv, .input = &request, .output = &got,
		.words = &unheard, .deadline = clock_in(ms + GRACE_MS),
	};
	int status;
	bool done = false;

	if (!make_request(c, t, !strcmp(verb, "refresh"), more, ms, &request,
			  why))
		;
	else if (!child_run(&child, &status, why))
		outcome_prefix(why, "posthaste-token");
	else if (status)
		ask_end(status, &got, why);
	else
		done = true;
	if (!done)
		why->stage = STAGE_AUTH;
	if (done && answer)
		buf_add(answer, buf_text(&got), got.len);
	buf_release(&request);
	buf_release(&got);
	return done;
}
