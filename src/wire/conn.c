/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/conn.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/kernel.h"

enum {
	LINE_MOST = 65536,
	ROOM_FIRST = 16384,
	ROOM_MOST = LINE_MOST + 2,   /* a longest line and its CRLF */
	OUT_MOST = 64 << 20,         /* a burst; the body is not gathered */
	RECORD = 16384,
	PLAIN_MOST = 1 << 20         /* one write without TLS */
};

struct conn {
	int fd;
	struct tls *tls;
	char *in;
	size_t room, start, end;
	size_t scanned;              /* no LF before it */
	bool heard;                  /* something was ever received */
	struct buf out;
	int64_t asked;               /* when something was last written */
};

struct conn *conn_new(int fd)
{
	struct conn *c = mem_alloc(sizeof(*c));

	c->fd = fd;
	c->out = BUF(OUT_MOST);
	c->asked = clock_now();
	return c;
}

void conn_close(struct conn *c)
{
	if (!c)
		return;
	tls_close(c->tls);
	close(c->fd);
	free(c->in);
	buf_release(&c->out);
	free(c);
}

/* --- failures --- */

static bool conn_fail(struct outcome *why, const char *words)
{
	return outcome_fail(why, STAGE_CONNECT, EX_TEMPFAIL, "%s", words);
}

static bool conn_closed(struct outcome *why)
{
	return conn_fail(why, "the server closed the connection");
}

static bool conn_broke(const struct conn *c, int error, struct outcome *why)
{
	switch (error) {
	case ECONNABORTED:
		return outcome_fail(why, STAGE_CONNECT, EX_TEMPFAIL,
				    "the server ended TLS: %s",
				    c->tls ? tls_alert(c->tls) : "");
	case ECONNRESET:
	case EPIPE:
		return conn_fail(why, "the server reset the connection");
	case ENODATA:
		return conn_fail(why, "the server closed the connection "
				 "without TLS's goodbye");
	case EPROTO:
		return conn_fail(why, "a broken TLS record came from the "
				 "server");
	default:
		return outcome_fail(why, STAGE_CONNECT, EX_TEMPFAIL,
				    "the connection broke: %s",
				    strerror(error));
	}
}

static bool conn_silent(const struct conn *c, struct outcome *why)
{
	long long waited = (long long)(clock_now() - c->asked + 500) / 1000;

	return outcome_fail(why, STAGE_CONNECT, EX_TEMPFAIL,
			    "the server did not answer within %lld s",
			    waited ? waited : 1);
}

/* --- reading --- */

static bool is_later(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/* Room for at least one byte after end; false: the line is too long. */
static bool make_room(struct conn *c)
{
	if (c->start == c->end)
		c->start = c->end = c->scanned = 0;
	if (c->end < c->room)
		return true;
	if (c->start) {
		memmove(c->in, c->in + c->start, c->end - c->start);
		c->end -= c->start;
		c->scanned -= c->start;
		c->start = 0;
		return true;
	}
	if (c->room == ROOM_MOST)
		return false;
	c->room = !c->room ? ROOM_FIRST :
		  c->room * 2 > LINE_MOST ? ROOM_MOST : c->room * 2;
	c->in = mem_resize(c->in, c->room, 1);
	return true;
}

/* As read(2), into the buffer. */
static long fill_room(struct conn *c)
{
	char *at = c->in + c->end;
	size_t n = c->room - c->end;
	long got = c->tls ? tls_read(c->tls, at, n) :
		   recv(c->fd, at, n, MSG_DONTWAIT);

	if (got > 0) {
		c->end += (size_t)got;
		c->heard = true;
	}
	return got;
}

static bool conn_receive(struct conn *c, int64_t deadline, struct outcome *why)
{
	struct pollfd p = { .fd = c->fd };
	long got;

	for (;;) {
		got = fill_room(c);
		if (got > 0)
			return true;
		if (!got)
			return conn_closed(why);
		if (!is_later(errno))
			return conn_broke(c, errno, why);
		p.events = c->tls && tls_wants_write(c->tls) ? POLLOUT :
			   POLLIN;
		do {
			if (!clock_left(deadline))
				return conn_silent(c, why);
		} while (kernel_poll(&p, 1, clock_left(deadline)) <= 0);
	}
}

bool conn_line(struct conn *c, const char **line, size_t *n,
	       int64_t deadline, struct outcome *why)
{
	char *at, *lf;

	for (;;) {
		lf = c->end == c->scanned ? NULL :
		     memchr(c->in + c->scanned, '\n', c->end - c->scanned);
		c->scanned = c->end;
		if (lf || !make_room(c))
			break;
		/* a drip may always have one more byte in time */
		if (!clock_left(deadline))
			return conn_silent(c, why);
		if (!conn_receive(c, deadline, why))
			return false;
	}
	if (lf) {
		at = c->in + c->start;
		*line = at;
		*n = (size_t)(lf - at);
		if (*n && lf[-1] == '\r')
			--*n;
		at[*n] = '\0';
		c->start = c->scanned = (size_t)(lf - c->in) + 1;
		if (*n <= LINE_MOST)
			return true;
	}
	return outcome_fail(why, STAGE_CONNECT, EX_PROTOCOL,
			    "the server sent a line of more than %d bytes",
			    LINE_MOST);
}

enum conn_state conn_look(struct conn *c)
{
	char byte;
	long got;

	if (c->start < c->end || (c->tls && tls_pending(c->tls)))
		return CONN_SPEAKS;
	/* what lies in the socket may be a ticket: only reading tells */
	if (c->tls)
		got = make_room(c) ? fill_room(c) : 1;
	else
		got = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return got > 0 ? CONN_SPEAKS :
	       got < 0 && is_later(errno) ? CONN_QUIET : CONN_GONE;
}

bool conn_pending(struct conn *c)
{
	return conn_look(c) == CONN_SPEAKS;
}

bool conn_ended(struct conn *c)
{
	return conn_look(c) == CONN_GONE;
}

bool conn_wait(struct conn *c, int64_t deadline)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	enum conn_state state;

	while ((state = conn_look(c)) == CONN_QUIET && clock_left(deadline))
		kernel_poll(&p, 1, clock_left(deadline));
	return state == CONN_SPEAKS;
}

/* --- writing --- */

void conn_put(struct conn *c, const void *data, size_t n)
{
	buf_add(&c->out, data, n);
}

void conn_puts(struct conn *c, const char *s)
{
	conn_put(c, s, strlen(s));
}

void conn_put_secret(struct conn *c, const void *data, size_t n)
{
	/* also what was gathered before, as it may be moved by growing */
	c->out.secret = true;
	conn_put(c, data, n);
}

size_t conn_gathered(const struct conn *c)
{
	return c->out.len;
}

static int64_t progress_until(int64_t progress, int64_t deadline)
{
	if (progress == CLOCK_NEVER)
		return deadline;
	return clock_earlier(clock_in(progress), deadline);
}

/* Until the server takes more. While it takes nothing it may go away, or answer
 * before it has the body: that ends the wait. */
static bool await_room(struct conn *c, bool body, int64_t until,
		       struct outcome *why)
{
	struct pollfd p = {
		.fd = c->fd,
		.events = POLLOUT | POLLRDHUP | (body ? POLLIN : 0)
	};

	do {
		if (!clock_left(until))
			return conn_fail(why, "the server took no more bytes "
					 "in time");
	} while (kernel_poll(&p, 1, clock_left(until)) <= 0);
	if (p.revents & POLLOUT)
		return true;
	if (p.revents & POLLRDHUP)
		return conn_closed(why);
	if (p.revents & POLLIN && conn_pending(c))
		return conn_fail(why, "the server answered before it had the "
				 "message");
	return true;
}

/* Two pieces, what was gathered and a body after it, that leave as one
 * flight. */
static bool write_flight(struct conn *c, struct iovec part[2],
			 int64_t progress, int64_t deadline,
			 struct outcome *why)
{
	int64_t until = progress_until(progress, deadline);
	struct iovec *const end = part + 2;
	const bool body = part[1].iov_len > 0;
	struct iovec now[2];
	struct msghdr m = { .msg_iov = now };
	long sent;

	while (part < end) {
		if (!part->iov_len) {
			part++;
			continue;
		}
		/* an int in some C libraries, a size_t in others */
		m.msg_iovlen = part + 1 == end ? 1 : 2;
		now[0] = *part;
		if (m.msg_iovlen == 2)
			now[1] = part[1];
		if (now[m.msg_iovlen - 1].iov_len > PLAIN_MOST)
			now[m.msg_iovlen - 1].iov_len = PLAIN_MOST;
		sent = c->tls ?
		       tls_write(c->tls, part->iov_base, part->iov_len) :
		       sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && !is_later(errno))
			return conn_broke(c, errno, why);
		if (sent <= 0) {
			if (!await_room(c, body, until, why))
				return false;
			continue;
		}
		until = progress_until(progress, deadline);
		for (; part < end && (size_t)sent >= part->iov_len; part++)
			sent -= (long)part->iov_len;
		if (part == end)
			break;
		part->iov_base = (char *)part->iov_base + sent;
		part->iov_len -= (size_t)sent;
		if (!clock_left(deadline))
			return conn_fail(why, "the server took the bytes too "
					 "slowly");
	}
	c->asked = clock_now();
	return true;
}

static void out_reset(struct conn *c)
{
	buf_reset(&c->out);
	c->out.secret = false;
}

bool conn_write(struct conn *c, const void *data, size_t n, int64_t progress,
		int64_t deadline, struct outcome *why)
{
	const char *body = data;
	struct iovec part[2];
	size_t more = 0;
	bool done;

	if (c->out.full) {
		out_reset(c);
		return outcome_fail(why, STAGE_CONNECT, EX_SOFTWARE,
				    "more commands at once than fit");
	}
	/* with TLS the gathered bytes and the first of the body share a
	 * record */
	if (n && c->tls && c->out.len && c->out.len < RECORD) {
		more = RECORD - c->out.len < n ? RECORD - c->out.len : n;
		conn_put(c, body, more);
	}
	part[0] = (struct iovec){ c->out.data, c->out.len };
	part[1] = (struct iovec){ .iov_len = n - more };
	if (n > more)
		part[1].iov_base = (void *)(body + more);
	done = write_flight(c, part, progress, deadline, why);
	/* what was not written shall not leave later: TLS keeps the rest of a
	 * record, and would send it before its goodbye */
	if (!done)
		shutdown(c->fd, SHUT_WR);
	out_reset(c);
	return done;
}

bool conn_flush(struct conn *c, int64_t progress, int64_t deadline,
		struct outcome *why)
{
	return conn_write(c, NULL, 0, progress, deadline, why);
}

/* --- TLS --- */

bool conn_tls(struct conn *c, const struct tls_params *params,
	      struct tls_facts *facts, int64_t deadline, struct outcome *why)
{
	/* on a fresh connection the handshake itself finds the right words
	 * for a server that speaks first */
	if (c->heard && conn_pending(c))
		return outcome_fail(why, STAGE_TLS, EX_TEMPFAIL,
				    "bytes came in clear after the answer to "
				    "STARTTLS: somebody may be tampering with "
				    "the connection");
	if (!tls_open(c->fd, c->heard, params, facts, deadline, &c->tls, why))
		return false;
	c->asked = clock_now();
	return true;
}

bool conn_binding(struct conn *c, const char **kind, unsigned char data[64],
		  size_t *n)
{
	return c->tls && tls_binding(c->tls, kind, data, n);
}
