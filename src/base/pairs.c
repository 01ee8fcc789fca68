/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/pairs.h"

#include <stdlib.h>
#include <string.h>

#include "base/scan.h"

bool pairs_add(struct buf *b, const char *name, const char *value)
{
	const char *p;

	if (!value || !*value)
		return true;
	for (p = value; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	return buf_addf(b, "%s %s\n", name, value);
}

bool pairs_add_number(struct buf *b, const char *name, int64_t value)
{
	return buf_addf(b, "%s %lld\n", name, (long long)value);
}

static bool pairs_find(const char *text, const char *name, struct scan *value)
{
	struct scan s = scan_text(text), line;

	while (scan_line(&s, &line)) {
		*value = line;
		if (scan_skip(value, name) && scan_skip(value, " "))
			return true;
	}
	return false;
}

char *pairs_get(const char *text, const char *name)
{
	struct scan value;

	return pairs_find(text, name, &value) && scan_left(&value) ?
	       scan_copy(&value) : NULL;
}

int64_t pairs_number(const char *text, const char *name)
{
	struct scan value;
	int64_t number;

	return pairs_find(text, name, &value) &&
	       scan_number(&value, INT64_MAX / 2, &number) ? number : 0;
}
