/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "desk/smtpd_client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/kernel.h"

/* RFC 5321 4.5.3.2.7 */
enum { SILENCE_MS = 5 * 60 * 1000 };

static bool wait_for(short events, int fd)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t deadline = clock_in(SILENCE_MS);
	int n;

	do
		n = kernel_poll(&p, 1, clock_left(deadline));
	while (n < 0 && errno == EINTR);
	return n > 0;
}

void client_flush(struct client *c)
{
	const char *data = c->replies.data;
	size_t left = c->replies.len;
	ssize_t n;

	while (left && !c->deaf) {
		n = write(STDOUT_FILENO, data, left);
		if (n > 0) {
			data += n;
			left -= (size_t)n;
		} else if (n == 0 || (errno != EINTR && errno != EAGAIN) ||
			   (errno == EAGAIN &&
			    !wait_for(POLLOUT, STDOUT_FILENO))) {
			c->deaf = true;
		}
	}
	buf_reset(&c->replies);
}

void client_reply(struct client *c, const char *format, ...)
{
	va_list ap;

	if (c->replies.len > CLIENT_REPLIES / 2)
		client_flush(c);
	va_start(ap, format);
	buf_addv(&c->replies, format, ap);
	va_end(ap);
	buf_adds(&c->replies, "\r\n");
}

/* Makes room after what is there, and reads. */
static bool read_more(struct client *c)
{
	ssize_t n;

	client_flush(c);
	if (c->at) {
		memmove(c->input, c->input + c->at, c->n - c->at);
		c->n -= c->at;
		c->at = 0;
	}
	while (!c->ended) {
		if (!wait_for(POLLIN, STDIN_FILENO)) {
			c->silent = c->ended = true;
			break;
		}
		n = unix_peer_read(&c->peer, c->input + c->n,
				   sizeof(c->input) - c->n);
		if (n > 0) {
			c->n += (size_t)n;
			c->heard = true;
			return true;
		}
		c->ended = n == 0 || (errno != EINTR && errno != EAGAIN);
		if (n < 0 && c->ended)
			c->error = errno;
	}
	return false;
}

bool client_fill(struct client *c)
{
	return c->at < c->n || read_more(c);
}

/* Passes over the rest of a line that is too long. */
static enum client_line line_skip(struct client *c)
{
	const char *lf;

	do {
		lf = memchr(c->input + c->at, '\n', c->n - c->at);
		c->at = lf ? (size_t)(lf + 1 - c->input) : c->n;
	} while (!lf && client_fill(c));
	return lf ? LINE_TOO_LONG : LINE_END;
}

enum client_line client_line(struct client *c, char **line, size_t *n)
{
	char *lf;

	while (!(lf = memchr(c->input + c->at, '\n', c->n - c->at))) {
		if (c->n - c->at > COMMAND_LONGEST)
			return line_skip(c);
		if (!read_more(c))
			return LINE_END;
	}
	*line = c->input + c->at;
	*n = (size_t)(lf - *line);
	c->at += *n + 1;
	if (*n > COMMAND_LONGEST)
		return LINE_TOO_LONG;
	*lf = '\0';
	if (!*n || lf[-1] != '\r')
		return LINE_LF;
	lf[-1] = '\0';
	(*n)--;
	return LINE_CRLF;
}
