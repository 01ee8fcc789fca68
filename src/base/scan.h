/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Steps through a text that is taken apart where it lies: lines, words,
 * numbers, "name=value" pairs. Nothing is copied and nothing changed.
 */
#ifndef BASE_SCAN_H
#define BASE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left of a text; not terminated, and may hold NULs. */
struct scan {
	const char *p;
	const char *end;
};

struct scan scan_text(const char *s);
struct scan scan_bytes(const char *s, size_t n);
size_t scan_left(const struct scan *s);

/* Cuts off what comes before the next separator, which is passed over, or
 * all that is left. False at the end. */
bool scan_until(struct scan *s, char separator, struct scan *part);
/* The next line without its LF or CRLF. False at the end. */
bool scan_line(struct scan *s, struct scan *line);
/* The next run of bytes that are not among the separators, whatever of those
 * stands before it being passed over. False: there is none. */
bool scan_word(struct scan *s, const char *separators, struct scan *word);
/* The next "name = value" of a list in which a separator stands between two
 * of them, both without blanks around; without "=" the value is empty and
 * its p NULL. Empty elements are passed over. False at the end. */
bool scan_pair(struct scan *s, char separator, struct scan *name,
	       struct scan *value);

/* ASCII, whatever the locale. */
bool scan_is_digit(char c);
bool scan_is_alnum(char c);
/* Blanks are space, tab, CR and LF. */
bool scan_is_blank(char c);
void scan_trim(struct scan *s);
void scan_skip_blanks(struct scan *s);
/* Passes over these characters if they come next; the second form without
 * case (ASCII). */
bool scan_skip(struct scan *s, const char *prefix);
bool scan_skip_nocase(struct scan *s, const char *prefix);

/* Whether all that is left is this word; the second form without case. */
bool scan_is(const struct scan *s, const char *word);
bool scan_is_nocase(const struct scan *s, const char *word);
/* All that is left as a decimal number from 0 to most; no sign, no leading
 * zero. */
bool scan_number(const struct scan *s, int64_t most, int64_t *value);
/* A copy of what is left; the caller frees. */
char *scan_copy(const struct scan *s);
/* The same into a field of that size. False: it does not fit, or holds a
 * NUL. */
bool scan_copy_to(const struct scan *s, char *out, size_t size);
/* What the two hexadecimal digits at p are, in either case; -1: others. */
int scan_hex(const char *p);
/* All that is left, percent-decoded (lower-case hexadecimal), as a string that
 * the caller frees. False for bad encodings, controls, blanks unless they are
 * allowed, over 2000 bytes, and where *out is set already. */
bool scan_decode(const struct scan *s, bool blanks, char **out);

#endif
