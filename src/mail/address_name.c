/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Display names as a header wants them (RFC 5322 3.2.5, RFC 2047). */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/scan.h"
#include "base/utf8.h"
#include "mail/address.h"

/* RFC 2047 2: of a word, and of a line with one in it */
enum { ENCODED_WORD_MAX = 75, LINE_MAX_ENCODED = 76 };

/* RFC 2047 5 (3): what a phrase's encoded word may hold as it is */
static bool is_q_literal(unsigned char c)
{
	return scan_is_alnum((char)c) || (c && strchr("!*+-/", c));
}

static size_t q_length(const char *s, size_t n)
{
	size_t i, len = 0;

	for (i = 0; i < n; i++)
		len += is_q_literal((unsigned char)s[i]) || s[i] == ' ' ?
		       1 : 3;
	return len;
}

/* How many bytes, whole characters of them, fit one encoded word. */
static size_t word_fit(const char *s, size_t n, bool utf8, bool q, size_t room)
{
	size_t used = 0, len;
	unsigned c;

	for (; used < n; used += len) {
		len = utf8 ? utf8_next((const unsigned char *)s + used,
				       n - used, &c) : 1;
		if ((q ? q_length(s, used + len) : (used + len + 2) / 3 * 4) >
		    room)
			break;
	}
	return used;
}

/* Of the last line, which is not yet ended. */
static size_t open_length(const struct buf *b)
{
	size_t i = b->len;

	while (i && b->data[i - 1] != '\n')
		i--;
	return b->len - i;
}

static void encoded_add(struct buf *b, const char *s, size_t n)
{
	bool utf8 = utf8_valid(s, n);
	/* Q may be somewhat longer: a person can read it */
	bool q = q_length(s, n) <= 2 * n;
	/* what is not UTF-8 in a user database is nearly always Latin-1 */
	const char *charset = utf8 ? "UTF-8" : "ISO-8859-1";
	const size_t room = ENCODED_WORD_MAX - strlen("=?" "?Q?" "?=") -
			    strlen(charset);
	/* the first word shares its line with the field's name, the others
	 * with a blank */
	size_t before = open_length(b), len, i;

	before = before && before < room / 2 ? before - 1 : 0;
	for (; n; s += len, n -= len, before = 0) {
		len = word_fit(s, n, utf8, q, room - before);
		buf_addf(b, "=?%s?%c?", charset, q ? 'Q' : 'B');
		for (i = 0; q && i < len; i++) {
			if (s[i] == ' ')
				buf_addc(b, '_');
			else if (is_q_literal((unsigned char)s[i]))
				buf_addc(b, s[i]);
			else
				buf_addf(b, "=%02X", (unsigned char)s[i]);
		}
		if (!q)
			buf_add_base64(b, s, len);
		buf_adds(b, len < n ? "?=\r\n " : "?=");
	}
}

/* An encoded word as a phrase may hold it: some write blanks and what is
 * special into its text, where a comma would part two mailboxes. False: base64
 * that is none. */
static bool encoded_again(struct buf *b, const char *word, size_t n)
{
	const char *end = word + n - strlen("?=");
	const char *p = (const char *)memchr(word + 2, '?', n - 2) + 1;
	bool q = *p == 'Q' || *p == 'q';

	p += strlen("Q?");
	buf_add(b, word, (size_t)(p - word));
	for (; p < end; p++) {
		if (is_q_literal((unsigned char)*p) || strchr("=_", *p))
			buf_addc(b, *p);
		else if (!q)
			return false;
		else if (*p == ' ')
			buf_addc(b, '_');
		else
			buf_addf(b, "=%02X", (unsigned char)*p);
	}
	buf_add(b, end, strlen("?="));
	return true;
}

static size_t atom_length(const char *s)
{
	size_t n = 0;

	while (is_atext((unsigned char)s[n]) && (unsigned char)s[n] < 0x80)
		n++;
	return n;
}

/* Atoms and encoded words, at least one of these; false: it is not that. */
static bool phrase_again(struct buf *b, const char *name)
{
	size_t left = strlen(name), n;
	bool any = false;

	for (; left; name += n, left -= n) {
		n = encoded_word_length(name, left);
		any = any || n;
		if (n && !encoded_again(b, name, n))
			return false;
		if (n)
			continue;
		n = strspn(name, " ");
		n = n ? n : atom_length(name);
		if (!n)
			return false;
		buf_add(b, name, n);
	}
	return any;
}

void name_encode_again(struct buf *b, const char *name)
{
	struct buf again = BUF(4 * strlen(name));

	if (phrase_again(&again, name))
		buf_add(b, again.data, again.len);
	else
		name_encode(b, name);
	buf_release(&again);
}

void name_add_address(struct buf *b, const char *address)
{
	const size_t line = open_length(b);
	const size_t length = line + strlen(" <>") + strlen(address);

	if (length > LINE_MAX_ENCODED &&
	    strstr(buf_text(b) + b->len - line, "=?"))
		buf_adds(b, "\r\n");
	buf_addf(b, " <%s>", address);
}

void name_encode(struct buf *b, const char *name)
{
	char *clean = mem_string(name);
	char *p;

	for (p = clean; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	if (utf8_is_wide(clean))
		encoded_add(b, clean, strlen(clean));
	else if (!strstr(clean, "=?") && is_atoms(clean, strlen(clean), ' '))
		buf_adds(b, clean);
	else
		quoted_add(b, clean, strlen(clean));
	free(clean);
}
