/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/user.h"
#include "policy/policy.h"
#include "submit/login.h"
#include "submit/secret_source.h"

enum { COMMAND_MS = 60 * 1000 };

struct held {
	struct held *next;
	const struct transport *transport;
	struct secret secret;
	struct outcome why;   /* exit is EX_OK where all went well */
	bool asked, renewed;
};

struct secrets {
	const struct config *config;
	struct held *first;
};

struct secrets *secrets_new(const struct config *c)
{
	struct secrets *s = mem_alloc(sizeof(*s));

	s->config = c;
	return s;
}

void secrets_free(struct secrets *s)
{
	struct held *e;

	if (!s)
		return;
	while ((e = s->first)) {
		s->first = e->next;
		free(e->secret.username);
		mem_wipe_string(e->secret.password);
		mem_wipe_string(e->secret.token);
		free(e);
	}
	free(s);
}

static bool from_netrc(const struct transport *t, char **out,
		       struct outcome *why)
{
	char *home, *path;
	bool done;

	if (!user_home(&home, why))
		return false;
	if (!home)
		return true;
	path = mem_printf("%s/.netrc", home);
	done = secret_netrc(path, &t->host, t->username, out, why);
	free(path);
	free(home);
	return done;
}

bool secret_file_valid(const char *path, struct outcome *why)
{
	char *password = NULL;
	bool good = secret_file(path, &password, why);

	mem_wipe_string(password);
	return good;
}

bool secret_foreseen(const struct transport *t)
{
	char *password = NULL;
	struct outcome why;
	bool found;

	if (policy_secret(t) != SECRET_LOOKED_FOR)
		return true;
	found = !from_netrc(t, &password, &why) || password;
	mem_wipe_string(password);
	return found;
}

/* One that is looked for may be typed where a password is all that can be
 * meant. */
static bool fetch_password(const struct transport *t, char **out,
			   struct outcome *why)
{
	char *question;

	switch (policy_secret(t)) {
	case SECRET_GIVEN:
		*out = mem_string(t->password);
		return true;
	case SECRET_FILE:
		return secret_file(t->password_file, out, why);
	case SECRET_COMMAND:
		if (secret_command(t->password_command, COMMAND_MS, out, why))
			return true;
		outcome_prefix(why, "password_command");
		return false;
	case SECRET_CREDENTIAL:
		return secret_credential(t->password_credential, out, why);
	case SECRET_NONE:
	case SECRET_LOOKED_FOR:
		break;
	}
	if (!t->username || t->oauth)
		return true;
	if (!from_netrc(t, out, why))
		return false;
	if (*out || !policy_asks_password(t))
		return true;
	question = mem_printf("Password of %s (transport %s): ", t->username,
			      t->name);
	secret_prompt(question, out);
	free(question);
	return true;
}

/* bad: the one that was refused, NULL: none. */
static bool fetch_token(const struct secrets *s, const struct transport *t,
			const char *bad, char **out, struct outcome *why)
{
	if (t->oauth)
		return login_token(s->config, t, bad, out, why);
	if (!t->token_command)
		return true;
	if (secret_command(t->token_command, COMMAND_MS, out, why))
		return true;
	outcome_prefix(why, "token_command");
	return false;
}

static struct held *held_for(struct secrets *s, const struct transport *t)
{
	struct held *e;

	for (e = s->first; e; e = e->next)
		if (e->transport == t)
			return e;
	e = mem_alloc(sizeof(*e));
	e->transport = t;
	e->next = s->first;
	s->first = e;
	e->secret.username = mem_string(t->username);
	if (!fetch_password(t, &e->secret.password, &e->why) ||
	    !fetch_token(s, t, NULL, &e->secret.token, &e->why))
		outcome_prefix(&e->why, "transport %s", t->name);
	return e;
}

/* A run may last longer than a token, and see a login that is mended. */
static void look_after_token(struct secrets *s, struct held *e)
{
	char *token;

	if (!e->transport->oauth || !e->secret.token ||
	    login_token_holds(s->config, e->transport, e->secret.token) ||
	    !login_token(s->config, e->transport, NULL, &token, &e->why))
		return;
	mem_wipe_string(e->secret.token);
	e->secret.token = token;
}

bool secrets_get(struct secrets *s, const struct transport *t,
		 const struct secret **out, struct outcome *why)
{
	struct held *e = held_for(s, t);

	*out = NULL;
	if (e->why.exit == EX_OK && e->asked)
		look_after_token(s, e);
	e->asked = true;
	if (e->why.exit != EX_OK) {
		*why = e->why;
		return false;
	}
	*out = &e->secret;
	return true;
}

bool secret_file_is_denied(const char *path)
{
	return path && path[0] == '/' &&
	       faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) &&
	       errno == EACCES;
}

bool secret_is_denied(const struct config *c, const struct transport *t)
{
	/* systemd gives a credential to the service that was told its name,
	 * and to no caller */
	if (t->password_credential && !t->password && !t->password_file &&
	    !t->password_command && !getenv("CREDENTIALS_DIRECTORY"))
		return true;
	return secret_file_is_denied(t->password_file) ||
	       secret_file_is_denied(t->oauth_client_secret_file) ||
	       secret_file_is_denied(t->certificate) ||
	       secret_file_is_denied(t->key) || login_is_denied(c, t);
}

bool secrets_renew_token(struct secrets *s, const struct transport *t,
			 const struct secret **out, struct outcome *why)
{
	struct held *e = held_for(s, t);
	char *token = NULL;

	*out = NULL;
	if ((!t->token_command && !t->oauth) || e->renewed)
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "transport %s: no fresh token to be had",
				    t->name);
	e->renewed = true;
	if (!fetch_token(s, t, e->secret.token, &token, why)) {
		outcome_prefix(why, "transport %s", t->name);
		return false;
	}
	mem_wipe_string(e->secret.token);
	e->secret.token = token;
	*out = &e->secret;
	return true;
}
