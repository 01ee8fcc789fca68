/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prints the tables of options and keys, one row a line, fields separated by
 * tabs, for tests/manual.py. No test by itself. */
#include <stdio.h>

#include "config/config.h"
#include "config/options.h"

int main(void)
{
	struct option_row option;
	struct config_row row;
	size_t i;

	for (i = 0; options_row(i, &option); i++)
		printf("option\t%s\t%s\t%s\n", option.name,
		       option.argument ? option.argument : "",
		       option.help ? option.help : "");
	for (i = 0; config_row(i, &row); i++)
		printf("key\t%s\t%s\t%s\t%s\n", row.section, row.key,
		       row.fallback, row.help);
	return 0;
}
