/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Secrets of transports: from key, file, command, systemd
 * credential, ~/.netrc, or a prompt; fetched once per run and transport,
 * before it is dialled and before anything is forked; wiped when released.
 */
#ifndef SUBMIT_SECRET_H
#define SUBMIT_SECRET_H

#include <stdbool.h>

#include "base/outcome.h"
#include "config/config.h"

struct secret {
	char *username;
	char *password;    /* NULL: none */
	char *token;
};

struct secrets;        /* the run's, by transport */

/* c: for logins; may be NULL where no transport has oauth. */
struct secrets *secrets_new(const struct config *c);
void secrets_free(struct secrets *s);
/* The secret of a transport; fetched at the first call, and the token of a
 * login whenever it is about to end. False: EX_CONFIG
 * (file unreadable or readable by others), EX_TEMPFAIL (command failed or
 * gave nothing), EX_NOPERM (secrets_refuse). A transport that names no secret
 * and has no username has an empty one. Owned by s. */
bool secrets_get(struct secrets *s, const struct transport *t,
		 const struct secret **out, struct outcome *why) MUST_CHECK;
/* Whether secrets_get has an answer at once. Where a command or a login has to
 * be asked, and nobody sits at a terminal who could be asked by it, that is
 * begun in a process of its own, and this is false until it has ended. */
bool secrets_ready(struct secrets *s, const struct transport *t);
/* How many of those there are. p, where it is not NULL, gets the descriptor of
 * each, which can be read when it has ended. */
struct pollfd;
size_t secrets_pending(const struct secrets *s, struct pollfd *p);
/* Whether a secret of it is there and not ours to read. */
bool secret_is_denied(const struct config *c, const struct transport *t);
bool secret_file_is_denied(const char *path);
/* Runs the token command once more, or renews the login, after a refusal; at
 * most once a run and transport: false the second time. */
bool secrets_renew_token(struct secrets *s, const struct transport *t,
			 const struct secret **out, struct outcome *why)
	MUST_CHECK;

/* The server refused the password for good: whoever asks for it from now on in
 * this run has that answer, as one that is wrong and said often locks the
 * account. Not so of a token, which may be renewed. */
void secrets_refuse(struct secrets *s, const struct transport *t,
		    const struct outcome *o);
/* Wipes all of a transport's, as far as this process has it, and ends what it
 * still asks for it; but a token_command ends by itself. */
void secrets_forget(struct secrets *s, const struct transport *t);
/* Before this process gives up rights: begins another that keeps them, and
 * renews the token once where secrets_renew_token asks for it; it ends with
 * this one. Where there is none to renew, nothing. */
void secrets_lend(struct secrets *s, const struct transport *t);

/* Whether a password_file can be used: EX_CONFIG, as above. */
bool secret_file_valid(const char *path, struct outcome *why) MUST_CHECK;
/* Whether a transport with a username has a source of its secret other than a
 * prompt, or no need of one. Looks into ~/.netrc, runs nothing; why->exit is
 * EX_OK unless that cannot be used. */
bool secret_foreseen(const struct transport *t, struct outcome *why);

#endif
