/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What issuers of tokens answer, and what else comes to a login from outside:
 * the first line is "STATUS" of each answer, the second the address at which
 * a browser ended, then answers, an empty line between two. HTTP is ours here.
 * What was taken from them is one line each, an address is https, and what is
 * kept reads back as it was. No words ever hold a secret.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/pairs.h"
#include "helper/token_parts.h"
#include "parts.h"
#include "submit/login_answer.h"

static const char *answers;
static size_t answers_left;
static long answers_status;

static bool http_next(struct http *h)
{
	const char *end = memmem(answers, answers_left, "\n\n", 2);
	size_t n = end ? (size_t)(end - answers) : answers_left;

	if (!answers_left)
		return false;
	buf_reset(&h->body);
	fuzz_want(buf_add(&h->body, answers, n));
	answers += n + (end ? 2 : 0);
	answers_left -= n + (end ? 2 : 0);
	h->status = answers_status;
	return true;
}

bool http_get(struct http *h, const char *url)
{
	fuzz_want(http_is_url(url));
	return http_next(h);
}

bool http_post(struct http *h, const char *url, const char *type,
	       const struct buf *body, const char *credentials)
{
	(void)type;
	(void)credentials;
	fuzz_want(http_is_url(url));
	fuzz_want(!body->full && fuzz_is_clean(body->data, body->len));
	return http_next(h);
}

bool http_is_url(const char *url)
{
	return !strncmp(url, "https://", 8) && url[8] && url[8] != '/' &&
	       url[8] != ':' && !strpbrk(url, " \t\r\n\"<>\\#@");
}

static void want_same(const char *a, const char *b)
{
	fuzz_want(!a || !*a ? !b || !*b : b && !strcmp(a, b));
}

static void keep(const struct token *t)
{
	struct buf file = BUF_SECRET(TOKEN_FILE_MAX);
	struct token again;

	if (token_write(t, &file)) {
		fuzz_want(token_parse(buf_text(&file), &again));
		want_same(t->access, again.access);
		want_same(t->refresh, again.refresh);
		want_same(t->scope, again.scope);
		want_same(t->client_id, again.client_id);
		want_same(t->endpoint, again.endpoint);
		fuzz_want(again.expires == t->expires &&
			  again.obtained == t->obtained);
		(void)token_age(&again, t->obtained + 10);
		token_release(&again);
	}
	buf_release(&file);
}

static void log_in(struct helper *h)
{
	struct token t = {
		.issuer = mem_string("https://i.example"),
		.client_id = mem_string("client"), .method = mem_string("basic"),
	};
	struct buf form = BUF_SECRET(64 * 1024);
	struct issuer i = { 0 };
	int status = issuer_find(h, &i);

	if (!status && i.registration) {
		/* a client that is configured does not register */
		mem_wipe_string(t.client_id);
		mem_wipe_string(t.method);
		t.client_id = t.method = NULL;
		status = issuer_register(h, &i, "http://127.0.0.1:1/", &t);
	}
	if (!status) {
		fuzz_want(i.token && http_is_url(i.token));
		fuzz_want(!i.device || http_is_url(i.device));
		fuzz_want(!i.authorization || http_is_url(i.authorization));
		free(t.endpoint);
		t.endpoint = mem_string(i.token);
		if (!t.method)
			t.method = mem_string("post");
		if (!t.client_id)
			t.client_id = mem_string("client");
		form_add(&form, "grant_type", "refresh_token");
		status = grant_ask(h, &form, "the-client-secret", &t);
	}
	if (!status) {
		fuzz_want(t.access && *t.access && !strchr(t.access, '\n'));
		keep(&t);
	}
	fuzz_want(fuzz_is_clean(h->words, strlen(h->words)));
	fuzz_want(!strchr(h->words, '\n'));
	fuzz_want(!strstr(h->words, "the-client-secret"));
	issuer_release(&i);
	token_release(&t);
	buf_release(&form);
}

static void end_of_browser(const char *address)
{
	const struct login_question q = { "state", "https://i.example", true };
	struct outcome why;
	char *code = NULL;
	enum login_verdict v = login_answer(address, &q, &code, &why);

	fuzz_want((v == ANSWER_CODE) == (code != NULL));
	if (v == ANSWER_REFUSED)
		fuzz_want(fuzz_is_clean(why.text, strlen(why.text)));
	mem_wipe_string(code);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct helper h = { .request = "issuer https://i.example\n",
			    .answer = BUF_SECRET(64 * 1024) };
	const char *rest = (const char *)data;
	struct token t;
	char *text = mem_stringn(rest, n), *line;

	/* the file itself, and pairs from a helper */
	if (token_parse(text, &t))
		keep(&t);
	token_release(&t);
	mem_wipe_string(pairs_get(text, "access"));
	(void)pairs_number(text, "interval");
	free(text);
	line = fuzz_line(&rest, &n);
	answers_status = strtol(line, NULL, 10) % 1000;
	free(line);
	line = fuzz_line(&rest, &n);
	end_of_browser(line);
	free(line);
	answers = rest;
	answers_left = n;
	h.http.body = BUF_SECRET(HTTP_BODY_MAX);
	mask_add_secret(&h.secrets, "the-client-secret");
	log_in(&h);
	buf_release(&h.http.body);
	buf_release(&h.answer);
	mask_release(&h.secrets);
	return 0;
}
