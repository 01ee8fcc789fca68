/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/sasl.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/library_gnutls.h"
#include "wire/sasl_library.h"
#include "wire/sasl_scram.h"

enum {
	STEPS_MAX = 20,
	CHALLENGE_MAX = 64 * 1024 + 1024
};

/* What the server said before one of our messages. */
struct sasl_challenge {
	unsigned step;            /* 1 and up */
	const char *data;         /* decoded, NULL where there is none */
	size_t n;
};

/*
 * Some are simpler made than asked for: PLAIN (RFC 4616) and LOGIN, so that
 * nothing of them stays in memory; CRAM-MD5 (RFC 2195), since servers take a
 * password's bytes as they are and the library only what SASLprep takes;
 * OAUTHBEARER (RFC 7628) and XOAUTH2. The others are the library's.
 */
struct sasl_mechanism {
	const char *name;         /* with "-" at its end: all that begin so */
	bool scram;
	bool server_first;
	bool any_prompt;          /* challenges are not looked at, nor are they
				   * always base64 */
	unsigned char least;      /* the least byte that its challenges may
				   * hold */
	unsigned messages;        /* the client's, until the server answers;
				   * 0: the library's mechanism */
	/* What is missing or unfit in the parameters; NULL: nothing. */
	const char *(*want)(const struct sasl_params *p);
	/* False: a local inability. */
	bool (*message)(const struct sasl_params *p,
			const struct sasl_challenge *c, struct buf *out);
	const char *error_answer; /* to the server's error; NULL: it has none */
};

struct sasl {
	struct sasl_params params;
	const struct sasl_mechanism *mechanism;
	Gsasl *library;
	Gsasl_session *session;
	unsigned steps;
	bool complete;
	char refusal[128];  /* our own reason, where the library's word for it
			     * would not help; "" none */
	struct buf words;   /* what the server said inside the mechanism */
};

/* --- mechanisms --- */

/* What is missing or unfit in the parameters; NULL: nothing. */
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
static bool is_bearer_text(const char *s)
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
	if (!is_bearer_text(p->token))
		return "a token without control characters";
	if (p->username && !is_bearer_text(p->username))
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

static bool oauthbearer_message(const struct sasl_params *p,
				const struct sasl_challenge *c,
				struct buf *out)
{
	const char *name = p->username;

	(void)c;
	buf_adds(out, "n,");
	if (name && *name) {
		/* RFC 5801 4: a saslname */
		buf_adds(out, "a=");
		for (; *name; name++)
			if (*name == ',')
				buf_adds(out, "=2C");
			else if (*name == '=')
				buf_adds(out, "=3D");
			else
				buf_addc(out, *name);
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

static const struct sasl_mechanism sasl_mechanisms[] = {
	{ .name = "PLAIN", .messages = 1, .want = password_want,
	  .message = plain_message },
	/* could begin, but servers differ in what they make of it */
	{ .name = "LOGIN", .messages = 2, .server_first = true,
	  .any_prompt = true, .want = password_want,
	  .message = login_message },
	{ .name = "CRAM-MD5", .messages = 1, .server_first = true, .least = 1,
	  .want = password_want, .message = cram_message },
	{ .name = "OAUTHBEARER", .messages = 1, .want = bearer_want,
	  .message = oauthbearer_message, .error_answer = "\1" },
	{ .name = "XOAUTH2", .messages = 1, .want = xoauth2_want,
	  .message = xoauth2_message, .error_answer = "" },
	{ .name = "DIGEST-MD5", .server_first = true, .least = 1,
	  .want = password_want },
	{ .name = "NTLM", .want = password_want },
	{ .name = "SCRAM-", .scram = true, .least = 0x20,
	  .want = password_want },
	{ .name = "-" },         /* any other, if the library has it */
};

/* --- the library --- */

static bool is_plus(const char *mechanism)
{
	size_t n = strlen(mechanism);

	return n > 5 && !strcmp(mechanism + n - 5, "-PLUS");
}

static int set_property(struct sasl *s, Gsasl_property property,
			const char *value)
{
	if (!value || !*value)
		return GSASL_NO_CALLBACK;
	return gsasl_property_set(s->session, property, value);
}

/* The non-PLUS mechanisms of libgsasl fail if they are told the binding. */
static int set_binding(struct sasl *s, Gsasl_property property,
		       const char *kind)
{
	const struct sasl_params *p = &s->params;
	struct buf text = BUF(256);
	int rc;

	if (!is_plus(p->mechanism) || !p->binding_kind ||
	    strcmp(p->binding_kind, kind))
		return GSASL_NO_CALLBACK;
	buf_add_base64(&text, p->binding, p->binding_len);
	rc = gsasl_property_set(s->session, property, buf_text(&text));
	buf_release(&text);
	return rc;
}

/* SCRAM's comes from the salt and the count that the server gave. */
static int salted_password(struct sasl *s)
{
	const struct scram_challenge c = {
		.mechanism = s->params.mechanism,
		.iterations = gsasl_property_fast(s->session,
						  GSASL_SCRAM_ITER),
		.salt = gsasl_property_fast(s->session, GSASL_SCRAM_SALT),
	};
	char hex[SCRAM_HEX_MAX];
	int rc = GSASL_NO_CALLBACK;

	if (s->params.password &&
	    scram_salted_password(&c, s->params.password, hex, s->refusal))
		rc = gsasl_property_set(s->session,
					GSASL_SCRAM_SALTED_PASSWORD, hex);
	mem_wipe(hex, sizeof(hex));
	return rc;
}

static int sasl_answer(Gsasl *library, Gsasl_session *session,
		       Gsasl_property property)
{
	struct sasl *s = gsasl_callback_hook_get(library);
	const struct sasl_params *p = &s->params;

	s->session = session;
	switch ((int)property) {
	case GSASL_AUTHID:
		return set_property(s, property, p->username);
	case GSASL_AUTHZID:
		return set_property(s, property,
				    strcmp(p->mechanism, "EXTERNAL") ? NULL :
				    p->username);
	case GSASL_PASSWORD:
		/* SCRAM's is derived */
		return set_property(s, property, s->mechanism->scram ? NULL :
				    p->password);
	case GSASL_SCRAM_SALTED_PASSWORD:
		return salted_password(s);
	case GSASL_CB_TLS_EXPORTER:
		return set_binding(s, property, "tls-exporter");
	case GSASL_CB_TLS_UNIQUE:
		return set_binding(s, property, "tls-unique");
	case GSASL_SERVICE:
		return set_property(s, property, p->service);
	case GSASL_HOSTNAME:
		return set_property(s, property, p->host);
	case GSASL_QOP:
		return set_property(s, property, "qop-auth");
	default:
		return GSASL_NO_CALLBACK;
	}
}

static bool library_start(struct sasl *s, struct outcome *why)
{
	const char *name = s->params.mechanism;
	int rc;

	if (!gsasl_load(why))
		return false;
	rc = gsasl_init(&s->library);
	if (rc != GSASL_OK) {
		s->library = NULL;
		return outcome_fail(why, STAGE_AUTH, EX_OSERR, "libgsasl: %s",
				    gsasl_strerror(rc));
	}
	gsasl_callback_hook_set(s->library, s);
	gsasl_callback_set(s->library, sasl_answer);
	rc = gsasl_client_start(s->library, name, &s->session);
	if (rc == GSASL_OK)
		return true;
	s->session = NULL;
	return outcome_fail(why, STAGE_AUTH, EX_NOPERM,
			    "mechanism %s cannot be used: %s", name,
			    gsasl_strerror(rc));
}

bool sasl_start(const struct sasl_params *params, struct sasl **out,
		struct outcome *why)
{
	const struct sasl_mechanism *m = sasl_mechanisms;
	const char *name = params->mechanism, *want;
	struct sasl *s = mem_alloc(sizeof(*s));
	size_t n = strlen(m->name);

	/* "SCRAM-" is each that begins so, and "-" any other */
	while (strcmp(m->name, name) && strcmp(m->name, "-") &&
	       (m->name[n - 1] != '-' || strncmp(m->name, name, n)))
		n = strlen((++m)->name);
	*out = NULL;
	s->params = *params;
	s->mechanism = m;
	s->words = BUF(CHALLENGE_MAX);
	want = m->want ? m->want(params) : NULL;
	if (!want && is_plus(name) &&
	    (!params->binding_kind || !params->binding ||
	     !params->binding_len))
		want = "channel binding data, which this connection lacks";
	if (want) {
		outcome_fail(why, STAGE_AUTH, EX_NOPERM,
			     "mechanism %s needs %s", params->mechanism, want);
		sasl_free(s);
		return false;
	}
	if (!s->mechanism->messages && !library_start(s, why)) {
		sasl_free(s);
		return false;
	}
	*out = s;
	return true;
}

bool sasl_client_first(const struct sasl *s)
{
	return !s->mechanism->server_first;
}

static bool library_failed(struct sasl *s, int rc, struct outcome *why)
{
	const char *name = s->params.mechanism;

	s->complete = false;
	if (s->refusal[0])
		return outcome_fail(why, STAGE_AUTH, EX_NOPERM, "%s: %s", name,
				    s->refusal);
	if (rc == GSASL_AUTHENTICATION_ERROR && s->mechanism->scram)
		return outcome_fail(why, STAGE_AUTH, EX_NOPERM, "%s: the "
				    "server did not prove that it knows the "
				    "password", name);
	if (rc == GSASL_MECHANISM_CALLED_TOO_MANY_TIMES)
		return outcome_fail(why, STAGE_AUTH, EX_NOPERM, "the server "
				    "sent a challenge where %s has none",
				    name);
	if (rc == GSASL_GSSAPI_INIT_SEC_CONTEXT_ERROR)
		return outcome_fail(why, STAGE_AUTH, EX_NOPERM, "%s: no "
				    "Kerberos ticket for %s@%s (or no Kerberos "
				    "library)", name, s->params.service,
				    s->params.host);
	return outcome_fail(why, STAGE_AUTH, EX_NOPERM, "%s: %s", name,
			    gsasl_strerror(rc));
}

static bool library_step(struct sasl *s, const char *input, size_t n,
			 struct buf *out, struct outcome *why)
{
	char *data = NULL;
	const char *end;
	size_t len = 0;
	int rc;

	if (s->complete || s->words.len)
		return library_failed(s, GSASL_MECHANISM_CALLED_TOO_MANY_TIMES,
				      why);
	/* SCRAM's server-error (RFC 5802 7): it is answered with nothing, and
	 * the refusal follows */
	if (s->mechanism->scram && s->steps > 1 && n > 2 &&
	    !memcmp(input, "e=", 2)) {
		end = memchr(input, ',', n);
		return buf_add(&s->words, input + 2,
			       (end ? (size_t)(end - input) : n) - 2);
	}
	/* the library's DIGEST-MD5 reads through a NULL at its second step */
	if (!input && s->steps > 1)
		input = "";
	rc = gsasl_step(s->session, input, n, &data, &len);
	if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
		return library_failed(s, rc, why);
	s->complete = rc == GSASL_OK;
	if (len)
		buf_add(out, data, len);
	mem_wipe(data, len);
	gsasl_free(data);
	return true;
}

static bool own_step(struct sasl *s, const char *input, size_t n,
		     struct buf *out, struct outcome *why)
{
	const struct sasl_mechanism *m = s->mechanism;
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

/* The bytes of a challenge; *data is libgsasl's to free. */
static bool challenge_decode(const struct sasl *s, const char *challenge,
			     char **data, size_t *n, struct outcome *why)
{
	size_t i, len = challenge ? strlen(challenge) : 0;

	*data = NULL;
	*n = 0;
	while (len && strchr(" \t\r\n", challenge[len - 1]))
		len--;
	if (!len)
		return true;
	if (s->mechanism->any_prompt)
		return true;
	if (len > CHALLENGE_MAX)
		return outcome_fail(why, STAGE_AUTH, EX_NOPERM,
				    "%s: the server's challenge is too long",
				    s->params.mechanism);
	if (gsasl_base64_from(challenge, len, data, n) != GSASL_OK) {
		*data = NULL;
		return outcome_fail(why, STAGE_AUTH, EX_NOPERM,
				    "%s: the server's challenge is not base64",
				    s->params.mechanism);
	}
	/* control characters where the mechanism's grammar has none */
	for (i = 0; i < *n; i++)
		if ((unsigned char)(*data)[i] < s->mechanism->least)
			return outcome_fail(why, STAGE_AUTH, EX_NOPERM, "%s: "
					    "control characters in the "
					    "server's challenge",
					    s->params.mechanism);
	return true;
}

bool sasl_step(struct sasl *s, const char *challenge, struct buf *out,
	       struct outcome *why)
{
	struct buf raw = BUF_SECRET(2 * CHALLENGE_MAX);
	char *data;
	size_t n;
	bool done;

	if (++s->steps > STEPS_MAX)
		return outcome_fail(why, STAGE_AUTH, EX_NOPERM,
				    "%s: no end of challenges",
				    s->params.mechanism);
	done = challenge_decode(s, challenge, &data, &n, why) &&
	       (s->mechanism->messages ?
		own_step(s, data, n, &raw, why) :
		library_step(s, data, n, &raw, why));
	if (done && raw.full)
		done = outcome_fail(why, STAGE_AUTH, EX_NOPERM,
				    "%s: the response is too long",
				    s->params.mechanism);
	if (done && !buf_add_base64(out, raw.data, raw.len))
		done = outcome_fail(why, STAGE_AUTH, EX_NOPERM,
				    "the response is too long");
	if (!done)
		s->complete = false;
	buf_release(&raw);
	if (data)
		gsasl_free(data);
	return done;
}

bool sasl_complete(const struct sasl *s)
{
	return s->complete;
}

const char *sasl_server_words(const struct sasl *s)
{
	return buf_text(&s->words);
}

/* The library frees its copies without wiping them. */
static void wipe_property(Gsasl_session *session, Gsasl_property property)
{
	const char *value = gsasl_property_fast(session, property);

	if (value)
		mem_wipe((void *)(uintptr_t)value, strlen(value));
}

void sasl_free(struct sasl *s)
{
	if (!s)
		return;
	if (s->session) {
		wipe_property(s->session, GSASL_PASSWORD);
		wipe_property(s->session, GSASL_SCRAM_SALTED_PASSWORD);
		gsasl_finish(s->session);
	}
	if (s->library)
		gsasl_done(s->library);
	buf_release(&s->words);
	free(s);
}

bool sasl_has_ticket(const char *service, const char *host)
{
	const struct sasl_params params = {
		.mechanism = "GSSAPI", .service = service, .host = host,
	};
	struct buf out = BUF_SECRET(2 * CHALLENGE_MAX);
	struct outcome ignored;
	struct sasl *s;
	bool there;

	if (!sasl_start(&params, &s, &ignored))
		return false;
	there = sasl_step(s, NULL, &out, &ignored) && out.len;
	buf_release(&out);
	sasl_free(s);
	return there;
}

const char *sasl_library_version(void)
{
	return GSASL_VERSION;
}
