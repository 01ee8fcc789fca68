/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/options_table.h"

/* Bounds of what getopt is told, and the first number of a word. */
enum { LETTERS_MAX = 60, WORDS_MAX = 60, WORD_FIRST = 256 };

struct parse {
	struct options *o;
	int argc;
	char **argv;
	char letters[4 * LETTERS_MAX]; /* getopt's optstring */
	struct option words[WORDS_MAX + 1];
	const struct known_option *chosen; /* named the command */
	bool ended;             /* "--" went before the operands */
	bool failed;
	struct outcome *why;    /* the first fault */
};

static void misuse(struct parse *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void misuse(struct parse *p, const char *format, ...)
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

/* -I is -bi. */
static bool is_b(const struct known_option *k)
{
	return k && k->name && (k->name[1] == 'b' || k->name[1] == 'I');
}

static bool tells_of_itself(enum command command)
{
	return command == COMMAND_HELP || command == COMMAND_VERSION;
}

/* The commands of -b replace each other as values of one option do, and -bm
 * stands for no command at all; any other two contradict each other. */
static void choose_command(struct parse *p, const struct known_option *k,
			   const char *value)
{
	struct options *o = p->o;

	if (tells_of_itself(o->command))
		return;
	if (k->command == COMMAND_SEND) {
		if (p->chosen && !is_b(p->chosen))
			return;
		o->command = COMMAND_SEND;
		p->chosen = NULL;
		return;
	}
	if (p->chosen && p->chosen->command != k->command &&
	    !tells_of_itself(k->command) && !(is_b(p->chosen) && is_b(k)))
		misuse(p, "%s cannot go together with %s", shown(k),
		       shown(p->chosen));
	o->command = k->command;
	o->argument = k->read || is_b(k) ? NULL : value;
	p->chosen = k;
}

static void apply_option(struct parse *p, const struct known_option *k,
			 const char *value)
{
	void *field = (char *)p->o + k->offset;
	struct outcome found;

	if (k->act == ACT_FLAG)
		*(bool *)field = true;
	else if (k->act == ACT_STRING)
		*(const char **)field = value;
	else if (k->act == ACT_COMMAND)
		choose_command(p, k, value);
	if (k->read && !k->read(p->o, value, &found))
		misuse(p, "%s", found.text);
}

/* --- the words, by getopt_long(3) --- */

/* The row of -X with this value; any row of -X if value is NULL. */
static const struct known_option *by_letter(int letter, const char *value)
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

/* The word after the option in hand, which is then used up. */
static const char *next_word(struct parse *p)
{
	return optind < p->argc ? p->argv[optind++] : NULL;
}

static void short_option(struct parse *p, int letter)
{
	const struct known_option *k = by_letter(letter, optarg);
	struct selection *s = &p->o->selection;

	if (!k) {
		misuse(p, "unknown option -%c%s", letter, optarg);
		return;
	}
	apply_option(p, k, k->value == VALUE_ATTACHED && !optarg ? "" : optarg);
	/* "-qI" is complete with the word after it, as "-f" is */
	if (k->command == COMMAND_RUN && s->field && !*s->substring &&
	    optind < p->argc)
		s->substring = next_word(p);
}

/* What getopt_long could not make sense of. */
static void bad_option(struct parse *p, bool lacks_value)
{
	const char *word = p->argv[optind - 1];
	const struct known_option *k = optopt >= WORD_FIRST ?
		option_at((size_t)(optopt - WORD_FIRST)) : NULL;
	size_t i, n = strcspn(word, "="), like = 0;

	if (k)
		misuse(p, lacks_value ? "option %s needs a value" :
		       "option %s takes no value", k->word);
	if (optopt) {
		misuse(p, lacks_value ? "option -%c needs a value" :
		       "unknown option -%c", optopt);
		return;
	}
	for (i = 0; p->words[i].name; i++)
		like += !strncmp(p->words[i].name, word + 2, n - 2);
	misuse(p, like ? "option %.*s is ambiguous" : "unknown option %.*s",
	       (int)(n < 200 ? n : 200), word);
}

static void parse_words(struct parse *p)
{
	const struct known_option *k;
	size_t n = 0, words = 0, i;
	const char *value;
	int found, before;

	/* what getopt_long must know of the table: "-bs" is the letter b with
	 * a value; a word's row is told by its number after those of all
	 * letters. It stops at the first operand; a missing value is told
	 * apart */
	p->letters[n++] = '+';
	p->letters[n++] = ':';
	for (i = 0; (k = option_at(i)); i++) {
		if (k->word && words < WORDS_MAX)
			p->words[words++] = (struct option){
				k->word + 2, k->value == VALUE_NONE ?
				no_argument : k->value == VALUE_NEEDED ?
				required_argument : optional_argument,
				NULL, WORD_FIRST + (int)i };
		if (!k->name || by_letter(k->name[1], NULL) != k ||
		    n + 4 > sizeof(p->letters))
			continue;
		p->letters[n++] = k->name[1];
		if (fixed_value(k) || k->value != VALUE_NONE)
			p->letters[n++] = ':';
		if (k->value == VALUE_ATTACHED)
			p->letters[n++] = ':';
	}
	optind = 0;
	opterr = 0;
	for (;;) {
		before = optind ? optind : 1;
		found = getopt_long(p->argc, p->argv, p->letters, p->words,
				    NULL);
		if (found == -1)
			break;
		if (found == '?' || found == ':') {
			bad_option(p, found == ':');
		} else if (found < WORD_FIRST) {
			short_option(p, found);
		} else {
			k = option_at((size_t)(found - WORD_FIRST));
			value = optarg;
			if (!value && k->value == VALUE_OPTIONAL &&
			    optind < p->argc && p->argv[optind][0] != '-')
				value = next_word(p);
			apply_option(p, k, value);
		}
	}
	p->ended = optind > before;
}

static bool is_report(const struct options *o)
{
	switch (o->command) {
	case COMMAND_LIST:
	case COMMAND_CHECK:
	case COMMAND_HEALTH:
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
	const char *chosen = p->chosen ? shown(p->chosen) : "this command";
	struct options *o = p->o;

	if (tells_of_itself(o->command))
		return;
	/* --probe --json WORD: the word need not follow at once */
	if (o->command == COMMAND_PROBE && !o->argument && o->operands == 1) {
		o->argument = *o->operand++;
		o->operands = 0;
	}
	if (o->operands && o->command != COMMAND_SEND &&
	    o->command != COMMAND_EXPLAIN && o->command != COMMAND_NEWALIASES)
		misuse(p, "%s takes no recipients", chosen);
	if (o->recipients_from_header && o->command != COMMAND_SEND)
		misuse(p, "-t cannot go together with %s", chosen);
	if (o->dry_run && o->command != COMMAND_SEND)
		misuse(p, "--dry-run cannot go together with %s", chosen);
	if (o->metrics && o->command != COMMAND_HEALTH)
		misuse(p, "--metrics goes together with --health");
	if (o->yes && o->command != COMMAND_SETUP)
		misuse(p, "--yes goes together with --setup");
	if (o->systemd_creds && o->command != COMMAND_STORE_PASSWORD)
		misuse(p, "--systemd-creds goes together with "
		       "--store-password");
	if (o->json && !is_report(o))
		misuse(p, "--json needs a report to print");
	if (!o->operands && !o->recipients_from_header &&
	    (o->command == COMMAND_SEND || o->command == COMMAND_EXPLAIN))
		misuse(p, "no recipients");
}

bool options_parse(int argc, char **argv, struct options *o,
		   struct outcome *why)
{
	struct parse p = { .o = o, .argc = argc, .argv = argv, .why = why };
	/* exec permits an empty argv */
	const char *name = argc > 0 && argv[0] ? argv[0] : "";
	size_t i;

	*o = (struct options){ .operand = argv };
	if (strrchr(name, '/'))
		name = strrchr(name, '/') + 1;
	if (!strcmp(name, "mailq"))
		o->command = COMMAND_LIST;
	else if (!strcmp(name, "newaliases"))
		o->command = COMMAND_NEWALIASES;
	if (argc > 0) {
		parse_words(&p);
		o->operand = argv + optind;
		while (o->operand[o->operands])
			o->operands++;
	}
	/* an option forgotten after a recipient must not become one */
	for (i = 0; i < o->operands && !p.ended; i++)
		if (o->operand[i][0] == '-')
			misuse(&p, "%s: options go before the recipients (a "
			       "recipient that begins with \"-\" goes after "
			       "\"--\")", o->operand[i]);
	if (p.chosen && o->argument && !*o->argument)
		misuse(&p, "option %s: its value is empty", shown(p.chosen));
	check_combination(&p);
	return !p.failed;
}

bool options_read_message(const struct options *o)
{
	return o->command == COMMAND_SEND;
}
