/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/token_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/pairs.h"

static const char first_line[] = "posthaste-login 1\n";

enum {
	MARGIN = 120,           /* s before its end that a token is renewed */
	UNKNOWN_LIFETIME = 3600,
	CLOCK_SLACK = 60,       /* what clocks of one machine may differ */
	REFUSAL_LASTS = 600
};

/* The strings and the numbers of a file, by their names in it. */
struct token_fields {
	struct {
		const char *name;
		char **at;
	} text[10];
	struct {
		const char *name;
		int64_t *at;
	} number[4];
};

static struct token_fields fields_of(struct token *t)
{
	return (struct token_fields){
		.text = {
			{ "issuer", &t->issuer }, { "client", &t->client },
			{ "client_id", &t->client_id },
			{ "client_secret", &t->client_secret },
			{ "method", &t->method },
			{ "endpoint", &t->endpoint },
			{ "scope", &t->scope },
			{ "refresh_token", &t->refresh },
			{ "access_token", &t->access },
			{ "refusal", &t->refusal },
		},
		.number = {
			{ "obtained", &t->obtained },
			{ "expires", &t->expires },
			{ "refresh_expires", &t->refresh_expires },
			{ "refused", &t->refused },
		},
	};
}

static bool token_has(const char *text)
{
	return text && *text;
}

/* What every login has; without it a file would not be read again. */
static bool token_is_whole(const struct token *t)
{
	return token_has(t->issuer) && token_has(t->client_id) &&
	       token_has(t->method) && token_has(t->endpoint);
}

bool token_parse(const char *text, struct token *t)
{
	const size_t n = sizeof(first_line) - 1;
	struct token_fields f;
	size_t i;

	*t = (struct token){ 0 };
	if (strncmp(text, first_line, n))
		return false;
	f = fields_of(t);
	for (i = 0; i < sizeof(f.text) / sizeof(*f.text); i++)
		*f.text[i].at = pairs_get(text + n, f.text[i].name);
	for (i = 0; i < sizeof(f.number) / sizeof(*f.number); i++)
		*f.number[i].at = pairs_number(text + n, f.number[i].name);
	/* the last line of a file that is whole */
	if (token_is_whole(t) && strstr(text + n, "\nend\n"))
		return true;
	token_release(t);
	return false;
}

bool token_write(const struct token *t, struct buf *out)
{
	struct token copy = *t;
	struct token_fields f = fields_of(&copy);
	bool good = token_is_whole(t) && buf_adds(out, first_line);
	size_t i;

	for (i = 0; i < sizeof(f.text) / sizeof(*f.text); i++)
		good = good && pairs_add(out, f.text[i].name, *f.text[i].at);
	for (i = 0; i < sizeof(f.number) / sizeof(*f.number); i++)
		good = good && (!*f.number[i].at ||
				pairs_add_number(out, f.number[i].name,
						 *f.number[i].at));
	return good && buf_adds(out, "end\n");
}

void token_release(struct token *t)
{
	struct token_fields f = fields_of(t);
	size_t i;

	for (i = 0; i < sizeof(f.text) / sizeof(*f.text); i++)
		mem_wipe_string(*f.text[i].at);
	*t = (struct token){ 0 };
}

bool token_is_for(const struct token *t, const char *issuer,
		  const char *client)
{
	return t->issuer && !strcmp(t->issuer, issuer) &&
	       (client ? t->client && !strcmp(t->client, client) : !t->client);
}

enum token_age token_age(const struct token *t, int64_t now)
{
	int64_t lifetime = t->expires - t->obtained, margin;

	if (!t->access)
		return TOKEN_OVER;
	/* the clock went back since: how long it is ago cannot be told */
	if (now < t->obtained - CLOCK_SLACK)
		return TOKEN_AGES;
	if (!t->expires)
		return now < t->obtained + UNKNOWN_LIFETIME ? TOKEN_HOLDS :
		       TOKEN_AGES;
	if (now >= t->expires)
		return TOKEN_OVER;
	margin = lifetime / 4 < MARGIN ? lifetime / 4 : MARGIN;
	return t->expires - now > margin ? TOKEN_HOLDS : TOKEN_AGES;
}

bool token_is_refused(const struct token *t, int64_t now)
{
	return t->refused && now >= t->refused - CLOCK_SLACK &&
	       now < t->refused + REFUSAL_LASTS;
}
