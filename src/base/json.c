/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/json.h"

#include <string.h>

#include "base/utf8.h"

static void quote(struct buf *out, const char *value, size_t n)
{
	const unsigned char *p = (const unsigned char *)value;
	unsigned c;
	size_t len;

	buf_addc(out, '"');
	for (; n; p += len, n -= len) {
		len = utf8_next(p, n, &c);
		if (!len) {
			buf_adds(out, "\xef\xbf\xbd");
			len = 1;
		} else if (c == '"' || c == '\\') {
			buf_addf(out, "\\%c", (int)c);
		} else if (c == '\n') {
			buf_adds(out, "\\n");
		} else if (utf8_is_hidden(c) && c < 0x10000) {
			buf_addf(out, "\\u%04x", c);
		} else if (utf8_is_hidden(c)) {
			/* two for what is outside the BMP (RFC 8259 7) */
			buf_addf(out, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10),
				 0xdc00 + (c & 0x3ff));
		} else {
			buf_add(out, p, len);
		}
	}
	buf_addc(out, '"');
}

void json_quote(struct buf *out, const char *value)
{
	quote(out, value, strlen(value));
}

static void member(struct json *j, const char *name)
{
	if (j->depth && j->more[j->depth - 1])
		buf_addc(j->out, ',');
	if (j->depth)
		j->more[j->depth - 1] = true;
	if (name) {
		json_quote(j->out, name);
		buf_addc(j->out, ':');
	}
}

static void open_level(struct json *j, const char *name, char opener,
		       char closer)
{
	member(j, name);
	buf_addc(j->out, opener);
	j->closer[j->depth] = closer;
	j->more[j->depth] = false;
	j->depth++;
}

void json_add_object(struct json *j, const char *name)
{
	open_level(j, name, '{', '}');
}

void json_add_array(struct json *j, const char *name)
{
	open_level(j, name, '[', ']');
}

void json_end(struct json *j)
{
	buf_addc(j->out, j->closer[--j->depth]);
}

void json_add_stringn(struct json *j, const char *name, const char *value,
		  size_t n)
{
	member(j, name);
	quote(j->out, value, n);
}

void json_add_string(struct json *j, const char *name, const char *value)
{
	if (value)
		json_add_stringn(j, name, value, strlen(value));
	else
		json_add_raw(j, name, "null");
}

void json_add_int(struct json *j, const char *name, long long value)
{
	member(j, name);
	buf_addf(j->out, "%lld", value);
}

void json_add_bool(struct json *j, const char *name, bool value)
{
	json_add_raw(j, name, value ? "true" : "false");
}

void json_add_raw(struct json *j, const char *name, const char *value)
{
	member(j, name);
	buf_adds(j->out, value);
}
