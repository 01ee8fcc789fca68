/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lines of the file. inih is handed nothing but "[section]" and "key=v",
 * line by line, short and checked; names and values stay here, whole. How
 * builds of inih treat long lines, indented ones, semicolons within values,
 * NULs and line numbers differs; so none of that reaches it.
 */
#include "config/keys.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "mail/address.h"

enum { KEY_MAX = 40, NAME_MAX_LENGTH = 255 };

struct reader {
	struct config *c;
	uint64_t *seen[SECTIONS];  /* bit k: key k of the section was set */
	const char *at;
	const char *end;
	unsigned line;
	enum section section;      /* SECTIONS: none */
	bool lost;                 /* below a faulty header: keys are passed
				    * over */
	size_t index;
	char key[KEY_MAX + 1];
	char *value;               /* of the line in hand */
};

static const char *after_blanks(const char *s, const char *end)
{
	while (s < end && (*s == ' ' || *s == '\t'))
		s++;
	return s;
}

static const char *before_blanks(const char *s, const char *end)
{
	while (end > s && (end[-1] == ' ' || end[-1] == '\t' ||
			   end[-1] == '\r'))
		end--;
	return end;
}

static bool is_clean(struct reader *r, const char *s, const char *end)
{
	const char *p;

	for (p = s; p < end; p++) {
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f) {
			config_fault(r->c, r->line, "a control character "
				     "(octal %03o)", (unsigned)*p);
			return false;
		}
	}
	if (utf8_valid(s, (size_t)(end - s)))
		return true;
	config_fault(r->c, r->line, "not valid UTF-8");
	return false;
}

static void add_section(struct reader *r, enum section section)
{
	struct config *c = r->c;

	switch (section) {
	case SECTION_ACCOUNT:
		c->account = mem_grow(c->account, c->accounts,
				      sizeof(*c->account));
		c->account[c->accounts++] = (struct account){
			.line = r->line };
		break;
	case SECTION_DOMAIN:
		c->domain = mem_grow(c->domain, c->domains, sizeof(*c->domain));
		c->domain[c->domains++] = (struct domain){ .line = r->line };
		break;
	case SECTION_ROUTE:
		c->route = mem_grow(c->route, c->routes, sizeof(*c->route));
		c->route[c->routes++] = (struct route){ .line = r->line };
		break;
	default:
		c->transport = mem_grow(c->transport, c->transports,
				      sizeof(*c->transport));
		c->transport[c->transports] = *config_direct();
		c->transport[c->transports++].line = r->line;
	}
}

/* Makes room for one more. */
static void titles_grow(struct reader *r, enum section section)
{
	struct titles *t = &r->c->set->titles[section];
	size_t i, n = section_count(r->c, section);

	if (t->room > 2 * (n + 1))
		return;
	free(t->at);
	t->room = t->room ? 2 * t->room : 16;
	t->at = mem_alloc(t->room * sizeof(*t->at));
	for (i = 0; i < n; i++)
		*title_place(r->c, section, *section_title(r->c, section, i)) =
			i + 1;
}

/* Enters the section of that sort and name, which may go on from before. */
static void enter_named(struct reader *r, enum section section, char *name)
{
	size_t n = section_count(r->c, section), *place;
	struct settings *set = r->c->set;

	titles_grow(r, section);
	place = title_place(r->c, section, name);
	if (*place) {
		free(name);
	} else {
		add_section(r, section);
		*section_title(r->c, section, n) = name;
		*place = n + 1;
		r->seen[section] = mem_grow(r->seen[section], n,
					    sizeof(**r->seen));
		r->seen[section][n] = 0;
		set->last[section] = mem_grow(set->last[section], n,
					      sizeof(**set->last));
		set->last[section][n] = 0;
	}
	r->section = section;
	r->index = *place - 1;
}

/* The name as stored, NULL after a fault. */
static char *section_label(struct reader *r, enum section section,
			   const char *s, size_t n)
{
	struct outcome why;
	char *name = NULL;

	if (!n || n > NAME_MAX_LENGTH)
		config_fault(r->c, r->line, n ? "the section's name is too "
			     "long" : "[%s] needs a name: [%s NAME]",
			     section_name(section), section_name(section));
	else if (n == 6 && !memcmp(s, "direct", 6))
		config_fault(r->c, r->line, "no section may be named "
			     "\"direct\"");
	else if (section == SECTION_TRANSPORT &&
		 (memchr(s, ' ', n) || memchr(s, '\t', n) ||
		  memchr(s, ',', n)))
		config_fault(r->c, r->line, "a transport's name has no blanks "
			     "and no commas");
	else if (section != SECTION_DOMAIN)
		return mem_stringn(s, n);
	else if (domain_normalise(s, n, &name, &why))
		return name;
	else
		config_fault(r->c, r->line, "\"%.*s\" is not a domain",
			     (int)n, s);
	free(name);
	return NULL;
}

static void unknown_section(struct reader *r, const char *word, size_t n)
{
	char name[81];
	const char *meant;

	snprintf(name, sizeof(name), "%.*s", (int)(n < 80 ? n : 80), word);
	meant = suggest_section(name);
	if (meant && !strcasecmp(meant, name))
		config_fault(r->c, r->line, "unknown section [%s]: it is "
			     "written in small letters, [%s]", name, meant);
	else
		config_fault(r->c, r->line, "unknown section [%s]%s%s%s", name,
			     meant ? ": did you mean [" : "",
			     meant ? meant : "", meant ? "]?" : "");
}

/* "[section name]"; whether a section was entered */
static bool enter_section(struct reader *r, const char *s, const char *end)
{
	const char *word, *name;
	enum section section;
	char *label;
	size_t n;

	r->section = SECTIONS;
	if (end[-1] != ']' || memchr(s, ']', (size_t)(end - 1 - s))) {
		config_fault(r->c, r->line, "not a section: it ends with one "
			     "\"]\" and nothing after it");
		return false;
	}
	word = s = after_blanks(s + 1, end - 1);
	end = before_blanks(s, end - 1);
	while (s < end && *s != ' ' && *s != '\t')
		s++;
	n = (size_t)(s - word);
	name = after_blanks(s, end);
	for (section = 0; section < SECTIONS; section++)
		if (strlen(section_name(section)) == n &&
		    !memcmp(section_name(section), word, n))
			break;
	if (section == SECTIONS) {
		unknown_section(r, word, n);
	} else if (section >= SECTION_ACCOUNT) {
		label = section_label(r, section, name, (size_t)(end - name));
		if (label)
			enter_named(r, section, label);
	} else if (name < end) {
		config_fault(r->c, r->line, "[%s] has no name",
			     section_name(section));
	} else {
		r->section = section;
		r->index = 0;
	}
	return r->section != SECTIONS;
}

static void unknown_key(struct reader *r, const char *s, size_t n)
{
	const char *sort = section_name(r->section), *meant;
	enum section elsewhere;
	char name[81];

	snprintf(name, sizeof(name), "%.*s", (int)(n < 80 ? n : 80), s);
	meant = suggest_key(r->section, name, &elsewhere);
	if (!meant)
		config_fault(r->c, r->line, "unknown key \"%s\" in [%s]", name,
			     sort);
	else if (elsewhere != SECTIONS)
		config_fault(r->c, r->line, "unknown key \"%s\" in [%s]: it "
			     "belongs in [%s%s]", name, sort,
			     section_name(elsewhere),
			     elsewhere < SECTION_ACCOUNT ? "" : " NAME");
	else if (!strcasecmp(meant, name))
		config_fault(r->c, r->line, "unknown key \"%s\" in [%s]: keys "
			     "are written in small letters, %s", name, sort,
			     meant);
	else
		config_fault(r->c, r->line, "unknown key \"%s\" in [%s]: did "
			     "you mean %s?", name, sort, meant);
}

/* "key = value"; whether there is one to hand on */
static bool key_line(struct reader *r, const char *s, const char *end)
{
	const char *equals = memchr(s, '=', (size_t)(end - s));
	const char *key_end = before_blanks(s, equals ? equals : end);
	size_t n = (size_t)(key_end - s);

	if (!equals || !n) {
		config_fault(r->c, r->line, "neither \"key = value\" nor "
			     "\"[section]\"");
		return false;
	}
	if (r->section == SECTIONS) {
		if (!r->lost)
			config_fault(r->c, r->line,
				     "a key before any section");
		return false;
	}
	if (n > KEY_MAX || strspn(s, "abcdefghijklmnopqrstuvwxyz_") < n) {
		unknown_key(r, s, n);
		return false;
	}
	memcpy(r->key, s, n);
	r->key[n] = '\0';
	s = after_blanks(equals + 1, end);
	r->value = mem_stringn(s, (size_t)(end - s));
	return true;
}

/* The reader that inih calls as it would fgets. */
static char *next_line(char *out, int size, void *stream)
{
	struct reader *r = stream;
	const char *s, *end;

	while (r->at < r->end) {
		s = r->at;
		end = memchr(s, '\n', (size_t)(r->end - s));
		r->at = end ? end + 1 : r->end;
		end = before_blanks(s, end ? end : r->end);
		r->line++;
		s = after_blanks(s, end);
		if (s == end || *s == ';' || *s == '#' || !is_clean(r, s, end))
			continue;
		if (*s == '[') {
			r->lost = !enter_section(r, s, end);
			if (r->lost)
				continue;
			snprintf(out, (size_t)size, "[%s]\n",
				 section_name(r->section));
			return out;
		}
		if (!key_line(r, s, end))
			continue;
		snprintf(out, (size_t)size, "%s=v\n", r->key);
		return out;
	}
	return NULL;
}

/* Whether this key was not yet set in this section; it is from now on. */
static bool first_time(struct reader *r, const struct config_key *key)
{
	uint64_t *seen = &r->seen[key->section][r->index], bit;
	size_t ordinal = 0;

	while (key - ordinal > key_at(0) &&
	       (key - ordinal - 1)->section == key->section)
		ordinal++;
	bit = (uint64_t)1 << ordinal;
	if (*seen & bit)
		return false;
	*seen |= bit;
	return true;
}

/* Reads the value in hand into its field. */
static void set_key(struct reader *r, const struct config_key *key)
{
	void *field = (char *)section_at(r->c, key->section, r->index) +
		      key->offset;
	struct settings *set = r->c->set;
	size_t n = strlen(r->value), *last;
	/* in one pair of quotes, as other programs have it; here they would
	 * be part of the value */
	bool quoted = n > 1 && strchr("\"'", r->value[0]) &&
		      r->value[n - 1] == r->value[0];
	const char *meant;
	struct outcome why;

	if (!first_time(r, key) && key->type->store != STORE_LIST) {
		config_fault(r->c, r->line, "%s is set again", key->key);
		return;
	}
	set->item = mem_grow(set->item, set->n, sizeof(*set->item));
	last = &set->last[key->section][r->index];
	set->item[set->n] = (struct setting){
		.key = key, .index = r->index, .line = r->line,
		.before = *last };
	*last = ++set->n;
	if (quoted && key->type->free_text)
		config_warn(r->c, r->line, "%s: the quotes are part of the "
			    "value; values are written without", key->key);
	if (key->type == &type_address && strchr(r->value, '<') &&
	    r->value[0] != '<')
		config_warn(r->c, r->line, "%s: the address alone counts",
			    key->key);
	if (!r->value[0] && !key->type->may_be_empty)
		config_fault(r->c, r->line, "%s is empty", key->key);
	else if (quoted && !key->type->free_text)
		config_fault(r->c, r->line, "%s: values are written without "
			     "quotes", key->key);
	else if (value_read(key, r->value, field, &why))
		return;
	else if (key->words && (meant = suggest_word(key, r->value)))
		config_fault(r->c, r->line, "%s: %s; did you mean %s?",
			     key->key, why.text, meant);
	else
		config_fault(r->c, r->line, "%s: %s", key->key, why.text);
	set->item[set->n - 1].faulty = true;
}

/* Builds of inih differ in whether a handler gets the line's number. */
#if INI_HANDLER_LINENO
#define LINE_NUMBER , __attribute__((unused)) int line
#else
#define LINE_NUMBER
#endif

static int on_key(void *user, const char *section, const char *name,
		  const char *value LINE_NUMBER)
{
	struct reader *r = user;
	const struct config_key *key = key_named(r->section, name);

	(void)section;
	(void)value;
	if (key)
		set_key(r, key);
	else
		unknown_key(r, name, strlen(name));
	mem_wipe_string(r->value);
	r->value = NULL;
	return 1;
}

void config_read(struct config *c, const char *text, size_t n)
{
	struct reader r = { .c = c, .at = text, .end = text + n,
			    .section = SECTIONS };
	size_t i;

	if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		r.at += 3;
	for (i = 0; i < SECTION_ACCOUNT; i++) {
		r.seen[i] = mem_alloc(sizeof(**r.seen));
		c->set->last[i] = mem_alloc(sizeof(**c->set->last));
	}
	if (ini_parse_stream(next_line, &r, on_key, &r))
		config_fault(c, 0, "cannot be read to its end");
	mem_wipe_string(r.value);
	for (i = 0; i < SECTIONS; i++)
		free(r.seen[i]);
}
