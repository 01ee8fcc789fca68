/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values that count something: numbers, sizes, durations, rates. */
#include "config/keys.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* --- durations and sizes, as on the command line --- */

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
static bool add_quantity(const char **text, const struct unit *unit,
			 int64_t *sum)
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
		if (!add_quantity(&text, durations, &sum))
			return false;
	} while (*text);
	*ms = sum;
	return true;
}

bool size_parse(const char *text, int64_t *bytes)
{
	int64_t sum = 0;

	if (!add_quantity(&text, sizes, &sum) || *text)
		return false;
	*bytes = sum;
	return true;
}

/* --- of keys --- */

static bool within(const struct config_key *key, int64_t value,
		   const char *text, const char *unit, int64_t factor,
		   struct outcome *why)
{
	if (value >= key->least && value <= key->most)
		return true;
	return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
			    "\"%.80s\" is not within %lld%s and %lld%s", text,
			    (long long)(key->least / factor), unit,
			    (long long)(key->most / factor), unit);
}

static bool value_number(const struct config_key *key, const char *text,
			 void *field, struct outcome *why)
{
	int64_t value = 0;
	const char *s = text;

	for (; isdigit((unsigned char)*s) && value < INT64_MAX / 20; s++)
		value = 10 * value + (*s - '0');
	if (s == text || *s)
		return value_bad(why, text, "a number");
	if (!within(key, value, text, "", 1, why))
		return false;
	*(int64_t *)field = value;
	return true;
}

static bool value_size(const struct config_key *key, const char *text,
		       void *field, struct outcome *why)
{
	(void)key;
	if (size_parse(text, field))
		return true;
	return value_bad(why, text, "a size (bytes, or as 500K, 25M, 1G)");
}

static void print_size(const void *field, struct buf *out)
{
	int64_t value = *(const int64_t *)field;
	const char *unit = "\0KMG";

	while (value && value % 1024 == 0 && unit[1]) {
		value /= 1024;
		unit++;
	}
	buf_addf(out, "%lld%.1s", (long long)value, unit);
}

static bool value_duration(const struct config_key *key, const char *text,
			   void *field, struct outcome *why)
{
	int64_t value;

	if (!duration_parse(text, &value))
		return value_bad(why, text,
				 "a duration (30s, 10m, 1h30m, 5d)");
	if (!within(key, value, text, "s", 1000, why))
		return false;
	*(int64_t *)field = value;
	return true;
}

static void print_duration(const void *field, struct buf *out)
{
	int64_t left = *(const int64_t *)field;
	size_t i = sizeof(durations) / sizeof(*durations) - 2;

	if (!left)
		buf_adds(out, "0s");
	/* from the longest unit down; but nobody counts in weeks */
	while (left && i--) {
		if (left / durations[i].factor)
			buf_addf(out, "%lld%s",
				 (long long)(left / durations[i].factor),
				 durations[i].name);
		left %= durations[i].factor;
	}
}

/* The schedule, whose words stay as they were written. */
static bool value_durations(const struct config_key *key, const char *text,
			    void *field, struct outcome *why)
{
	struct list words = { 0 };
	bool good = true;
	int64_t value;
	size_t i;

	list_split(&words, text, ", \t");
	for (i = 0; good && i < words.n; i++) {
		good = value_duration(key, words.item[i], &value, why);
		if (good)
			list_add(field, words.item[i]);
	}
	list_release(&words);
	return good;
}

/* --- rates --- */

bool rate_parse(const char *text, enum rate_unit *unit, int64_t *most)
{
	static const char letters[] = "smhd";
	const int64_t limit = 1000000000;
	const char *s = text, *letter;

	for (*most = 0; isdigit((unsigned char)*s) && *most <= limit; s++)
		*most = 10 * *most + (*s - '0');
	letter = s[0] == '/' && s[1] ?
		 strchr(letters, tolower((unsigned char)s[1])) : NULL;
	if (s == text || !letter || s[2] || !*most || *most > limit)
		return false;
	*unit = (enum rate_unit)(letter - letters);
	return true;
}

bool transport_rates(const struct transport *t, int64_t most[RATE_UNITS])
{
	enum rate_unit unit;
	int64_t n;
	size_t i;

	memset(most, 0, RATE_UNITS * sizeof(*most));
	for (i = 0; i < t->rate.n; i++)
		if (rate_parse(t->rate.item[i], &unit, &n))
			most[unit] = n;
	return t->rate.n > 0;
}

/* Of two with the same unit nobody could say which was meant. */
static bool value_rates(const struct config_key *key, const char *text,
			void *field, struct outcome *why)
{
	struct list words = { 0 }, *l = field;
	enum rate_unit unit, other;
	bool good = true;
	int64_t most;
	size_t i, j;

	(void)key;
	list_split(&words, text, ", \t");
	for (i = 0; good && i < words.n; i++) {
		if (!rate_parse(words.item[i], &unit, &most)) {
			good = value_bad(why, words.item[i],
					 "a rate (14/s, 100/m, 500/h, "
					 "2000/d)");
			continue;
		}
		for (j = 0; good && j < l->n; j++)
			if (rate_parse(l->item[j], &other, &most) &&
			    other == unit)
				good = value_bad(why, words.item[i],
						 "the first rate of its unit");
		if (good)
			list_add(l, words.item[i]);
	}
	list_release(&words);
	return good;
}

const struct value_type
	type_number = { .store = STORE_NUMBER, .read = value_number },
	type_size = { .store = STORE_NUMBER, .read = value_size,
		      .print = print_size },
	type_duration = { .store = STORE_NUMBER, .read = value_duration,
			  .print = print_duration },
	type_durations = { .store = STORE_LIST, .may_be_empty = true,
			   .read = value_durations },
	type_rates = { .store = STORE_LIST, .may_be_empty = true,
		       .read = value_rates };
