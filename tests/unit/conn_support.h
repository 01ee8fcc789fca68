/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A struct conn and its other end, for tests. Include it once, behind
 * cmocka.h. */
#ifndef TESTS_CONN_SUPPORT_H
#define TESTS_CONN_SUPPORT_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "wire/conn.h"

#define UNUSED __attribute__((unused))

static UNUSED struct conn *conn_of(int fd)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return conn_new(fd);
}

/* *peer is the other end. */
static UNUSED struct conn *pair_of(int type, int *peer)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
	*peer = pair[1];
	return conn_of(pair[0]);
}

static UNUSED struct conn *pair(int *peer)
{
	return pair_of(SOCK_STREAM, peer);
}

/* The same by TCP, which knows resets. */
static UNUSED struct conn *tcp_pair(int *peer)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(sin);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (void *)&sin, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (void *)&sin, &len), 0);
	assert_int_equal(connect(fd, (void *)&sin, len), 0);
	*peer = accept(listener, NULL, NULL);
	assert_true(*peer >= 0);
	close(listener);
	return conn_of(fd);
}

static UNUSED void say(int fd, const char *s, size_t n)
{
	assert_int_equal(send(fd, s, n, MSG_NOSIGNAL), n);
}

static UNUSED void expect_line(struct conn *c, const char *want, size_t len)
{
	struct outcome why = { 0 };
	const char *line;
	size_t n;

	if (!conn_line(c, &line, &n, clock_in(2000), &why))
		fail_msg("%s", why.text);
	assert_int_equal(n, len);
	assert_memory_equal(line, want, len);
	assert_int_equal(line[n], 0);
}

static UNUSED void expect_no_line(struct conn *c, int64_t ms, int exit,
			   const char *words)
{
	struct outcome why = { 0 };
	const char *line;
	size_t n;

	assert_false(conn_line(c, &line, &n, clock_in(ms), &why));
	if (!strstr(why.text, words))
		print_error("%s\n", why.text);
	assert_non_null(strstr(why.text, words));
	assert_int_equal(why.exit, exit);
	assert_int_equal(why.stage, STAGE_CONNECT);
}

static UNUSED void *drip(void *context)
{
	int fd = *(int *)context;

	while (send(fd, "x", 1, MSG_NOSIGNAL) == 1)
		poll(NULL, 0, 5);
	return NULL;
}

enum { BIG = 8 << 20 };

static UNUSED char *big_body(void)
{
	char *body = malloc(BIG);
	size_t i;

	assert_non_null(body);
	for (i = 0; i < BIG; i++)
		body[i] = (char)(i * 2654435761u >> 13);
	return body;
}

#endif
