/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an EHLO reply says about a server. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mail/mechanism.h"
#include "mail/reply.h"

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
static bool number_read(const char *s, size_t digits, int64_t *value)
{
	size_t n = strspn(s, "0123456789");

	if (!n || n > digits || s[n])
		return false;
	*value = strtoll(s, NULL, 10);
	return true;
}

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

/* known: only one that our table has. */
static void mechanism_add(struct features *f, const char *word, bool known)
{
	char name[MECHANISM_MAX + 1];
	size_t i;

	for (i = 0; word[i]; i++) {
		if (i == MECHANISM_MAX)
			return;
		name[i] = upper(word[i]);
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_",
			    name[i]))
			return;
	}
	name[i] = '\0';
	if (i && (!known || mechanism_find(name)) &&
	    f->mechanisms.n < MECHANISMS_MAX &&
	    !list_has(&f->mechanisms, name))
		list_add(&f->mechanisms, name);
}

static void size_read(struct features *f, const struct list *word)
{
	f->size = true;
	if (word->n > 1 && !number_read(word->item[1], 18, &f->size_limit))
		f->size_limit = 0;
}

static bool limit_well_formed(const char *s)
{
	size_t i, n = strcspn(s, "=");

	for (i = 0; i < n; i++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_",
			    upper(s[i])))
			return false;
	return n && (!s[n] || (s[n + 1] && !strpbrk(s + n, ";")));
}

static bool limits_well_formed(const struct list *word)
{
	size_t i, k, n;

	for (i = 1; i < word->n; i++) {
		if (!limit_well_formed(word->item[i]))
			return false;
		n = strcspn(word->item[i], "=");
		for (k = 1; k < i; k++)
			if (strcspn(word->item[k], "=") == n &&
			    !strncasecmp(word->item[k], word->item[i], n))
				return false;
	}
	return true;
}

static void limit_take(const char *text, const char *name, unsigned *limit)
{
	size_t n = strlen(name);
	int64_t value;

	if (!strncasecmp(text, name, n) && text[n] == '=' &&
	    number_read(text + n + 1, 6, &value))
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

static void auth_read(struct features *f, const struct list *word,
		      const char *glued, bool known)
{
	size_t i;

	f->auth = true;
	if (glued)
		mechanism_add(f, glued, known);
	for (i = 1; i < word->n; i++)
		mechanism_add(f, word->item[i], known);
}

static void line_read(struct features *f, const char *line,
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
	if (!strcasecmp(keyword, "SIZE"))
		size_read(f, &word);
	else if (!strcasecmp(keyword, "LIMITS"))
		limits_read(f, &word);
	else if (!strcasecmp(keyword, "AUTH"))
		auth_read(f, &word, NULL, masked);
	else if (!strncasecmp(keyword, "AUTH=", 5))
		auth_read(f, &word, keyword + 5, masked);
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
		line_read(f, line.item[i], shown.item[i]);
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
