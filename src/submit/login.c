/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/login.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/pairs.h"
#include "submit/login_ask.h"
#include "submit/token_file.h"

/* All that a refresh may take is 30 s, with the time that posthaste-token has
 * for writing after its last answer. */
enum { REFRESH_MS = 24 * 1000, WEEK = 7 * 86400 };

/* --- what it says --- */

/* False: there is none that could be used. */
static bool read_login(const struct config *c, const struct transport *t,
		       struct token *token, struct outcome *why)
{
	struct buf text = BUF_SECRET(TOKEN_FILE_MAX);
	char *path = login_path(c, t);
	bool done = false;

	*token = (struct token){ 0 };
	if (!path) {
		outcome_fail(why, STAGE_AUTH, EX_CONFIG, "there is no home "
			     "directory to keep a login in");
	} else if (!file_read(path, FILE_PRIVATE | FILE_TRUSTED, &text, NULL,
			      why)) {
		why->stage = STAGE_AUTH;
		if (errno == ENOENT)
			outcome_fail(why, STAGE_AUTH, EX_NOPERM, "nobody has "
				     "logged in yet");
	} else if (!token_parse(buf_text(&text), token)) {
		outcome_fail(why, STAGE_AUTH, EX_NOPERM, "%s is no login that "
			     "was written here", path);
	} else {
		done = true;
	}
	buf_release(&text);
	free(path);
	return done;
}

static bool is_wanted(const struct transport *t, const struct token *token,
		      struct outcome *why)
{
	if (token_is_for(token, t->oauth, t->oauth_client_id))
		return true;
	return outcome_fail(why, STAGE_AUTH, EX_NOPERM, "the login is one at "
			    "another issuer or of another client");
}

/* What the file says, as long as that is of use. */
static bool from_file(const struct transport *t, const struct token *token,
		      const char *bad, char **out)
{
	if (!token->access || !token_is_for(token, t->oauth,
					    t->oauth_client_id) ||
	    (bad && !strcmp(bad, token->access)))
		return false;
	*out = mem_string(token->access);
	return true;
}

/* --- getting a token --- */

static bool login_renew(const struct config *c, const struct transport *t,
			const char *bad, struct outcome *why)
{
	struct buf more = BUF_SECRET(LOGIN_TEXT_MAX);
	int64_t ms = clock_earlier(REFRESH_MS, c->general.timeout);
	bool done;

	pairs_add(&more, "bad_token", bad);
	done = login_ask(c, t, t->oauth_grant == GRANT_CLIENT ? "service" :
			 "refresh", &more, ms, NULL, why);
	buf_release(&more);
	return done;
}

/* One that was refused a moment ago is refused now. */
static bool is_hopeless(const struct transport *t, const struct token *token,
			struct outcome *why)
{
	if (t->oauth_grant == GRANT_CLIENT)
		return false;
	if (!is_wanted(t, token, why))
		return true;
	if (token_is_refused(token, (int64_t)time(NULL)))
		return !outcome_fail(why, STAGE_AUTH, EX_NOPERM, "%s",
				     token->refusal ? token->refusal :
				     "the login was refused");
	return false;
}

bool login_token(const struct config *c, const struct transport *t,
		 const char *bad, char **out, bool *ages, struct outcome *why)
{
	struct token token;
	enum token_age age = TOKEN_OVER;
	struct outcome fault = { 0 };
	bool there = read_login(c, t, &token, &fault), done = false;

	*out = NULL;
	*ages = false;
	if (there)
		age = token_age(&token, (int64_t)time(NULL));
	if (age == TOKEN_HOLDS && from_file(t, &token, bad, out)) {
		token_release(&token);
		return true;
	}
	if (there ? is_hopeless(t, &token, &fault) :
	    t->oauth_grant != GRANT_CLIENT || fault.exit == EX_CONFIG) {
		;
	} else if (login_renew(c, t, bad, &fault)) {
		token_release(&token);
		done = read_login(c, t, &token, &fault) &&
		       (from_file(t, &token, NULL, out) ||
			outcome_fail(&fault, STAGE_AUTH, EX_TEMPFAIL,
				     "the fresh token is not there"));
	} else if (age == TOKEN_AGES && fault.exit != EX_NOPERM) {
		/* it may hold yet */
		done = *ages = from_file(t, &token, bad, out);
	}
	token_release(&token);
	if (done)
		return true;
	*why = fault;
	/* a full disk is no answer about the mail */
	if (why->exit == EX_CANTCREAT)
		why->exit = EX_TEMPFAIL;
	if (why->exit == EX_NOPERM)
		outcome_append(why, ": posthaste --login %.100s", t->name);
	return false;
}

bool login_token_holds(const struct config *c, const struct transport *t,
		       const char *held)
{
	struct outcome ignored;
	struct token token;
	char *now = NULL;
	bool holds = read_login(c, t, &token, &ignored) &&
		     token_age(&token, (int64_t)time(NULL)) == TOKEN_HOLDS &&
		     from_file(t, &token, NULL, &now) && !strcmp(now, held);

	token_release(&token);
	mem_wipe_string(now);
	return holds;
}

/* --- how it is --- */

void login_look(const struct config *c, const struct transport *t,
		struct login_state *s)
{
	int64_t now = (int64_t)time(NULL);
	struct outcome why = { 0 };
	struct token token;
	bool there = read_login(c, t, &token, &why);
	char when[CLOCK_DATE_SIZE];

	*s = (struct login_state){ LOGIN_GOOD, 0, "" };
	if (!there)
		s->health = why.exit == EX_NOPERM ? LOGIN_NONE :
			    LOGIN_UNREADABLE;
	else if (!is_wanted(t, &token, &why))
		s->health = LOGIN_DEAD;
	else if (token.refused && t->oauth_grant != GRANT_CLIENT) {
		s->health = LOGIN_DEAD;
		outcome_fail(&why, STAGE_AUTH, EX_NOPERM, "%s", token.refusal ?
			     token.refusal : "the login was refused");
	} else {
		s->ends = token.refresh ? token.refresh_expires :
			  token.expires;
	}
	/* a service logs in by itself */
	if (t->oauth_grant == GRANT_CLIENT && s->health != LOGIN_UNREADABLE)
		*s = (struct login_state){ LOGIN_GOOD, 0, "" };
	token_release(&token);
	if (s->health == LOGIN_UNREADABLE)
		snprintf(s->words, sizeof(s->words), "transport %.100s: "
			 "%.250s", t->name, why.text);
	else if (s->health != LOGIN_GOOD)
		snprintf(s->words, sizeof(s->words), "transport %.100s: "
			 "%.150s: posthaste --login %.100s", t->name,
			 why.text, t->name);
	if (s->health != LOGIN_GOOD || !s->ends || s->ends - now > WEEK)
		return;
	s->health = s->ends <= now ? LOGIN_DEAD : LOGIN_DYING;
	clock_date((time_t)s->ends, when);
	snprintf(s->words, sizeof(s->words), "the login of transport %.100s "
		 "%s on %s: posthaste --login %.100s", t->name,
		 s->health == LOGIN_DEAD ? "ended" : "ends", when, t->name);
}
