/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any command line, its words separated by NUL: what is taken points into it,
 * and what is not has one line of words that a terminal can be shown.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/options.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

enum { WORDS = 64 };

struct line {
	char *text;
	size_t n;
	char *word[WORDS + 1];
	int words;
};

static void want(int condition)
{
	if (!condition)
		abort();
}

static void want_inside(const struct line *l, const char *s)
{
	want(!s || !*s || (s >= l->text && s <= l->text + l->n));
}

static void split(struct line *l)
{
	char *at = l->text;

	while (l->words < WORDS && at < l->text + l->n) {
		l->word[l->words++] = at;
		at += strlen(at) + 1;
	}
}

static void check_good(const struct line *l, const struct options *o)
{
	size_t i;

	want_inside(l, o->argument);
	want_inside(l, o->sender);
	want_inside(l, o->full_name);
	want_inside(l, o->envid);
	want_inside(l, o->config);
	want_inside(l, o->account);
	want_inside(l, o->transport);
	want_inside(l, o->selection.substring);
	for (i = 0; i < o->operands; i++)
		want_inside(l, o->operand[i]);
	want(!o->operand[i]);
	if (o->command == COMMAND_SEND)
		want(o->operands || o->recipients_from_header);
	for (i = 0; o->envid && o->envid[i]; i++)
		want(i < 100 && o->envid[i] >= ' ' && o->envid[i] < 0x7f);
	want(!(o->notify & NOTIFY_NEVER) || o->notify == NOTIFY_NEVER);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct line l = { .text = mem_stringn((const char *)data, n),
			  .n = n };
	struct outcome why = {0};
	struct options o;
	const char *c;

	split(&l);
	if (options_parse(l.words, l.word, &o, &why)) {
		check_good(&l, &o);
	} else {
		want(why.exit == EX_USAGE && *why.text);
		for (c = why.text; *c; c++)
			want((unsigned char)*c >= ' ' && *c != 0x7f);
	}
	options_read_message(&o);
	free(l.text);
	return 0;
}
