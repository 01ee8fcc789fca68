/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/aliases.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "mail/address.h"

/* DEPTH_MAX only keeps a hostile file from the stack's end. */
enum { FILE_MAX = 64 * 1024 * 1024, DEPTH_MAX = 100 };

struct alias {
	char *name;      /* a local part as ours are */
	char *value;     /* continuation lines joined */
	size_t line;
};

struct aliases {
	char *path;
	struct alias *item;  /* sorted by name; of two the first counts */
	size_t n;
};

/* --- reading the file --- */

/* The offset of the first of these characters outside quotes; n: none. */
static size_t find_bare(const char *s, size_t n, const char *which)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < n; i++) {
		if (s[i] == '\\' && quoted && i + 1 < n)
			i++;
		else if (s[i] == '"')
			quoted = !quoted;
		else if (!quoted && s[i] && strchr(which, s[i]))
			break;
	}
	return i;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void trim(const char **s, size_t *n)
{
	while (*n && is_blank((*s)[0])) {
		(*s)++;
		(*n)--;
	}
	while (*n && is_blank((*s)[*n - 1]))
		(*n)--;
}

/* A line's length without a comment. */
static size_t without_comment(const char *s, size_t n)
{
	size_t i = 0;

	for (;;) {
		i += find_bare(s + i, n - i, "#");
		if (i >= n || !i || is_blank(s[i - 1]))
			return i < n ? i : n;
		i++;
	}
}

static void alias_add(struct aliases *a, const char *s, size_t n, size_t line)
{
	size_t colon = find_bare(s, n, ":");
	struct outcome why = {0};
	char *text = mem_stringn(s, colon);
	char *name = NULL;
	bool qualified;

	if (colon == n || !address_one(text, &name, &qualified, &why) ||
	    !*name) {
		log_say(LOG_AT_ERROR, "%s:%zu: no \"name: address\": %s",
			a->path, line, why.text);
		free(name);
	} else {
		if (!(a->n & (a->n - 1)))
			a->item = mem_resize(a->item, a->n ? 2 * a->n : 1,
					     sizeof(*a->item));
		a->item[a->n++] = (struct alias){
			.name = name,
			.value = mem_stringn(s + colon + 1, n - colon - 1),
			.line = line,
		};
	}
	free(text);
}

static void file_parse(struct aliases *a, const char *text, size_t len)
{
	struct buf entry = BUF(FILE_MAX);
	size_t line = 0, first = 0, n;

	for (; len; text += n, len -= n) {
		const char *end = memchr(text, '\n', len);
		size_t used;

		n = end ? (size_t)(end - text) + 1 : len;
		line++;
		used = without_comment(text, end ? n - 1 : n);
		/* neither a comment nor an empty line ends an entry */
		if (!used || strspn(text, " \t\r") >= used)
			continue;
		if (!is_blank(text[0])) {
			if (entry.len)
				alias_add(a, entry.data, entry.len, first);
			buf_reset(&entry);
			first = line;
		}
		if (first)
			buf_add(&entry, text, used);
	}
	if (entry.len)
		alias_add(a, entry.data, entry.len, first);
	buf_release(&entry);
}

static int compare(const void *left, const void *right)
{
	const struct alias *a = left, *b = right;
	int order = strcasecmp(a->name, b->name);

	return order ? order : a->line < b->line ? -1 : a->line > b->line;
}

bool aliases_load(const char *path, bool named, struct aliases **out,
		  struct outcome *why)
{
	struct buf text = BUF(FILE_MAX);
	struct aliases *a;

	*out = NULL;
	if (!file_read(path, named ? 0 : FILE_OPTIONAL, &text, NULL, why)) {
		outcome_prefix(why, "aliases file");
		buf_release(&text);
		return false;
	}
	a = mem_alloc(sizeof(*a));
	a->path = mem_string(path);
	file_parse(a, buf_text(&text), text.len);
	if (a->n)
		qsort(a->item, a->n, sizeof(*a->item), compare);
	buf_release(&text);
	*out = a;
	return true;
}

void aliases_free(struct aliases *a)
{
	if (!a)
		return;
	while (a->n) {
		free(a->item[--a->n].name);
		free(a->item[a->n].value);
	}
	free(a->item);
	free(a->path);
	free(a);
}

/* --- following --- */

enum progress { UNSEEN, FOLLOWED, EMPTY, GIVEN };

struct walk {
	const struct aliases *a;
	unsigned char *progress;  /* of each alias */
	struct list found;
	unsigned depth;
};

static bool follow(struct walk *w, size_t i);

/* The index of an alias; a->n: none. */
static size_t alias_find(const struct aliases *a, const char *name)
{
	size_t low = 0, high = a->n, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (strcasecmp(a->item[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < a->n && !strcasecmp(a->item[low].name, name) ? low : a->n;
}

/* A bare name within a value: its alias, even if that gives nothing; else
 * "default:", else itself. */
static bool follow_name(struct walk *w, const char *name)
{
	size_t i = alias_find(w->a, name);

	if (i < w->a->n)
		return follow(w, i);
	i = alias_find(w->a, "default");
	if (i < w->a->n && follow(w, i))
		return true;
	list_add(&w->found, name);
	return true;
}

static bool is_unsupported(const char *s, size_t n)
{
	static const char include[] = ":include:";

	if (n && *s == '"') {
		s++;
		n--;
	}
	return n && (*s == '|' || *s == '/' ||
		     (n >= sizeof(include) - 1 &&
		      !strncasecmp(s, include, sizeof(include) - 1)));
}

static bool follow_element(struct walk *w, const struct alias *from,
			   const char *s, size_t n)
{
	struct mailboxes m = {0};
	struct outcome why;
	bool any = false;
	bool last;  /* "\name" is not looked up again */
	size_t i;

	trim(&s, &n);
	last = n && *s == '\\';
	if (is_unsupported(s, n))
		log_say(LOG_AT_INFO, "%s:%zu: pipes, files and :include: are "
			"not followed", w->a->path, from->line);
	else if (!address_list(s + last, n - last, &m, &why))
		log_say(LOG_AT_ERROR, "%s:%zu: %s", w->a->path, from->line,
			why.text);
	for (i = 0; i < m.n; i++) {
		if (m.box[i].qualified || last) {
			list_add(&w->found, m.box[i].address);
			any = true;
		} else if (follow_name(w, m.box[i].address)) {
			any = true;
		}
	}
	mailboxes_release(&m);
	return any;
}

/* False: it gives no address. */
static bool follow(struct walk *w, size_t i)
{
	const struct alias *alias = &w->a->item[i];
	const char *s = alias->value;
	size_t left = strlen(s), n;
	bool any = false;

	if (w->progress[i] != UNSEEN)
		return w->progress[i] == GIVEN;
	if (w->depth == DEPTH_MAX) {
		log_say(LOG_AT_ERROR, "%s:%zu: aliases nest too deeply",
			w->a->path, alias->line);
		return false;
	}
	w->progress[i] = FOLLOWED;
	w->depth++;
	for (;;) {
		n = find_bare(s, left, ",");
		if (n && follow_element(w, alias, s, n))
			any = true;
		if (n == left)
			break;
		s += n + 1;
		left -= n + 1;
	}
	w->depth--;
	w->progress[i] = any ? GIVEN : EMPTY;
	return any;
}

bool aliases_expand(const struct aliases *a, const char *local,
		    struct list *out)
{
	struct walk w = { .a = a };
	size_t i = alias_find(a, local);
	bool found;

	if (!a->n)
		return false;
	w.progress = mem_alloc(a->n);
	found = i < a->n && follow(&w, i);
	if (!found) {
		i = alias_find(a, "default");
		found = i < a->n && follow(&w, i);
	}
	for (i = 0; found && i < w.found.n; i++)
		list_add(out, w.found.item[i]);
	list_release(&w.found);
	free(w.progress);
	return found;
}
