/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_LEAST = 4096 };

char *buf_room(struct buf *b, size_t n)
{
	size_t size;
	char *data;

	if (n > b->max || b->len > b->max - n) {
		b->full = true;
		return NULL;
	}
	if (b->len + n + 1 > b->size) {
		size = b->size ? b->size : 64;
		while (size < b->len + n + 1)
			size *= 2;
		if (!b->secret) {
			b->data = mem_resize(b->data, size, 1);
		} else {
			/* realloc would leave a copy of the secret behind */
			data = mem_alloc(size);
			if (b->len)
				memcpy(data, b->data, b->len);
			mem_wipe(b->data, b->size);
			free(b->data);
			b->data = data;
		}
		b->size = size;
	}
	return b->data + b->len;
}

bool buf_add(struct buf *b, const void *data, size_t n)
{
	char *room = buf_room(b, n);

	if (!room)
		return false;
	if (n)
		memcpy(room, data, n);
	b->len += n;
	b->data[b->len] = '\0';
	return true;
}

bool buf_adds(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

bool buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

bool buf_addv(struct buf *b, const char *format, va_list ap)
{
	va_list again;
	char *room;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (n < 0)
		return false;
	room = buf_room(b, (size_t)n);
	if (!room)
		return false;
	vsnprintf(room, (size_t)n + 1, format, ap);
	b->len += (size_t)n;
	return true;
}

bool buf_addf(struct buf *b, const char *format, ...)
{
	va_list ap;
	bool done;

	va_start(ap, format);
	done = buf_addv(b, format, ap);
	va_end(ap);
	return done;
}

static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "abcdefghijklmnopqrstuvwxyz0123456789+/";

bool buf_add_base64(struct buf *b, const void *data, size_t n)
{
	const unsigned char *p = data;
	char *to = buf_room(b, (n + 2) / 3 * 4);
	unsigned long v;

	if (!to)
		return false;
	b->len += (n + 2) / 3 * 4;
	b->data[b->len] = '\0';
	for (; n; p += 3, n -= n < 3 ? n : 3) {
		v = (unsigned long)p[0] << 16 |
		    (n > 1 ? (unsigned long)p[1] << 8 : 0) |
		    (n > 2 ? p[2] : 0);
		*to++ = digit[v >> 18];
		*to++ = digit[v >> 12 & 63];
		*to++ = n > 1 ? digit[v >> 6 & 63] : '=';
		*to++ = n > 2 ? digit[v & 63] : '=';
	}
	return true;
}

bool buf_add_unbase64(struct buf *b, const char *text, size_t n)
{
	unsigned bits = 0, have = 0;
	char *to = buf_room(b, n / 4 * 3 + 3);
	const char *value;
	size_t i;

	if (!to)
		return false;
	while (n && text[n - 1] == '=')
		n--;
	for (i = 0; i < n; i++) {
		value = memchr(digit, text[i], 64);
		if (!value)
			break;
		bits = (bits << 6 | (unsigned)(value - digit)) & 0xffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*to++ = (char)(bits >> have & 0xff);
		}
	}
	b->len = (size_t)(to - b->data);
	b->data[b->len] = '\0';
	return i == n && n % 4 != 1;
}

bool buf_read(struct buf *b, int fd)
{
	size_t left, n;
	ssize_t got;
	char *room, beyond = 0;

	for (;;) {
		left = b->max - b->len;
		/* all that lies ready, but for the NUL; and when the bound is
		 * reached, whether there is more */
		room = left ? buf_room(b, left < READ_LEAST ? left :
				       READ_LEAST) : &beyond;
		n = left ? b->size - b->len - 1 : 1;
		got = read(fd, room, left && n > left ? left : n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return !got;
		if (!left) {
			b->full = true;
			errno = EFBIG;
			return false;
		}
		b->len += (size_t)got;
		b->data[b->len] = '\0';
	}
}

void buf_shift(struct buf *b, size_t n)
{
	if (!n)
		return;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	b->data[b->len] = '\0';
}

const char *buf_text(const struct buf *b)
{
	return b->data && b->len ? b->data : "";
}

void buf_reset(struct buf *b)
{
	if (b->secret)
		mem_wipe(b->data, b->size);
	b->len = 0;
	b->full = false;
	if (b->data)
		b->data[0] = '\0';
}

char *buf_take(struct buf *b)
{
	char *s = b->len ? b->data : NULL;

	if (!s) {
		buf_release(b);
		return mem_string("");
	}
	b->data = NULL;
	b->len = b->size = 0;
	b->full = false;
	return s;
}

void buf_release(struct buf *b)
{
	if (b->secret)
		mem_wipe(b->data, b->size);
	free(b->data);
	b->data = NULL;
	b->len = b->size = 0;
	b->full = false;
}

void buf_add_percent(struct buf *b, const char *text)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"abcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text; text++)
		if (strchr(unreserved, *text))
			buf_addc(b, *text);
		else
			buf_addf(b, "%%%02X", (unsigned char)*text);
}
