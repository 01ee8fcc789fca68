/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How values are read: plain ones here, names of the mail world in
 * config_names.c. */
#include "config/keys.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/user.h"

static bool bad(struct outcome *why, const char *text, const char *wanted)
{
	return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
			    "\"%.80s\" is not %s", text, wanted);
}

static bool read_text(const struct config_key *key, const char *text,
		      void *field, struct outcome *why)
{
	(void)key;
	(void)why;
	*(char **)field = *text ? mem_string(text) : NULL;
	return true;
}

/* ~/x as $HOME/x; the caller frees. */
static char *path_expand(const char *path)
{
	struct outcome ignored;
	char *home = NULL, *whole;

	if (strncmp(path, "~/", 2) || !user_home(&home, &ignored) || !home)
		return mem_string(path);
	whole = mem_printf("%s%s", home, path + 1);
	free(home);
	return whole;
}

static bool read_path(const struct config_key *key, const char *text,
		      void *field, struct outcome *why)
{
	(void)key;
	(void)why;
	*(char **)field = *text ? path_expand(text) : NULL;
	return true;
}

/* What is kept must be found again, from wherever we are called. */
static bool read_directory(const struct config_key *key, const char *text,
			   void *field, struct outcome *why)
{
	if (*text && text[0] != '/' && strncmp(text, "~/", 2))
		return bad(why, text, "the path of a directory (from / on)");
	return read_path(key, text, field, why);
}

static bool read_log(const struct config_key *key, const char *text,
		     void *field, struct outcome *why)
{
	if (strcmp(text, "syslog") && strcmp(text, "stderr") &&
	    strcmp(text, "none") && text[0] != '/' && strncmp(text, "~/", 2))
		return bad(why, text, "syslog, stderr, none or the path of a "
				      "file (from / on)");
	return read_path(key, text, field, why);
}

static bool read_paths(const struct config_key *key, const char *text,
		       void *field, struct outcome *why)
{
	struct list words = { 0 };
	char *path;
	size_t i;

	(void)key;
	(void)why;
	list_split(&words, text, ", \t");
	for (i = 0; i < words.n; i++) {
		path = path_expand(words.item[i]);
		list_add(field, path);
		free(path);
	}
	list_release(&words);
	return true;
}

static int boolean(const char *text)
{
	static const char *const words[] = { "no", "yes", "false", "true",
					     "off", "on", "0", "1" };
	int i;

	for (i = 0; i < 8; i++)
		if (!strcasecmp(words[i], text))
			return i & 1;
	return -1;
}

static bool read_bool(const struct config_key *key, const char *text,
		      void *field, struct outcome *why)
{
	int value = boolean(text);

	(void)key;
	if (value < 0)
		return bad(why, text, "yes or no");
	*(bool *)field = value == 1;
	return true;
}

static bool read_tristate(const struct config_key *key, const char *text,
			  void *field, struct outcome *why)
{
	int value = boolean(text);

	(void)key;
	if (value < 0)
		return bad(why, text, "yes or no");
	*(int *)field = value;
	return true;
}

static bool read_word(const struct config_key *key, const char *text,
		      void *field, struct outcome *why)
{
	struct buf known = BUF(512);
	const char *meant;
	int i;

	for (i = 0; key->words[i]; i++) {
		if (!key->words[i][0])
			continue;
		if (!strcasecmp(key->words[i], text))
			break;
		buf_addf(&known, "%s%s", known.len ? ", " : "one of ",
			 key->words[i]);
	}
	meant = key->words[i] ? NULL : suggest_word(key, text);
	if (meant)
		buf_addf(&known, "; did you mean %s?", meant);
	if (key->words[i])
		*(int *)field = i;
	else
		bad(why, text, buf_text(&known));
	buf_release(&known);
	return key->words[i] != NULL;
}

static bool read_notify(const struct config_key *key, const char *text,
			void *field, struct outcome *why)
{
	(void)key;
	if (notify_parse(text, field))
		return true;
	return bad(why, text,
		   "\"never\" or a list of success, failure, delay");
}

static void print_notify(const void *field, struct buf *out)
{
	notify_add(out, *(const unsigned *)field, ' ', false);
}

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

static bool read_number(const struct config_key *key, const char *text,
			void *field, struct outcome *why)
{
	int64_t value = 0;
	const char *s = text;

	for (; isdigit((unsigned char)*s) && value < INT64_MAX / 20; s++)
		value = 10 * value + (*s - '0');
	if (s == text || *s)
		return bad(why, text, "a number");
	if (!within(key, value, text, "", 1, why))
		return false;
	*(int64_t *)field = value;
	return true;
}

static bool read_size(const struct config_key *key, const char *text,
		      void *field, struct outcome *why)
{
	(void)key;
	if (size_parse(text, field))
		return true;
	return bad(why, text, "a size (bytes, or as 500K, 25M, 1G)");
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

static bool read_duration(const struct config_key *key, const char *text,
			  void *field, struct outcome *why)
{
	int64_t value;

	if (!duration_parse(text, &value))
		return bad(why, text,
			   "a duration (30s, 10m, 1h30m, 5d)");
	if (!within(key, value, text, "s", 1000, why))
		return false;
	*(int64_t *)field = value;
	return true;
}

static void print_duration(const void *field, struct buf *out)
{
	static const struct { const char *name; int64_t ms; } unit[] = {
		{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 },
		{ "s", 1000 }, { "ms", 1 },
	};
	int64_t left = *(const int64_t *)field;
	size_t i;

	if (!left)
		buf_adds(out, "0s");
	for (i = 0; left; i++) {
		if (left / unit[i].ms)
			buf_addf(out, "%lld%s",
				 (long long)(left / unit[i].ms), unit[i].name);
		left %= unit[i].ms;
	}
}

static bool read_durations(const struct config_key *key, const char *text,
			   void *field, struct outcome *why)
{
	struct list words = { 0 };
	bool good = true;
	int64_t value;
	size_t i;

	list_split(&words, text, ", \t");
	for (i = 0; good && i < words.n; i++) {
		good = read_duration(key, words.item[i], &value, why);
		if (good)
			list_add(field, words.item[i]);
	}
	list_release(&words);
	return good;
}

#define TYPE(name, where, reader) \
	const struct value_type type_##name = { .store = STORE_##where, \
						.read = reader
TYPE(text, STRING, read_text), .may_be_empty = true, .free_text = true };
TYPE(path, STRING, read_path), .may_be_empty = true };
TYPE(directory, STRING, read_directory), .may_be_empty = true };
TYPE(log, STRING, read_log) };
TYPE(secret, SECRET, read_text), .may_be_empty = true, .free_text = true };
TYPE(paths, LIST, read_paths), .may_be_empty = true };
TYPE(bool, BOOL, read_bool) };
TYPE(tristate, CHOICE, read_tristate) };
TYPE(word, CHOICE, read_word) };
TYPE(bits_notify, BITS, read_notify), .print = print_notify };
TYPE(number, NUMBER, read_number) };
TYPE(size, NUMBER, read_size), .print = print_size };
TYPE(duration, NUMBER, read_duration), .print = print_duration };
TYPE(durations, LIST, read_durations), .may_be_empty = true };
