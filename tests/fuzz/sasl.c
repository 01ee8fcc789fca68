/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a server says within SASL: the first byte chooses the mechanism and
 * who logs in, each line is a challenge, in base64 or (after "!") what is to be
 * encoded. Whoever does not know the password proves nothing, learns nothing of
 * it in clear,
 * and gets answers of base64 alone. XOAUTH2 and OAUTHBEARER are here for
 * their errors, which are a server's JSON.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "parts.h"
#include "wire/sasl.h"

static const char password[] = "correct horse", token[] = "secret.token";

static const struct {
	const char *name;
	bool shows;              /* the secret itself goes to the server */
	bool proves;             /* the server has to know it, too */
} mechanisms[] = {
	{ "SCRAM-SHA-256", false, true }, { "SCRAM-SHA-1", false, true },
	{ "SCRAM-SHA-256-PLUS", false, true }, { "XOAUTH2", true, false },
	{ "OAUTHBEARER", true, false }, { "CRAM-MD5", false, false },
	{ "DIGEST-MD5", false, true }, { "PLAIN", true, false },
	{ "LOGIN", true, false }, { "EXTERNAL", false, false },
};
/* and what a user may have for a name, or a token that was got from who knows
 * where */
static const struct {
	const char *name, *token;
} users[] = {
	{ "u@x.example", token }, { "a,b=c", token }, { "a\001b", token },
	{ "\303\274", token }, { "u", "to\001ken" }, { NULL, token },
	{ "u", NULL },
};
enum { MECHANISMS = sizeof(mechanisms) / sizeof(*mechanisms),
       USERS = sizeof(users) / sizeof(*users), ROUNDS = 6 };

static void want_answer(const struct buf *answer, bool shows)
{
	unsigned char *plain = mem_alloc(answer->len + 1);
	const char *text = answer->data ? answer->data : "";
	size_t n;

	fuzz_want(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "abcdefghijklmnopqrstuvwxyz0123456789+/=") ==
		  answer->len);
	n = fuzz_base64(text, answer->len, plain);
	fuzz_want(shows || (!memmem(plain, n, password, strlen(password)) &&
			    !memmem(plain, n, token, strlen(token))));
	free(plain);
}

/* An iteration count that would take long is one that is refused, or takes
 * as long as it does: here there is no time for it. */
static bool takes_long(const char *challenge, size_t n)
{
	const char *i = memmem(challenge, n, "i=", 2);

	return i && strspn(i + 2, "0123456789") > 4;
}

static char *challenge_from(char *line)
{
	struct buf b = BUF(FUZZ_MOST);

	if (*line != '!')
		return line;
	if (!takes_long(line, strlen(line)))
		buf_add_base64(&b, line + 1, strlen(line) - 1);
	free(line);
	line = mem_string(buf_text(&b));
	buf_release(&b);
	return line;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const size_t which = n ? data[0] % MECHANISMS : 0;
	const size_t who = n ? data[0] / MECHANISMS % USERS : 0;
	const unsigned char binding[32] = "binding";
	const struct sasl_params params = {
		.mechanism = mechanisms[which].name,
		.username = users[who].name, .password = password,
		.token = users[who].token, .service = "smtp",
		.host = "h.example", .port = 587,
		.binding_kind = "tls-exporter", .binding = binding,
		.binding_len = users[who].token ? sizeof(binding) : 0,
	};
	const struct log_settings none = { .to = "none" };
	const char *rest = (const char *)data + 1;
	struct buf answer = BUF_SECRET(64 * 1024);
	struct sasl *s;
	struct outcome why;
	unsigned char *plain;
	char *challenge;
	int rounds;
	bool good, slow, shows;

	log_open(&none);
	if (!n-- || !sasl_start(&params, &s, &why))
		return 0;
	/* or the server said it first */
	shows = mechanisms[which].shows ||
		memmem(data, n + 1, password, strlen(password)) ||
		memmem(data, n + 1, token, strlen(token));
	good = !sasl_client_first(s) || sasl_step(s, NULL, &answer, &why);
	want_answer(&answer, shows);
	for (rounds = 0; good && n && rounds < ROUNDS; rounds++) {
		challenge = challenge_from(fuzz_line(&rest, &n));
		plain = mem_alloc(strlen(challenge) + 1);
		slow = takes_long((char *)plain,
				  fuzz_base64(challenge, strlen(challenge),
					      plain));
		free(plain);
		buf_reset(&answer);
		good = !slow && sasl_step(s, challenge, &answer, &why);
		if (good)
			want_answer(&answer, shows);
		free(challenge);
	}
	fuzz_want(!mechanisms[which].proves || !sasl_complete(s));
	fuzz_want(sasl_server_words(s) != NULL);
	sasl_free(s);
	buf_release(&answer);
	return 0;
}
