/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/reply.h"

#include <stdio.h>
#include <string.h>

/* --- lines --- */

void reply_reset(struct reply *r)
{
	buf_reset(&r->text);
	buf_reset(&r->words);
	r->masked = false;
	r->code = 0;
	r->lines = 0;
	r->bytes = 0;
}

void reply_release(struct reply *r)
{
	buf_release(&r->text);
	buf_release(&r->words);
	*r = (struct reply){0};
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The code a line begins with; 0: none. */
static int line_code(const char *line, size_t n)
{
	if (n < 3 || line[0] < '2' || line[0] > '5' || !is_digit(line[1]) ||
	    !is_digit(line[2]))
		return 0;
	if (n > 3 && line[3] != ' ' && line[3] != '-')
		return 0;
	return (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';
}

static void text_add(struct reply *r, const char *text, size_t n)
{
	size_t i;

	r->text.max = REPLY_BYTES;
	if (r->lines > 1)
		buf_addc(&r->text, '\n');
	/* text is read as a string later, and a NUL must hide nothing */
	for (i = 0; i < n; i++)
		buf_addc(&r->text, text[i] && text[i] != '\n' ? text[i] : '?');
}

enum reply_state reply_line(struct reply *r, const char *line, size_t n)
{
	int code = line_code(line, n);

	if (!code || (r->lines && code != r->code))
		return REPLY_BAD;
	if (r->lines == REPLY_LINES || n > REPLY_BYTES - r->bytes)
		return REPLY_BAD;
	r->code = code;
	r->lines++;
	r->bytes += n;
	text_add(r, line + (n > 3 ? 4 : 3), n - (n > 3 ? 4 : 3));
	return n > 3 && line[3] == '-' ? REPLY_MORE : REPLY_DONE;
}

void reply_mask(struct reply *r, const struct mask *secrets)
{
	/* each thing that is masked takes up one letter at least */
	r->words.max = 8 * REPLY_BYTES;
	buf_reset(&r->words);
	mask_apply(secrets, buf_text(&r->text), r->text.len, &r->words);
	r->masked = true;
}

const char *reply_words(const struct reply *r)
{
	return buf_text(r->masked ? &r->words : &r->text);
}

int reply_class(const struct reply *r)
{
	return r->code / 100;
}

/* --- statuses --- */

/* The length of the enhanced status code (RFC 3463 2) that a line begins
 * with, if it is of this class; 0: none. */
static size_t status_length(const char *s, size_t n, int class)
{
	size_t i = 1, digits, part;

	if (!n || s[0] - '0' != class || class == 3)
		return 0;
	for (part = 0; part < 2; part++) {
		if (i >= n || s[i++] != '.')
			return 0;
		for (digits = 0; i < n && is_digit(s[i]); digits++)
			i++;
		if (!digits || digits > 3)
			return 0;
	}
	return i == n || s[i] == ' ' ? i : 0;
}

/* One line's words, without the status if it is the reply's. */
static void take_line(struct outcome *o, const char *s, size_t n,
		      struct buf *words)
{
	size_t len = status_length(s, n, o->code / 100);

	if (len && !o->status[0]) {
		memcpy(o->status, s, len);
		o->status[len] = '\0';
	}
	if (len && len == strlen(o->status) && !memcmp(s, o->status, len)) {
		s += len;
		n -= len;
	}
	while (n && (*s == ' ' || *s == '\t')) {
		s++;
		n--;
	}
	while (n && strchr(" \t\r", s[n - 1]))
		n--;
	if (n && words->len)
		buf_addc(words, ' ');
	buf_add(words, s, n);
}

void reply_describe(const struct reply *r, enum stage stage,
		    const char *host, struct outcome *o)
{
	const char *s = reply_words(r);
	struct buf words = BUF(strlen(s) + 1);
	size_t n;

	*o = (struct outcome){ .stage = stage, .code = r->code };
	snprintf(o->host, sizeof(o->host), "%s", host);
	for (;; s += n + 1) {
		n = strcspn(s, "\n");
		take_line(o, s, n, &words);
		if (!s[n])
			break;
	}
	text_printable(o->text, sizeof(o->text), buf_text(&words), words.len);
	buf_release(&words);
}
