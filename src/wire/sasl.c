/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/sasl_parts.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	STEPS_MAX = 20,
	CHALLENGE_MAX = 64 * 1024 + 1024
};

static bool is_any_of(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(name, *list))
			return true;
	return false;
}

static bool is_plus(const char *mechanism)
{
	size_t n = strlen(mechanism);

	return n > 5 && !strcmp(mechanism + n - 5, "-PLUS");
}

static bool wants_password(const char *mechanism)
{
	static const char *const names[] = { "DIGEST-MD5", "NTLM", NULL };

	return sasl_is_scram(mechanism) || is_any_of(mechanism, names);
}

/* Control characters where the mechanism's grammar has none. */
static bool is_bad_text(const char *mechanism, const char *input, size_t n)
{
	static const char *const texts[] = { "CRAM-MD5", "DIGEST-MD5", NULL };
	size_t i;

	if (is_any_of(mechanism, texts))
		return memchr(input, '\0', n) != NULL;
	for (i = 0; sasl_is_scram(mechanism) && i < n; i++)
		if ((unsigned char)input[i] < 0x20)
			return true;
	return false;
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
	char *text = NULL;
	int rc;

	if (!is_plus(p->mechanism) || !p->binding_kind ||
	    strcmp(p->binding_kind, kind))
		return GSASL_NO_CALLBACK;
	rc = gsasl_base64_to((const char *)p->binding, p->binding_len, &text,
			     NULL);
	if (rc != GSASL_OK)
		return rc;
	rc = gsasl_property_set(s->session, property, text);
	gsasl_free(text);
	return rc;
}

static int answer(Gsasl *library, Gsasl_session *session,
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
		/* SCRAM's comes from sasl_scram_salted_password alone */
		return set_property(s, property, sasl_is_scram(p->mechanism) ?
				    NULL : p->password);
	case GSASL_SCRAM_SALTED_PASSWORD:
		return sasl_scram_salted_password(s);
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
	int rc = gsasl_init(&s->library);

	if (rc != GSASL_OK) {
		s->library = NULL;
		return outcome_fail(why, STAGE_AUTH, EX_OSERR, "libgsasl: %s",
				    gsasl_strerror(rc));
	}
	gsasl_callback_hook_set(s->library, s);
	gsasl_callback_set(s->library, answer);
	rc = gsasl_client_start(s->library, name, &s->session);
	if (rc == GSASL_OK)
		return true;
	s->session = NULL;
	return outcome_fail(why, STAGE_AUTH, EX_NOPERM,
			    "mechanism %s cannot be used: %s", name,
			    gsasl_strerror(rc));
}

static const char *missing(const struct sasl *s)
{
	const struct sasl_params *p = &s->params;

	if (s->simple)
		return s->simple->want(p);
	if (wants_password(p->mechanism)) {
		if (!p->username || !*p->username)
			return "a user name";
		if (!p->password || !*p->password)
			return "a password";
	}
	if (is_plus(p->mechanism) &&
	    (!p->binding_kind || !p->binding || !p->binding_len))
		return "channel binding data, which this connection lacks";
	return NULL;
}

bool sasl_start(const struct sasl_params *params, struct sasl **out,
		struct outcome *why)
{
	struct sasl *s = mem_alloc(sizeof(*s));
	const char *want;

	*out = NULL;
	s->params = *params;
	s->simple = sasl_simple_find(params->mechanism);
	s->words = BUF(CHALLENGE_MAX);
	want = missing(s);
	if (want) {
		outcome_fail(why, STAGE_AUTH, EX_NOPERM,
			     "mechanism %s needs %s", params->mechanism, want);
		sasl_free(s);
		return false;
	}
	if (!s->simple && !library_start(s, why)) {
		sasl_free(s);
		return false;
	}
	*out = s;
	return true;
}

bool sasl_client_first(const struct sasl *s)
{
	return s->simple ? !s->simple->server_first :
			   strcmp(s->params.mechanism, "DIGEST-MD5") != 0;
}

static bool explain(struct sasl *s, int rc, struct outcome *why)
{
	const char *name = s->params.mechanism;

	s->complete = false;
	if (s->refusal[0])
		return outcome_fail(why, STAGE_AUTH, EX_NOPERM, "%s: %s", name,
				    s->refusal);
	if (rc == GSASL_AUTHENTICATION_ERROR && sasl_is_scram(name))
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

/* SCRAM's server-error (RFC 5802 7): it is answered with nothing, and the
 * refusal follows. */
static bool take_error(struct sasl *s, const char *input, size_t n)
{
	const char *end = n > 2 ? memchr(input, ',', n) : NULL;

	if (n < 3 || memcmp(input, "e=", 2))
		return false;
	if (end)
		n = (size_t)(end - input);
	return buf_add(&s->words, input + 2, n - 2);
}

static bool library_step(struct sasl *s, const char *input, size_t n,
			 struct buf *out, struct outcome *why)
{
	char *data = NULL;
	size_t len = 0;
	int rc;

	if (s->complete || s->words.len)
		return explain(s, GSASL_MECHANISM_CALLED_TOO_MANY_TIMES, why);
	if (sasl_is_scram(s->params.mechanism) && s->steps > 1 &&
	    take_error(s, input, n))
		return true;
	/* the library's DIGEST-MD5 reads through a NULL at its second step */
	if (!input && s->steps > 1)
		input = "";
	rc = gsasl_step(s->session, input, n, &data, &len);
	if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
		return explain(s, rc, why);
	s->complete = rc == GSASL_OK;
	if (len)
		buf_add(out, data, len);
	mem_wipe(data, len);
	gsasl_free(data);
	return true;
}

static bool step(struct sasl *s, const char *input, size_t n, struct buf *out,
		 struct outcome *why)
{
	bool done;

	if (n && is_bad_text(s->params.mechanism, input, n))
		return outcome_fail(why, STAGE_AUTH, EX_NOPERM, "%s: control "
				    "characters in the server's challenge",
				    s->params.mechanism);
	done = s->simple ? sasl_simple_step(s, input, n, out, why) :
			   library_step(s, input, n, out, why);
	if (done && out->full)
		return outcome_fail(why, STAGE_AUTH, EX_NOPERM,
				    "%s: the response is too long",
				    s->params.mechanism);
	return done;
}

/* The bytes of a challenge; *data is libgsasl's to free. */
static bool decode(const struct sasl *s, const char *challenge, char **data,
		   size_t *n, struct outcome *why)
{
	size_t len = challenge ? strlen(challenge) : 0;

	*data = NULL;
	*n = 0;
	while (len && strchr(" \t\r\n", challenge[len - 1]))
		len--;
	if (!len)
		return true;
	if (s->simple && s->simple->any_prompt)
		return true;
	if (len > CHALLENGE_MAX)
		return outcome_fail(why, STAGE_AUTH, EX_NOPERM,
				    "%s: the server's challenge is too long",
				    s->params.mechanism);
	if (gsasl_base64_from(challenge, len, data, n) == GSASL_OK)
		return true;
	*data = NULL;
	return outcome_fail(why, STAGE_AUTH, EX_NOPERM,
			    "%s: the server's challenge is no base64",
			    s->params.mechanism);
}

static bool encode(const struct buf *raw, struct buf *out,
		   struct outcome *why)
{
	char *text = NULL;
	size_t n = 0;
	bool fits;

	if (!raw->len)
		return true;
	if (gsasl_base64_to(raw->data, raw->len, &text, &n) != GSASL_OK)
		return outcome_fail(why, STAGE_AUTH, EX_OSERR,
				    "no memory for the response");
	fits = buf_add(out, text, n);
	mem_wipe(text, n);
	gsasl_free(text);
	return fits || outcome_fail(why, STAGE_AUTH, EX_NOPERM,
				    "the response is too long");
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
	done = decode(s, challenge, &data, &n, why) &&
	       step(s, data, n, &raw, why) && encode(&raw, out, why);
	if (!done)
		s->complete = false;
	buf_release(&raw);
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

bool sasl_supported(const char *mechanism)
{
	Gsasl *library;
	bool known;

	if (sasl_simple_find(mechanism))
		return true;
	if (gsasl_init(&library) != GSASL_OK)
		return false;
	known = gsasl_client_support_p(library, mechanism);
	gsasl_done(library);
	return known;
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
	return gsasl_check_version(NULL);
}
