/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --setup's side of the conversation. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "desk/setup_parts.h"

enum { LINE_MAX_BYTES = 4096 };

static char *words_of(const char *format, va_list ap)
	__attribute__((format(printf, 1, 0)));
static char *words_of(const char *format, va_list ap)
{
	char words[2048];

	vsnprintf(words, sizeof(words), format, ap);
	return text_clean(words);
}

void setup_say(const char *format, ...)
{
	struct buf out = BUF(64 * 1024);
	char *words;
	va_list ap;

	va_start(ap, format);
	words = words_of(format, ap);
	va_end(ap);
	if (*words)
		desk_wrap(&out, "", words);
	else
		buf_addc(&out, '\n');
	(void)desk_show(&out);
	buf_release(&out);
	free(words);
}

void setup_show(const char *text)
{
	struct buf out = BUF(1024 * 1024);
	size_t n;

	while (*text) {
		n = strcspn(text, "\n");
		buf_addf(&out, n ? "    %.*s\n" : "\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
	(void)desk_show(&out);
	buf_release(&out);
}

/* One line of the terminal. False: it has no more. */
static bool read_answer(char line[LINE_MAX_BYTES])
{
	ssize_t n;

	do
		n = read(STDIN_FILENO, line, LINE_MAX_BYTES - 1);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	line[n] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	return true;
}

bool setup_ask(struct setup *s, const char *fallback, char **answer,
	       const char *format, ...)
{
	char line[LINE_MAX_BYTES], *words, *text;
	struct buf out = BUF(64 * 1024);
	va_list ap;

	*answer = NULL;
	if (s->left)
		return false;
	va_start(ap, format);
	words = words_of(format, ap);
	va_end(ap);
	buf_adds(&out, words);
	buf_addf(&out, fallback && *fallback ? " [%s] " : " ", fallback);
	free(words);
	if (!s->silent)
		(void)desk_show(&out);
	buf_release(&out);
	if (s->silent) {
		*answer = mem_string(fallback ? fallback : "");
		return true;
	}
	if (!read_answer(line)) {
		s->left = true;
		return outcome_fail(&s->why, STAGE_LOCAL, EX_NOINPUT,
				    "no answer: nothing further was done");
	}
	text = line + strspn(line, " \t");
	text[strcspn(text, " \t")] = '\0';
	*answer = mem_string(*text || !fallback ? text : fallback);
	return true;
}

bool setup_agrees(struct setup *s, bool fallback, const char *format, ...)
{
	char *answer, *words;
	bool agrees;
	va_list ap;

	va_start(ap, format);
	words = words_of(format, ap);
	va_end(ap);
	for (;;) {
		if (!setup_ask(s, fallback ? "yes" : "no", &answer, "%s",
			       words)) {
			agrees = false;
			break;
		}
		agrees = !strncasecmp(answer, "y", 1);
		if (agrees || !strncasecmp(answer, "n", 1)) {
			free(answer);
			break;
		}
		free(answer);
		setup_say("Please answer yes or no.");
	}
	free(words);
	return agrees;
}
