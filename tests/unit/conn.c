/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/clock.h"
#include "wire/conn.h"

#include "tls_support.h"

static struct cert leaf;

static int setup(void **state)
{
	struct cert_spec good = { 0 };

	(void)state;
	leaf = cert_make(&good, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cert_free(&leaf);
	return 0;
}

static struct conn *conn_of(int fd)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return conn_new(fd);
}

/* *peer is the other end. */
static struct conn *pair_of(int type, int *peer)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
	*peer = pair[1];
	return conn_of(pair[0]);
}

static struct conn *pair(int *peer)
{
	return pair_of(SOCK_STREAM, peer);
}

/* The same by TCP, which knows resets. */
static struct conn *tcp_pair(int *peer)
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

static void say(int fd, const char *s, size_t n)
{
	assert_int_equal(send(fd, s, n, MSG_NOSIGNAL), n);
}

static void expect_line(struct conn *c, const char *want, size_t len)
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

static void expect_no_line(struct conn *c, int64_t ms, int exit,
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

static void *drip(void *context)
{
	int fd = *(int *)context;

	while (send(fd, "x", 1, MSG_NOSIGNAL) == 1)
		poll(NULL, 0, 5);
	return NULL;
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
	assert_in_range(clock_now() - start, 245, 2000);
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
	conn_putf(c, "RCPT TO:<%s>\r\n", "c@d");
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

enum { BIG = 8 << 20 };

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

static char *big_body(void)
{
	char *body = malloc(BIG);
	size_t i;

	assert_non_null(body);
	for (i = 0; i < BIG; i++)
		body[i] = (char)(i * 2654435761u >> 13);
	return body;
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
	assert_false(conn_write(c, body, BIG, CLOCK_NEVER, clock_in(100),
				&why));
	assert_int_equal(why.exit, EX_TEMPFAIL);
	assert_in_range(clock_now() - start, 195, 3000);
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
	assert_in_range(clock_now() - start, 295, 3000);
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

/* --- TLS --- */

static bool start_tls(struct conn *c, int64_t ms, struct outcome *why)
{
	struct tls_params p = { 0 };
	struct tls_facts facts = { 0 };

	return conn_tls(c, &p, &facts, clock_in(ms), why);
}

static void expect_no_tls(struct conn *c, int64_t ms, const char *words)
{
	struct outcome why = { 0 };

	assert_false(start_tls(c, ms, &why));
	if (!strstr(why.text, words))
		print_error("%s\n", why.text);
	assert_non_null(strstr(why.text, words));
	assert_int_equal(why.exit, EX_TEMPFAIL);
	assert_int_equal(why.stage, STAGE_TLS);
	conn_close(c);
}

static void test_no_tls(void **state)
{
	int64_t start = clock_now();
	struct outcome why = { 0 };
	pthread_t thread;
	struct conn *c;
	int peer;

	(void)state;
	c = pair(&peer);
	say(peer, "220 mx ESMTP\r\n", 14);
	expect_no_tls(c, 5000, "does not speak TLS on this port");
	close(peer);

	c = pair(&peer);
	say(peer, "220 go\r\n", 8);
	expect_line(c, "220 go", 6);
	say(peer, "500 what?\r\n", 11);
	expect_no_tls(c, 5000, "tampering");
	close(peer);

	c = pair(&peer);
	say(peer, "220 go\r\n250 injected\r\n", 22);
	expect_line(c, "220 go", 6);
	expect_no_tls(c, 5000, "tampering");
	close(peer);

	c = pair(&peer);
	shutdown(peer, SHUT_WR);
	expect_no_tls(c, 5000, "closed the connection in the TLS handshake");
	close(peer);

	c = pair(&peer);
	expect_no_tls(c, 100, "in time");
	close(peer);

	c = tcp_pair(&peer);
	assert_true(conn_flush(c, 1, 1, &why));
	setsockopt(peer, SOL_SOCKET, SO_LINGER,
		   &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
	close(peer);
	expect_no_tls(c, 5000, "closed the connection in the TLS handshake");

	c = pair(&peer);
	say(peer, "\x16\x03\x03\x40", 4);
	pthread_create(&thread, NULL, drip, &peer);
	expect_no_tls(c, 200, "");
	pthread_join(thread, NULL);
	close(peer);
	assert_true(clock_now() - start < 5000);
}

static struct conn *tls_conn(struct server *s)
{
	struct outcome why = { 0 };
	struct conn *c;

	s->leaf = &leaf;
	s->chain[0] = leaf.crt;
	s->chain_len = 1;
	c = conn_of(server_start(s));
	if (!start_tls(c, 5000, &why))
		fail_msg("%s", why.text);
	return c;
}

static void test_tls_lines(void **state)
{
	struct server s = { .say = "220 hello\r\n250-a\r\n250 cut" };
	struct outcome why = { 0 };
	struct conn *c;

	(void)state;
	c = tls_conn(&s);
	expect_line(c, "220 hello", 9);
	assert_true(conn_pending(c));
	expect_line(c, "250-a", 5);
	conn_puts(c, "QUIT\r\n");
	assert_true(conn_flush(c, 1000, CLOCK_NEVER, &why));
	expect_no_line(c, 1000, EX_TEMPFAIL, "closed the connection");
	server_wait(&s);
	assert_string_equal(s.got, "QUIT\r\n");
	conn_close(c);
}

static void test_tls_truncated(void **state)
{
	struct server s = { .say = "250 o", .no_goodbye = true };
	struct conn *c;

	(void)state;
	c = tls_conn(&s);
	expect_no_line(c, 1000, EX_TEMPFAIL, "without TLS's goodbye");
	expect_no_line(c, 1000, EX_TEMPFAIL, "without TLS's goodbye");
	assert_true(conn_pending(c));
	conn_close(c);
	server_wait(&s);
}

static void wait_for_client(struct server *s, gnutls_session_t session)
{
	server_receive(session, s->got, sizeof(s->got) - 1);
}

/* Tickets are no words of the server. */
static void test_tls_pending(void **state)
{
	struct server s = { .talk = wait_for_client };
	struct outcome why = { 0 };
	struct conn *c;

	(void)state;
	c = tls_conn(&s);
	assert_false(conn_pending(c));
	expect_no_line(c, 50, EX_TEMPFAIL, "did not answer");
	assert_false(conn_pending(c));
	conn_puts(c, "x");
	assert_true(conn_flush(c, 1000, CLOCK_NEVER, &why));
	server_wait(&s);
	conn_close(c);
}

static void send_binding(struct server *s, gnutls_session_t session)
{
	gnutls_datum_t d = { 0 };

	gnutls_session_channel_binding(session, s->priorities ?
				       GNUTLS_CB_TLS_UNIQUE :
				       GNUTLS_CB_TLS_EXPORTER, &d);
	memcpy(s->got, d.data, d.size);
	gnutls_free(d.data);
}

static void test_binding(void **state)
{
	struct server s = { .talk = send_binding };
	unsigned char data[64];
	const char *kind;
	struct conn *c;
	int peer;
	size_t n;

	(void)state;
	c = tls_conn(&s);
	server_wait(&s);
	assert_true(conn_binding(c, &kind, data, &n));
	assert_string_equal(kind, "tls-exporter");
	assert_int_equal(n, 32);
	assert_memory_equal(data, s.got, n);
	conn_close(c);

	s = (struct server){ .talk = send_binding,
		.priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.2" };
	c = tls_conn(&s);
	server_wait(&s);
	assert_true(conn_binding(c, &kind, data, &n));
	assert_string_equal(kind, "tls-unique");
	assert_memory_equal(data, s.got, n);
	conn_close(c);

	s = (struct server){ .talk = send_binding,
		.priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.2:"
			      "%NO_SESSION_HASH" };
	c = tls_conn(&s);
	server_wait(&s);
	assert_false(conn_binding(c, &kind, data, &n));
	conn_close(c);

	c = pair(&peer);
	assert_false(conn_binding(c, &kind, data, &n));
	conn_close(c);
	close(peer);
}

static char *tls_got;

static void take_body(struct server *s, gnutls_session_t session)
{
	size_t n = 0;
	ssize_t got;

	(void)s;
	do {
		got = server_receive(session, tls_got + n, BIG + 100 - n);
		n += got > 0 ? (size_t)got : 0;
	} while (got > 0 && n < BIG + 6);
	server_send(session, "250 ok\r\n", 8);
}

static void test_tls_body(void **state)
{
	struct server s = { .talk = take_body };
	struct outcome why = { 0 };
	char *body = big_body();
	struct conn *c;

	(void)state;
	tls_got = malloc(BIG + 100);
	c = tls_conn(&s);
	conn_puts(c, "BDAT\r\n");
	assert_true(conn_write(c, body, BIG, 2000, clock_in(20000), &why));
	expect_line(c, "250 ok", 6);
	server_wait(&s);
	assert_memory_equal(tls_got, "BDAT\r\n", 6);
	assert_memory_equal(tls_got + 6, body, BIG);
	conn_close(c);
	free(tls_got);
	free(body);
}

static void last_words(struct server *s, gnutls_session_t session)
{
	(void)s;
	server_send(session, "421 going down\r\n", 16);
	gnutls_bye(session, GNUTLS_SHUT_WR);
}

static void test_tls_last_words(void **state)
{
	struct server s = { .talk = last_words };
	struct outcome why = { 0 };
	char *body = big_body();
	struct conn *c;

	(void)state;
	c = tls_conn(&s);
	server_wait(&s);
	assert_false(conn_write(c, body, BIG, 60000, clock_in(60000), &why));
	expect_line(c, "421 going down", 14);
	expect_no_line(c, 1000, EX_TEMPFAIL, "the connection");
	conn_close(c);
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
		cmocka_unit_test(test_no_tls),
		cmocka_unit_test(test_tls_lines),
		cmocka_unit_test(test_tls_truncated),
		cmocka_unit_test(test_tls_pending),
		cmocka_unit_test(test_binding),
		cmocka_unit_test(test_tls_body),
		cmocka_unit_test(test_tls_last_words),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
