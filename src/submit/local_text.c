/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/local.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"

enum { HEAD_MAX = 1024 * 1024, PIECE_MAX = 128 * 1024 };

/* A message has no CR but before an LF. */
static void add_without_cr(struct buf *out, const char *data, size_t n)
{
	const char *cr;

	while ((cr = memchr(data, '\r', n))) {
		buf_add(out, data, (size_t)(cr - data));
		n -= (size_t)(cr + 1 - data);
		data = cr + 1;
	}
	buf_add(out, data, n);
}

static bool write_head(const struct local *l, bool delivered_to, int fd)
{
	struct buf head = BUF(HEAD_MAX);
	bool done;

	buf_addf(&head, "Return-Path: <%s>\n", l->sender);
	if (delivered_to)
		buf_addf(&head, "Delivered-To: %s\n", l->recipient);
	if (l->prefix)
		add_without_cr(&head, l->prefix, strlen(l->prefix));
	done = file_write_all(fd, head.data, head.len);
	buf_release(&head);
	return done;
}

bool local_text_write(const struct local *l, bool delivered_to, int fd)
{
	struct buf piece = BUF(PIECE_MAX);
	bool done = write_head(l, delivered_to, fd);
	const char *data;
	int64_t at = 0;
	long n;

	while (done && (n = message_bytes(l->message, at, &data)) != 0) {
		if (n < 0) {
			errno = EIO;
			done = false;
			break;
		}
		buf_reset(&piece);
		add_without_cr(&piece, data, (size_t)n);
		done = file_write_all(fd, piece.data, piece.len);
		at += n;
	}
	buf_release(&piece);
	return done;
}
