/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file of a login as text: what tokens there are, from whom, until when.
 * Pure; posthaste reads it, posthaste-token writes it.
 */
#ifndef SUBMIT_TOKEN_FILE_H
#define SUBMIT_TOKEN_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { TOKEN_FILE_MAX = 256 * 1024 };

/* Times are UNIX time, 0: not known. */
struct token {
	char *issuer;            /* as configured: "google", or a URL */
	char *client;            /* as configured; NULL: registered by us */
	char *client_id;
	char *client_secret;     /* of a client that was registered by us */
	char *method;            /* how it is told who asks: "none", "post",
				  * "basic" (RFC 6749 2.3.1) */
	char *endpoint;          /* where tokens are had */
	char *scope;             /* as the issuer gave it */
	char *refresh;           /* NULL: it gave none */
	char *access;
	int64_t obtained;        /* when access was had */
	int64_t expires;         /* and until when it holds */
	int64_t refresh_expires;
	int64_t refused;         /* when the issuer refused to refresh it */
	char *refusal;           /* in its words */
};

/* False: that is no such file (*t is empty then). token_release frees. */
bool token_parse(const char *text, struct token *t);
/* False: something in it is no line of text, or it lacks what token_parse
 * asks for: issuer, client_id, method, endpoint. */
bool token_write(const struct token *t, struct buf *out);
/* Wipes and frees. */
void token_release(struct token *t);

/* Whether the login is the one that the configuration asks for; client may be
 * NULL. */
bool token_is_for(const struct token *t, const char *issuer,
		  const char *client);

enum token_age {
	TOKEN_HOLDS,
	TOKEN_AGES,     /* it may hold and a fresh one is due: its end is
			 * near, not known, or the clock is not to be
			 * believed */
	TOKEN_OVER
};
/* By the wall clock, which may have jumped. */
enum token_age token_age(const struct token *t, int64_t now);
/* Whether its refusal is so young that asking again is no use. */
bool token_is_refused(const struct token *t, int64_t now);

#endif
