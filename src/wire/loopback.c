/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/loopback.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/kernel.h"

/* A browser opens connections before it has anything to ask; and anybody on
 * this host may open them and ask nothing. */
enum { GUESTS = 8, GUEST_MS = 30 * 1000 };

struct guest {
	int fd;                 /* -1: nobody */
	int64_t end;
	struct buf text;
};

struct loopback {
	int fd;
	struct guest guest[GUESTS];
	struct guest *asking;   /* NULL: nobody waits for an answer */
};

static void guest_leave(struct guest *g)
{
	if (g->fd >= 0)
		close(g->fd);
	g->fd = -1;
	buf_release(&g->text);
}

bool loopback_open(struct loopback **out, unsigned *port,
		   struct outcome *why)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t n = sizeof(at);
	struct loopback *l;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			0);
	size_t i;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(fd, GUESTS) ||
	    getsockname(fd, (struct sockaddr *)&at, &n)) {
		outcome_fail(why, STAGE_LOCAL, EX_OSERR, "cannot listen on "
			     "127.0.0.1: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	l = mem_alloc(sizeof(*l));
	l->fd = fd;
	for (i = 0; i < GUESTS; i++)
		l->guest[i].fd = -1;
	*port = ntohs(at.sin_port);
	*out = l;
	return true;
}

/* The one that has been here longest makes room. */
static void let_in(struct loopback *l)
{
	struct guest *g = &l->guest[0];
	/* cppcheck-suppress nullPointer ; the peer's address may be NULL,
	 * which its table of functions does not know of accept4 */
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	size_t i;

	if (fd < 0)
		return;
	for (i = 0; i < GUESTS && g->fd >= 0; i++)
		if (l->guest[i].fd < 0 || l->guest[i].end < g->end)
			g = &l->guest[i];
	guest_leave(g);
	*g = (struct guest){ fd, clock_in(GUEST_MS),
			     BUF_SECRET(LOOPBACK_TARGET_MAX) };
}

/* "GET TARGET HTTP/1.1"; false: there is more to come, or nothing that is
 * one, and the guest has left. */
static bool guest_asks(struct guest *g, struct buf *target)
{
	const char *text, *end, *space;
	char *room = buf_room(&g->text, 1024);
	ssize_t n = room ? read(g->fd, room, 1024) : 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n > 0) {
		g->text.len += (size_t)n;
		g->text.data[g->text.len] = '\0';
	}
	text = buf_text(&g->text);
	if (n > 0 && !strstr(text, "\r\n\r\n") && !strstr(text, "\n\n"))
		return false;
	end = strchr(text, '\n');
	space = end && !strncmp(text, "GET /", 5) ? strchr(text + 4, ' ') :
		NULL;
	if (n <= 0 || !space || space > end) {
		guest_leave(g);
		return false;
	}
	buf_reset(target);
	buf_add(target, text + 4, (size_t)(space - text) - 4);
	return true;
}

enum loopback_event loopback_wait(struct loopback *l, int other,
				  int64_t deadline, struct buf *target)
{
	enum { LISTENER = GUESTS, OTHER, WATCHED };
	struct pollfd p[WATCHED];
	size_t i;

	if (l->asking)
		guest_leave(l->asking);
	l->asking = NULL;
	while (clock_left(deadline)) {
		for (i = 0; i < GUESTS; i++) {
			if (l->guest[i].fd >= 0 && !clock_left(l->guest[i].end))
				guest_leave(&l->guest[i]);
			p[i] = (struct pollfd){ l->guest[i].fd, POLLIN, 0 };
		}
		p[LISTENER] = (struct pollfd){ l->fd, POLLIN, 0 };
		p[OTHER] = (struct pollfd){ other, POLLIN, 0 };
		if (kernel_poll(p, WATCHED, clock_left(clock_earlier(
				deadline, clock_in(1000)))) < 0 &&
		    errno != EINTR)
			return LOOPBACK_OVER;
		if (p[OTHER].revents)
			return LOOPBACK_OTHER;
		for (i = 0; i < GUESTS; i++) {
			if (!p[i].revents ||
			    !guest_asks(&l->guest[i], target))
				continue;
			l->asking = &l->guest[i];
			return LOOPBACK_ASKED;
		}
		if (p[LISTENER].revents)
			let_in(l);
	}
	return LOOPBACK_OVER;
}

void loopback_answer(struct loopback *l, const char *status,
		     const char *words)
{
	struct buf page = BUF(4096), out = BUF(8192);

	if (!l->asking)
		return;
	buf_addf(&page, "<!DOCTYPE html><html><head><meta charset=\"utf-8\">"
		 "<title>posthaste</title></head><body><p>%s</p></body>"
		 "</html>\n", words);
	buf_addf(&out, "HTTP/1.1 %s\r\nContent-Type: text/html; "
		 "charset=utf-8\r\nContent-Length: %zu\r\nCache-Control: "
		 "no-store\r\nReferrer-Policy: no-referrer\r\n"
		 "Connection: close\r\n\r\n%s", status, page.len,
		 buf_text(&page));
	if (send(l->asking->fd, out.data, out.len, MSG_NOSIGNAL) > 0)
		shutdown(l->asking->fd, SHUT_WR);
	guest_leave(l->asking);
	l->asking = NULL;
	buf_release(&page);
	buf_release(&out);
}

void loopback_close(struct loopback *l)
{
	size_t i;

	if (!l)
		return;
	for (i = 0; i < GUESTS; i++)
		guest_leave(&l->guest[i]);
	close(l->fd);
	free(l);
}
