/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/options_table.h"

struct parse {
	struct options *o;
	char **word;            /* argv from the word in hand on */
	const struct known_option *chosen; /* named the command */
	bool failed;
	struct outcome *why;    /* the first fault */
};

static void fault(struct parse *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void fault(struct parse *p, const char *format, ...)
{
	char words[sizeof(p->why->text)];
	va_list ap;

	va_start(ap, format);
	vsnprintf(words, sizeof(words), format, ap);
	va_end(ap);
	if (!p->failed)
		outcome_fail(p->why, STAGE_LOCAL, EX_USAGE, "%s", words);
	p->failed = true;
}

static const char *shown(const struct known_option *k)
{
	return k->name ? k->name : k->word;
}

/* The value that is part of the name: "s" of "-bs"; NULL: none. */
static const char *fixed_value(const struct known_option *k)
{
	return k->name && k->name[2] ? k->name + 2 : NULL;
}

static bool is_b(const struct known_option *k)
{
	return k && k->name && k->name[1] == 'b';
}

static bool is_about(enum command command)
{
	return command == COMMAND_HELP || command == COMMAND_VERSION;
}

/* The commands of -b replace each other as values of one option do, and -bm
 * stands for no command at all; any other two contradict each other. */
static void choose(struct parse *p, const struct known_option *k,
		   const char *value)
{
	struct options *o = p->o;

	if (is_about(o->command))
		return;
	if (k->command == COMMAND_SEND) {
		if (p->chosen && !is_b(p->chosen))
			return;
		o->command = COMMAND_SEND;
		p->chosen = NULL;
		return;
	}
	if (p->chosen && p->chosen->command != k->command &&
	    !is_about(k->command) && !(is_b(p->chosen) && is_b(k)))
		fault(p, "%s cannot go together with %s", shown(k),
		      shown(p->chosen));
	o->command = k->command;
	o->argument = k->read || is_b(k) ? NULL : value;
	p->chosen = k;
}

static void apply(struct parse *p, const struct known_option *k,
		  const char *value)
{
	void *field = (char *)p->o + k->offset;
	struct outcome found;

	if (k->act == ACT_FLAG)
		*(bool *)field = true;
	else if (k->act == ACT_STRING)
		*(const char **)field = value;
	else if (k->act == ACT_COMMAND)
		choose(p, k, value);
	if (k->read && !k->read(p->o, value, &found))
		fault(p, "%s", found.text);
}

/* The word behind the one in hand, which is then used up; NULL: none. */
static const char *next_word(struct parse *p)
{
	return p->word[1] ? *++p->word : NULL;
}

/* The row of -X with this value; any row of -X if value is NULL. */
static const struct known_option *by_letter(char letter, const char *value)
{
	const struct known_option *k;
	size_t i;

	for (i = 0; (k = option_at(i)); i++) {
		if (!k->name || k->name[1] != letter)
			continue;
		if (!value || !fixed_value(k) ||
		    !strcmp(fixed_value(k), value))
			return k;
	}
	return NULL;
}

/* "-qI" is complete with the word behind it, as "-f" is. */
static void run_selection(struct parse *p)
{
	struct selection *s = &p->o->selection;
	const char *word;

	if (!s->field || *s->substring)
		return;
	word = next_word(p);
	if (word)
		s->substring = word;
}

/* What is left of a word behind a letter is the value, or the next word is.
 * Returns whether more letters follow in the word. */
static bool short_option(struct parse *p, const char *at)
{
	const struct known_option *k = by_letter(*at, NULL);
	const char *value;

	if (!k) {
		fault(p, "unknown option -%c", *at);
		return false;
	}
	if (!fixed_value(k) && k->value == VALUE_NONE) {
		apply(p, k, NULL);
		return at[1] != '\0';
	}
	value = at + 1;
	if (!*value && k->value != VALUE_ATTACHED)
		value = next_word(p);
	if (!value) {
		fault(p, "option -%c needs a value", *at);
		return false;
	}
	k = by_letter(*at, value);
	if (!k) {
		fault(p, "unknown option -%c%s", *at, value);
		return false;
	}
	apply(p, k, value);
	if (k->command == COMMAND_RUN)
		run_selection(p);
	return false;
}

/* A long option by its name, or by as much of it as no other begins with. */
static const struct known_option *by_word(struct parse *p, const char *word,
					  size_t n)
{
	const struct known_option *k, *found = NULL;
	bool ambiguous = false;
	size_t i;

	for (i = 0; (k = option_at(i)); i++) {
		if (!k->word || strncmp(k->word, word, n))
			continue;
		if (!k->word[n])
			return k;
		ambiguous = ambiguous || found;
		found = k;
	}
	if (!found)
		fault(p, "unknown option %.*s", (int)(n & 0xfff), word);
	else if (ambiguous)
		fault(p, "option %.*s is ambiguous", (int)(n & 0xfff), word);
	return ambiguous ? NULL : found;
}

static void long_option(struct parse *p)
{
	const char *word = *p->word;
	size_t n = strcspn(word, "=");
	const char *value = word[n] ? word + n + 1 : NULL;
	const struct known_option *k = by_word(p, word, n);

	if (!k)
		return;
	if (value && k->value == VALUE_NONE) {
		fault(p, "option %s takes no value", k->word);
		return;
	}
	if (!value && k->value == VALUE_NEEDED)
		value = next_word(p);
	else if (!value && k->value == VALUE_OPTIONAL && p->word[1] &&
		 p->word[1][0] != '-')
		value = next_word(p);
	if (!value && k->value == VALUE_NEEDED) {
		fault(p, "option %s needs a value", k->word);
		return;
	}
	apply(p, k, value);
}

static void parse_words(struct parse *p)
{
	const char *at;

	for (; *p->word; p->word++) {
		at = *p->word;
		if (at[0] != '-' || !at[1])
			return;
		if (!strcmp(at, "--")) {
			p->word++;
			return;
		}
		if (at[1] == '-') {
			long_option(p);
			continue;
		}
		for (at++; short_option(p, at); at++)
			;
	}
}

static bool takes_operands(enum command command)
{
	return command == COMMAND_SEND || command == COMMAND_EXPLAIN ||
	       command == COMMAND_NEWALIASES;
}

static bool is_report(const struct options *o)
{
	switch (o->command) {
	case COMMAND_LIST:
	case COMMAND_CHECK:
	case COMMAND_EXPLAIN:
	case COMMAND_PROBE:
	case COMMAND_DNSCHECK:
		return true;
	default:
		return o->dry_run;
	}
}

static void check_combination(struct parse *p)
{
	const struct options *o = p->o;
	const char *chosen = p->chosen ? shown(p->chosen) : "this command";

	if (is_about(o->command))
		return;
	if (o->operands && !takes_operands(o->command))
		fault(p, "%s takes no recipients", chosen);
	if (o->recipients_from_header && o->command != COMMAND_SEND)
		fault(p, "-t cannot go together with %s", chosen);
	if (o->dry_run && o->command != COMMAND_SEND)
		fault(p, "--dry-run cannot go together with %s", chosen);
	if (o->json && !is_report(o))
		fault(p, "--json needs a report to print");
	if (!o->operands && !o->recipients_from_header &&
	    (o->command == COMMAND_SEND || o->command == COMMAND_EXPLAIN))
		fault(p, "no recipients");
}

static enum command command_by_name(const char *name)
{
	const char *slash;

	if (!name)
		return COMMAND_SEND;
	slash = strrchr(name, '/');
	if (slash)
		name = slash + 1;
	if (!strcmp(name, "mailq"))
		return COMMAND_LIST;
	if (!strcmp(name, "newaliases"))
		return COMMAND_NEWALIASES;
	return COMMAND_SEND;
}

bool options_parse(int argc, char **argv, struct options *o,
		   struct outcome *why)
{
	struct parse p = { .o = o, .why = why };

	*o = (struct options){ 0 };
	/* exec permits an empty argv */
	p.word = argc > 0 ? argv + 1 : argv;
	o->command = command_by_name(argc > 0 ? argv[0] : NULL);
	parse_words(&p);
	o->operand = p.word;
	while (o->operand[o->operands])
		o->operands++;
	if (o->argument && !*o->argument)
		fault(&p, "option %s: its value is empty", shown(p.chosen));
	check_combination(&p);
	return !p.failed;
}

bool options_read_message(const struct options *o)
{
	return o->command == COMMAND_SEND;
}

bool options_row(size_t i, struct option_row *row)
{
	const struct known_option *k;
	size_t at;

	for (at = 0; (k = option_at(at)); at++) {
		*row = (struct option_row){ .argument = k->argument,
					    .help = k->help };
		row->name = k->name;
		if (k->name && !i--)
			return true;
		row->name = k->word;
		if (k->word && !i--)
			return true;
	}
	return false;
}
