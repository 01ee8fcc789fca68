/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SASL client against libgsasl's server side in the same process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <gnutls/crypto.h>
#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/sasl.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define USER "joe@example.org"
#define PASSWORD "correct horse"
#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="

static const unsigned char binding[32] = "0123456789abcdefghijklmnopqrstu";
static const unsigned char other[32] = "0123456789abcdefghijklmnopqrst!";

enum spoil { SPOIL_NONE, SPOIL_SIGNATURE, SPOIL_NO_FINAL };

struct server {
	const char *mechanism;
	const char *password;
	const char *iterations;
	const unsigned char *binding;
	Gsasl_property binding_property;
	const char *derive_from;  /* SCRAM keys of this password, not prepared
				   * by the library */
	enum spoil spoil;
};

static int set_keys(Gsasl_session *session, const struct server *v)
{
	bool sha256 = strstr(v->mechanism, "256") != NULL;
	size_t size = sha256 ? 32 : 20;
	char salted[32], client[32], server[32], stored[32], *salt, *text;
	size_t n;
	gnutls_datum_t key = { (unsigned char *)(uintptr_t)v->derive_from,
			       (unsigned)strlen(v->derive_from) };
	gnutls_datum_t seed;

	assert_int_equal(gsasl_base64_from(SALT, strlen(SALT), &salt, &n), 0);
	seed = (gnutls_datum_t){ (unsigned char *)salt, (unsigned)n };
	assert_int_equal(gnutls_pbkdf2(sha256 ? GNUTLS_MAC_SHA256 :
				       GNUTLS_MAC_SHA1, &key, &seed, 4096,
				       salted, size), 0);
	gsasl_free(salt);
	gsasl_scram_secrets_from_salted_password(
		sha256 ? GSASL_HASH_SHA256 : GSASL_HASH_SHA1, salted, client,
		server, stored);
	gsasl_base64_to(server, size, &text, NULL);
	gsasl_property_set(session, GSASL_SCRAM_SERVERKEY, text);
	gsasl_free(text);
	gsasl_base64_to(stored, size, &text, NULL);
	gsasl_property_set(session, GSASL_SCRAM_STOREDKEY, text);
	gsasl_free(text);
	return GSASL_OK;
}

static int serve(Gsasl *library, Gsasl_session *session, Gsasl_property p)
{
	const struct server *v = gsasl_callback_hook_get(library);
	const char *a, *b;
	char *text;

	switch ((int)p) {
	case GSASL_PASSWORD:
		return gsasl_property_set(session, p, v->password);
	case GSASL_SCRAM_ITER:
		return v->iterations ?
		       gsasl_property_set(session, p, v->iterations) :
		       GSASL_NO_CALLBACK;
	case GSASL_SCRAM_SALT:
		return gsasl_property_set(session, p, SALT);
	case GSASL_SCRAM_SERVERKEY:
	case GSASL_SCRAM_STOREDKEY:
		return v->derive_from ? set_keys(session, v) :
					GSASL_NO_CALLBACK;
	case GSASL_CB_TLS_EXPORTER:
	case GSASL_CB_TLS_UNIQUE:
		if (!v->binding || p != v->binding_property)
			return GSASL_NO_CALLBACK;
		gsasl_base64_to((const char *)v->binding, sizeof(binding),
				&text, NULL);
		gsasl_property_set(session, p, text);
		gsasl_free(text);
		return GSASL_OK;
	case GSASL_VALIDATE_SIMPLE:
		a = gsasl_property_fast(session, GSASL_AUTHID);
		b = gsasl_property_fast(session, GSASL_PASSWORD);
		return a && b && !strcmp(a, USER) && !strcmp(b, v->password) ?
		       GSASL_OK : GSASL_AUTHENTICATION_ERROR;
	case GSASL_VALIDATE_EXTERNAL:
		a = gsasl_property_fast(session, GSASL_AUTHZID);
		return !strcmp(a ? a : "", v->password) ? GSASL_OK :
		       GSASL_AUTHENTICATION_ERROR;
	case GSASL_REALM:
		return gsasl_property_set(session, p, "example.org");
	case GSASL_SERVICE:
		return gsasl_property_set(session, p, "smtp");
	case GSASL_HOSTNAME:
		return gsasl_property_set(session, p, "mail.example.org");
	default:
		return GSASL_NO_CALLBACK;
	}
}

enum result { DONE, CLIENT_REFUSED, SERVER_REFUSED, NOT_COMPLETE };

/* Changes the last character but the padding of SCRAM's v=. */
static void spoil_final(char **text, enum spoil spoil)
{
	char *raw, *p;
	size_t n;

	if (spoil != SPOIL_SIGNATURE || !*text || strncmp(*text, "dj", 2))
		return;
	gsasl_base64_from(*text, strlen(*text), &raw, &n);
	p = raw + 2;
	*p = *p == 'A' ? 'B' : 'A';
	gsasl_free(*text);
	gsasl_base64_to(raw, n, text, NULL);
	gsasl_free(raw);
}

static enum result talk(struct sasl *s, Gsasl_session *session,
			const struct server *v, struct outcome *why)
{
	struct buf out = BUF_SECRET(65536);
	char *challenge = NULL;
	enum result result = CLIENT_REFUSED;
	int rc = GSASL_NEEDS_MORE, round;

	if (!sasl_client_first(s))
		rc = gsasl_step64(session, "", &challenge);
	for (round = 0; round < 8; round++) {
		if (!sasl_step(s, challenge, &out, why))
			goto out;
		gsasl_free(challenge);
		challenge = NULL;
		if (rc == GSASL_OK)
			break;
		rc = gsasl_step64(session, buf_text(&out), &challenge);
		buf_reset(&out);
		result = SERVER_REFUSED;
		if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
			goto out;
		result = CLIENT_REFUSED;
		spoil_final(&challenge, v->spoil);
		if (rc == GSASL_OK && (!challenge || !*challenge ||
				       v->spoil == SPOIL_NO_FINAL))
			break;
	}
	result = sasl_complete(s) ? DONE : NOT_COMPLETE;
out:
	gsasl_free(challenge);
	buf_release(&out);
	return result;
}

static enum result run(const struct sasl_params *p, const struct server *v,
		       struct outcome *why)
{
	Gsasl *library;
	Gsasl_session *session;
	struct sasl *s;
	enum result result;
	struct server copy = *v;

	if (!copy.mechanism)
		copy.mechanism = p->mechanism;
	if (!sasl_start(p, &s, why))
		return CLIENT_REFUSED;
	assert_int_equal(gsasl_init(&library), GSASL_OK);
	gsasl_callback_hook_set(library, &copy);
	gsasl_callback_set(library, serve);
	assert_int_equal(gsasl_server_start(library, copy.mechanism,
					    &session), GSASL_OK);
	result = talk(s, session, &copy, why);
	gsasl_finish(session);
	gsasl_done(library);
	sasl_free(s);
	return result;
}

static struct sasl_params params(const char *mechanism)
{
	return (struct sasl_params){
		.mechanism = mechanism, .username = USER,
		.password = PASSWORD, .service = "smtp",
		.host = "mail.example.org", .port = 587,
	};
}

static void test_passwords(void **state)
{
	static const char *const names[] = {
		"SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "DIGEST-MD5",
		"PLAIN", "LOGIN",
	};
	struct sasl_params p;
	struct server v = { .iterations = "4096" };
	struct outcome why;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(names); i++) {
		p = params(names[i]);
		/* known, but of no concern to a mechanism without -PLUS */
		p.binding_kind = "tls-exporter";
		p.binding = binding;
		p.binding_len = sizeof(binding);
		v.password = PASSWORD;
		if (run(&p, &v, &why) != DONE)
			fail_msg("%s: %s", names[i], why.text);
		v.password = "wrong";
		if (run(&p, &v, &why) != SERVER_REFUSED)
			fail_msg("%s takes a wrong password", names[i]);
	}
}

static void test_binding(void **state)
{
	static const struct {
		const char *mechanism, *kind;
		Gsasl_property property;
	} cases[] = {
		{ "SCRAM-SHA-256-PLUS", "tls-exporter",
		  GSASL_CB_TLS_EXPORTER },
		{ "SCRAM-SHA-1-PLUS", "tls-exporter", GSASL_CB_TLS_EXPORTER },
		{ "SCRAM-SHA-256-PLUS", "tls-unique", GSASL_CB_TLS_UNIQUE },
		{ "SCRAM-SHA-1-PLUS", "tls-unique", GSASL_CB_TLS_UNIQUE },
	};
	struct sasl_params p;
	struct server v = { .password = PASSWORD, .binding = binding,
			    .iterations = "4096" };
	struct outcome why;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		p = params(cases[i].mechanism);
		p.binding_kind = cases[i].kind;
		p.binding = binding;
		p.binding_len = sizeof(binding);
		v.binding_property = cases[i].property;
		v.password = PASSWORD;
		if (run(&p, &v, &why) != DONE)
			fail_msg("%s: %s", cases[i].mechanism, why.text);
		p.binding = other;
		assert_int_equal(run(&p, &v, &why), SERVER_REFUSED);
		p.binding = binding;
		v.password = "wrong";
		assert_int_equal(run(&p, &v, &why), SERVER_REFUSED);
		p.binding_kind = NULL;
		assert_int_equal(run(&p, &v, &why), CLIENT_REFUSED);
		assert_int_equal(why.exit, EX_NOPERM);
		assert_int_equal(why.stage, STAGE_AUTH);
	}
}

static void test_iterations(void **state)
{
	static const struct {
		const char *count;
		enum result result;
	} cases[] = {
		{ "1", CLIENT_REFUSED }, { "4095", CLIENT_REFUSED },
		{ "4096", DONE }, { "10000", DONE }, { "1000000", DONE },
		{ "1000001", CLIENT_REFUSED },
		{ "2147483647", CLIENT_REFUSED },
	};
	struct sasl_params p = params("SCRAM-SHA-1");
	struct server v = { .password = PASSWORD };
	struct outcome why;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		v.iterations = cases[i].count;
		why.text[0] = '\0';
		if (run(&p, &v, &why) != cases[i].result)
			fail_msg("%s: %s", cases[i].count, why.text);
		if (cases[i].result == DONE)
			continue;
		assert_int_equal(why.exit, EX_NOPERM);
		assert_non_null(strstr(why.text, cases[i].count));
		assert_non_null(strstr(why.text, "iteration"));
	}
}

static void test_server_proof(void **state)
{
	static const char *const names[] = { "SCRAM-SHA-256", "SCRAM-SHA-1" };
	struct server v = { .password = PASSWORD, .iterations = "4096" };
	struct sasl_params p;
	struct outcome why;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(names); i++) {
		p = params(names[i]);
		v.spoil = SPOIL_SIGNATURE;
		assert_int_equal(run(&p, &v, &why), CLIENT_REFUSED);
		assert_int_equal(why.exit, EX_NOPERM);
		assert_non_null(strstr(why.text, "prove"));
		v.spoil = SPOIL_NO_FINAL;
		assert_int_equal(run(&p, &v, &why), NOT_COMPLETE);
	}
}

/* Servers that store what they were given, or its prepared form. */
static void test_odd_passwords(void **state)
{
	static const struct {
		const char *ours, *servers;
	} cases[] = {
		{ "pass\xf0\x9f\x94\x91word", "pass\xf0\x9f\x94\x91word" },
		{ "I\xc2\xadX", "IX" },           /* soft hyphen */
		{ "\xe2\x85\xa8", "IX" },         /* roman numeral nine */
		{ "a\xff\xfe" "b", "a\xff\xfe" "b" },
		{ "tab\there", "tab\there" },
		{ "\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9" },
	};
	static const char *const names[] = { "SCRAM-SHA-256", "SCRAM-SHA-1" };
	struct server v = { .password = "unused", .iterations = "4096" };
	struct sasl_params p;
	struct outcome why;
	size_t i, k;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		for (k = 0; k < COUNT(names); k++) {
			p = params(names[k]);
			p.password = cases[i].ours;
			v.derive_from = cases[i].servers;
			why.text[0] = '\0';
			if (run(&p, &v, &why) != DONE)
				fail_msg("%s: password %zu: %s", names[k], i,
					 why.text);
		}
	}
}

static void test_plain_bytes(void **state)
{
	static const char *const names[] = { "PLAIN", "LOGIN" };
	static const char *const passwords[] = {
		"pass\xf0\x9f\x94\x91word", "I\xc2\xadX", "a,=b\\\"c",
	};
	struct buf out = BUF_SECRET(4096);
	struct sasl_params p;
	struct sasl *s;
	struct outcome why;
	char *raw;
	size_t i, k, n;

	(void)state;
	for (i = 0; i < COUNT(names); i++) {
		for (k = 0; k < COUNT(passwords); k++) {
			p = params(names[i]);
			p.password = passwords[k];
			assert_true(sasl_start(&p, &s, &why));
			if (!sasl_client_first(s)) {
				/* a prompt with the NUL of some servers */
				assert_true(sasl_step(s, "VXNlciBOYW1lAA==",
						      &out, &why));
				buf_reset(&out);
			}
			assert_true(sasl_step(s, NULL, &out, &why));
			assert_int_equal(gsasl_base64_from(out.data, out.len,
							   &raw, &n), 0);
			assert_true(n >= strlen(passwords[k]));
			assert_memory_equal(raw + n - strlen(passwords[k]),
					    passwords[k],
					    strlen(passwords[k]));
			assert_true(sasl_complete(s));
			gsasl_free(raw);
			buf_reset(&out);
			sasl_free(s);
		}
	}
	buf_release(&out);
}

/* Prompts are not looked at: neither what they say nor how it is coded. */
static void test_prompts(void **state)
{
	static const char *const prompts[] = {
		"VXNlcm5hbWU6", "Username:", "", "=", "!!!", "\xff",
	};
	struct sasl_params p = params("LOGIN");
	struct buf out = BUF_SECRET(4096);
	struct outcome why;
	struct sasl *s;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(prompts); i++) {
		assert_true(sasl_start(&p, &s, &why));
		assert_true(sasl_step(s, prompts[i], &out, &why));
		assert_string_equal(buf_text(&out), "am9lQGV4YW1wbGUub3Jn");
		assert_false(sasl_complete(s));
		buf_reset(&out);
		assert_true(sasl_step(s, prompts[i], &out, &why));
		assert_string_equal(buf_text(&out), "Y29ycmVjdCBob3JzZQ==");
		assert_true(sasl_complete(s));
		buf_reset(&out);
		sasl_free(s);
	}
	buf_release(&out);
}

/* The bytes as they are, whatever SASLprep would make of them. */
static void test_cram_bytes(void **state)
{
	static const struct {
		const char *user, *password;
	} cases[] = {
		{ "joe", "Stra\xdf" "e" },                 /* Latin-1 */
		{ "joe", "pass\xf0\x9f\x94\x91word" },
		{ "joe", "a\xc2\xa0" "b" }, { "joe", "I\xc2\xadX" },
		{ "j\xf6" "e", "\x01\x7f" }, { "\xef\xac\x81", "\xef\xac\x81" },
	};
	static const char challenge[] = "<1896.697170952@mail.example.org>";
	struct sasl_params p = params("CRAM-MD5");
	struct buf out = BUF_SECRET(4096), want = BUF(4096), text = BUF(4096);
	unsigned char digest[16];
	struct outcome why;
	struct sasl *s;
	size_t i, k;

	(void)state;
	buf_add_base64(&text, challenge, strlen(challenge));
	for (i = 0; i < COUNT(cases); i++) {
		p.username = cases[i].user;
		p.password = cases[i].password;
		assert_int_equal(gnutls_hmac_fast(GNUTLS_MAC_MD5, p.password,
						  strlen(p.password),
						  challenge, strlen(challenge),
						  digest), 0);
		buf_reset(&out);
		buf_reset(&want);
		buf_addf(&want, "%s ", p.username);
		for (k = 0; k < sizeof(digest); k++)
			buf_addf(&want, "%02x", digest[k]);
		assert_true(sasl_start(&p, &s, &why));
		assert_false(sasl_client_first(s));
		assert_true(sasl_step(s, buf_text(&text), &out, &why));
		assert_true(sasl_complete(s));
		sasl_free(s);
		if (!buf_add_unbase64(&text, out.data, out.len))
			fail_msg("case %zu: no base64", i);
		assert_string_equal(text.data + text.len - want.len,
				    want.data);
		buf_reset(&text);
		buf_add_base64(&text, challenge, strlen(challenge));
	}
	/* RFC 2195 2 */
	p.username = "tim";
	p.password = "tanstaaftanstaaf";
	buf_reset(&out);
	assert_true(sasl_start(&p, &s, &why));
	assert_true(sasl_step(s, "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9u"
				 "Lm1jaS5uZXQ+", &out, &why));
	assert_string_equal(out.data, "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzM"
				      "zNGQzODkw");
	sasl_free(s);
	buf_release(&out);
	buf_release(&want);
	buf_release(&text);
}

static void test_external(void **state)
{
	struct sasl_params p = params("EXTERNAL");
	struct server v = { .password = USER };
	struct outcome why;

	(void)state;
	p.password = NULL;
	assert_int_equal(run(&p, &v, &why), DONE);
	p.username = NULL;
	assert_int_equal(run(&p, &v, &why), SERVER_REFUSED);
	v.password = "";
	assert_int_equal(run(&p, &v, &why), DONE);
}

static char *first_response(const struct sasl_params *p)
{
	struct buf out = BUF_SECRET(65536);
	struct sasl *s;
	struct outcome why;
	char *raw = NULL, *copy;
	size_t n = 0;

	if (!sasl_start(p, &s, &why))
		fail_msg("%s: %s", p->mechanism, why.text);
	assert_true(sasl_client_first(s));
	assert_true(sasl_step(s, NULL, &out, &why));
	assert_int_equal(gsasl_base64_from(buf_text(&out), out.len, &raw, &n),
			 GSASL_OK);
	/* NUL shown as | */
	copy = mem_stringn(raw ? raw : "", n);
	for (; n; n--)
		if (!copy[n - 1])
			copy[n - 1] = '|';
	gsasl_free(raw);
	buf_release(&out);
	sasl_free(s);
	return copy;
}

static void test_initial_responses(void **state)
{
	static const struct {
		const char *mechanism, *user, *expected; /* beginning */
		bool whole;
	} cases[] = {
		{ "PLAIN", USER, "|" USER "|" PASSWORD, true },
		{ "EXTERNAL", USER, USER, true },
		{ "EXTERNAL", NULL, "", true },
		{ "SCRAM-SHA-1", USER, "n,,n=" USER ",r=", false },
		{ "SCRAM-SHA-256", "a,b=c", "n,,n=a=2Cb=3Dc,r=", false },
		{ "SCRAM-SHA-256-PLUS", USER,
		  "p=tls-exporter,,n=" USER ",r=", false },
		{ "OAUTHBEARER", USER,
		  "n,a=" USER ",\1host=mail.example.org\1port=587\1"
		  "auth=Bearer tok\1\1", true },
		{ "OAUTHBEARER", "a,b=c",
		  "n,a=a=2Cb=3Dc,\1host=mail.example.org\1port=587\1"
		  "auth=Bearer tok\1\1", true },
		{ "OAUTHBEARER", NULL,
		  "n,,\1host=mail.example.org\1port=587\1"
		  "auth=Bearer tok\1\1", true },
		{ "XOAUTH2", USER,
		  "user=" USER "\1auth=Bearer tok\1\1", true },
	};
	struct sasl_params p;
	char *got;
	size_t i, n;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		p = params(cases[i].mechanism);
		p.username = cases[i].user;
		p.token = "tok";
		p.binding_kind = "tls-exporter";
		p.binding = binding;
		p.binding_len = sizeof(binding);
		got = first_response(&p);
		n = strlen(cases[i].expected) + cases[i].whole;
		if (strncmp(got, cases[i].expected, n))
			fail_msg("%s: %s", cases[i].mechanism, got);
		mem_wipe_string(got);
	}
}

static void test_who_begins(void **state)
{
	static const char *const server_first[] = {
		"CRAM-MD5", "DIGEST-MD5", "LOGIN"
	};
	struct buf out = BUF_SECRET(4096);
	struct sasl_params p;
	struct outcome why;
	struct sasl *s;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(server_first); i++) {
		p = params(server_first[i]);
		assert_true(sasl_start(&p, &s, &why));
		assert_false(sasl_client_first(s));
		sasl_free(s);
	}
	/* a mechanism that has had its say has nothing more to say */
	p = params("PLAIN");
	assert_true(sasl_start(&p, &s, &why));
	assert_true(sasl_step(s, "", &out, &why));
	assert_false(sasl_step(s, "", &out, &why));
	assert_int_equal(why.exit, EX_NOPERM);
	assert_false(sasl_complete(s));
	buf_release(&out);
	sasl_free(s);
}

static void test_oauth_error(void **state)
{
	static const struct {
		const char *mechanism, *answer;
	} cases[] = { { "OAUTHBEARER", "AQ==" }, { "XOAUTH2", "" } };
	/* {"status":"401"} */
	static const char json[] = "eyJzdGF0dXMiOiI0MDEifQ==";
	struct buf out = BUF_SECRET(4096);
	struct sasl_params p;
	struct outcome why;
	struct sasl *s;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		p = params(cases[i].mechanism);
		p.token = "tok";
		assert_true(sasl_start(&p, &s, &why));
		assert_true(sasl_step(s, NULL, &out, &why));
		assert_true(sasl_complete(s));
		assert_string_equal(sasl_server_words(s), "");
		buf_reset(&out);
		assert_true(sasl_step(s, json, &out, &why));
		assert_string_equal(buf_text(&out), cases[i].answer);
		assert_string_equal(sasl_server_words(s),
				    "{\"status\":\"401\"}");
		assert_false(sasl_complete(s));
		assert_false(sasl_step(s, json, &out, &why));
		buf_reset(&out);
		sasl_free(s);
	}
	buf_release(&out);
}

static void test_missing(void **state)
{
	static const struct {
		const char *mechanism, *user, *password, *token;
	} cases[] = {
		{ "PLAIN", NULL, "p", NULL }, { "PLAIN", "u", NULL, NULL },
		{ "PLAIN", "u", "", NULL }, { "PLAIN", "", "p", NULL },
		{ "LOGIN", "u", NULL, NULL }, { "CRAM-MD5", NULL, "p", NULL },
		{ "DIGEST-MD5", "u", NULL, NULL },
		{ "SCRAM-SHA-256", "u", NULL, NULL },
		{ "OAUTHBEARER", "u", "p", NULL },
		{ "OAUTHBEARER", "u", "p", "tok\1auth=Bearer x" },
		{ "OAUTHBEARER", "u\1", "p", "tok" },
		{ "XOAUTH2", NULL, "p", "tok" }, { "XOAUTH2", "u", "p", "" },
		{ "NO-SUCH-THING", "u", "p", "tok" }, { "", "u", "p", "t" },
	};
	struct sasl_params p;
	struct outcome why;
	struct sasl *s;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		p = params(cases[i].mechanism);
		p.username = cases[i].user;
		p.password = cases[i].password;
		p.token = cases[i].token;
		if (sasl_start(&p, &s, &why))
			fail_msg("case %zu started", i);
		assert_null(s);
		assert_int_equal(why.exit, EX_NOPERM);
		assert_int_equal(why.stage, STAGE_AUTH);
	}
}

static char *huge_challenge(void)
{
	char *text = mem_alloc(200001);

	memset(text, 'A', 200000);
	return text;
}

static void test_bad_challenges(void **state)
{
	static const struct {
		const char *mechanism, *challenge;
	} cases[] = {
		{ "SCRAM-SHA-256", "!!!" }, { "SCRAM-SHA-256", "QQ" },
		{ "SCRAM-SHA-256", "QQ==\r\nQQ==" },
		{ "SCRAM-SHA-256", "cj0AcyxzPQ==" },    /* NUL */
		{ "SCRAM-SHA-256", "cj1hDQosaT0x" },    /* CRLF */
		{ "SCRAM-SHA-256", "QUJD" },
		{ "SCRAM-SHA-256", "" },
		{ "SCRAM-SHA-256", "HUGE" },
		{ "CRAM-MD5", "*" }, { "CRAM-MD5", "PGEAYj4=" },
		{ "CRAM-MD5", "HUGE" },
		{ "DIGEST-MD5", "PGEAYj4=" }, { "DIGEST-MD5", "QUJD" },
		{ "DIGEST-MD5", "HUGE" },
		{ "PLAIN", "QUJD" }, { "PLAIN", "HUGE" },
		{ "XOAUTH2", "???" }, { "XOAUTH2", "HUGE" },
		{ "EXTERNAL", "QUJD" },
	};
	char *huge = huge_challenge();
	struct buf out = BUF_SECRET(262144);
	struct sasl_params p;
	struct outcome why;
	struct sasl *s;
	const char *text;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		p = params(cases[i].mechanism);
		p.token = "tok";
		assert_true(sasl_start(&p, &s, &why));
		if (sasl_client_first(s))
			assert_true(sasl_step(s, NULL, &out, &why));
		buf_reset(&out);
		text = strcmp(cases[i].challenge, "HUGE") ?
		       cases[i].challenge : huge;
		if (sasl_step(s, text, &out, &why))
			fail_msg("case %zu is taken", i);
		assert_int_equal(why.exit, EX_NOPERM);
		assert_int_equal(why.stage, STAGE_AUTH);
		assert_false(sasl_complete(s));
		assert_int_equal(out.len, 0);
		sasl_free(s);
	}
	buf_release(&out);
	free(huge);
}

/* A server-first message made by hand around the client's nonce. */
static bool take_server_first(const char *format, bool own_nonce)
{
	struct buf out = BUF_SECRET(4096), first = BUF(4096);
	struct sasl_params p = params("SCRAM-SHA-256");
	struct outcome why;
	struct sasl *s;
	char *raw, *text;
	size_t n;
	bool taken;

	assert_true(sasl_start(&p, &s, &why));
	assert_true(sasl_step(s, NULL, &out, &why));
	gsasl_base64_from(out.data, out.len, &raw, &n);
	buf_adds(&first, format);
	buf_addf(&first, "r=%.*sxyz,s=%s,i=4096",
		 own_nonce ? (int)(n - (size_t)(strstr(raw, "r=") + 2 - raw)) :
		 0, strstr(raw, "r=") + 2, SALT);
	gsasl_free(raw);
	gsasl_base64_to(first.data, first.len, &text, NULL);
	buf_reset(&out);
	taken = sasl_step(s, text, &out, &why);
	gsasl_free(text);
	if (taken) {
		/* e=other-error in place of the proof: kept, answered with
		 * nothing, and no success ever after */
		assert_false(sasl_complete(s));
		buf_reset(&out);
		assert_true(sasl_step(s, "ZT1vdGhlci1lcnJvcg==", &out, &why));
		assert_int_equal(out.len, 0);
		assert_string_equal(sasl_server_words(s), "other-error");
		assert_false(sasl_complete(s));
		assert_false(sasl_step(s, "ZT1vdGhlci1lcnJvcg==", &out,
				       &why));
		assert_false(sasl_complete(s));
	}
	buf_release(&out);
	buf_release(&first);
	sasl_free(s);
	return taken;
}

static void test_server_first(void **state)
{
	(void)state;
	assert_true(take_server_first("", true));
	assert_false(take_server_first("", false));
	assert_false(take_server_first("m=must-know,", true));
}

static void test_rounds(void **state)
{
	struct buf out = BUF_SECRET(65536);
	struct sasl_params p = params("LOGIN");
	struct outcome why;
	struct sasl *s;
	unsigned i;

	(void)state;
	assert_true(sasl_start(&p, &s, &why));
	for (i = 0; i < 100 && sasl_step(s, "VXNlcm5hbWU6", &out, &why); i++)
		;
	assert_int_equal(i, 2);
	assert_false(sasl_complete(s));
	sasl_free(s);
	buf_release(&out);
}

/* Whether there is a client for it. */
static bool can_start(const char *mechanism)
{
	struct sasl_params p = params(mechanism);
	struct outcome why;
	struct sasl *s;
	bool done;

	p.token = "token";
	p.binding_kind = "tls-exporter";
	p.binding = (const unsigned char *)"0123456789abcdef";
	p.binding_len = 16;
	done = sasl_start(&p, &s, &why);
	sasl_free(s);
	return done;
}

static void test_library(void **state)
{
	static const char *const there[] = {
		"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER", "SCRAM-SHA-256",
		"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "CRAM-MD5", "EXTERNAL",
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(there); i++)
		assert_true(can_start(there[i]));
	assert_false(can_start("NO-SUCH-THING"));
	assert_false(can_start(""));
	assert_true(*sasl_library_version() != '\0');
	sasl_free(NULL);
}

static void test_no_ticket(void **state)
{
	struct sasl_params p = params("GSSAPI");
	struct buf out = BUF_SECRET(65536);
	struct outcome why;
	struct sasl *s;

	(void)state;
	setenv("KRB5CCNAME", "FILE:/nonexistent/ccache", 1);
	setenv("KRB5_CONFIG", "/nonexistent/krb5.conf", 1);
	assert_false(sasl_has_ticket("smtp", "mail.example.org"));
	if (!can_start("GSSAPI"))
		return;
	p.password = NULL;
	assert_true(sasl_start(&p, &s, &why));
	assert_false(sasl_step(s, NULL, &out, &why));
	assert_int_equal(why.exit, EX_NOPERM);
	sasl_free(s);
	buf_release(&out);
}

/* libgssapi_krb5 forgets 16 bytes of its own where there is no ticket. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libgssapi_krb5";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passwords),
		cmocka_unit_test(test_binding),
		cmocka_unit_test(test_iterations),
		cmocka_unit_test(test_server_proof),
		cmocka_unit_test(test_odd_passwords),
		cmocka_unit_test(test_plain_bytes),
		cmocka_unit_test(test_prompts),
		cmocka_unit_test(test_cram_bytes),
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_initial_responses),
		cmocka_unit_test(test_who_begins),
		cmocka_unit_test(test_oauth_error),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_bad_challenges),
		cmocka_unit_test(test_server_first),
		cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_library),
		cmocka_unit_test(test_no_ticket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
