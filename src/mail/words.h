/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a sender may ask of delivery, as values and as words, both ways:
 * NOTIFY, RET and ENVID (RFC 3461), BODY (RFC 6152). */
#ifndef MAIL_WORDS_H
#define MAIL_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/outcome.h"

/* NOTIFY, as bits; none set: not asked for */
enum { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4,
       NOTIFY_DELAY = 8 };
enum dsn_return { RETURN_UNSET, RETURN_FULL, RETURN_HDRS };
enum body_type { BODY_UNSET, BODY_7BIT, BODY_8BITMIME };

/* Their words in lower case, then NULL: a word a bit from the lowest up; a
 * word a value, "" for what is not asked for. */
extern const char *const notify_words[];
extern const char *const return_words[];
extern const char *const body_words[];

/* Which of these words the text is, without case; -1: none of them. */
int word_index(const char *const *words, const char *text, size_t n);
/* Adds a word in upper case, as SMTP writes it. */
void word_add_upper(struct buf *b, const char *word);

/* NOTIFY words ("never", or success, failure, delay; commas or blanks) as
 * bits; RET; BODY. Without case. */
bool notify_parse(const char *text, unsigned *notify) MUST_CHECK;
bool return_parse(const char *text, int *dsn_return) MUST_CHECK;
bool body_parse(const char *text, enum body_type *body) MUST_CHECK;
/* Adds the words of these bits with a separator between, upper: in upper
 * case. */
void notify_add(struct buf *b, unsigned notify, char separator, bool upper);
/* Whether text can be an ENVID, in plain: 1 to 100 printable characters
 * (RFC 3461 4.4). */
bool envid_is_valid(const char *text);

#endif
