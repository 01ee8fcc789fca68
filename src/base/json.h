/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A JSON writer (RFC 8259). Bytes that are no UTF-8 are written as U+FFFD,
 * so that the output is valid whatever the input was; control characters (C1
 * too) are escaped, so that it is harmless on a terminal. name is NULL inside
 * an array and at the top.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>

#include "base/buf.h"

enum { JSON_DEPTH = 16 };

struct json {
	struct buf *out;
	unsigned depth;
	char closer[JSON_DEPTH];
	bool more[JSON_DEPTH];  /* a member was written at this depth */
};

#define JSON_INTO(buffer) ((struct json){ .out = (buffer) })

void json_add_object(struct json *j, const char *name);
void json_add_array(struct json *j, const char *name);
/* Ends the innermost object or array. */
void json_end(struct json *j);
/* A NULL value is written as null. */
void json_add_string(struct json *j, const char *name, const char *value);
void json_add_stringn(struct json *j, const char *name, const char *value,
		  size_t n);
void json_add_int(struct json *j, const char *name, long long value);
void json_add_bool(struct json *j, const char *name, bool value);
/* A value that is JSON already. */
void json_add_raw(struct json *j, const char *name, const char *value);
/* The string alone, in quotes. */
void json_quote(struct buf *out, const char *value);

#endif
