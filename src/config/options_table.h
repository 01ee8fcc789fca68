/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of options, which options.c parses by, and --help. */
#ifndef CONFIG_OPTIONS_TABLE_H
#define CONFIG_OPTIONS_TABLE_H

#include "config/options.h"

enum option_act {
	ACT_IGNORE,   /* accepted, with its value, for compatibility */
	ACT_FLAG,     /* the bool at offset becomes true */
	ACT_STRING,   /* the const char * at offset becomes the value */
	ACT_COMMAND,  /* command, with the value as its argument */
	ACT_READ      /* read judges the value and stores it */
};

enum option_value {
	VALUE_NONE,
	VALUE_NEEDED,   /* attached, or the next word */
	VALUE_ATTACHED, /* -qX: attached or none */
	VALUE_OPTIONAL  /* --probe: the next word unless it is an option */
};

enum option_group {
	GROUP_SEND, GROUP_DSN, GROUP_QUEUE, GROUP_REPORT, GROUP_SETUP,
	GROUP_GENERAL, GROUP_IGNORED
};

struct known_option {
	const char *name;      /* "-f"; "-bs": -b with the value "s"; NULL:
				* has only a word */
	const char *word;      /* "--account"; NULL: has only a letter */
	enum option_value value;
	const char *argument;  /* the value's name in the help; NULL: none */
	enum option_group group;
	enum option_act act;
	size_t offset;
	enum command command;
	bool (*read)(struct options *o, const char *value,
		     struct outcome *why);
	const char *help;      /* NULL: ignored */
};

/* Row i, NULL after the last. Rows with a value of their own ("-oi")
 * come before the row of the same letter without one. */
const struct known_option *option_at(size_t i);

#endif
