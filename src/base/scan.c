/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/scan.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"

enum { VALUE_MAX = 2000 };

struct scan scan_text(const char *s)
{
	return scan_bytes(s, strlen(s));
}

struct scan scan_bytes(const char *s, size_t n)
{
	return (struct scan){ s, s ? s + n : s };
}

size_t scan_left(const struct scan *s)
{
	return s->p == s->end ? 0 : (size_t)(s->end - s->p);
}

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

bool scan_line(struct scan *s, struct scan *line)
{
	if (!scan_until(s, '\n', line))
		return false;
	if (line->end > line->p && line->end[-1] == '\r')
		line->end--;
	return true;
}

static bool is_among(char c, const char *set)
{
	return c && strchr(set, c);
}

bool scan_word(struct scan *s, const char *separators, struct scan *word)
{
	while (s->p != s->end && is_among(*s->p, separators))
		s->p++;
	if (s->p == s->end)
		return false;
	word->p = s->p;
	while (s->p != s->end && !is_among(*s->p, separators))
		s->p++;
	word->end = s->p;
	return true;
}

bool scan_pair(struct scan *s, char separator, struct scan *name,
	       struct scan *value)
{
	struct scan pair;

	while (scan_until(s, separator, &pair)) {
		scan_trim(&pair);
		if (pair.p == pair.end)
			continue;
		*value = (struct scan){ 0 };
		scan_until(&pair, '=', name);
		/* "name=": there is a value, and it is empty */
		if (name->end != pair.end)
			*value = pair;
		scan_trim(name);
		if (value->p)
			scan_trim(value);
		return true;
	}
	return false;
}

bool scan_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool scan_is_alnum(char c)
{
	return scan_is_digit(c) || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

bool scan_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void scan_skip_blanks(struct scan *s)
{
	while (s->p != s->end && scan_is_blank(*s->p))
		s->p++;
}

void scan_trim(struct scan *s)
{
	scan_skip_blanks(s);
	while (s->p != s->end && scan_is_blank(s->end[-1]))
		s->end--;
}

bool scan_skip(struct scan *s, const char *prefix)
{
	size_t n = strlen(prefix);

	if (scan_left(s) < n || (n && memcmp(s->p, prefix, n) != 0))
		return false;
	s->p += n;
	return true;
}

bool scan_skip_nocase(struct scan *s, const char *prefix)
{
	size_t n = strlen(prefix);

	if (scan_left(s) < n || (n && strncasecmp(s->p, prefix, n) != 0))
		return false;
	s->p += n;
	return true;
}

bool scan_is(const struct scan *s, const char *word)
{
	struct scan left = *s;

	return scan_skip(&left, word) && left.p == left.end;
}

bool scan_is_nocase(const struct scan *s, const char *word)
{
	struct scan left = *s;

	return scan_skip_nocase(&left, word) && left.p == left.end;
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

char *scan_copy(const struct scan *s)
{
	size_t n = scan_left(s);

	return n ? mem_stringn(s->p, n) : mem_string("");
}

bool scan_copy_to(const struct scan *s, char *out, size_t size)
{
	size_t n = scan_left(s);

	if (n >= size || (n && memchr(s->p, '\0', n)))
		return false;
	if (n)
		memcpy(out, s->p, n);
	out[n] = '\0';
	return true;
}

int scan_hex(const char *p)
{
	int value = 0, i;

	for (i = 0; i < 2; i++) {
		if (p[i] >= '0' && p[i] <= '9')
			value = 16 * value + p[i] - '0';
		else if ((p[i] | 32) >= 'a' && (p[i] | 32) <= 'f')
			value = 16 * value + (p[i] | 32) - 'a' + 10;
		else
			return -1;
	}
	return value;
}

bool scan_decode(const struct scan *s, bool blanks, char **out)
{
	struct buf b = BUF(VALUE_MAX);
	const char *p = s->p;
	int c;

	if (*out)
		return false;
	for (; p < s->end; p++) {
		c = (unsigned char)*p;
		if (c == '%') {
			c = s->end - p < 3 || (p[1] >= 'A' && p[1] <= 'F') ||
			    (p[2] >= 'A' && p[2] <= 'F') ? -1 :
			    scan_hex(p + 1);
			p += c < 0 ? 0 : 2;
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
