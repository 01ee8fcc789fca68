/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A message from a caller's bytes, normalised as they come, or from a file that
 * holds one. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/kernel.h"
#include "mail/lines.h"
#include "mail/message_parts.h"

enum {
	READ_SIZE = 64 * 1024,
	DRAIN_BYTES = 64 * 1024 * 1024,
	DRAIN_MS = 10 * 1000,
	IDLE_MS = 1000
};

struct message_reader {
	struct normaliser machine;
	struct spool *store;
	int64_t max_size;
	bool too_large;
};

static bool reader_put(void *context, const char *data, size_t n)
{
	struct message_reader *r = context;

	if (r->max_size && r->machine.size > r->max_size) {
		r->too_large = true;
		return false;
	}
	return spool_add(r->store, data, n);
}

struct message_reader *message_begin(const struct message_limits *limits)
{
	struct message_reader *r = mem_alloc(sizeof(*r));

	r->store = spool_new();
	r->max_size = limits->max_size;
	r->machine.put = reader_put;
	r->machine.context = r;
	r->machine.dot_ends = limits->dot_ends;
	return r;
}

bool message_feed(struct message_reader *r, const char *data, size_t n)
{
	return normalise(&r->machine, data, n) && !r->machine.ended;
}

void message_abandon(struct message_reader *r)
{
	spool_free(r->store);
	free(r);
}

bool message_end(struct message_reader *r, struct message **out,
		 struct outcome *why)
{
	struct normaliser *n = &r->machine;
	struct message *m = NULL;
	bool done = false;

	if (!n->nul && !n->stopped && normalise_end(n) &&
	    spool_flush(r->store)) {
		m = mem_alloc(sizeof(*m));
		m->header = (struct part){ .store = r->store,
					   .size = n->header_size };
		m->body = (struct part){ .store = r->store,
					 .at = n->header_size,
					 .size = n->size - n->header_size };
		m->body_wide = n->body_wide;
		m->body_long = n->body_long;
		m->body_nul = n->body_nul;
		r->store = NULL;
		done = message_survey(m, why);
	} else if (n->nul) {
		outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
			     "the message's header has a NUL byte");
	} else if (r->too_large) {
		outcome_fail_status(why, STAGE_LOCAL, EX_DATAERR, "5.3.4",
				    "the message is too large");
	} else {
		message_unwritable(r->store, why);
	}
	message_abandon(r);
	if (!done) {
		message_free(m);
		return false;
	}
	*out = m;
	return true;
}

/* read(2) that waits, also where the descriptor says it would not. */
static ssize_t read_some(int fd, char *data, size_t n)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t got;

	for (;;) {
		got = read(fd, data, n);
		if (got >= 0 || (errno != EINTR && errno != EAGAIN &&
				 errno != EWOULDBLOCK))
			return got;
		if (errno != EINTR && kernel_poll(&p, 1, -1) < 0 &&
		    errno != EINTR)
			return -1;
	}
}

/* idle: how long nothing may come. */
static void drain(int fd, int idle)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t deadline = clock_in(DRAIN_MS), left = DRAIN_BYTES;
	char *data;
	ssize_t n = 1;
	int wait;

	if (isatty(fd))
		return;
	data = mem_resize(NULL, READ_SIZE, 1);
	while (n > 0 && left > 0 && (wait = clock_left(deadline)) &&
	       kernel_poll(&p, 1, wait < idle ? wait : idle) > 0) {
		n = read(fd, data, READ_SIZE);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			n = 1;
		left -= n;
	}
	free(data);
}

void message_drain(int fd)
{
	drain(fd, DRAIN_MS);
}

bool message_read(int fd, const struct message_limits *limits,
		  struct message **out, struct outcome *why)
{
	struct message_reader *r = message_begin(limits);
	char *data = mem_resize(NULL, READ_SIZE, 1);
	bool first = true;
	ssize_t n;

	do {
		n = read_some(fd, data, READ_SIZE);
		if (n < 0)
			outcome_fail(why, STAGE_LOCAL,
				     first ? EX_NOINPUT : EX_IOERR,
				     "cannot read the message: %s",
				     strerror(errno));
		first = false;
	} while (n > 0 && message_feed(r, data, (size_t)n));
	free(data);
	if (n < 0) {
		message_abandon(r);
		return false;
	}
	/* who writes on after the dot must not die of it; who waits for us, his
	 * end still open, has been understood */
	if (r->machine.ended)
		drain(fd, IDLE_MS);
	return message_end(r, out, why);
}

bool message_parse(int fd, int64_t offset, int64_t size,
		   const struct message_limits *limits, struct message **out,
		   struct outcome *why)
{
	struct spool *from = spool_over(fd, offset, size);
	struct part all = { .store = from, .size = size };
	struct message_reader *r = message_begin(limits);
	const char *data;
	int64_t at;
	long n;

	for (at = 0; (n = part_bytes(&all, at, &data)) > 0; at += n)
		if (!message_feed(r, data, (size_t)n))
			break;
	if (n < 0) {
		message_unreadable(from, why);
		message_abandon(r);
	}
	spool_free(from);
	return n >= 0 && message_end(r, out, why);
}

bool message_from_text(const char *text, size_t n, struct message **out,
		       struct outcome *why)
{
	const struct message_limits none = {0};
	struct message_reader *r = message_begin(&none);

	if (n)
		message_feed(r, text, n);
	return message_end(r, out, why);
}

/* --- from a file that we wrote --- */

/* Where the header ends: after the first empty line; 0: it does not. */
static int64_t header_end(struct spool *s)
{
	struct part whole = { .store = s, .size = s->size };
	int64_t at, line = 0;
	const char *data, *from, *lf;
	long n;

	for (at = 0; (n = part_bytes(&whole, at, &data)) > 0; at += n) {
		from = data;
		while ((lf = memchr(from, '\n', (size_t)(data + n - from)))) {
			line += lf + 1 - from;
			if (line == 2)
				return at + (lf + 1 - data);
			line = 0;
			from = lf + 1;
		}
		line += data + n - from;
	}
	return 0;
}

bool message_open(int fd, int64_t offset, int64_t size, struct message **out,
		  struct outcome *why)
{
	struct spool *s = spool_over(fd, offset, size);
	struct message *m = mem_alloc(sizeof(*m));
	int64_t header = header_end(s);
	bool done = false;

	m->header = (struct part){ .store = s, .size = header };
	m->body = (struct part){ .store = s, .at = header,
				 .size = size - header };
	if (s->error)
		message_unreadable(s, why);
	else if (!header)
		outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
			     "the message's header has no end");
	else if (!body_survey(m))
		message_unreadable(s, why);
	else
		done = message_survey(m, why);
	if (!done) {
		message_free(m);
		return false;
	}
	*out = m;
	return true;
}
