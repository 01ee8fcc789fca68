/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/aliases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/scan.h"
#include "mail/address.h"

/* DEPTH_MAX only keeps a hostile file from the stack's end, COMMENT_MAX one
 * from being walked through for each parenthesis in it. */
enum { FILE_MAX = 64 * 1024 * 1024, DEPTH_MAX = 100, COMMENT_MAX = 1024 };

enum progress { UNSEEN, FOLLOWED, EMPTY, GIVEN };

struct alias {
	char *name;      /* an address as ours are, "@domain", or "*" */
	char *value;     /* continuation lines joined; of what is not an
			  * alias but begins with this name: why not */
	bool faulty;
	size_t line;
	unsigned round;  /* the walk that progress is of */
	enum progress progress;
};

struct aliases {
	char *path;
	struct list local_names;
	struct alias *item;  /* sorted by name; of two the first counts, and
			      * one that is not faulty before others */
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

/* The length of the comment that s begins with, others within it included;
 * 0: it does not end. */
static size_t comment_length(const char *s, size_t n)
{
	size_t i, depth = 0;

	for (i = 0; i < n && i < COMMENT_MAX; i++) {
		if (s[i] == '\\')
			i++;
		else if (s[i] == '(')
			depth++;
		else if (s[i] == ')' && !--depth)
			return i + 1;
	}
	return 0;
}

/* The offset of the first of these characters outside quotes and comments; n:
 * none. */
static size_t find_bare(const char *s, size_t n, const char *which)
{
	bool quoted = false, open = false;
	size_t i, comment;

	for (i = 0; i < n; i++) {
		if (s[i] == '\\' && quoted && i + 1 < n) {
			i++;
		} else if (s[i] == '"') {
			quoted = !quoted;
		} else if (s[i] == '(' && !quoted && !open) {
			comment = comment_length(s + i, n - i);
			open = !comment;
			i += comment ? comment - 1 : 0;
		} else if (!quoted && s[i] && strchr(which, s[i])) {
			break;
		}
	}
	return i;
}

/* A line's length without a comment. */
static size_t without_comment(const char *s, size_t n)
{
	size_t i = 0;

	for (;;) {
		i += find_bare(s + i, n - i, "#");
		if (i >= n || !i || scan_is_blank(s[i - 1]))
			return i < n ? i : n;
		i++;
	}
}

static void alias_tell(const struct aliases *a,
		       const struct alias_faults *faults, size_t line,
		       bool foreign, const char *words)
{
	if (faults)
		faults->tell(faults->context, line, foreign, words);
	else
		log_say(foreign ? LOG_AT_INFO : LOG_AT_ERROR, "%s:%zu: %s",
			a->path, line, words);
}

/* The key as addresses of ours are. NULL: it is not a key. */
static char *alias_name(const struct aliases *a, const char *text,
			struct outcome *why)
{
	char *name = NULL, *domain = NULL, *plain;
	struct scan key = scan_text(text);
	bool qualified;

	scan_trim(&key);
	if (scan_skip(&key, "@")) {
		if (!domain_normalise(key.p, scan_left(&key), &domain, why))
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
	struct outcome why = {0}, ignored;
	char *text = mem_stringn(s, colon), words[600];
	char *name = colon == n ? NULL : alias_name(a, text, &why);
	bool faulty = !name;

	free(text);
	if (faulty) {
		snprintf(words, sizeof(words), "no \"name: address\"%s%s",
			 why.text[0] ? ": " : "", why.text);
		alias_tell(a, faults, line, false, words);
		text = mem_stringn(s, find_bare(s, n, ": \t=,"));
		name = alias_name(a, text, &ignored);
		free(text);
		if (!name)
			return;
	}
	a->item = mem_grow(a->item, a->n, sizeof(*a->item));
	a->item[a->n++] = (struct alias){
		.name = name,
		.value = faulty ? mem_string(words) :
			 mem_stringn(s + colon + 1, n - colon - 1),
		.line = line,
		.faulty = faulty,
	};
	a->domains = a->domains || *name == '@' || *address_domain(name);
}

static void file_parse(struct aliases *a, const char *text, size_t len,
		       const struct alias_faults *faults)
{
	struct buf entry = BUF(FILE_MAX);
	size_t line = 0, first = 0, n;

	/* a byte order mark would be part of the first name */
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		text += 3;
		len -= 3;
	}
	for (; len; text += n, len -= n) {
		const char *end = memchr(text, '\n', len);
		size_t used;

		n = end ? (size_t)(end - text) + 1 : len;
		line++;
		used = without_comment(text, end ? n - 1 : n);
		/* neither a comment nor an empty line ends an entry */
		if (!used || strspn(text, " \t\r") >= used)
			continue;
		if (!scan_is_blank(text[0])) {
			if (entry.len)
				alias_add(a, entry.data, entry.len, first,
					  faults);
			buf_reset(&entry);
			first = line;
		}
		if (first)
			buf_add(&entry, text, used);
		else
			alias_tell(a, faults, line, false,
				   "continues no alias");
	}
	if (entry.len)
		alias_add(a, entry.data, entry.len, first, faults);
	buf_release(&entry);
}

static int compare(const void *left, const void *right)
{
	const struct alias *a = left, *b = right;
	int order = strcasecmp(a->name, b->name);

	if (order)
		return order;
	if (a->faulty != b->faulty)
		return a->faulty ? 1 : -1;
	return a->line < b->line ? -1 : a->line > b->line;
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
	const struct alias *faulty;  /* that was come upon */
	size_t most;
	unsigned depth;
};

static bool alias_follow(struct walk *w, size_t i);

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
		return alias_follow(w, i);
	i = alias_of_all(w->a, name);
	if (i < w->a->n && alias_follow(w, i))
		return true;
	list_add(&w->found, name);
	return true;
}

/* One with a domain may be the address that its alias is for: it stays. */
static void follow_address(struct walk *w, const char *address)
{
	size_t i = w->a->domains ? alias_find(w->a, address) : w->a->n;

	if (i == w->a->n && w->a->domains)
		i = alias_of_all(w->a, address);
	if (i == w->a->n || progress_of(w, i) == FOLLOWED ||
	    !alias_follow(w, i))
		list_add(&w->found, address);
}

/* A pipe, a file, :include:, or a refusal. */
static bool is_foreign(struct scan word)
{
	return scan_left(&word) && (strchr("|/:", *word.p) ||
				    scan_skip_nocase(&word, "error:"));
}

/* What a part of a value is that is not an address. */
enum part_kind { PART_ADDRESSES, PART_DISCARD, PART_FOREIGN };

/* What a part of a value is; its addresses, if those. What it should not be
 * is told to faults, or logged. */
static enum part_kind part_read(const struct aliases *a, size_t line,
				const struct alias_faults *faults,
				struct scan part, struct mailboxes *m,
				bool *last)
{
	struct outcome why;
	struct scan word;

	scan_trim(&part);
	word = part;
	if (scan_left(&word) > 1 && scan_skip(&word, "\"") &&
	    word.end[-1] == '"')
		word.end--;
	if (scan_is_nocase(&word, "/dev/null") ||
	    scan_skip_nocase(&word, ":blackhole:"))
		return PART_DISCARD;
	if (is_foreign(word)) {
		alias_tell(a, faults, line, true, "pipes, files, :include: "
			   "and refusals are not followed");
		return PART_FOREIGN;
	}
	*last = scan_skip(&part, "\\");
	if (!address_list(part.p, scan_left(&part), m, &why))
		alias_tell(a, faults, line, false, why.text);
	return PART_ADDRESSES;
}

static bool follow_part(struct walk *w, const struct alias *from,
			struct scan part, bool *self)
{
	struct mailboxes m = {0};
	bool any, last = false;  /* "\name" is not looked up again */
	char *plain;
	size_t i;

	any = part_read(w->a, from->line, NULL, part, &m, &last) ==
	      PART_DISCARD;
	for (i = 0; i < m.n && w->found.n <= w->most; i++) {
		plain = address_without_local(m.box[i].address,
					      &w->a->local_names);
		if (!last && !*address_domain(plain) &&
		    !strcasecmp(plain, from->name)) {
			*self = true;
		} else if (!last && !*address_domain(plain)) {
			any = follow_name(w, plain) || any;
		} else {
			if (last)
				list_add(&w->found, plain);
			else
				follow_address(w, plain);
			any = true;
		}
		free(plain);
	}
	mailboxes_release(&m);
	return any;
}

/* What is left of a value. */
struct alias_rest {
	struct scan text;
	bool unclosed;        /* a group in it has no end */
};

/* The next part of a value, up to a comma that is not a group's (RFC 5322
 * 3.4). False: there is none. */
static bool alias_part(struct alias_rest *rest, struct scan *part)
{
	const char *p = rest->text.p;
	const size_t left = scan_left(&rest->text);
	struct scan word = rest->text;
	size_t n, end;

	if (!p)
		return false;
	scan_skip_blanks(&word);
	n = find_bare(p, left, ",:@[");
	if (n < left && p[n] == ':' && !rest->unclosed && !is_foreign(word)) {
		end = n + find_bare(p + n, left - n, ";");
		rest->unclosed = end == left;
		n = rest->unclosed ? n : end;
	}
	n += find_bare(p + n, left - n, ",");
	*part = scan_bytes(p, n);
	if (n < left)
		rest->text = scan_bytes(p + n + 1, left - n - 1);
	else
		rest->text = (struct scan){0};
	return true;
}

/* False: it gives nothing. */
static bool alias_follow(struct walk *w, size_t i)
{
	struct alias *alias = &w->a->item[i];
	struct alias_rest rest = { .text = scan_text(alias->value) };
	struct scan part;
	bool any = false, self = false;

	if (alias->faulty) {
		w->faulty = alias;
		return true;
	}
	if (progress_of(w, i) != UNSEEN)
		return alias->progress == GIVEN;
	if (w->depth == DEPTH_MAX) {
		alias_tell(w->a, NULL, alias->line, false,
			   "aliases nest too deeply");
		return false;
	}
	alias->round = w->a->round;
	alias->progress = FOLLOWED;
	w->depth++;
	while (w->found.n <= w->most && alias_part(&rest, &part))
		if (scan_left(&part) && follow_part(w, alias, part, &self))
			any = true;
	/* one that names itself beside others has a mailbox, too */
	if (any && self)
		list_add(&w->found, alias->name);
	w->depth--;
	alias->progress = any ? GIVEN : EMPTY;
	return any;
}

bool aliases_expand(struct aliases *a, const char *address, size_t most,
		    struct list *out, bool *found, struct outcome *why)
{
	struct walk w = { .a = a, .most = most };
	size_t i;

	*found = false;
	if (!a->n || (*address_domain(address) && !a->domains))
		return true;
	a->round++;
	i = alias_find(a, address);
	*found = i < a->n && alias_follow(&w, i);
	if (!*found) {
		i = alias_of_all(a, address);
		*found = i < a->n && alias_follow(&w, i);
	}
	for (i = 0; *found && !w.faulty && i < w.found.n; i++)
		list_add(out, w.found.item[i]);
	list_release(&w.found);
	return !w.faulty ||
	       outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "%.300s:%zu: %s",
			    a->path, w.faulty->line, w.faulty->value);
}

void aliases_check(const struct aliases *a, const struct alias_faults *faults)
{
	struct mailboxes m = {0};
	const struct alias *alias;
	struct alias_rest rest;
	struct scan part;
	char words[200];
	size_t i, first = 0;
	bool last;

	for (i = 0; i < a->n; i++) {
		alias = &a->item[i];
		/* told when it was read */
		if (alias->faulty)
			continue;
		if (i && !strcasecmp(alias->name, a->item[i - 1].name)) {
			snprintf(words, sizeof(words), "\"%.80s\" has an alias "
				 "in line %zu, which counts", alias->name,
				 a->item[first].line);
			alias_tell(a, faults, alias->line, true, words);
		} else {
			first = i;
		}
		rest = (struct alias_rest){ .text = scan_text(alias->value) };
		if (!alias->value[strspn(alias->value, " \t\r,")])
			alias_tell(a, faults, alias->line, false,
				   "yields no address");
		while (alias_part(&rest, &part)) {
			part_read(a, alias->line, faults, part, &m, &last);
			mailboxes_release(&m);
		}
	}
}
