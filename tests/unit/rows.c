/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prints the tables of options and keys, one row a line, fields separated by
 * tabs, for tests/manual.py. No test by itself. */
#include <stdio.h>

#include "config/keys.h"
#include "config/options_table.h"

static void print_option(const char *name, const struct known_option *o)
{
	printf("option\t%s\t%s\t%s\n", name, o->argument ? o->argument : "",
	       o->help ? o->help : "");
}

int main(void)
{
	const struct known_option *o;
	const struct config_key *k;
	size_t i;

	for (i = 0; (o = option_at(i)); i++) {
		if (o->name)
			print_option(o->name, o);
		if (o->word)
			print_option(o->word, o);
	}
	for (i = 0; (k = key_at(i)); i++)
		printf("key\t%s\t%s\t%s\t%s\n", section_name(k->section),
		       k->key, k->fallback, k->help);
	return 0;
}
