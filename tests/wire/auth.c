/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The server's side of SASL, by libgsasl; PLAIN, OAuth and EXTERNAL by hand.
 * It can also misbehave on demand.
 */
#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <gsasl.h>

struct auth {
	struct peer *peer;
	char mechanism[40];
	bool initial, cancelled;
	char *identity;
};

static int give_binding(struct peer *p, Gsasl_session *g, bool exporter)
{
	bool modern = p->tls && gnutls_protocol_get_version(p->tls) ==
		GNUTLS_TLS1_3;
	gnutls_datum_t d = { NULL, 0 };
	char *text = NULL;

	if (!p->tls || p->script->binding == BINDING_NONE ||
	    modern != exporter)
		return GSASL_NO_CALLBACK;
	if (gnutls_session_channel_binding(p->tls, exporter ?
			GNUTLS_CB_TLS_EXPORTER : GNUTLS_CB_TLS_UNIQUE, &d) < 0)
		return GSASL_NO_CALLBACK;
	if (p->script->binding == BINDING_WRONG)
		d.data[0] ^= 1;
	if (gsasl_base64_to((char *)d.data, d.size, &text, NULL) != GSASL_OK)
		abort();
	gsasl_property_set(g, exporter ? GSASL_CB_TLS_EXPORTER :
			   GSASL_CB_TLS_UNIQUE, text);
	gsasl_free(text);
	gnutls_free(d.data);
	return GSASL_OK;
}

static int check_simple(const struct script *s, Gsasl_session *g)
{
	const char *user = gsasl_property_fast(g, GSASL_AUTHID);
	const char *password = gsasl_property_fast(g, GSASL_PASSWORD);

	return user && password && strcmp(user, s->user) == 0 &&
		strcmp(password, s->password) == 0 ?
		GSASL_OK : GSASL_AUTHENTICATION_ERROR;
}

static int give_password(const struct script *s, Gsasl_session *g)
{
	const char *user = gsasl_property_fast(g, GSASL_AUTHID);

	if (user && strcmp(user, s->user) != 0)
		return GSASL_AUTHENTICATION_ERROR;
	gsasl_property_set(g, GSASL_PASSWORD, s->password);
	return GSASL_OK;
}

/* Whose ticket it is; the realm is the KDC's affair. */
static int check_ticket(const struct script *s, Gsasl_session *g)
{
	const char *name = gsasl_property_fast(g, GSASL_GSSAPI_DISPLAY_NAME);
	size_t n = strlen(s->user);

	return name && strncmp(name, s->user, n) == 0 && name[n] == '@' ?
		GSASL_OK : GSASL_AUTHENTICATION_ERROR;
}

static int callback(Gsasl *ctx, Gsasl_session *g, Gsasl_property property)
{
	struct peer *p = gsasl_session_hook_get(g);
	char number[20];

	(void)ctx;
	switch (property) {
	case GSASL_VALIDATE_SIMPLE:
		return check_simple(p->script, g);
	case GSASL_VALIDATE_GSSAPI:
		return check_ticket(p->script, g);
	case GSASL_PASSWORD:
		return give_password(p->script, g);
	case GSASL_REALM:
		gsasl_property_set(g, property, p->script->hostname);
		return GSASL_OK;
	case GSASL_SCRAM_ITER:
		snprintf(number, sizeof(number), "%d", p->script->iterations);
		gsasl_property_set(g, property, number);
		return GSASL_OK;
	case GSASL_CB_TLS_EXPORTER:
		return give_binding(p, g, true);
	case GSASL_CB_TLS_UNIQUE:
		return give_binding(p, g, false);
	default:
		return GSASL_NO_CALLBACK;
	}
}

static void challenge(struct peer *p, const char *text)
{
	char *line = NULL;

	if (asprintf(&line, "334 %s", text) < 0)
		abort();
	peer_reply(p, line);
	free(line);
}

/* Keeps what the client said for a server that repeats it. */
static void hear(struct peer *p, const char *before, const char *line)
{
	char *all = NULL;

	if (asprintf(&all, "%s%s%s", *before ? before : p->said,
		     *before ? "" : " ", line) < 0)
		abort();
	free(p->said);
	p->said = all;
}

/* The client's next line; NULL: gone, or a rule answered it, or "*". */
static char *response(struct auth *a)
{
	size_t n;
	char *line = peer_line(a->peer, &n);

	if (!line)
		return NULL;
	if (strcmp(line, "*") == 0)
		a->cancelled = true;
	else
		hear(a->peer, "", line);
	if (a->cancelled || session_rule(a->peer, "auth-line", line)) {
		free(line);
		return NULL;
	}
	return line;
}

/* Changes one letter within the signature v=... of base64 text. */
static void spoil(char **text)
{
	char *plain = NULL, *again = NULL;
	size_t n;

	if (gsasl_base64_from(*text, strlen(*text), &plain, &n) != GSASL_OK)
		return;
	if (n > 6 && strncmp(plain, "v=", 2) == 0)
		plain[4] = plain[4] == 'A' ? 'B' : 'A';
	if (gsasl_base64_to(plain, n, &again, NULL) != GSASL_OK)
		abort();
	gsasl_free(plain);
	gsasl_free(*text);
	*text = again;
}

static bool endless(struct auth *a)
{
	char *line;

	for (;;) {
		challenge(a->peer, "AAAA");
		line = response(a);
		if (!line)
			return false;
		free(line);
	}
}

/* One step's output goes out; the client's answer to it comes back. */
static char *exchange(struct auth *a, char **out, bool last)
{
	const struct script *s = a->peer->script;

	if (last && s->wrong_signature)
		spoil(out);
	challenge(a->peer, *out);
	return response(a);
}

static bool dialogue(struct auth *a, Gsasl_session *g, char *input)
{
	const struct script *s = a->peer->script;
	bool good = false;

	while (input) {
		char *out = NULL;
		int rc = gsasl_step64(g, input, &out);
		bool more = rc == GSASL_NEEDS_MORE ||
			(rc == GSASL_OK && out && *out);

		free(input);
		input = NULL;
		good = rc == GSASL_OK;
		if (good && s->early_success)
			more = false;
		if (more)
			input = exchange(a, &out, good);
		gsasl_free(out);
		if (good && more && !input)
			good = false;
		if (good) {
			free(input);
			break;
		}
	}
	return good;
}

static bool by_library(struct auth *a, const char *initial)
{
	Gsasl *ctx = NULL;
	Gsasl_session *g = NULL;
	const char *identity;
	bool good = false;
	char *input;

	if (gsasl_init(&ctx) != GSASL_OK)
		abort();
	gsasl_callback_set(ctx, callback);
	if (gsasl_server_start(ctx, a->mechanism, &g) == GSASL_OK) {
		gsasl_session_hook_set(g, a->peer);
		gsasl_property_set(g, GSASL_SERVICE, "smtp");
		gsasl_property_set(g, GSASL_HOSTNAME,
				   a->peer->script->hostname);
		input = strdup(strcmp(initial, "=") == 0 ? "" : initial);
		good = dialogue(a, g, input);
		identity = gsasl_property_fast(g, GSASL_AUTHID);
		if (!identity)
			identity = gsasl_property_fast(
				g, GSASL_GSSAPI_DISPLAY_NAME);
		if (identity)
			a->identity = strdup(identity);
		gsasl_finish(g);
	}
	gsasl_done(ctx);
	return good;
}

/* The initial response or the answer to an empty challenge, decoded, which
 * the caller frees. */
static char *first_word(struct auth *a, const char *initial, size_t *n)
{
	char *line = NULL, *plain = NULL, *text = NULL;

	if (!a->initial) {
		challenge(a->peer, "");
		line = response(a);
		if (!line)
			return NULL;
		initial = line;
	} else if (strcmp(initial, "=") == 0) {
		initial = "";
	}
	if (gsasl_base64_from(initial, strlen(initial), &plain, n) != GSASL_OK)
		plain = NULL;
	free(line);
	if (plain) {
		text = calloc(1, *n + 1);
		if (!text)
			abort();
		memcpy(text, plain, *n);
		gsasl_free(plain);
	}
	return text;
}

/* By hand, since the library's server has its own idea of passwords. */
static bool by_plain(struct auth *a, const char *initial)
{
	const struct script *s = a->peer->script;
	size_t n = 0, user, password;
	char *plain = first_word(a, initial, &n);
	bool good = false;

	if (!plain)
		return false;
	user = strlen(plain) + 1;
	if (user <= n) {
		a->identity = strdup(plain + user);
		password = user + strlen(plain + user) + 1;
		good = password <= n && strcmp(plain + user, s->user) == 0 &&
			strlen(plain + password) == n - password &&
			strcmp(plain + password, s->password) == 0;
	}
	free(plain);
	return good;
}

static bool by_token(struct auth *a, const char *initial)
{
	const char *error = "{\"status\":\"invalid_token\"}";
	char want[600], *text = NULL, *plain;
	size_t n = 0, len;
	bool good;

	plain = first_word(a, initial, &n);
	if (!plain)
		return false;
	len = (size_t)snprintf(want, sizeof(want), "auth=Bearer %s\1\1",
			       a->peer->script->token);
	good = n >= len && memcmp(plain + n - len, want, len) == 0 &&
		memmem(plain, n, a->peer->script->user,
		       strlen(a->peer->script->user));
	a->identity = strndup(plain, strcspn(plain, "\1"));
	free(plain);
	if (!good) {
		if (gsasl_base64_to(error, strlen(error), &text, NULL) !=
		    GSASL_OK)
			abort();
		challenge(a->peer, text);
		gsasl_free(text);
		free(response(a));
	}
	return good;
}

static bool by_certificate(struct auth *a, const char *initial)
{
	unsigned int n = 0;
	size_t len = 0;

	a->identity = first_word(a, initial, &len);
	return a->identity && a->peer->tls &&
		gnutls_certificate_get_peers(a->peer->tls, &n) && n;
}

static void record_auth(const struct auth *a, bool good)
{
	static const char *const plain[] = {
		"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER",
	};
	bool secret = false;
	const struct field fields[] = {
		{ .name = "mechanism", .text = a->mechanism },
		{ .name = "ok", .type = F_BOOL, .number = good },
		{ .name = "initial", .type = F_BOOL, .number = a->initial },
		{ .name = "cancelled", .type = F_BOOL,
		  .number = a->cancelled },
		{ .name = "identity", .text = a->identity },
		{ .name = NULL },
	};

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (strcmp(a->mechanism, plain[i]) == 0 && !a->peer->tls)
			secret = true;
	record(a->peer->connection, "auth", fields);
	if (secret)
		audit(a->peer, "secret in clear", a->mechanism);
}

bool auth_run(struct peer *p, const char *argument)
{
	struct auth a = { .peer = p };
	const char *initial;
	size_t n;
	bool good;

	argument += strspn(argument, " ");
	hear(p, "AUTH ", argument);
	n = strcspn(argument, " ");
	snprintf(a.mechanism, sizeof(a.mechanism), "%.*s", (int)n, argument);
	initial = argument + n + strspn(argument + n, " ");
	a.initial = *initial != '\0';
	if (p->script->endless_challenge)
		good = endless(&a);
	else if (strcasecmp(a.mechanism, "XOAUTH2") == 0 ||
		 strcasecmp(a.mechanism, "OAUTHBEARER") == 0)
		good = by_token(&a, initial);
	else if (strcasecmp(a.mechanism, "PLAIN") == 0)
		good = by_plain(&a, initial);
	else if (strcasecmp(a.mechanism, "EXTERNAL") == 0)
		good = by_certificate(&a, initial);
	else
		good = by_library(&a, initial);
	record_auth(&a, good);
	free(a.identity);
	if (p->gone)
		return false;
	if (session_rule(p, "auth-final", a.mechanism))
		return p->last_code == 235;
	peer_reply(p, a.cancelled ? "501 5.7.0 cancelled" :
		   good ? "235 2.7.0 welcome" : "535 5.7.8 refused");
	return good;
}
