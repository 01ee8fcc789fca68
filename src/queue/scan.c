/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "queue/scan.h"

#include <string.h>

#include "base/buf.h"

enum { VALUE_MAX = 2000 };

bool scan_until(struct scan *s, char separator, struct scan *part)
{
	const char *at;

	if (s->p == s->end)
		return false;
	at = memchr(s->p, separator, (size_t)(s->end - s->p));
	*part = (struct scan){ s->p, at ? at : s->end };
	s->p = at ? at + 1 : s->end;
	return true;
}

bool scan_is(const struct scan *s, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(s->end - s->p) == n && !memcmp(s->p, word, n);
}

bool scan_skip(struct scan *s, const char *prefix)
{
	size_t n = strlen(prefix);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, prefix, n) != 0)
		return false;
	s->p += n;
	return true;
}

bool scan_number(const struct scan *s, int64_t most, int64_t *value)
{
	const char *p = s->p;
	int digit;

	*value = 0;
	if (p == s->end || (*p == '0' && s->end - p > 1))
		return false;
	for (; p < s->end; p++) {
		digit = *p - '0';
		if (digit < 0 || digit > 9 || digit > most ||
		    *value > (most - digit) / 10)
			return false;
		*value = 10 * *value + digit;
	}
	return true;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	       c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool scan_decode(const struct scan *s, bool blanks, char **out)
{
	struct buf b = BUF(VALUE_MAX);
	const char *p = s->p;
	unsigned char c;

	if (*out)
		return false;
	for (; p < s->end; p++) {
		c = (unsigned char)*p;
		if (c == '%') {
			if (s->end - p < 3 || hex(p[1]) < 0 || hex(p[2]) < 0)
				break;
			c = (unsigned char)(hex(p[1]) * 16 + hex(p[2]));
			p += 2;
		}
		if (c < ' ' || c == 0x7f || (c == ' ' && !blanks))
			break;
		if (!buf_addc(&b, (char)c))
			break;
	}
	if (p < s->end) {
		buf_release(&b);
		return false;
	}
	*out = buf_take(&b);
	return true;
}
