/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small steps through the text of a queue entry. */
#ifndef QUEUE_SCAN_H
#define QUEUE_SCAN_H

#include <stdbool.h>
#include <stdint.h>

/* What is left of a text; not terminated. */
struct scan {
	const char *p;
	const char *end;
};

/* Cuts off what comes before the next separator, which is passed over, or
 * all that is left. False at the end. */
bool scan_until(struct scan *s, char separator, struct scan *part);
/* Whether all that is left is this word. */
bool scan_is(const struct scan *s, const char *word);
/* Passes over these characters if they come next. */
bool scan_skip(struct scan *s, const char *prefix);
/* All that is left as a decimal number from 0 to most; no sign, no leading
 * zero. */
bool scan_number(const struct scan *s, int64_t most, int64_t *value);
/* All that is left, percent-decoded, as a string that the caller frees.
 * False for bad encodings, controls, blanks unless they are allowed, over
 * 2000 bytes, and where *out is set already. */
bool scan_decode(const struct scan *s, bool blanks, char **out);

#endif
