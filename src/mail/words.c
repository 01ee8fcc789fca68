/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/words.h"

#include <string.h>
#include <strings.h>

#include "base/list.h"

enum { ENVID_MAX = 100 };

const char *const notify_words[] = { "never", "success", "failure", "delay",
				     NULL };
const char *const return_words[] = { "", "full", "hdrs", NULL };
const char *const body_words[] = { "", "7bit", "8bitmime", NULL };

int word_index(const char *const *words, const char *text, size_t n)
{
	int i;

	for (i = 0; words[i]; i++)
		if (n && strlen(words[i]) == n &&
		    !strncasecmp(words[i], text, n))
			return i;
	return -1;
}

void word_add_upper(struct buf *b, const char *word)
{
	for (; *word; word++)
		buf_addc(b, *word >= 'a' && *word <= 'z' ?
			 (char)(*word - ('a' - 'A')) : *word);
}

bool notify_parse(const char *text, unsigned *notify)
{
	struct list words = { 0 };
	unsigned bits = 0;
	int bit = 0;
	size_t i;

	list_split(&words, text, ", \t");
	for (i = 0; bit >= 0 && i < words.n; i++) {
		bit = word_index(notify_words, words.item[i],
				 strlen(words.item[i]));
		if (bit >= 0)
			bits |= 1U << bit;
	}
	list_release(&words);
	/* RFC 3461 4.1: NEVER stands alone */
	if (bit < 0 || !bits || (bits & NOTIFY_NEVER && bits != NOTIFY_NEVER))
		return false;
	*notify = bits;
	return true;
}

void notify_add(struct buf *b, unsigned notify, char separator, bool upper)
{
	bool any = false;
	size_t i;

	for (i = 0; notify_words[i]; i++) {
		if (!(notify & 1U << i))
			continue;
		if (any)
			buf_addc(b, separator);
		any = true;
		if (upper)
			word_add_upper(b, notify_words[i]);
		else
			buf_adds(b, notify_words[i]);
	}
}

bool return_parse(const char *text, int *dsn_return)
{
	int value = word_index(return_words, text, strlen(text));

	if (value < 0)
		return false;
	*dsn_return = value;
	return true;
}

bool body_parse(const char *text, enum body_type *body)
{
	int value = word_index(body_words, text, strlen(text));

	if (value < 0)
		return false;
	*body = (enum body_type)value;
	return true;
}

bool envid_is_valid(const char *text)
{
	size_t i;

	for (i = 0; text[i]; i++)
		if (i == ENVID_MAX || text[i] < ' ' || text[i] > '~')
			return false;
	return i > 0;
}
