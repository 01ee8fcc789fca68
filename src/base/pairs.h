/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lines "name value": what is handed to a helper, what it hands back, and
 * small files of ours. A value is one line of text.
 */
#ifndef BASE_PAIRS_H
#define BASE_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* Adds a line; a value that is NULL or "" adds none. False: the value has a
 * control character and would not come back, or the buffer is full. */
bool pairs_add(struct buf *b, const char *name, const char *value);
bool pairs_add_number(struct buf *b, const char *name, int64_t value);
/* The first value of that name, a copy that the caller wipes and frees; NULL:
 * there is none. */
char *pairs_get(const char *text, const char *name);
/* A number from 0 on; 0: there is none. */
int64_t pairs_number(const char *text, const char *name);

#endif
