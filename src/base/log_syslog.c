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

enum { PATIENCE_MS = 2000 };   /* of a process, for all of its lines */

static bool syslog_reach(struct log_syslog *s)
{
	const struct sockaddr_un name = {
		.sun_family = AF_UNIX, .sun_path = "/dev/log"
	};

	s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return false;
	if (!connect(s->fd, (const void *)&name, sizeof(name)))
		return true;
	log_syslog_close(s);
	return false;
}

/* False: nobody is there any more. */
static bool syslog_put(struct log_syslog *s, const char *text, size_t n)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };
	int64_t began;

	while (send(s->fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return errno == EMSGSIZE;
		if (s->waited >= PATIENCE_MS)
			return true;
		began = clock_now();
		kernel_poll(&p, 1, (int)(PATIENCE_MS - s->waited));
		s->waited += clock_now() - began;
	}
	return true;
}

void log_syslog_say(struct log_syslog *s, int severity, const char *line)
{
	const time_t now = time(NULL);
	char stamp[32], *text;
	struct tm tm;
	int tries;

	localtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &tm);
	text = mem_printf("<%d>%s posthaste[%ld]: %s", LOG_MAIL | severity,
			  stamp, (long)getpid(), line);
	/* it may have been started anew since */
	for (tries = 0; tries < 2; tries++) {
		if (s->fd < 0 && !syslog_reach(s)) {
			/* some listen for a stream */
			if (errno == EPROTOTYPE)
				syslog(LOG_MAIL | severity, "%s", line);
			break;
		}
		if (syslog_put(s, text, strlen(text)))
			break;
		log_syslog_close(s);
	}
	free(text);
}

void log_syslog_close(struct log_syslog *s)
{
	const int error = errno;

	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	closelog();
	errno = error;
}
