/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What issuers of tokens answer, and what else comes to a login from outside:
 * the first line is "STATUS" of the answers (or of one, in a first line
 * "#STATUS" of it), the second the address at which
 * a browser ended, then answers, an empty line between two. HTTP is ours here.
 * After STATUS there may be one of posthaste-token's verbs and what else its
 * request says, words NAME=VALUE; "file" takes the first answer for the file
 * of the login, in which "@N" is N seconds from now. The clock runs when the
 * helper waits.
 * What was taken from them is one line each, an address is https, and what is
 * kept reads back as it was. No words ever hold a secret.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/pairs.h"
#include "helper/token_parts.h"
#include "parts.h"
#include "submit/login_answer.h"

/* a program, whose parts are its own */
int token_main(int argc, char **argv);
#define main token_main
#include "helper/token.c"
#undef main

#include <dirent.h>
#include <sys/syscall.h>

static time_t waited;

int nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)left;
	waited += time->tv_sec + 1;
	return 0;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	const int error = (int)syscall(SYS_clock_gettime, clock, t);

	if (clock == CLOCK_MONOTONIC)
		t->tv_sec += waited;
	return error;
}

static const char *answers;
static size_t answers_left;
static long answers_status;

static bool http_next(struct http *h)
{
	const char *end = memmem(answers, answers_left, "\n\n", 2), *own;
	size_t n = end ? (size_t)(end - answers) : answers_left;
	const char *text = answers;

	if (!answers_left)
		return false;
	if (!h->body.data)
		h->body = BUF_SECRET(HTTP_BODY_MAX);
	buf_reset(&h->body);
	h->status = answers_status;
	if (*text == '#' && (own = memchr(text, '\n', n))) {
		/* not past the line's end, as over blanks */
		h->status = text[1] < '0' || text[1] > '9' ? 0 :
			    strtol(text + 1, NULL, 10) % 1000;
		text = own + 1;
	}
	fuzz_want(buf_add(&h->body, text, (size_t)(answers + n - text)));
	answers += n + (end ? 2 : 0);
	answers_left -= n + (end ? 2 : 0);
	return true;
}

bool http_get(struct http *h, const char *url)
{
	snprintf(h->words, sizeof(h->words), "no answer");
	return http_is_url(url) && http_next(h);
}

bool http_post(struct http *h, const char *url, const char *type,
	       const struct buf *body, const char *credentials)
{
	(void)type;
	(void)credentials;
	fuzz_want(!body->full && fuzz_is_clean(body->data, body->len));
	snprintf(h->words, sizeof(h->words), "no answer");
	return http_is_url(url) && http_next(h);
}

bool http_is_url(const char *url)
{
	return !strncmp(url, "https://", 8) && url[8] && url[8] != '/' &&
	       url[8] != ':' && !strpbrk(url, " \t\r\n\"<>\\#@");
}

void http_release(struct http *h)
{
	list_release(&h->resolver);
	buf_release(&h->body);
}

static void want_same(const char *a, const char *b)
{
	fuzz_want(!a || !*a ? !b || !*b : b && !strcmp(a, b));
}

static void want_kept(const struct token *t)
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
		.client_id = mem_string("client"),
		.method = mem_string("basic"),
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
		want_kept(&t);
	}
	fuzz_want(fuzz_is_clean(h->words, strlen(h->words)));
	fuzz_want(!strchr(h->words, '\n'));
	fuzz_want(!strstr(h->words, "the-client-secret"));
	issuer_release(&i);
	token_release(&t);
	buf_release(&form);
}

/* --- the helper whole --- */

static char place[64];

static void place_empty(void)
{
	DIR *d = opendir(place);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[strspn(e->d_name, ".")])
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

static void place_gone(void)
{
	place_empty();
	rmdir(place);
}

static void make_place(void)
{
	if (!*place) {
		snprintf(place, sizeof(place), "%s/fuzz-token-%ld",
			 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm",
			 (long)getpid());
		fuzz_want(!mkdir(place, 0700));
		atexit(place_gone);
	}
}

/* The first answer is the login's file. */
static void put_login(const char *path)
{
	const char *at = memmem(answers, answers_left, "\n\n", 2), *mark;
	size_t n = at ? (size_t)(at - answers) : answers_left;
	char *text = mem_stringn(answers, n), *end = text;
	struct buf b = BUF(FUZZ_MOST);
	long in;
	int fd;

	answers += n + (at ? 2 : 0);
	answers_left -= n + (at ? 2 : 0);
	while ((mark = strchr(end, '@'))) {
		buf_add(&b, end, (size_t)(mark - end));
		in = strtol(mark + 1, &end, 10);
		in = in < -1000000000 || in > 1000000000 ? 0 : in;
		buf_addf(&b, "%lld", (long long)time(NULL) + in);
	}
	buf_addf(&b, "%s\n", end);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fuzz_want(fd >= 0 && write(fd, buf_text(&b), b.len) == (ssize_t)b.len);
	close(fd);
	buf_release(&b);
	free(text);
}

/* What it hands back: lines that can be printed, a name and a value each. */
static void want_answered(struct helper *h, int status)
{
	const char *line, *end;
	char *value;

	fuzz_want(status == EX_OK || (status >= EX_USAGE &&
				      status <= EX_CONFIG));
	fuzz_want(fuzz_is_clean(h->words, strlen(h->words)) &&
		  !strchr(h->words, '\n'));
	fuzz_want(!strstr(h->words, "the-client-secret"));
	if (status)
		return;
	fuzz_want(!h->answer.full);
	for (line = buf_text(&h->answer); *line; line = end + 1) {
		end = strchr(line, '\n');
		fuzz_want(end && strcspn(line, " ") > 0 &&
			  line + strcspn(line, " ") < end);
	}
	value = pairs_get(buf_text(&h->answer), "url");
	fuzz_want(!value || http_is_url(value));
	free(value);
	value = pairs_get(buf_text(&h->answer), "uri");
	fuzz_want(!value || http_is_url(value));
	free(value);
}

static void want_file(const char *path, int status, const char *verb)
{
	struct buf text = BUF_SECRET(TOKEN_FILE_MAX);
	struct outcome why;
	struct token t;

	if (status || !strcmp(verb, "begin"))
		return;
	fuzz_want(file_read(path, FILE_PRIVATE, &text, NULL, &why));
	fuzz_want(token_parse(buf_text(&text), &t));
	fuzz_want(t.access && *t.access && t.issuer);
	fuzz_want(strcmp(verb, "service") || !t.refresh);
	want_kept(&t);
	token_release(&t);
	buf_release(&text);
}

static void run_helper(char *words)
{
	struct helper h = { .answer = BUF_SECRET(REQUEST_MAX) };
	struct buf request = BUF_SECRET(REQUEST_MAX);
	char *next, *verb = strtok_r(words, " ", &next), *word, *equals;
	char path[128];
	int status;

	make_place();
	snprintf(path, sizeof(path), "%s/login", place);
	buf_addf(&request, "file %s\nclient_secret the-client-secret\n"
		 "time 100000\n", path);
	while ((word = strtok_r(NULL, " ", &next))) {
		equals = strchr(word, '=');
		if (!strcmp(word, "file"))
			put_login(path);
		else if (equals && strncmp(word, "file", 4))
			buf_addf(&request, "%.*s %s\n",
				 (int)(equals - word), word, equals + 1);
	}
	h.request = buf_text(&request);
	status = run_verb(&h, verb);
	want_answered(&h, status);
	want_file(path, status, verb);
	mask_release(&h.secrets);
	buf_release(&h.answer);
	buf_release(&request);
	place_empty();
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
	char *text = mem_stringn(rest, n), *line, *words;

	/* the file itself, and pairs from a helper */
	if (token_parse(text, &t))
		want_kept(&t);
	token_release(&t);
	mem_wipe_string(pairs_get(text, "access"));
	(void)pairs_number(text, "interval");
	free(text);
	line = fuzz_line(&rest, &n);
	answers_status = strtol(line, &words, 10) % 1000;
	words += strspn(words, " ");
	words = mem_string(words);
	free(line);
	line = fuzz_line(&rest, &n);
	end_of_browser(line);
	free(line);
	answers = rest;
	answers_left = n;
	if (*words) {
		run_helper(words);
		free(words);
		return 0;
	}
	free(words);
	h.http.body = BUF_SECRET(HTTP_BODY_MAX);
	mask_add_secret(&h.secrets, "the-client-secret");
	log_in(&h);
	buf_release(&h.http.body);
	buf_release(&h.answer);
	mask_release(&h.secrets);
	return 0;
}
