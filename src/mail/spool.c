/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

struct spool *spool_new(void)
{
	struct spool *s = mem_alloc(sizeof(*s));

	s->fd = -1;
	return s;
}

struct spool *spool_over(int fd, int64_t offset, int64_t size)
{
	struct spool *s = spool_new();

	s->fd = fd;
	s->base = offset;
	s->size = size;
	return s;
}

void spool_free(struct spool *s)
{
	if (!s)
		return;
	if (s->own)
		close(s->fd);
	free(s->mem);
	free(s->out);
	free(s->window);
	free(s->directory);
	free(s);
}

/* Writes what waits for it. */
static bool spool_write(struct spool *s)
{
	const char *place;

	if (s->out_len && !s->error && s->fd < 0) {
		s->fd = file_temporary(&place);
		s->own = s->fd >= 0;
		if (!s->own)
			s->error = errno;
		s->directory = mem_string(place);
	}
	if (s->out_len && !s->error &&
	    !file_write_all(s->fd, s->out, s->out_len))
		s->error = errno;
	if (!s->error)
		s->out_len = 0;
	return !s->error;
}

bool spool_flush(struct spool *s)
{
	if (!spool_write(s))
		return false;
	free(s->out);
	s->out = NULL;
	return true;
}

bool spool_add(struct spool *s, const void *data, size_t n)
{
	size_t room = SPOOL_MEMORY - s->mem_len, size = s->mem_size, part;
	const char *p = data;

	s->size += (int64_t)n;
	part = n < room ? n : room;
	while (size < s->mem_len + part)
		size = size ? 2 * size : 8192;
	if (size != s->mem_size)
		s->mem = mem_resize(s->mem, size, 1);
	s->mem_size = size;
	if (part)
		memcpy(s->mem + s->mem_len, p, part);
	s->mem_len += part;
	for (p += part, n -= part; n; p += part, n -= part) {
		if (!s->out)
			s->out = mem_resize(NULL, SPOOL_WRITE, 1);
		if (s->out_len == SPOOL_WRITE && !spool_write(s))
			return false;
		part = SPOOL_WRITE - s->out_len;
		part = n < part ? n : part;
		memcpy(s->out + s->out_len, p, part);
		s->out_len += part;
	}
	return true;
}

long spool_bytes(struct spool *s, int64_t offset, const char **data)
{
	int64_t skip, left = s->size - offset;
	size_t want = left < SPOOL_WINDOW ? (size_t)left : SPOOL_WINDOW;
	off_t at = (off_t)(s->base + offset - (int64_t)s->mem_len);
	ssize_t n;

	if (offset < (int64_t)s->mem_len) {
		*data = s->mem + offset;
		return (long)((int64_t)s->mem_len - offset);
	}
	skip = offset - s->window_at;
	if (skip < 0 || skip >= (int64_t)s->window_len) {
		if (!s->window)
			s->window = mem_resize(NULL, SPOOL_WINDOW, 1);
		do
			n = pread(s->fd, s->window, want, at);
		while (n < 0 && errno == EINTR);
		s->window_at = offset;
		s->window_len = n > 0 ? (size_t)n : 0;
		if (n <= 0) {
			/* 0: the file became shorter */
			s->error = n ? errno : EIO;
			return -1;
		}
		skip = 0;
	}
	*data = s->window + skip;
	return (long)((int64_t)s->window_len - skip);
}
