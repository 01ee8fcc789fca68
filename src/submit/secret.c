/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mail/mechanism.h"
#include "submit/secret_parts.h"

enum { COMMAND_MS = 60 * 1000 };

struct entry {
	struct entry *next;
	const struct transport *transport;
	struct secret secret;
	struct outcome why;   /* exit is EX_OK where all went well */
	bool renewed;
};

struct secrets {
	struct entry *first;
};

struct secrets *secrets_new(void)
{
	return mem_alloc(sizeof(struct secrets));
}

void secrets_free(struct secrets *s)
{
	struct entry *e;

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
	char *path;
	bool done;

	if (!secret_netrc_path(&path, why))
		return false;
	done = true;
	if (path)
		done = secret_netrc(path, &t->host, t->username, out, why);
	free(path);
	return done;
}

/* Mechanisms that have no use for a password. */
static bool needs_no_password(const struct list *mechanisms)
{
	const struct mechanism *m;
	size_t i;

	for (i = 0; i < mechanisms->n; i++) {
		m = mechanism_find(mechanisms->item[i]);
		if (!m || m->needs & NEED_PASSWORD)
			return false;
	}
	return mechanisms->n > 0;
}

static void from_terminal(const struct transport *t, char **out)
{
	char *question;

	if (t->token_command || t->certificate ||
	    needs_no_password(&t->mechanisms))
		return;
	question = mem_printf("Password of %s (transport %s): ", t->username,
			      t->name);
	secret_prompt(question, out);
	free(question);
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

	if (t->password || t->password_file || t->password_command ||
	    t->password_credential || t->token_command || t->oauth ||
	    t->certificate ||
	    needs_no_password(&t->mechanisms))
		return true;
	found = !from_netrc(t, &password, &why) || password;
	mem_wipe_string(password);
	return found;
}

static bool fetch_password(const struct transport *t, char **out,
			   struct outcome *why)
{
	if (t->password) {
		*out = mem_string(t->password);
		return true;
	}
	if (t->password_file)
		return secret_file(t->password_file, out, why);
	if (t->password_command) {
		if (secret_command(t->password_command, COMMAND_MS, out, why))
			return true;
		outcome_prefix(why, "password_command");
		return false;
	}
	if (t->password_credential)
		return secret_credential(t->password_credential, out, why);
	if (!t->username)
		return true;
	if (!from_netrc(t, out, why))
		return false;
	if (!*out)
		from_terminal(t, out);
	return true;
}

static bool fetch_token(const struct transport *t, char **out,
			struct outcome *why)
{
	if (!t->token_command)
		return true;
	if (secret_command(t->token_command, COMMAND_MS, out, why))
		return true;
	outcome_prefix(why, "token_command");
	return false;
}

static struct entry *entry_of(struct secrets *s, const struct transport *t)
{
	struct entry *e;

	for (e = s->first; e; e = e->next)
		if (e->transport == t)
			return e;
	e = mem_alloc(sizeof(*e));
	e->transport = t;
	e->next = s->first;
	s->first = e;
	e->secret.username = mem_string(t->username);
	if (!fetch_password(t, &e->secret.password, &e->why) ||
	    !fetch_token(t, &e->secret.token, &e->why))
		outcome_prefix(&e->why, "transport %s", t->name);
	return e;
}

bool secrets_get(struct secrets *s, const struct transport *t,
		 const struct secret **out, struct outcome *why)
{
	struct entry *e = entry_of(s, t);

	*out = NULL;
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

bool secret_is_denied(const struct transport *t)
{
	/* systemd gives a credential to the service that was told its name,
	 * and to no caller */
	if (t->password_credential && !t->password && !t->password_file &&
	    !t->password_command && !getenv("CREDENTIALS_DIRECTORY"))
		return true;
	return secret_file_is_denied(t->password_file) ||
	       secret_file_is_denied(t->oauth_client_secret_file) ||
	       secret_file_is_denied(t->certificate) ||
	       secret_file_is_denied(t->key);
}

bool secrets_renew_token(struct secrets *s, const struct transport *t,
			 const struct secret **out, struct outcome *why)
{
	struct entry *e = entry_of(s, t);
	char *token = NULL;

	*out = NULL;
	if (!t->token_command || e->renewed)
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "transport %s: no fresh token to be had",
				    t->name);
	e->renewed = true;
	if (!fetch_token(t, &token, why)) {
		outcome_prefix(why, "transport %s", t->name);
		return false;
	}
	mem_wipe_string(e->secret.token);
	e->secret.token = token;
	*out = &e->secret;
	return true;
}
