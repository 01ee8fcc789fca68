/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "parts.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"
#include "config/config.h"

void fuzz_want(bool holds)
{
	if (!holds)
		abort();
}

int fuzz_file(const void *data, size_t n)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	fuzz_want(fd >= 0 && !fchmod(fd, 0600) &&
		  write(fd, data, n) == (ssize_t)n &&
		  lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

void fuzz_path(int fd, char path[64])
{
	snprintf(path, 64, "/proc/self/fd/%d", fd);
}

struct message *fuzz_message(const char *text, size_t n)
{
	const struct message_limits limits = { 0 };
	int fd = fuzz_file(text, n);
	struct message *m = NULL;
	struct outcome why;

	if (!message_parse(fd, 0, (int64_t)n, &limits, &m, &why))
		m = NULL;
	close(fd);
	return m;
}

void fuzz_message_bytes(struct message *m, struct buf *out)
{
	const char *data;
	int64_t at;
	long n;

	*out = BUF(FUZZ_MOST);
	for (at = 0; (n = message_bytes(m, at, &data)) > 0; at += n)
		fuzz_want(buf_add(out, data, (size_t)n));
	fuzz_want(n == 0);
}

size_t fuzz_base64(const char *text, size_t n, unsigned char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"abcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0, have = 0;
	const char *digit;
	size_t i, used = 0;

	for (i = 0; i < n && text[i] != '='; i++) {
		digit = text[i] ? strchr(digits, text[i]) : NULL;
		if (!digit)
			continue;
		bits = bits << 6 | (unsigned)(digit - digits);
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[used++] = (unsigned char)(bits >> have);
		}
	}
	return used;
}

bool fuzz_is_clean(const char *text, size_t n)
{
	unsigned c;
	size_t len;

	for (; n; text += len, n -= len) {
		len = utf8_next((const unsigned char *)text, n, &c);
		if (!len || (utf8_is_hidden(c) && c != '\n'))
			return false;
	}
	return true;
}

char *fuzz_line(const char **data, size_t *n)
{
	const char *end = memchr(*data, '\n', *n);
	size_t length = end ? (size_t)(end - *data) : *n;
	char *line = mem_stringn(*data, length);

	*data += length + (end ? 1 : 0);
	*n -= length + (end ? 1 : 0);
	return line;
}

void fuzz_config(const char *text, struct config *c)
{
	static char path[64];   /* the configuration keeps the system's */
	const struct config_place place = { .file = path,
		.system_file = path, .queue_directory = "/nonexistent" };
	int fd = fuzz_file(text, strlen(text));
	struct outcome why;

	fuzz_path(fd, path);
	fuzz_want(config_load(&place, c, &why));
	close(fd);
}

static char queue_path[64];
static const char *const queue_rooms[] = { "tmp", "mess", "corrupt", "wake" };
enum { QUEUE_ROOMS = sizeof(queue_rooms) / sizeof(*queue_rooms) };

void fuzz_queue_empty(void)
{
	char path[400];
	struct dirent *e;
	size_t i;
	DIR *d;

	for (i = 0; i < QUEUE_ROOMS; i++) {
		snprintf(path, sizeof(path), "%s/%s", queue_path,
			 queue_rooms[i]);
		d = opendir(path);
		while (d && (e = readdir(d)))
			if (e->d_name[0] != '.')
				unlinkat(dirfd(d), e->d_name, 0);
		if (d)
			closedir(d);
	}
}

static void queue_gone(void)
{
	char path[400];
	struct dirent *e;
	DIR *d;

	fuzz_queue_empty();
	d = opendir(queue_path);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", queue_path, e->d_name);
		if (e->d_name[0] != '.')
			remove(path);
	}
	if (d)
		closedir(d);
	rmdir(queue_path);
}

const char *fuzz_queue(struct queue **q)
{
	struct outcome why;

	if (!*queue_path) {
		/* where a sync costs nothing, if there is such a place */
		snprintf(queue_path, sizeof(queue_path), "%s/fuzz-queue-%ld",
			 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm",
			 (long)getpid());
		atexit(queue_gone);
	}
	fuzz_want(queue_open(queue_path, true, NULL, NULL, q, &why));
	return queue_path;
}

void fuzz_streams(const void *data, size_t n, struct buf *heard,
		  void (*run)(void *context), void *context)
{
	int in = fuzz_file(data, n), out = fuzz_file("", 0), own[3], i;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	for (i = 0; i < 3; i++)
		own[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
	dup2(in, 0);
	dup2(out, 1);
	dup2(null, 2);
	run(context);
	for (i = 0; i < 3; i++) {
		dup2(own[i], i);
		close(own[i]);
	}
	*heard = BUF(FUZZ_MOST);
	fuzz_want(lseek(out, 0, SEEK_SET) == 0 && buf_read(heard, out));
	close(null);
	close(in);
	close(out);
}
