/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What comes to the port at which a login waits for a browser: anybody on this
 * host may connect. The input is one guest after the other, an empty line
 * "%" between two; a guest's lines come one at a time, "\" at a line's end
 * takes its line end away, and "!" is one who stays and says no more. What is
 * asked for begins with "/", has no blank, and was said by that guest; he gets
 * one whole answer of HTTP.
 */
/* poll() and its like are ours here: the checked ones would be inline */
#undef _FORTIFY_SOURCE

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "parts.h"
#include "wire/loopback.h"

/* glibc's own type for it */
#ifdef __GLIBC__
#define ADDRESS __SOCKADDR_ARG
#else
#define ADDRESS struct sockaddr *restrict
#endif

enum { GUESTS = 16 };

static struct {
	int fd;                 /* our side; -1: gone */
	int theirs;
	const char *says;
	size_t left;
	bool stays;
} guest[GUESTS];
static size_t guests, came;
static bool listening;

/* Takes the next line of what he says there. */
static void speak(size_t i)
{
	const char *end = memchr(guest[i].says, '\n', guest[i].left);
	size_t n = end ? (size_t)(end - guest[i].says) + 1 : guest[i].left;
	size_t said = n > 1 && end && end[-1] == '\\' ? n - 2 : n;

	if (!n && !guest[i].stays) {
		shutdown(guest[i].fd, SHUT_WR);
		guest[i].stays = true;
	}
	if (said)
		(void)!send(guest[i].fd, guest[i].says, said,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
	guest[i].says += n;
	guest[i].left -= n;
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
	bool any = false;
	size_t i;

	if (!listening)
		return (int)syscall(SYS_poll, fds, n, ms);
	for (i = 0; i < came; i++)
		speak(i);
	(void)syscall(SYS_poll, fds, n, 0);
	for (i = 0; i + 2 < n; i++)
		any = any || fds[i].revents;
	fds[n - 2].revents = came < guests ? POLLIN : 0;
	any = any || came < guests;
	for (i = 0; i < came; i++)
		any = any || guest[i].left;
	/* nobody has anything more to say */
	fds[n - 1].revents = any ? 0 : POLLIN;
	return 1;
}

int accept4(int fd, ADDRESS from, socklen_t *restrict n, int flags)
{
	int pair[2];

	(void)fd;
	(void)from;
	(void)n;
	if (came == guests) {
		errno = EAGAIN;
		return -1;
	}
	fuzz_want(!socketpair(AF_UNIX, SOCK_STREAM | flags, 0, pair));
	guest[came].fd = pair[1];
	guest[came].theirs = pair[0];
	came++;
	return pair[0];
}

/* Whoever has it gets it whole, and nobody else. */
static size_t answers(void)
{
	static char text[16 * 1024];
	const char *body;
	size_t i, n = 0;
	ssize_t got;

	for (i = 0; i < came; i++) {
		got = guest[i].fd < 0 ? 0 :
		      recv(guest[i].fd, text, sizeof(text) - 1, MSG_DONTWAIT);
		if (got <= 0)
			continue;
		text[got] = '\0';
		body = strstr(text, "\r\n\r\n");
		fuzz_want(!strncmp(text, "HTTP/1.1 200 OK\r\n", 17) && body);
		fuzz_want(strstr(text, "Content-Length: ") &&
			  strtoul(strstr(text, "Content-Length: ") + 16, NULL,
				  10) == strlen(body + 4));
		n++;
	}
	return n;
}

static void divide(const char *data, size_t n)
{
	const char *stop;

	guests = came = 0;
	while (n && guests < GUESTS) {
		stop = memmem(data, n, "\n%\n", 3);
		guest[guests].fd = -1;
		guest[guests].says = data;
		guest[guests].left = stop ? (size_t)(stop - data) + 1 : n;
		n -= stop ? guest[guests].left + 2 : n;
		data += guest[guests].left + 2;
		guest[guests].stays = guest[guests].left &&
				      *guest[guests].says == '!';
		if (guest[guests].stays) {
			guest[guests].says++;
			guest[guests].left--;
		}
		guests++;
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct buf target = BUF(LOOPBACK_TARGET_MAX);
	enum loopback_event event;
	struct loopback *l;
	struct outcome why;
	unsigned port;
	size_t i, asked = 0;

	divide((const char *)data, n);
	fuzz_want(loopback_open(&l, &port, &why));
	listening = true;
	while ((event = loopback_wait(l, -1, clock_in(3600000), &target)) ==
	       LOOPBACK_ASKED) {
		fuzz_want(target.len && *buf_text(&target) == '/');
		fuzz_want(!memchr(target.data, ' ', target.len) &&
			  !memchr(target.data, '\n', target.len));
		if (n % 2) {
			loopback_answer(l, "200 OK", "words");
			fuzz_want(answers() <= 1);
		}
		fuzz_want(++asked <= guests);
	}
	fuzz_want(event == LOOPBACK_OTHER && came == guests);
	listening = false;
	/* there is nobody who asks */
	loopback_answer(l, "200 OK", "words");
	fuzz_want(!answers());
	loopback_close(l);
	loopback_close(NULL);
	for (i = 0; i < came; i++)
		close(guest[i].fd);
	buf_release(&target);
	return 0;
}
