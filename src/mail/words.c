/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/words.h"

#include <stddef.h>
#include <strings.h>

#include "base/list.h"

static const struct {
	unsigned bit;
	const char *word;
} notify_table[] = {
	{ NOTIFY_NEVER, "NEVER" }, { NOTIFY_SUCCESS, "SUCCESS" },
	{ NOTIFY_FAILURE, "FAILURE" }, { NOTIFY_DELAY, "DELAY" },
};

enum { NOTIFY_WORDS = sizeof(notify_table) / sizeof(*notify_table) };

static unsigned notify_bit(const char *word)
{
	size_t i;

	for (i = 0; i < NOTIFY_WORDS; i++)
		if (!strcasecmp(notify_table[i].word, word))
			return notify_table[i].bit;
	return 0;
}

bool notify_parse(const char *text, unsigned *notify)
{
	struct list words = { 0 };
	unsigned bits = 0, bit = 1;
	size_t i;

	list_split(&words, text, ", \t");
	for (i = 0; bit && i < words.n; i++) {
		bit = notify_bit(words.item[i]);
		bits |= bit;
	}
	list_release(&words);
	/* RFC 3461 4.1: NEVER stands alone */
	if (!bit || !bits || (bits & NOTIFY_NEVER && bits != NOTIFY_NEVER))
		return false;
	*notify = bits;
	return true;
}

bool return_parse(const char *text, int *dsn_return)
{
	if (!strcasecmp(text, "full"))
		*dsn_return = RETURN_FULL;
	else if (!strcasecmp(text, "hdrs"))
		*dsn_return = RETURN_HDRS;
	else
		return false;
	return true;
}
