/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a message's bytes lie. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "mail/message_parts.h"

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

static bool spool_open(struct spool *s)
{
	const char *place;

	s->fd = file_temporary(&place);
	s->own = s->fd >= 0;
	if (!s->own)
		s->error = errno;
	s->directory = mem_string(place);
	return s->own;
}

static bool spool_write(struct spool *s, const char *data, size_t n)
{
	if (s->error || (s->fd < 0 && !spool_open(s)))
		return false;
	if (!file_write_all(s->fd, data, n))
		s->error = errno;
	return !s->error;
}

bool spool_flush(struct spool *s)
{
	if (s->out_len && !spool_write(s, s->out, s->out_len))
		return false;
	s->out_len = 0;
	return !s->error;
}

static size_t add_to_memory(struct spool *s, const char *data, size_t n)
{
	size_t room = STORE_MEMORY - s->mem_len;
	size_t size = s->mem_size ? s->mem_size : 8192;

	n = n < room ? n : room;
	while (size < s->mem_len + n)
		size *= 2;
	if (size != s->mem_size)
		s->mem = mem_resize(s->mem, size, 1);
	s->mem_size = size;
	memcpy(s->mem + s->mem_len, data, n);
	s->mem_len += n;
	return n;
}

static bool add_to_file(struct spool *s, const char *data, size_t n)
{
	size_t part;

	if (!s->out)
		s->out = mem_resize(NULL, STORE_WRITE, 1);
	for (; n; data += part, n -= part) {
		if (s->out_len == STORE_WRITE && !spool_flush(s))
			return false;
		part = STORE_WRITE - s->out_len;
		part = n < part ? n : part;
		memcpy(s->out + s->out_len, data, part);
		s->out_len += part;
	}
	return true;
}

bool spool_add(struct spool *s, const void *data, size_t n)
{
	const char *p = data;
	size_t part;

	s->size += (int64_t)n;
	if (n <= s->mem_size - s->mem_len) {
		memcpy(s->mem + s->mem_len, p, n);
		s->mem_len += n;
		return true;
	}
	if (s->out && n <= STORE_WRITE - s->out_len) {
		memcpy(s->out + s->out_len, p, n);
		s->out_len += n;
		return true;
	}
	part = add_to_memory(s, p, n);
	return part == n || add_to_file(s, p + part, n - part);
}

static bool spool_read(struct spool *s, int64_t offset)
{
	int64_t left = s->size - offset;
	size_t want = left < STORE_WINDOW ? (size_t)left : STORE_WINDOW;
	off_t at = (off_t)(s->base + offset - (int64_t)s->mem_len);
	ssize_t n;

	if (!s->window)
		s->window = mem_resize(NULL, STORE_WINDOW, 1);
	do
		n = pread(s->fd, s->window, want, at);
	while (n < 0 && errno == EINTR);
	s->window_at = offset;
	s->window_len = n > 0 ? (size_t)n : 0;
	if (n <= 0)
		s->error = n ? errno : EIO; /* the file became shorter */
	return n > 0;
}

long spool_bytes(struct spool *s, int64_t offset, const char **data)
{
	int64_t skip;

	if (offset < (int64_t)s->mem_len) {
		*data = s->mem + offset;
		return (long)((int64_t)s->mem_len - offset);
	}
	skip = offset - s->window_at;
	if (skip < 0 || skip >= (int64_t)s->window_len) {
		if (!spool_read(s, offset))
			return -1;
		skip = 0;
	}
	*data = s->window + skip;
	return (long)((int64_t)s->window_len - skip);
}
