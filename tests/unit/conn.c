/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conn_support.h"
#include "took.h"

static void test_lines(void **state)
{
	static const char bytes[] =
		"220 hello\r\n250 lf\n\r\n\nnul \0 here\r\nodd \r cr\r\n\r\r\n";
	char many[36000];
	struct conn *c;
	int peer;
	size_t i;

	(void)state;
	c = pair(&peer);
	assert_false(conn_pending(c));
	say(peer, bytes, sizeof(bytes) - 1);
	assert_true(conn_pending(c));
	expect_line(c, "220 hello", 9);
	assert_true(conn_pending(c));
	expect_line(c, "250 lf", 6);
	expect_line(c, "", 0);
	expect_line(c, "", 0);
	expect_line(c, "nul \0 here", 10);
	expect_line(c, "odd \r cr", 8);
	expect_line(c, "\r", 1);
	assert_false(conn_pending(c));
	/* many, more than the buffer's first room */
	for (i = 0; i < 3000; i++)
		memcpy(many + 12 * i, "0123456789\r\n", 12);
	say(peer, many, sizeof(many));
	for (i = 0; i < 3000; i++)
		expect_line(c, "0123456789", 10);
	close(peer);
	assert_false(conn_pending(c));
	expect_no_line(c, 1000, EX_TEMPFAIL, "closed the connection");
	conn_close(c);
}

static void test_cut_line(void **state)
{
	struct conn *c;
	int peer;

	(void)state;
	c = pair(&peer);
	say(peer, "250 o", 5);
	close(peer);
	expect_no_line(c, 1000, EX_TEMPFAIL, "closed the connection");
	conn_close(c);
}

struct writer {
	int fd;
	size_t n;
	const char *end;
	pthread_t thread;
};

static void *write_long(void *context)
{
	struct writer *w = context;
	char block[1000];
	size_t left, n;

	memset(block, 'x', sizeof(block));
	for (left = w->n; left; left -= n) {
		n = left < sizeof(block) ? left : sizeof(block);
		if (send(w->fd, block, n, MSG_NOSIGNAL) < (ssize_t)n)
			return NULL;
	}
	send(w->fd, w->end, strlen(w->end), MSG_NOSIGNAL);
	return NULL;
}

static void test_long_line(void **state)
{
	static const struct {
		size_t n;
		const char *end;
		bool good;
	} cases[] = {
		{ 65536, "\r\n", true }, { 65536, "\n", true },
		{ 65537, "\n", false }, { 65537, "\r\n", false },
		{ 300000, "\n", false }, { 70000, "", false },
	};
	struct writer w;
	struct outcome why = { 0 };
	const char *line;
	struct conn *c;
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		w.n = cases[i].n;
		w.end = cases[i].end;
		c = pair(&w.fd);
		say(w.fd, "220 first\r\n", 11);
		expect_line(c, "220 first", 9);
		pthread_create(&w.thread, NULL, write_long, &w);
		if (cases[i].good) {
			assert_true(conn_line(c, &line, &n, clock_in(2000),
					      &why));
			assert_int_equal(n, cases[i].n);
		} else {
			expect_no_line(c, 2000, EX_PROTOCOL, "65536");
		}
		conn_close(c);
		pthread_join(w.thread, NULL);
		close(w.fd);
	}
}

static void test_deadline(void **state)
{
	int64_t start = clock_now();
	pthread_t thread;
	struct conn *c;
	int peer;

	(void)state;
	c = pair(&peer);
	expect_no_line(c, 50, EX_TEMPFAIL, "did not answer within 1 s");
	expect_no_line(c, 0, EX_TEMPFAIL, "did not answer");
	pthread_create(&thread, NULL, drip, &peer);
	expect_no_line(c, 200, EX_TEMPFAIL, "did not answer");
	conn_close(c);
	pthread_join(thread, NULL);
	close(peer);
	assert_true(took(start, 245, 2000));
}

/* A packet is one system call. */
static void test_gather(void **state)
{
	struct outcome why = { 0 };
	char got[256];
	struct conn *c;
	int peer;

	(void)state;
	c = pair_of(SOCK_SEQPACKET, &peer);
	conn_puts(c, "MAIL FROM:<a@b>\r\n");
	conn_puts(c, "RCPT TO:<c@d>\r\n");
	conn_put(c, "DATA\r\n", 6);
	assert_true(conn_flush(c, 1000, CLOCK_NEVER, &why));
	assert_int_equal(recv(peer, got, sizeof(got), MSG_DONTWAIT), 38);
	assert_memory_equal(got, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
			    38);
	conn_puts(c, "BDAT 4 LAST\r\n");
	assert_true(conn_write(c, "body", 4, CLOCK_NEVER, clock_in(1000),
			       &why));
	assert_int_equal(recv(peer, got, sizeof(got), MSG_DONTWAIT), 17);
	assert_memory_equal(got, "BDAT 4 LAST\r\nbody", 17);
	assert_true(conn_flush(c, 1000, CLOCK_NEVER, &why));
	assert_true(recv(peer, got, sizeof(got), MSG_DONTWAIT) < 0);
	conn_put_secret(c, "AUTH x\r\n", 8);
	assert_true(conn_flush(c, 1000, CLOCK_NEVER, &why));
	assert_int_equal(recv(peer, got, sizeof(got), MSG_DONTWAIT), 8);
	conn_close(c);
	close(peer);
}

struct reader {
	int fd;
	char *data;
	size_t n;
	pthread_t thread;
};

static void *read_all(void *context)
{
	struct reader *r = context;
	ssize_t got;

	while ((got = read(r->fd, r->data + r->n, BIG + 100 - r->n)) > 0)
		r->n += (size_t)got;
	return NULL;
}

static void test_big_write(void **state)
{
	struct reader r = { 0 };
	struct outcome why = { 0 };
	char *body = big_body();
	struct conn *c;

	(void)state;
	r.data = malloc(BIG + 100);
	c = pair(&r.fd);
	pthread_create(&r.thread, NULL, read_all, &r);
	conn_puts(c, "head\r\n");
	assert_true(conn_write(c, body, BIG, 2000, clock_in(20000), &why));
	conn_close(c);
	pthread_join(r.thread, NULL);
	assert_int_equal(r.n, BIG + 6);
	assert_memory_equal(r.data, "head\r\n", 6);
	assert_memory_equal(r.data + 6, body, BIG);
	close(r.fd);
	free(r.data);
	free(body);
}

/* Nobody reads. */
static void test_stuck_write(void **state)
{
	int64_t start = clock_now();
	struct outcome why = { 0 };
	char *body = big_body();
	struct conn *c;
	int peer;

	(void)state;
	c = pair(&peer);
	assert_false(conn_write(c, body, BIG, 100, CLOCK_NEVER, &why));
	assert_non_null(strstr(why.text, "no more bytes"));
	conn_close(c);
	close(peer);
	c = pair(&peer);
	assert_false(conn_write(c, body, BIG, CLOCK_NEVER, clock_in(100),
				&why));
	assert_int_equal(why.exit, EX_TEMPFAIL);
	assert_true(took(start, 195, 3000));
	conn_close(c);
	close(peer);
	free(body);
}

static void *read_slowly(void *context)
{
	int fd = *(int *)context;
	char some[512];

	while (recv(fd, some, sizeof(some), 0) > 0)
		poll(NULL, 0, 1);
	return NULL;
}

/* Some progress, always, but never enough. */
static void test_slow_write(void **state)
{
	int64_t start = clock_now();
	struct outcome why = { 0 };
	char *body = big_body();
	pthread_t thread;
	struct conn *c;
	int peer;

	(void)state;
	c = pair(&peer);
	pthread_create(&thread, NULL, read_slowly, &peer);
	assert_false(conn_write(c, body, BIG, 5000, clock_in(300), &why));
	assert_true(took(start, 295, 3000));
	conn_close(c);
	shutdown(peer, SHUT_RD);
	pthread_join(thread, NULL);
	close(peer);
	free(body);
}

/* The server says its last words and closes while we write. */
static void test_last_words(void **state)
{
	int64_t start = clock_now();
	struct outcome why = { 0 };
	char *body = big_body();
	struct conn *c;
	int peer;

	(void)state;
	/* it goes on to read nothing */
	c = pair(&peer);
	say(peer, "421 going down\r\n", 16);
	shutdown(peer, SHUT_WR);
	assert_false(conn_write(c, body, BIG, 60000, clock_in(60000), &why));
	assert_non_null(strstr(why.text, "closed the connection"));
	expect_line(c, "421 going down", 14);
	conn_close(c);
	close(peer);
	/* it stays, and that is no reason to wait for it */
	c = pair(&peer);
	say(peer, "552 too big\r\n", 13);
	assert_false(conn_write(c, body, BIG, 60000, clock_in(60000), &why));
	assert_non_null(strstr(why.text, "answered before it had"));
	expect_line(c, "552 too big", 11);
	conn_close(c);
	close(peer);
	/* it resets, having unread bytes of ours */
	c = tcp_pair(&peer);
	conn_puts(c, "MAIL\r\n");
	assert_true(conn_flush(c, 1000, CLOCK_NEVER, &why));
	say(peer, "421 going down\r\n", 16);
	close(peer);
	assert_false(conn_write(c, body, BIG, 60000, clock_in(60000), &why));
	assert_non_null(strstr(why.text, "reset"));
	expect_line(c, "421 going down", 14);
	expect_no_line(c, 1000, EX_TEMPFAIL, "the connection");
	conn_close(c);
	assert_true(clock_now() - start < 5000);
	free(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_cut_line),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_gather),
		cmocka_unit_test(test_big_write),
		cmocka_unit_test(test_stuck_write),
		cmocka_unit_test(test_slow_write),
		cmocka_unit_test(test_last_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
