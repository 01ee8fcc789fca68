/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking for tokens (RFC 6749 4, 5, 6), and what the answers mean. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>

#include "helper/token_parts.h"

enum { SECRET_LENGTH = 64 * 1024, LIFETIME_MAX = 10 * 366 * 86400 };

void form_add(struct buf *form, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	if (form->len)
		buf_addc(form, '&');
	buf_addf(form, "%s=", name);
	buf_add_percent(form, value);
}

int grant_post(struct helper *h, const char *endpoint, struct buf *form,
	       const char *secret, const struct token *t)
{
	struct buf credentials = BUF_SECRET(FORM_MAX);
	bool basic = secret && !strcmp(t->method, "basic"), done;

	if (basic) {
		buf_add_percent(&credentials, t->client_id);
		buf_addc(&credentials, ':');
		buf_add_percent(&credentials, secret);
	} else {
		form_add(form, "client_id", t->client_id);
		form_add(form, "client_secret", secret);
	}
	done = http_post(&h->http, endpoint,
			 "application/x-www-form-urlencoded", form,
			 basic ? buf_text(&credentials) : NULL);
	buf_release(&credentials);
	return done ? EX_OK : helper_fail(h, EX_TEMPFAIL, "%s",
					  h->http.words);
}

/* --- answers --- */

static bool is_one_of(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(word, *list))
			return true;
	return false;
}

/* RFC 6749 5.2, RFC 8628 3.5. Any other word is one of the issuer's own, and
 * for a person to read. */
static int grant_refusal(struct helper *h, const json_t *root)
{
	static const char *const later[] = {
		"temporarily_unavailable", "server_error", NULL
	};
	static const char *const waiting[] = {
		"authorization_pending", "slow_down", NULL
	};
	const char *error = json_text(root, "error", true, 100);
	char words[JSON_REFUSAL_SIZE];

	if (!error)
		return helper_fail(h, EX_TEMPFAIL, "the issuer's answer (%ld) "
				   "is none", h->http.status);
	json_refusal(root, words);
	/* who does not poll has not asked anything that could be answered so */
	if (h->interval && is_one_of(error, waiting)) {
		h->interval += strcmp(error, "slow_down") ? 0 : 5;
		return PENDING;
	}
	return helper_fail(h, is_one_of(error, later) ||
			   is_one_of(error, waiting) ||
			   h->http.status >= 500 || h->http.status == 429 ?
			   EX_TEMPFAIL : EX_NOPERM, "the issuer says %s",
			   words);
}

static void grant_replace(char **at, const char *value)
{
	if (!value)
		return;
	mem_wipe_string(*at);
	*at = mem_string(value);
}

static int take_tokens(struct helper *h, const json_t *root, struct token *t)
{
	const char *access = json_text(root, "access_token", true,
				       SECRET_LENGTH);
	const char *type = json_text(root, "token_type", false, 100);
	const char *refresh = json_text(root, "refresh_token", true,
					SECRET_LENGTH);
	int64_t lifetime = json_number(root, "expires_in", LIFETIME_MAX);
	/* two spellings that are in use, of no standard */
	int64_t rest = json_number(root, "refresh_token_expires_in",
				   LIFETIME_MAX);

	if (!rest)
		rest = json_number(root, "refresh_expires_in", LIFETIME_MAX);
	mask_add_secret(&h->secrets, access);
	mask_add_secret(&h->secrets, refresh);
	if (!access || !type || strcasecmp(type, "Bearer"))
		return helper_fail(h, EX_DATAERR, "the issuer's answer has no "
				   "token that can be used");
	grant_replace(&t->access, access);
	grant_replace(&t->refresh, refresh);
	grant_replace(&t->scope, json_text(root, "scope", true, 4000));
	t->obtained = (int64_t)time(NULL);
	t->expires = lifetime ? t->obtained + lifetime : 0;
	if (refresh || rest)
		t->refresh_expires = rest ? t->obtained + rest : 0;
	t->refused = 0;
	free(t->refusal);
	t->refusal = NULL;
	return EX_OK;
}

int grant_ask(struct helper *h, struct buf *form, const char *secret,
	      struct token *t)
{
	json_t *root;
	int status;

	status = grant_post(h, t->endpoint, form,
			    secret ? secret : t->client_secret, t);
	if (status)
		return status;
	root = body_json(&h->http);
	if (!root)
		return helper_fail(h, EX_TEMPFAIL, "the issuer's answer (%ld) "
				   "is no JSON", h->http.status);
	status = h->http.status == 200 && !json_object_get(root, "error") ?
		 take_tokens(h, root, t) : grant_refusal(h, root);
	json_decref(root);
	return status;
}
