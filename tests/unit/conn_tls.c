/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conn_support.h"
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

static void send_alert(struct server *s, gnutls_session_t session)
{
	(void)s;
	gnutls_alert_send(session, GNUTLS_AL_FATAL,
			  GNUTLS_A_CERTIFICATE_REQUIRED);
}

/* With TLS 1.3 a server says so after the client's handshake has ended. */
static void test_tls_alert(void **state)
{
	struct server s = { .talk = send_alert };
	struct conn *c;

	(void)state;
	c = tls_conn(&s);
	expect_no_line(c, 1000, EX_TEMPFAIL, "ended TLS: Certificate is req");
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

static char held_back[4096];
static size_t held;

static ssize_t hold_back(gnutls_transport_ptr_t to, const void *data,
			 size_t n)
{
	(void)to;
	assert_true(n <= sizeof(held_back) - held);
	memcpy(held_back + held, data, n);
	held += n;
	return (ssize_t)n;
}

/* A key update and words, which arrive in one piece. */
static void speak_behind_update(struct server *s, gnutls_session_t session)
{
	gnutls_transport_set_push_function(session, hold_back);
	gnutls_session_key_update(session, 0);
	server_send(session, "220 here\r\n", 10);
	assert_int_equal(write(s->fd, held_back, held), held);
	server_receive(session, s->got, sizeof(s->got) - 1);
}

/* The library asks to come again behind what was no data, and the socket
 * will not announce anew what has been read from it. */
static void test_tls_behind_update(void **state)
{
	struct server s = { .talk = speak_behind_update };
	struct outcome why = { 0 };
	struct conn *c;

	(void)state;
	c = tls_conn(&s);
	expect_line(c, "220 here", 8);
	conn_puts(c, "x");
	assert_true(conn_flush(c, 1000, CLOCK_NEVER, &why));
	server_wait(&s);
	conn_close(c);
}

/* Warnings and words, which arrive in one piece. */
static void speak_behind_warnings(struct server *s, gnutls_session_t session)
{
	int i;

	held = 0;
	gnutls_transport_set_push_function(session, hold_back);
	for (i = 0; i < 3; i++)
		gnutls_alert_send(session, GNUTLS_AL_WARNING,
				  GNUTLS_A_USER_CANCELED);
	server_send(session, "220 here\r\n", 10);
	assert_int_equal(write(s->fd, held_back, held), held);
	server_receive(session, s->got, sizeof(s->got) - 1);
}

static void test_tls_behind_warnings(void **state)
{
	struct server s = {
		.talk = speak_behind_warnings,
		.priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.2",
	};
	struct outcome why = { 0 };
	struct conn *c;

	(void)state;
	c = tls_conn(&s);
	expect_line(c, "220 here", 8);
	conn_puts(c, "x");
	assert_true(conn_flush(c, 1000, CLOCK_NEVER, &why));
	server_wait(&s);
	conn_close(c);
}

/* More lies there to be read when time is up: that is no handshake. */
static void test_warnings_in_time(void **state)
{
	static const char alerts[] =
		"\x15\x03\x03\0\x02\x01\x5a\x15\x03\x03\0\x02\x01\x5a";
	struct conn *c;
	int peer;

	(void)state;
	c = pair(&peer);
	say(peer, alerts, sizeof(alerts) - 1);
	expect_no_tls(c, 0, "in time");
	close(peer);
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

static sem_t judged;

static void be_silent(struct server *s, gnutls_session_t session)
{
	(void)s;
	(void)session;
	sem_wait(&judged);
}

/* How many bytes are there to be read now; 0 at the end, too. */
static size_t drain(int fd)
{
	static char data[1 << 16];
	size_t all = 0;
	ssize_t got;

	while ((got = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		all += (size_t)got;
	return all;
}

/* What could not be written was not sent: it does not leave later either,
 * with the goodbye, when the server takes bytes again. */
static void test_tls_given_up(void **state)
{
	struct server s = { .talk = be_silent };
	struct outcome why = { 0 };
	char *body = big_body();
	struct conn *c;

	(void)state;
	sem_init(&judged, 0, 0);
	c = tls_conn(&s);
	assert_false(conn_write(c, body, BIG, 50, clock_in(20000), &why));
	assert_non_null(strstr(why.text, "took no more bytes in time"));
	assert_true(drain(s.fd) > 0);
	conn_close(c);
	assert_int_equal(drain(s.fd), 0);
	sem_post(&judged);
	server_wait(&s);
	sem_destroy(&judged);
	free(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_tls),
		cmocka_unit_test(test_tls_lines),
		cmocka_unit_test(test_tls_truncated),
		cmocka_unit_test(test_tls_alert),
		cmocka_unit_test(test_tls_pending),
		cmocka_unit_test(test_tls_behind_update),
		cmocka_unit_test(test_tls_behind_warnings),
		cmocka_unit_test(test_warnings_in_time),
		cmocka_unit_test(test_binding),
		cmocka_unit_test(test_tls_body),
		cmocka_unit_test(test_tls_last_words),
		cmocka_unit_test(test_tls_given_up),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
