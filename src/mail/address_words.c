/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What stands between the delimiters of an address: words, blanks, comments,
 * domains. */
#include "mail/address_parts.h"

#include <limits.h>
#include <string.h>

enum { SHOWN_MAX = 80 };

bool address_fault(struct address_scan *s, const char *what)
{
	size_t n = s->n - s->start;

	if (!s->why)
		return false;
	return outcome_fail(s->why, STAGE_LOCAL, EX_DATAERR,
			    "bad address \"%.*s%s\": %s",
			    n > SHOWN_MAX ? SHOWN_MAX : (int)n,
			    s->text + s->start, n > SHOWN_MAX ? "..." : "",
			    what);
}

int address_peek(const struct address_scan *s)
{
	return s->pos < s->n ? (unsigned char)s->text[s->pos] : -1;
}

bool is_atext(int c)
{
	if (c >= 0x80 || (c >= '0' && c <= '9') ||
	    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return c > ' ' && c < 0x7f && strchr("!#$%&'*+-/=?^_`{|}~", c);
}

bool is_atoms(const char *s, size_t n, char between)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (s[i] == between ?
		    !i || i + 1 == n || s[i - 1] == between :
		    !is_atext((unsigned char)s[i]))
			return false;
	return true;
}

/* The length of the white space character at hand, a no-break space being
 * one; 0: it is not one. */
static size_t blank_length(const struct address_scan *s)
{
	int c = address_peek(s);

	if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
		return 1;
	return c == 0xc2 && s->pos + 1 < s->n &&
	       (unsigned char)s->text[s->pos + 1] == 0xa0 ? 2 : 0;
}

/* Whether a backslash takes this character's meaning away. */
static bool is_escaped(const char *text, size_t at)
{
	size_t from = at;

	while (from && text[from - 1] == '\\')
		from--;
	return (at - from) % 2;
}

unsigned char *address_unclosed(const char *text, size_t n)
{
	unsigned char *unclosed = NULL;
	size_t i, closers = 0;
	bool escaped;

	if (!memchr(text, '(', n))
		return NULL;
	for (i = n; i--;) {
		if (text[i] != '(' && text[i] != ')')
			continue;
		escaped = is_escaped(text, i);
		if (text[i] == ')') {
			closers += !escaped;
		} else if (closers) {
			/* escaped it is none to what it stands in */
			closers -= !escaped;
		} else {
			if (!unclosed)
				unclosed = mem_alloc(n / CHAR_BIT + 1);
			unclosed[i / CHAR_BIT] |=
				(unsigned char)(1U << i % CHAR_BIT);
		}
	}
	return unclosed;
}

/* Comments nest; a counter does, however deep. */
bool address_skip_comment(struct address_scan *s)
{
	size_t depth = 0, at = s->pos;
	int c;

	if (s->unclosed && s->unclosed[at / CHAR_BIT] & 1U << at % CHAR_BIT)
		return address_fault(s, "comment without end");
	while ((c = address_peek(s)) >= 0) {
		s->pos++;
		if (c == '\\' && s->pos < s->n)
			s->pos++;
		else if (c == '(')
			depth++;
		else if (c == ')' && !--depth)
			return true;
	}
	s->pos = at;
	return address_fault(s, "comment without end");
}

bool address_skip_cfws(struct address_scan *s)
{
	size_t n;

	for (;;) {
		n = blank_length(s);
		s->pos += n;
		if (n)
			continue;
		if (address_peek(s) != '(')
			return true;
		if (!address_skip_comment(s))
			return false;
	}
}

void address_words_release(struct address_words *w)
{
	buf_release(&w->phrase);
	buf_release(&w->local);
}

static bool quoted_read(struct address_scan *s, struct address_words *w)
{
	char c;

	for (s->pos++; s->pos < s->n; s->pos++) {
		c = s->text[s->pos];
		if (c == '"') {
			s->pos++;
			return true;
		}
		if (c == '\r' || c == '\n')
			continue;
		if (c == '\\' && ++s->pos < s->n)
			c = s->text[s->pos];
		buf_addc(&w->phrase, c);
		buf_addc(&w->local, c);
	}
	return address_fault(s, "quoted string without end");
}

static size_t atom_skip(struct address_scan *s)
{
	size_t start = s->pos;

	while (is_atext(address_peek(s)) && !blank_length(s))
		s->pos++;
	return s->pos - start;
}

/* The length of an encoded word (RFC 2047 2) that begins at p; 0: there is
 * none. Its text may hold what is otherwise special: a comma, say. Some
 * write blanks in it, too. Where another one begins it has no end, so that a
 * row of beginnings is walked over once. */
size_t encoded_word_length(const char *p, size_t n)
{
	enum { CHARSET_MAX = 64, TEXT_MAX = 1024 };
	size_t i = 2, from;

	if (n < 7 || p[0] != '=' || p[1] != '?')
		return 0;
	while (i < n && i < CHARSET_MAX && is_atext((unsigned char)p[i]) &&
	       p[i] != '?')
		i++;
	if (i == 2 || n - i < 3 || p[i] != '?' ||
	    !strchr("QqBb", p[i + 1]) || !p[i + 1] || p[i + 2] != '?')
		return 0;
	from = i += 3;
	for (; i + 1 < n && i - from < TEXT_MAX; i++) {
		if (p[i] == '?' && p[i + 1] == '=')
			return i + 2;
		/* the other is base64's padding */
		if (p[i] == '=' && p[i + 1] == '?' &&
		    (i + 2 == n || p[i + 2] != '='))
			break;
		if ((unsigned char)p[i] < ' ' || p[i] == 0x7f ||
		    strchr("<>\"", p[i]))
			break;
	}
	return 0;
}

static bool word_read(struct address_scan *s, struct address_words *w)
{
	size_t start = s->pos;
	size_t n;

	if (w->after_word)
		w->adjacent = true;
	w->after_word = true;
	w->count++;
	w->encoded = false;
	if (address_peek(s) == '"') {
		w->quoted = true;
		return quoted_read(s, w);
	}
	n = encoded_word_length(s->text + start, s->n - start);
	w->encoded = n > 0;
	s->pos += n;
	n += atom_skip(s);
	buf_add(&w->phrase, s->text + start, n);
	buf_add(&w->local, s->text + start, n);
	return true;
}

bool address_read_words(struct address_scan *s, struct address_words *w)
{
	size_t before;
	int c;

	*w = (struct address_words){
		.phrase = BUF(2 * s->n), .local = BUF(s->n)
	};
	for (;;) {
		before = s->pos;
		if (!address_skip_cfws(s))
			return false;
		c = address_peek(s);
		if (c != '"' && c != '.' &&
		    (!is_atext(c) || blank_length(s)))
			return true;
		if (s->pos != before && w->phrase.len) {
			buf_addc(&w->phrase, ' ');
			w->spaced = true;
		}
		if (c == '.') {
			s->pos++;
			w->after_word = false;
			buf_addc(&w->phrase, '.');
			buf_addc(&w->local, '.');
		} else if (!word_read(s, w)) {
			return false;
		}
		w->end = s->pos;
	}
}

char *address_words_name(struct address_words *w)
{
	size_t i;

	if (!w->phrase.len)
		return NULL;
	for (i = 0; i < w->phrase.len; i++)
		if (w->phrase.data[i] == '\t')
			w->phrase.data[i] = ' ';
	return buf_take(&w->phrase);
}

static bool literal_read(struct address_scan *s, struct buf *domain)
{
	size_t start = s->pos, n;
	int c;

	/* where another one begins this has no end */
	while ((c = address_peek(s)) >= 0 && (c != '[' || s->pos == start)) {
		n = blank_length(s);
		s->pos += n ? n : 1;
		if (!n)
			buf_addc(domain, (char)c);
		if (c == ']')
			return address_skip_cfws(s) || (s->loose && s->slips);
	}
	s->pos = start;
	return address_fault(s, "address literal without end");
}

bool address_read_domain(struct address_scan *s, struct buf *domain)
{
	bool after_atom = false;
	size_t start;
	int c;

	if (!address_skip_cfws(s))
		return false;
	if (address_peek(s) == '[')
		return literal_read(s, domain);
	for (;;) {
		start = s->pos;
		c = address_peek(s);
		if (c == '.')
			s->pos++;
		else if (after_atom || !atom_skip(s))
			return true;
		after_atom = c != '.';
		buf_add(domain, s->text + start, s->pos - start);
		/* what comes of one without end is seen there */
		if (!address_skip_cfws(s))
			return s->loose && s->slips;
	}
}

void quoted_add(struct buf *b, const char *s, size_t n)
{
	size_t i;

	buf_addc(b, '"');
	for (i = 0; i < n; i++) {
		if (s[i] == '"' || s[i] == '\\')
			buf_addc(b, '\\');
		buf_addc(b, s[i]);
	}
	buf_addc(b, '"');
}
