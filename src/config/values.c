/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values that the command line has in common with the configuration. */
#include "config/config.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit durations[] = {
	{ "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 },
	{ "h", 3600 * 1000 }, { "d", 24 * 3600 * 1000 },
	{ "w", 7 * 24 * 3600 * 1000 }, { NULL, 0 },
};

static const struct unit sizes[] = {
	{ "k", 1024 }, { "m", 1024 * 1024 }, { "g", 1024 * 1024 * 1024 },
	{ "", 1 }, { NULL, 0 },
};

/* Digits and a unit from *text on, added to *sum. */
static bool add_part(const char **text, const struct unit *unit, int64_t *sum)
{
	int64_t n = 0;
	size_t len;
	const char *s = *text;

	if (!isdigit((unsigned char)*s))
		return false;
	for (; isdigit((unsigned char)*s); s++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, *s - '0', &n))
			return false;
	for (len = 0; isalpha((unsigned char)s[len]); len++)
		;
	for (; unit->name; unit++)
		if (strlen(unit->name) == len &&
		    !strncasecmp(unit->name, s, len))
			break;
	if (!unit->name || __builtin_mul_overflow(n, unit->factor, &n) ||
	    __builtin_add_overflow(*sum, n, sum))
		return false;
	*text = s + len;
	return true;
}

bool duration_parse(const char *text, int64_t *ms)
{
	int64_t sum = 0;

	/* nothing needs no unit */
	if (!strcmp(text, "0")) {
		*ms = 0;
		return true;
	}
	do {
		if (!add_part(&text, durations, &sum))
			return false;
	} while (*text);
	*ms = sum;
	return true;
}

bool size_parse(const char *text, int64_t *bytes)
{
	int64_t sum = 0;

	if (!add_part(&text, sizes, &sum) || *text)
		return false;
	*bytes = sum;
	return true;
}
