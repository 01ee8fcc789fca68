/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mechanisms that are one message: PLAIN (RFC 4616), built here so that
 * nothing of it stays in memory, OAUTHBEARER (RFC 7628) and XOAUTH2. */
#include <string.h>

#include "wire/sasl_parts.h"

static const char *plain_want(const struct sasl_params *p)
{
	if (!p->username || !*p->username)
		return "a user name";
	return p->password && *p->password ? NULL : "a password";
}

static void plain_message(const struct sasl_params *p, struct buf *out)
{
	buf_addc(out, '\0');
	buf_adds(out, p->username);
	buf_addc(out, '\0');
	buf_adds(out, p->password);
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

static void xoauth2_message(const struct sasl_params *p, struct buf *out)
{
	buf_adds(out, "user=");
	buf_adds(out, p->username);
	buf_adds(out, "\1auth=Bearer ");
	buf_adds(out, p->token);
	buf_adds(out, "\1\1");
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

static void oauthbearer_message(const struct sasl_params *p, struct buf *out)
{
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
}

static const struct sasl_simple mechanisms[] = {
	{ "PLAIN", plain_want, plain_message, NULL },
	{ "OAUTHBEARER", bearer_want, oauthbearer_message, "\1" },
	{ "XOAUTH2", xoauth2_want, xoauth2_message, "" },
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
	if (s->steps == 1) {
		s->simple->message(&s->params, out);
		s->complete = true;
		return true;
	}
	s->complete = false;
	if (!s->simple->error_answer || s->steps > 2)
		return outcome_fail(why, STAGE_AUTH, EX_NOPERM, "the server "
				    "sent a challenge where %s has none",
				    s->simple->name);
	if (n && input[0] == '{')
		buf_add(&s->words, input, n);
	buf_adds(out, s->simple->error_answer);
	return true;
}
