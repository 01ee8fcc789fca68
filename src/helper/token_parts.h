/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of posthaste-token share; nobody else includes this. */
#ifndef HELPER_TOKEN_PARTS_H
#define HELPER_TOKEN_PARTS_H

#include <jansson.h>

#include "helper/token_http.h"
#include "mail/mask.h"
#include "submit/token_file.h"

struct helper {
	const char *request;     /* the pairs that were read */
	struct http http;
	int64_t time;            /* ms that all of it may take */
	struct mask secrets;     /* never in any words */
	struct buf answer;       /* pairs; a secret */
	char words[320];         /* of the failure */
	int64_t interval;        /* s between two questions of a device; 0: it
				  * does not ask for one */
};

/* Sets the words (printable, without secrets), gives the status. */
int helper_fail(struct helper *h, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A value of the request, NULL where there is none; helper_free wipes. Those
 * that are secrets are masked in words from here on. */
char *helper_get(struct helper *h, const char *name);
char *helper_secret(struct helper *h, const char *name);

/* --- token_json.c --- */

/* The object of the last answer; NULL: it is none. json_decref. */
json_t *body_json(const struct http *h);
/* A member that is a string of printable ASCII (blanks too where spaces) of at
 * most so many bytes; NULL: there is none. The object's. */
const char *json_text(const json_t *object, const char *name, bool spaces,
		      size_t most);
/* What a refusal says (RFC 6749 5.2), for a person: its error, and the
 * description as far as it fits, printable and on one line, whatever its
 * characters and line ends (Microsoft's has some); "": nothing. */
enum { JSON_REFUSAL_SIZE = 320 };
void json_refusal(const json_t *object, char out[JSON_REFUSAL_SIZE]);
/* A number from 0 to most, or a string of digits; 0: there is none. */
int64_t json_number(const json_t *object, const char *name, int64_t most);
/* Whether a member is a list that has this string; otherwise what is asked
 * for where there is no such list. */
bool json_lists(const json_t *object, const char *name, const char *word,
		bool otherwise);

/* --- token_issuer.c --- */

struct issuer {
	char *exact;             /* its name in its own words; NULL: not
				  * known */
	char *authorization, *token, *device, *registration; /* NULL: none */
	bool sends_iss;          /* RFC 9207 */
	bool knows_offline;      /* offline_access may be asked for */
	const char *method;      /* of a client with a secret */
};
/* The status; 0: found. */
int issuer_find(struct helper *h, struct issuer *out);
void issuer_release(struct issuer *i);
/* Registers a client (RFC 7591) for a device or this redirect address (NULL:
 * a device). */
int issuer_register(struct helper *h, const struct issuer *i,
		    const char *redirect, struct token *client);

/* --- token_grant.c --- */

enum { FORM_MAX = 256 * 1024 };   /* bytes of a form */
/* "name=value" of a form, percent-encoded, after what is there. */
void form_add(struct buf *form, const char *name, const char *value);
/* Asks the token endpoint of *t for what the form asks for, as the client of
 * *t with that secret (NULL: none but t->client_secret). The status; 0: *t has
 * the tokens. EX_NOPERM: refused for good; PENDING: ask again. */
enum { PENDING = 1 };
int grant_ask(struct helper *h, struct buf *form, const char *secret,
	      struct token *t);
/* The same for another endpoint whose answer is left in http.body. */
int grant_post(struct helper *h, const char *endpoint, struct buf *form,
	       const char *secret, const struct token *t);

/* --- token_store.c --- */

/* The file of a login, for whoever has its lock. */
struct store {
	char *path;
	int directory, lock;
};

/* Whether it could be written, by a way that is root's or ours, and has room
 * on its disk. The status. */
int store_prove(struct helper *h, const char *path);
/* Opens the place of the file and waits for its lock, until the deadline. The
 * status; store_close gives all of it back in any case. */
int store_open(struct helper *h, const char *path, struct store *s);
void store_close(struct store *s);
/* EX_NOPERM, without words: there is no such file, or it is none of ours;
 * EX_TEMPFAIL: memory or descriptors lack. */
int store_read(struct helper *h, const struct store *s, struct token *t);
/* Keeps room on the disk for what will take the place of *t, in a file without
 * a name: *room, to be closed before that is written; -1 where there is no way
 * to. The status. */
int store_reserve(struct helper *h, const struct store *s,
		  const struct token *t, int *room);
/* Writes and syncs. The status. */
int store_write(struct helper *h, const struct store *s,
		const struct token *t);

/* --- token_begin.c, token_keep.c --- */

/* The verbs, as token.c has them. The status; what was found is in answer. */
int token_begin(struct helper *h);
int token_poll(struct helper *h);
int token_exchange(struct helper *h);
int token_refresh(struct helper *h);
int token_service(struct helper *h);
/* What to ask for so that mail may be sent, as it was configured or where it
 * is known; NULL: nothing. The caller frees. */
char *scope_for(struct helper *h, const struct issuer *i, bool service);

#endif
