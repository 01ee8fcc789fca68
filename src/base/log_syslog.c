/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log_syslog.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/kernel.h"

/* PATIENCE_MS: of a process, for all of its lines. Each that is taken gives
 * back EARNED_MS of what was waited, so that one who is slow loses none. */
enum { PATIENCE_MS = 2000, EARNED_MS = 100, NAP_MS = 10 };

/* Until the socket may take something; where fd is -1, for most milliseconds.
 * False: the patience is at its end. */
static bool syslog_wait(struct log_syslog *s, int fd, int64_t most)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	const int64_t left = PATIENCE_MS - s->waited, began = clock_now();

	if (left <= 0)
		return false;
	kernel_poll(&p, 1, (int)(most < left ? most : left));
	s->waited += clock_now() - began;
	return true;
}

/* False: errno says why. */
static bool syslog_connect(struct log_syslog *s, int type)
{
	const struct sockaddr_un name = {
		.sun_family = AF_UNIX, .sun_path = "/dev/log"
	};

	s->stream = type == SOCK_STREAM;
	s->fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return false;
	while (connect(s->fd, (const void *)&name, sizeof(name))) {
		/* a stream's queue of those who come may be full */
		if (errno == EINTR ||
		    (errno == EAGAIN && syslog_wait(s, -1, NAP_MS)))
			continue;
		log_syslog_close(s);
		return false;
	}
	return true;
}

static bool syslog_reach(struct log_syslog *s)
{
	return syslog_connect(s, SOCK_DGRAM) ||
	       (errno == EPROTOTYPE && syslog_connect(s, SOCK_STREAM));
}

/* False: it was not taken, and errno says why. */
static bool syslog_put(struct log_syslog *s, const char *text, size_t n)
{
	size_t done = 0;
	ssize_t part;

	while (done < n) {
		part = send(s->fd, text + done, n - done, MSG_NOSIGNAL);
		if (part >= 0)
			done += (size_t)part;
		else if (errno != EINTR &&
			 (errno != EAGAIN ||
			  !syslog_wait(s, s->fd, PATIENCE_MS)))
			break;
	}
	/* what comes next must not be joined to a part of a line */
	if (done && done < n)
		log_syslog_close(s);
	if (done < n)
		return false;
	s->waited -= s->waited < EARNED_MS ? s->waited : EARNED_MS;
	return true;
}

bool log_syslog_say(struct log_syslog *s, int severity, const char *line)
{
	const time_t now = time(NULL);
	char stamp[32], *text;
	bool taken = false;
	struct tm tm;
	int tries;

	localtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &tm);
	text = mem_printf("<%d>%s posthaste[%ld]: %s", LOG_MAIL | severity,
			  stamp, (long)getpid(), line);
	/* it may have been started anew since */
	for (tries = 0; tries < 2 && !taken; tries++) {
		if (s->fd < 0 && !syslog_reach(s))
			break;
		/* a stream's lines end with their NUL */
		taken = syslog_put(s, text, strlen(text) + s->stream);
		if (taken || errno == EAGAIN || errno == EMSGSIZE)
			break;
		log_syslog_close(s);
	}
	free(text);
	return taken;
}

void log_syslog_close(struct log_syslog *s)
{
	const int error = errno;

	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	errno = error;
}
