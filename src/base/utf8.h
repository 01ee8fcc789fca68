/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The length of the UTF-8 character (RFC 3629: no overlong forms, no
 * surrogates) that p, n > 0 bytes, begins with, and its code point; 0 where
 * there is none. */
size_t utf8_next(const unsigned char *p, size_t n, unsigned *value);
bool utf8_valid(const char *s, size_t n);
/* Whether a character can move a cursor, end a line, hide or turn what stands
 * around it: control characters (C0, DEL, C1), line and paragraph separators,
 * bidirectional marks and overrides, other format characters, tags. */
bool utf8_is_hidden(unsigned c);
/* Whether any byte is outside ASCII. */
bool utf8_is_wide(const char *s);

#endif
