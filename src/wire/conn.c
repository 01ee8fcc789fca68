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

static long raw_read(struct conn *c, void *data, size_t n)
{
	if (c->tls)
		return tls_read(c->tls, data, n);
	return recv(c->fd, data, n, MSG_DONTWAIT);
}

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
	long got = raw_read(c, c->in + c->end, c->room - c->end);

	if (got > 0) {
		c->end += (size_t)got;
		c->heard = true;
	}
	return got;
}

static bool wait_readable(struct conn *c, int64_t deadline,
			  struct outcome *why)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	if (c->tls && tls_wants_write(c->tls))
		p.events = POLLOUT;
	do {
		if (!clock_left(deadline))
			return conn_silent(c, why);
	} while (poll(&p, 1, clock_left(deadline)) <= 0);
	return true;
}

static bool conn_receive(struct conn *c, int64_t deadline, struct outcome *why)
{
	long got;

	for (;;) {
		got = fill_room(c);
		if (got > 0)
			return true;
		if (!got)
			return conn_closed(why);
		if (!is_later(errno))
			return conn_broke(c, errno, why);
		if (!wait_readable(c, deadline, why))
			return false;
	}
}

static bool take_line(struct conn *c, const char **line, size_t *n)
{
	char *at, *lf = NULL;

	if (c->end > c->scanned)
		lf = memchr(c->in + c->scanned, '\n', c->end - c->scanned);
	c->scanned = c->end;
	if (!lf)
		return false;
	at = c->in + c->start;
	*line = at;
	*n = (size_t)(lf - at);
	if (*n && lf[-1] == '\r')
		--*n;
	at[*n] = '\0';
	c->start = c->scanned = (size_t)(lf - c->in) + 1;
	return true;
}

bool conn_line(struct conn *c, const char **line, size_t *n,
	       int64_t deadline, struct outcome *why)
{
	for (;;) {
		if (take_line(c, line, n)) {
			if (*n <= LINE_MOST)
				return true;
			break;
		}
		if (!make_room(c))
			break;
		/* a drip may always have one more byte in time */
		if (!clock_left(deadline))
			return conn_silent(c, why);
		if (!conn_receive(c, deadline, why))
			return false;
	}
	return outcome_fail(why, STAGE_CONNECT, EX_PROTOCOL,
			    "the server sent a line of more than %d bytes",
			    LINE_MOST);
}

bool conn_pending(struct conn *c)
{
	char byte;

	if (c->start < c->end)
		return true;
	if (!c->tls)
		return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
	if (tls_pending(c->tls))
		return true;
	/* what lies in the socket may be a ticket: only reading tells */
	return make_room(c) && fill_room(c) > 0;
}

bool conn_ended(struct conn *c)
{
	char byte;
	long got;

	if (c->start < c->end || (c->tls && tls_pending(c->tls)))
		return false;
	if (!c->tls)
		got = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	else if (make_room(c))
		got = fill_room(c);
	else
		return false;
	return !got || (got < 0 && !is_later(errno));
}

bool conn_wait(struct conn *c, int64_t deadline)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	while (!conn_pending(c)) {
		if (conn_ended(c) || !clock_left(deadline))
			return false;
		poll(&p, 1, clock_left(deadline));
	}
	return true;
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

/* Two pieces that leave as one flight. */
struct flight {
	const char *head, *body;
	size_t head_len, body_len;
};

static long write_tls(struct conn *c, const struct flight *f)
{
	if (f->head_len)
		return tls_write(c->tls, f->head, f->head_len);
	return tls_write(c->tls, f->body, f->body_len);
}

static long write_some(struct conn *c, const struct flight *f)
{
	struct iovec part[2] = {
		{ .iov_base = (void *)f->head, .iov_len = f->head_len },
		{ .iov_base = (void *)f->body, .iov_len =
			f->body_len < PLAIN_MOST ? f->body_len : PLAIN_MOST },
	};
	struct msghdr m = {
		.msg_iov = f->head_len ? part : part + 1,
		.msg_iovlen = f->head_len ? 2 : 1,
	};

	if (c->tls)
		return write_tls(c, f);
	return sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void flight_left(struct flight *f, size_t n)
{
	size_t head = n < f->head_len ? n : f->head_len;

	f->head += head;
	f->head_len -= head;
	f->body += n - head;
	f->body_len -= n - head;
}

/* While the server takes nothing it may go away: that ends the wait. */
static bool wait_writable(struct conn *c, int64_t deadline,
			  struct outcome *why)
{
	struct pollfd p = { .fd = c->fd, .events = POLLOUT | POLLRDHUP };

	do {
		if (!clock_left(deadline))
			return conn_fail(why, "the server took no more bytes "
					 "in time");
	} while (poll(&p, 1, clock_left(deadline)) <= 0);
	if (!(p.revents & POLLOUT) && (p.revents & POLLRDHUP))
		return conn_closed(why);
	return true;
}

static int64_t progress_until(int64_t progress, int64_t deadline)
{
	if (progress == CLOCK_NEVER)
		return deadline;
	return clock_earlier(clock_in(progress), deadline);
}

static bool write_flight(struct conn *c, struct flight *f, int64_t progress,
			 int64_t deadline, struct outcome *why)
{
	int64_t until = progress_until(progress, deadline);
	long sent;

	while (f->head_len || f->body_len) {
		sent = write_some(c, f);
		if (sent > 0) {
			flight_left(f, (size_t)sent);
			until = progress_until(progress, deadline);
			if (!clock_left(deadline) &&
			    (f->head_len || f->body_len))
				return conn_fail(why, "the server took the "
						 "bytes too slowly");
			continue;
		}
		if (sent < 0 && !is_later(errno))
			return conn_broke(c, errno, why);
		if (!wait_writable(c, until, why))
			return false;
	}
	c->asked = clock_now();
	return true;
}

/* With TLS the gathered bytes and the first of the body share a record. */
static void fill_record(struct conn *c, const char **data, size_t *n)
{
	size_t more;

	if (!c->tls || !c->out.len || c->out.len >= RECORD)
		return;
	more = RECORD - c->out.len;
	if (more > *n)
		more = *n;
	conn_put(c, *data, more);
	*data += more;
	*n -= more;
}

static void out_reset(struct conn *c)
{
	buf_reset(&c->out);
	c->out.secret = false;
}

bool conn_write(struct conn *c, const void *data, size_t n, int64_t progress,
		int64_t deadline, struct outcome *why)
{
	struct flight f = { 0 };
	const char *body = data;
	bool done;

	if (c->out.full) {
		out_reset(c);
		return outcome_fail(why, STAGE_CONNECT, EX_SOFTWARE,
				    "more commands at once than fit");
	}
	if (n)
		fill_record(c, &body, &n);
	f.head = buf_text(&c->out);
	f.head_len = c->out.len;
	f.body = n ? body : "";
	f.body_len = n;
	done = write_flight(c, &f, progress, deadline, why);
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
