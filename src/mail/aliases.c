/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/aliases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "mail/address.h"

/* DEPTH_MAX only keeps a hostile file from the stack's end. */
enum { FILE_MAX = 64 * 1024 * 1024, DEPTH_MAX = 100 };

enum progress { UNSEEN, FOLLOWED, EMPTY, GIVEN };

struct alias {
	char *name;      /* an address as ours are, "@domain", or "*" */
	char *value;     /* continuation lines joined */
	size_t line;
	unsigned round;  /* the walk that progress is of */
	enum progress progress;
};

struct aliases {
	char *path;
	struct list local_names;
	struct alias *item;  /* sorted by name; of two the first counts */
	size_t n;
	bool domains;        /* some name has an "@" */
	unsigned round;
};

char *address_without_local(const char *address,
			    const struct list *local_names)
{
	const char *domain = address_domain(address);

	if (!*domain || !local_names || !list_has(local_names, domain))
		return mem_string(address);
	return mem_stringn(address, (size_t)(domain - address) - 1);
}

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

static void tell(const struct aliases *a, const struct alias_faults *faults,
		 size_t line, bool foreign, const char *words)
{
	if (faults)
		faults->tell(faults->context, line, foreign, words);
	else
		log_say(foreign ? LOG_AT_INFO : LOG_AT_ERROR, "%s:%zu: %s",
			a->path, line, words);
}

/* The key as addresses of ours are. NULL: it is none. */
static char *alias_name(const struct aliases *a, const char *text,
			struct outcome *why)
{
	char *name = NULL, *domain = NULL, *plain;
	size_t n = strlen(text);
	bool qualified;

	trim(&text, &n);
	if (n && *text == '@') {
		if (!domain_normalise(text + 1, n - 1, &domain, why))
			return NULL;
		name = list_has(&a->local_names, domain) ? mem_string("*") :
		       mem_printf("@%s", domain);
		free(domain);
		return name;
	}
	if (!address_one(text, &name, &qualified, why) || !*name) {
		free(name);
		return NULL;
	}
	plain = address_without_local(name, &a->local_names);
	free(name);
	if (strcasecmp(plain, "default"))
		return plain;
	free(plain);
	return mem_string("*");
}

static void alias_add(struct aliases *a, const char *s, size_t n, size_t line,
		      const struct alias_faults *faults)
{
	size_t colon = find_bare(s, n, ":");
	struct outcome why = {0};
	char *text = mem_stringn(s, colon);
	char *name = colon == n ? NULL : alias_name(a, text, &why);
	char words[600];

	free(text);
	if (!name) {
		snprintf(words, sizeof(words), "no \"name: address\"%s%s",
			 why.text[0] ? ": " : "", why.text);
		tell(a, faults, line, false, words);
		return;
	}
	if (!(a->n & (a->n - 1)))
		a->item = mem_resize(a->item, a->n ? 2 * a->n : 1,
				     sizeof(*a->item));
	a->item[a->n++] = (struct alias){
		.name = name,
		.value = mem_stringn(s + colon + 1, n - colon - 1),
		.line = line,
	};
	a->domains = a->domains || *name == '@' || *address_domain(name);
}

static void file_parse(struct aliases *a, const char *text, size_t len,
		       const struct alias_faults *faults)
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
				alias_add(a, entry.data, entry.len, first,
					  faults);
			buf_reset(&entry);
			first = line;
		}
		if (first)
			buf_add(&entry, text, used);
		else
			tell(a, faults, line, false, "continues no alias");
	}
	if (entry.len)
		alias_add(a, entry.data, entry.len, first, faults);
	buf_release(&entry);
}

static int compare(const void *left, const void *right)
{
	const struct alias *a = left, *b = right;
	int order = strcasecmp(a->name, b->name);

	return order ? order : a->line < b->line ? -1 : a->line > b->line;
}

bool aliases_load(const char *path, bool named, const struct list *local_names,
		  const struct alias_faults *faults, struct aliases **out,
		  struct outcome *why)
{
	struct buf text = BUF(FILE_MAX);
	struct aliases *a;
	size_t i;

	*out = NULL;
	if (!file_read(path, named ? 0 : FILE_OPTIONAL, &text, NULL, why)) {
		outcome_prefix(why, "aliases file");
		buf_release(&text);
		return false;
	}
	a = mem_alloc(sizeof(*a));
	a->path = mem_string(path);
	for (i = 0; local_names && i < local_names->n; i++)
		list_add(&a->local_names, local_names->item[i]);
	file_parse(a, buf_text(&text), text.len, faults);
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
	list_release(&a->local_names);
	free(a->path);
	free(a);
}

/* --- following --- */

struct walk {
	struct aliases *a;
	struct list found;
	size_t most;
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

/* The alias of all that have none of their own: of a domain, or of names
 * without one. */
static size_t alias_of_all(const struct aliases *a, const char *address)
{
	const char *domain = address_domain(address);

	return alias_find(a, *domain ? domain - 1 : "*");
}

static enum progress progress_of(const struct walk *w, size_t i)
{
	const struct alias *alias = &w->a->item[i];

	return alias->round == w->a->round ? alias->progress : UNSEEN;
}

/* A bare name within a value: its alias, even if that gives nothing; else
 * that of all; else itself. */
static bool follow_name(struct walk *w, const char *name)
{
	size_t i = alias_find(w->a, name);

	if (i < w->a->n)
		return follow(w, i);
	i = alias_of_all(w->a, name);
	if (i < w->a->n && follow(w, i))
		return true;
	list_add(&w->found, name);
	return true;
}

/* One with a domain may be the address that its alias is for: it stays. */
static bool follow_address(struct walk *w, const char *address)
{
	size_t i = w->a->domains ? alias_find(w->a, address) : w->a->n;

	if (i == w->a->n && w->a->domains)
		i = alias_of_all(w->a, address);
	if (i == w->a->n || progress_of(w, i) == FOLLOWED || !follow(w, i))
		list_add(&w->found, address);
	return true;
}

/* What a part of a value is that is no address. */
enum special { SPECIAL_NONE, SPECIAL_DISCARD, SPECIAL_FOREIGN };

static bool begins(const char *s, size_t n, const char *word)
{
	return n >= strlen(word) && !strncasecmp(s, word, strlen(word));
}

static enum special special_part(const char *s, size_t n)
{
	static const char null[] = "/dev/null";

	if (n > 1 && *s == '"') {
		s++;
		n -= 1 + (s[n - 2] == '"');
	}
	if (begins(s, n, ":blackhole:") ||
	    (n == strlen(null) && begins(s, n, null)))
		return SPECIAL_DISCARD;
	return n && strchr("|/:", *s) ? SPECIAL_FOREIGN : SPECIAL_NONE;
}

static const char not_followed[] = "pipes, files and :include: are not "
	"followed";

static bool follow_element(struct walk *w, const struct alias *from,
			   const char *s, size_t n)
{
	struct mailboxes m = {0};
	enum special special;
	struct outcome why;
	bool any, last;  /* "\name" is not looked up again */
	char *plain;
	size_t i;

	trim(&s, &n);
	special = special_part(s, n);
	any = special == SPECIAL_DISCARD;
	last = n && *s == '\\';
	if (special == SPECIAL_FOREIGN)
		tell(w->a, NULL, from->line, true, not_followed);
	else if (special == SPECIAL_NONE &&
		 !address_list(s + last, n - last, &m, &why))
		tell(w->a, NULL, from->line, false, why.text);
	for (i = 0; i < m.n && w->found.n <= w->most; i++) {
		plain = address_without_local(m.box[i].address,
					      &w->a->local_names);
		if (last) {
			list_add(&w->found, plain);
			any = true;
		} else if (*address_domain(plain) ? follow_address(w, plain) :
			   follow_name(w, plain)) {
			any = true;
		}
		free(plain);
	}
	mailboxes_release(&m);
	return any;
}

/* The next part of a value; false: there is none. */
static bool next_part(const char **value, const char **part, size_t *n)
{
	if (!*value)
		return false;
	*part = *value;
	*n = find_bare(*part, strlen(*part), ",");
	*value = (*part)[*n] ? *part + *n + 1 : NULL;
	return true;
}

/* False: it gives nothing. */
static bool follow(struct walk *w, size_t i)
{
	struct alias *alias = &w->a->item[i];
	const char *value = alias->value, *part;
	bool any = false;
	size_t n;

	if (progress_of(w, i) != UNSEEN)
		return alias->progress == GIVEN;
	if (w->depth == DEPTH_MAX) {
		tell(w->a, NULL, alias->line, false, "aliases nest too deeply");
		return false;
	}
	alias->round = w->a->round;
	alias->progress = FOLLOWED;
	w->depth++;
	while (w->found.n <= w->most && next_part(&value, &part, &n))
		if (n && follow_element(w, alias, part, n))
			any = true;
	w->depth--;
	alias->progress = any ? GIVEN : EMPTY;
	return any;
}

bool aliases_expand(struct aliases *a, const char *address, size_t most,
		    struct list *out)
{
	struct walk w = { .a = a, .most = most };
	bool found;
	size_t i;

	if (!a->n || (*address_domain(address) && !a->domains))
		return false;
	a->round++;
	i = alias_find(a, address);
	found = i < a->n && follow(&w, i);
	if (!found) {
		i = alias_of_all(a, address);
		found = i < a->n && follow(&w, i);
	}
	for (i = 0; found && i < w.found.n; i++)
		list_add(out, w.found.item[i]);
	list_release(&w.found);
	return found;
}

static void check_part(const struct aliases *a, size_t line, const char *s,
		       size_t n, const struct alias_faults *faults)
{
	struct mailboxes m = {0};
	enum special special;
	struct outcome why;
	bool last;

	trim(&s, &n);
	special = special_part(s, n);
	last = n && *s == '\\';
	if (special == SPECIAL_FOREIGN)
		tell(a, faults, line, true, not_followed);
	else if (special == SPECIAL_NONE &&
		 !address_list(s + last, n - last, &m, &why))
		tell(a, faults, line, false, why.text);
	mailboxes_release(&m);
}

void aliases_check(const struct aliases *a, const struct alias_faults *faults)
{
	const char *value, *part;
	size_t i, n;

	for (i = 0; i < a->n; i++) {
		value = a->item[i].value;
		if (!value[strspn(value, " \t\r,")])
			tell(a, faults, a->item[i].line, false,
			     "yields no address");
		while (next_part(&value, &part, &n))
			check_part(a, a->item[i].line, part, n, faults);
	}
}
