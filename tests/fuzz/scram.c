/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A server that does know the password (the library's own side), and somebody
 * in between: the first byte chooses the mechanism, each line changes one of
 * the server's messages: "+WORDS" after it, "-N" bytes off its end, "N:WORDS"
 * in the place of its own from the Nth on ("~N:" counts from its end),
 * "=WORDS" instead of it, "." what is no base64 after it; else it is left as
 * it is. Untouched, it completes; with its first words touched, SCRAM never
 * does.
 */
#include <gsasl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "parts.h"
#include "wire/sasl.h"

static const char user[] = "u,=x", password[] = "correct horse";
static const unsigned char binding[32] = "binding";

static const struct {
	const char *name;
	bool signs_all;          /* what the server said, but for its last */
} mechanisms[] = {
	{ "SCRAM-SHA-256", true }, { "SCRAM-SHA-1", true },
	{ "SCRAM-SHA-256-PLUS", true }, { "SCRAM-SHA-1-PLUS", true },
	{ "DIGEST-MD5", false }, { "CRAM-MD5", false },
};
enum { MECHANISMS = sizeof(mechanisms) / sizeof(*mechanisms), ROUNDS = 6 };

static int serve(Gsasl *library, Gsasl_session *session, Gsasl_property p)
{
	char *text;

	(void)library;
	switch ((int)p) {
	case GSASL_PASSWORD:
		return gsasl_property_set(session, p, password);
	case GSASL_SCRAM_ITER:
		return gsasl_property_set(session, p, "4096");
	case GSASL_CB_TLS_EXPORTER:
		gsasl_base64_to((const char *)binding, sizeof(binding), &text,
				NULL);
		gsasl_property_set(session, p, text);
		gsasl_free(text);
		return GSASL_OK;
	case GSASL_REALM:
		return gsasl_property_set(session, p, "x.example");
	case GSASL_SERVICE:
		return gsasl_property_set(session, p, "smtp");
	case GSASL_HOSTNAME:
		return gsasl_property_set(session, p, "h.example");
	default:
		return GSASL_NO_CALLBACK;
	}
}

/* The server's message as it arrives, in base64; *changed: it was touched. */
static char *arrives(const char *message, size_t n, char *line, bool *changed)
{
	struct buf b = BUF(FUZZ_MOST), out = BUF(FUZZ_MOST);
	char *end, *text;
	size_t at;

	buf_add(&b, message, n);
	at = strtoul(*line == '~' ? line + 1 : line, &end, 10);
	if (*line == '~')
		at = n - (at < n ? at : n);
	if (*line == '+') {
		buf_adds(&b, line + 1);
	} else if (*line == '-') {
		at = strtoul(line + 1, &end, 10);
		b.len -= at < b.len ? at : b.len;
	} else if (*line == '=') {
		buf_reset(&b);
		buf_adds(&b, line + 1);
	} else if (end != line && *end == ':' && at < n) {
		b.len = at;
		buf_adds(&b, end + 1);
		if (b.len < n)
			buf_add(&b, message + b.len, n - b.len);
	}
	*changed = b.len != n || (n && memcmp(b.data, message, n));
	buf_add_base64(&out, b.data ? b.data : "", b.len);
	if (*line == '.')
		*changed = buf_addc(&out, '!');
	text = mem_string(buf_text(&out));
	buf_release(&b);
	buf_release(&out);
	return text;
}

struct talk {
	struct sasl *s;
	Gsasl_session *session;
	const char *rest;        /* lines */
	size_t n;
	bool touched_first, touched_last;
};

/* What the other side is told, and its answer; false: it is over. */
static bool to_server(struct talk *t, struct buf *answer, int *rc, char **text,
		      size_t *len)
{
	unsigned char *plain = mem_alloc(answer->len + 1);
	size_t n = fuzz_base64(answer->data ? answer->data : "", answer->len,
			       plain);

	*text = NULL;
	*len = 0;
	*rc = gsasl_step(t->session, (const char *)plain, n, text, len);
	free(plain);
	return *rc == GSASL_OK || *rc == GSASL_NEEDS_MORE;
}

/* SCRAM's last message is not signed, and nothing but its v= counts. */
static bool is_iterated(const char *challenge)
{
	unsigned char *plain = mem_alloc(strlen(challenge) + 1);
	size_t n = fuzz_base64(challenge, strlen(challenge), plain);
	const char *i = memmem(plain, n, "i=", 2);
	bool slow = i && strspn(i + 2, "0123456789") > 4;

	free(plain);
	return slow;
}

static void talk(struct talk *t)
{
	struct buf answer = BUF_SECRET(64 * 1024);
	char *challenge = NULL, *text = NULL, *line;
	bool good, changed = false, over = false;
	struct outcome why;
	int rounds, rc = GSASL_NEEDS_MORE;
	size_t len = 0;

	good = !sasl_client_first(t->s) ||
	       sasl_step(t->s, NULL, &answer, &why);
	for (rounds = 0; good && !over && rounds < ROUNDS; rounds++) {
		if (!to_server(t, &answer, &rc, &text, &len))
			break;
		over = rc == GSASL_OK;
		line = fuzz_line(&t->rest, &t->n);
		challenge = arrives(text, len, line, &changed);
		free(line);
		if (text)
			gsasl_free(text);
		t->touched_last = over && changed;
		t->touched_first = t->touched_first || (!over && changed);
		buf_reset(&answer);
		/* an empty last message need not be sent */
		good = (over && !*challenge) ||
		       (!is_iterated(challenge) &&
			sasl_step(t->s, challenge, &answer, &why));
		free(challenge);
	}
	buf_release(&answer);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const size_t which = n ? data[0] % MECHANISMS : 0;
	const struct sasl_params params = {
		.mechanism = mechanisms[which].name, .username = user,
		.password = password, .service = "smtp", .host = "h.example",
		.port = 587, .binding_kind = "tls-exporter",
		.binding = binding, .binding_len = sizeof(binding),
	};
	const struct log_settings none = { .to = "none" };
	struct talk t = { .rest = (const char *)data + 1 };
	struct outcome why;
	Gsasl *library;

	log_open(&none);
	if (!n || !sasl_start(&params, &t.s, &why))
		return 0;
	t.n = n - 1;
	fuzz_want(gsasl_init(&library) == GSASL_OK);
	gsasl_callback_set(library, serve);
	fuzz_want(gsasl_server_start(library, mechanisms[which].name,
				     &t.session) == GSASL_OK);
	talk(&t);
	if (!t.touched_first && !t.touched_last)
		fuzz_want(sasl_complete(t.s));
	else if (t.touched_first && mechanisms[which].signs_all)
		fuzz_want(!sasl_complete(t.s));
	gsasl_finish(t.session);
	gsasl_done(library);
	sasl_free(t.s);
	return 0;
}
