/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mechanisms that are simpler made than asked for: PLAIN (RFC 4616) and LOGIN,
 * so that nothing of them stays in memory; CRAM-MD5 (RFC 2195), since servers
 * take a password's bytes as they are and the library only what SASLprep
 * takes; OAUTHBEARER (RFC 7628) and XOAUTH2.
 */
#include <gnutls/crypto.h>
#include <string.h>

#include "wire/sasl_parts.h"

static const char *password_want(const struct sasl_params *p)
{
	if (!p->username || !*p->username)
		return "a user name";
	return p->password && *p->password ? NULL : "a password";
}

static bool plain_message(const struct sasl_params *p,
			  const struct sasl_challenge *c, struct buf *out)
{
	(void)c;
	buf_addc(out, '\0');
	buf_adds(out, p->username);
	buf_addc(out, '\0');
	buf_adds(out, p->password);
	return true;
}

/* The prompts differ from server to server, and their order does not. */
static bool login_message(const struct sasl_params *p,
			  const struct sasl_challenge *c, struct buf *out)
{
	buf_adds(out, c->step == 1 ? p->username : p->password);
	return true;
}

static bool cram_message(const struct sasl_params *p,
			 const struct sasl_challenge *c, struct buf *out)
{
	unsigned char digest[16];
	size_t i;

	if (gnutls_hmac_fast(GNUTLS_MAC_MD5, p->password, strlen(p->password),
			     c->data ? c->data : "", c->n, digest) < 0)
		return false;
	buf_addf(out, "%s ", p->username);
	for (i = 0; i < sizeof(digest); i++)
		buf_addf(out, "%02x", digest[i]);
	mem_wipe(digest, sizeof(digest));
	return true;
}

/* Both OAuth forms separate their parts by control characters. */
static bool is_plain_text(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static const char *bearer_want(const struct sasl_params *p)
{
	if (!p->token || !*p->token)
		return "a token";
	if (!is_plain_text(p->token))
		return "a token without control characters";
	if (p->username && !is_plain_text(p->username))
		return "a user name without control characters";
	return NULL;
}

static const char *xoauth2_want(const struct sasl_params *p)
{
	return p->username && *p->username ? bearer_want(p) : "a user name";
}

static bool xoauth2_message(const struct sasl_params *p,
			    const struct sasl_challenge *c, struct buf *out)
{
	(void)c;
	buf_adds(out, "user=");
	buf_adds(out, p->username);
	buf_adds(out, "\1auth=Bearer ");
	buf_adds(out, p->token);
	buf_adds(out, "\1\1");
	return true;
}

/* RFC 5801 4: a saslname. */
static void add_saslname(struct buf *out, const char *name)
{
	for (; *name; name++) {
		if (*name == ',')
			buf_adds(out, "=2C");
		else if (*name == '=')
			buf_adds(out, "=3D");
		else
			buf_addc(out, *name);
	}
}

static bool oauthbearer_message(const struct sasl_params *p,
				const struct sasl_challenge *c,
				struct buf *out)
{
	(void)c;
	buf_adds(out, "n,");
	if (p->username && *p->username) {
		buf_adds(out, "a=");
		add_saslname(out, p->username);
	}
	buf_addc(out, ',');
	if (p->host)
		buf_addf(out, "\1host=%s", p->host);
	if (p->port)
		buf_addf(out, "\1port=%u", p->port);
	buf_adds(out, "\1auth=Bearer ");
	buf_adds(out, p->token);
	buf_adds(out, "\1\1");
	return true;
}

static const struct sasl_simple mechanisms[] = {
	{ .name = "PLAIN", .messages = 1, .want = password_want,
	  .message = plain_message },
	/* could begin, but servers differ in what they make of it */
	{ .name = "LOGIN", .messages = 2, .server_first = true,
	  .any_prompt = true, .want = password_want,
	  .message = login_message },
	{ .name = "CRAM-MD5", .messages = 1, .server_first = true,
	  .want = password_want, .message = cram_message },
	{ .name = "OAUTHBEARER", .messages = 1, .want = bearer_want,
	  .message = oauthbearer_message, .error_answer = "\1" },
	{ .name = "XOAUTH2", .messages = 1, .want = xoauth2_want,
	  .message = xoauth2_message, .error_answer = "" },
};

const struct sasl_simple *sasl_simple_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(mechanisms) / sizeof(*mechanisms); i++)
		if (!strcmp(mechanisms[i].name, name))
			return &mechanisms[i];
	return NULL;
}

bool sasl_simple_step(struct sasl *s, const char *input, size_t n,
		      struct buf *out, struct outcome *why)
{
	const struct sasl_simple *m = s->simple;
	const struct sasl_challenge c = {
		.step = s->steps, .data = input, .n = n,
	};

	if (s->steps <= m->messages) {
		if (!m->message(&s->params, &c, out))
			return outcome_fail(why, STAGE_AUTH, EX_NOPERM,
					    "%s cannot be computed here",
					    m->name);
		s->complete = s->steps == m->messages;
		return true;
	}
	s->complete = false;
	if (!m->error_answer || s->steps > m->messages + 1)
		return outcome_fail(why, STAGE_AUTH, EX_NOPERM, "the server "
				    "sent a challenge where %s has none",
				    m->name);
	if (n && input[0] == '{')
		buf_add(&s->words, input, n);
	buf_adds(out, m->error_answer);
	return true;
}
