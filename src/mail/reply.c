/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/scan.h"
#include "mail/mechanism.h"

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

/* The code a line begins with; 0: none. */
static int line_code(const char *line, size_t n)
{
	if (n < 3 || line[0] < '2' || line[0] > '5' ||
	    !scan_is_digit(line[1]) || !scan_is_digit(line[2]))
		return 0;
	if (n > 3 && line[3] != ' ' && line[3] != '-')
		return 0;
	return (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';
}

enum reply_state reply_line(struct reply *r, const char *line, size_t n)
{
	int code = line_code(line, n);
	size_t i;

	if (!code || (r->lines && code != r->code))
		return REPLY_BAD;
	if (r->lines == REPLY_LINES || n > REPLY_BYTES - r->bytes)
		return REPLY_BAD;
	r->code = code;
	r->lines++;
	r->bytes += n;
	r->text.max = REPLY_BYTES;
	if (r->lines > 1)
		buf_addc(&r->text, '\n');
	/* text is read as a string later, and a NUL must hide nothing */
	for (i = 4; i < n; i++)
		buf_addc(&r->text, line[i] && line[i] != '\n' ? line[i] : '?');
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
		for (digits = 0; i < n && scan_is_digit(s[i]); digits++)
			i++;
		if (!digits || digits > 3)
			return 0;
	}
	return i == n || s[i] == ' ' ? i : 0;
}

void reply_describe(const struct reply *r, enum stage stage,
		    const char *host, struct outcome *o)
{
	struct scan all = scan_text(reply_words(r)), line;
	struct buf words = BUF(scan_left(&all) + 1);
	size_t n;

	*o = (struct outcome){ .stage = stage, .code = r->code };
	snprintf(o->host, sizeof(o->host), "%s", host);
	while (scan_until(&all, '\n', &line)) {
		n = status_length(line.p, scan_left(&line), o->code / 100);
		if (n && !o->status[0]) {
			memcpy(o->status, line.p, n);
			o->status[n] = '\0';
		}
		/* the reply's own is not to be said with each line */
		if (n && n == strlen(o->status) &&
		    !memcmp(line.p, o->status, n))
			line.p += n;
		scan_trim(&line);
		if (scan_left(&line) && words.len)
			buf_addc(&words, ' ');
		buf_add(&words, line.p, scan_left(&line));
	}
	text_printable(o->text, sizeof(o->text), buf_text(&words), words.len);
	buf_release(&words);
}

/* --- what EHLO announced --- */

/* A name's length (RFC 4422 3.1), and how many are listened to. */
enum { MECHANISM_MAX = 20, MECHANISMS_MAX = 100 };

static const struct {
	const char *keyword;
	size_t offset;
} flags[] = {
	{ "PIPELINING", offsetof(struct features, pipelining) },
	{ "CHUNKING", offsetof(struct features, chunking) },
	{ "8BITMIME", offsetof(struct features, eight_bit_mime) },
	{ "SMTPUTF8", offsetof(struct features, smtputf8) },
	{ "DSN", offsetof(struct features, dsn) },
	{ "ENHANCEDSTATUSCODES",
	  offsetof(struct features, enhanced_status_codes) },
	{ "STARTTLS", offsetof(struct features, starttls) },
	{ "REQUIRETLS", offsetof(struct features, require_tls) },
	{ "PIPECONNECT", offsetof(struct features, early_pipelining) },
	{ "PIPE_CONNECT", offsetof(struct features, early_pipelining) },
	{ "X_PIPE_CONNECT", offsetof(struct features, early_pipelining) },
};

/* Those with more to them than being there. */
static const char *const others[] = { "SIZE", "LIMITS", "AUTH" };

const char *extension_name(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (!strcasecmp(name, flags[i].keyword))
			return flags[i].keyword;
	for (i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (!strcasecmp(name, others[i]))
			return others[i];
	return NULL;
}

/* Digits alone; false where there are none, others, or too many. */
static bool digits_read(const char *s, size_t digits, int64_t *value)
{
	size_t n = strspn(s, "0123456789");

	if (!n || n > digits || s[n])
		return false;
	*value = strtoll(s, NULL, 10);
	return true;
}

/* known: only one that our table has. */
static void mechanism_add(struct features *f, const char *word, bool known)
{
	char name[MECHANISM_MAX + 1];
	size_t i;
	char c;

	for (i = 0; word[i]; i++) {
		if (i == MECHANISM_MAX)
			return;
		c = word[i];
		if (!scan_is_alnum(c) && c != '-' && c != '_')
			return;
		name[i] = c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
	}
	name[i] = '\0';
	if (i && (!known || mechanism_find(name)) &&
	    f->mechanisms.n < MECHANISMS_MAX &&
	    !list_has(&f->mechanisms, name))
		list_add(&f->mechanisms, name);
}

static bool limits_well_formed(const struct list *word)
{
	const char *s;
	size_t i, k, n;

	for (i = 1; i < word->n; i++) {
		s = word->item[i];
		n = strcspn(s, "=");
		for (k = 0; k < n; k++)
			if (!scan_is_alnum(s[k]) && !strchr("-_", s[k]))
				return false;
		if (!n || (s[n] && (!s[n + 1] || strchr(s + n, ';'))))
			return false;
		for (k = 1; k < i; k++)
			if (strcspn(word->item[k], "=") == n &&
			    !strncasecmp(word->item[k], s, n))
				return false;
	}
	return true;
}

static void limit_take(const char *text, const char *name, unsigned *limit)
{
	size_t n = strlen(name);
	int64_t value;

	if (!strncasecmp(text, name, n) && text[n] == '=' &&
	    digits_read(text + n + 1, 6, &value))
		*limit = (unsigned)value;
}

static void limits_read(struct features *f, const struct list *word)
{
	size_t i;

	/* many words can only mean mischief, and the search for doubles is
	 * quadratic */
	if (word->n > 100 || !limits_well_formed(word))
		return;
	for (i = 1; i < word->n; i++) {
		limit_take(word->item[i], "RCPTMAX", &f->rcpt_max);
		limit_take(word->item[i], "MAILMAX", &f->mail_max);
		limit_take(word->item[i], "RCPTDOMAINMAX",
			   &f->rcpt_domain_max);
	}
}

static void extension_read(struct features *f, const char *line,
		      const char *shown)
{
	/* a name that is a secret of ours is not to be repeated */
	const bool masked = strcmp(line, shown) != 0;
	struct list word = {0};
	const char *keyword;
	size_t i;

	list_split(&word, line, " \t\r");
	if (!word.n)
		return;
	list_add(&f->lines, shown);
	keyword = word.item[0];
	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (!strcasecmp(keyword, flags[i].keyword))
			*(bool *)((char *)f + flags[i].offset) = true;
	if (!strcasecmp(keyword, "SIZE")) {
		f->size = true;
		if (word.n > 1 &&
		    !digits_read(word.item[1], 18, &f->size_limit))
			f->size_limit = 0;
	}
	if (!strcasecmp(keyword, "LIMITS"))
		limits_read(f, &word);
	if (!strncasecmp(keyword, "AUTH=", 5))
		mechanism_add(f, keyword + 5, masked);
	if (!strcasecmp(keyword, "AUTH") || !strncasecmp(keyword, "AUTH=", 5)) {
		f->auth = true;
		for (i = 1; i < word.n; i++)
			mechanism_add(f, word.item[i], masked);
	}
	list_release(&word);
}

void features_read(struct features *f, const struct reply *r)
{
	const char *first = strchr(buf_text(&r->text), '\n');
	const char *first_shown = strchr(reply_words(r), '\n');
	struct list line = {0}, shown = {0};
	size_t i;

	features_release(f);
	f->esmtp = true;
	if (first && first_shown) {
		list_split(&line, first, "\n");
		list_split(&shown, first_shown, "\n");
	}
	for (i = 0; i < line.n && i < shown.n; i++)
		extension_read(f, line.item[i], shown.item[i]);
	list_release(&line);
	list_release(&shown);
}

void features_leave_out(struct features *f, const struct list *names)
{
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (list_has(names, flags[i].keyword))
			*(bool *)((char *)f + flags[i].offset) = false;
	if (list_has(names, "SIZE")) {
		f->size = false;
		f->size_limit = 0;
	}
	if (list_has(names, "LIMITS"))
		f->rcpt_max = f->mail_max = f->rcpt_domain_max = 0;
	if (list_has(names, "AUTH")) {
		f->auth = false;
		list_release(&f->mechanisms);
	}
}

void features_release(struct features *f)
{
	list_release(&f->mechanisms);
	list_release(&f->lines);
	*f = (struct features){0};
}
