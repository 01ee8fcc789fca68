/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "wire/socks.h"
#include "took.h"

#define BYTES(s) s, sizeof(s) - 1

struct talk {
	const char *label;
	const char *user, *password;
	const char *host;          /* a name, or an address with is_address */
	bool is_address;
	/* all that the proxy says, in advance */
	const char *says;
	size_t says_len;
	/* all that it must hear */
	const char *hears;
	size_t hears_len;
	const char *words;         /* NULL: connected */
};

#define V4_OK "\5\0\0\1\0\0\0\0\0\0"
#define ASK_NAME "\5\1\0\3\x0emx.example.org\0\x19"
#define REPLY(code) "\5\0\5" code "\0\1\0\0\0\0\0\0"
#define FAILS(code, text) \
	{ .label = text, .host = "mx.example.org", .says = REPLY(code), \
	  .says_len = 12, .hears = "\5\1\0" ASK_NAME, .hears_len = 24, \
	  .words = text }

static const struct talk talks[] = {
	{ "name", NULL, NULL, "mx.example.org", false, BYTES("\5\0" V4_OK),
	  BYTES("\5\1\0" ASK_NAME), NULL },
	{ "IPv4", NULL, NULL, "192.0.2.7", true, BYTES("\5\0" V4_OK),
	  BYTES("\5\1\0\5\1\0\1\xc0\0\2\7\0\x19"), NULL },
	{ "IPv6", NULL, NULL, "2001:db8::7", true, BYTES("\5\0" V4_OK),
	  BYTES("\5\1\0\5\1\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7\0\x19"),
	  NULL },
	{ "answer with IPv6", NULL, NULL, "mx.example.org", false,
	  BYTES("\5\0\5\0\0\4" "0123456789abcdef" "\0\0"),
	  BYTES("\5\1\0" ASK_NAME), NULL },
	{ "answer with a name", NULL, NULL, "mx.example.org", false,
	  BYTES("\5\0\5\0\0\3\7example\0\0"), BYTES("\5\1\0" ASK_NAME),
	  NULL },
	{ "answer with an empty name", NULL, NULL, "mx.example.org", false,
	  BYTES("\5\0\5\0\0\3\0\0\0"), BYTES("\5\1\0" ASK_NAME), NULL },
	{ "password", "joe", "secret", "mx.example.org", false,
	  BYTES("\5\2\1\0" V4_OK),
	  BYTES("\5\2\0\2\1\3joe\6secret" ASK_NAME), NULL },
	{ "no password", "joe", NULL, "mx.example.org", false,
	  BYTES("\5\2\1\0" V4_OK), BYTES("\5\2\0\2\1\3joe\0" ASK_NAME),
	  NULL },
	{ "password not asked for", "joe", "secret", "mx.example.org", false,
	  BYTES("\5\0" V4_OK), BYTES("\5\2\0\2" ASK_NAME), NULL },
	{ "password refused", "joe", "secret", "mx.example.org", false,
	  BYTES("\5\2\1\1"), BYTES("\5\2\0\2\1\3joe\6secret"),
	  "refused user name" },
	{ "password, wrong version", "joe", "secret", "mx.example.org", false,
	  BYTES("\5\2\5\0"), BYTES("\5\2\0\2\1\3joe\6secret"),
	  "not SOCKS5" },
	{ "empty user", "", "secret", "mx.example.org", false,
	  BYTES("\5\2"), BYTES("\5\2\0\2"), "a name is needed" },
	{ "wants a password", NULL, NULL, "mx.example.org", false,
	  BYTES("\5\xff"), BYTES("\5\1\0"), "wants a user name" },
	{ "wants a ticket", "joe", "secret", "mx.example.org", false,
	  BYTES("\5\xff"), BYTES("\5\2\0\2"), "neither" },
	{ "password not offered", NULL, NULL, "mx.example.org", false,
	  BYTES("\5\2"), BYTES("\5\1\0"), "not offered" },
	{ "GSSAPI not offered", "joe", "x", "mx.example.org", false,
	  BYTES("\5\1"), BYTES("\5\2\0\2"), "not offered" },
	{ "version 4", NULL, NULL, "mx.example.org", false,
	  BYTES("\4\0"), BYTES("\5\1\0"), "does not speak SOCKS5" },
	{ "HTTP", NULL, NULL, "mx.example.org", false,
	  BYTES("HTTP/1.0 400 Bad\r\n"), BYTES("\5\1\0"),
	  "does not speak SOCKS5" },
	{ "version 4 later", NULL, NULL, "mx.example.org", false,
	  BYTES("\5\0\4\0\0\1\0\0\0\0\0\0"), BYTES("\5\1\0" ASK_NAME),
	  "not SOCKS5" },
	{ "unknown type", NULL, NULL, "mx.example.org", false,
	  BYTES("\5\0\5\0\0\2\0\0\0\0\0\0"), BYTES("\5\1\0" ASK_NAME),
	  "not SOCKS5" },
	FAILS("\1", "general failure"),
	FAILS("\2", "not allowed"),
	FAILS("\3", "network unreachable"),
	FAILS("\4", "host unreachable"),
	FAILS("\5", "connection refused"),
	FAILS("\6", "time to live"),
	FAILS("\7", "command CONNECT"),
	FAILS("\x8", "type of address"),
	FAILS("\x9", "unknown error code (9)"),
	{ "code 255", NULL, NULL, "mx.example.org", false,
	  BYTES("\5\0\5\xff\0\1"), BYTES("\5\1\0" ASK_NAME),
	  "unknown error code (255)" },
	{ "closes at once", NULL, NULL, "mx.example.org", false,
	  BYTES(""), BYTES("\5\1\0"), "closed the connection" },
	{ "closes in the method", NULL, NULL, "mx.example.org", false,
	  BYTES("\5"), BYTES("\5\1\0"), "closed the connection" },
	{ "closes in the answer", NULL, NULL, "mx.example.org", false,
	  BYTES("\5\0\5\0\0\1\0\0\0\0\0"), BYTES("\5\1\0" ASK_NAME),
	  "closed the connection" },
	{ "closes in a name", NULL, NULL, "mx.example.org", false,
	  BYTES("\5\0\5\0\0\3\xff" "abc"), BYTES("\5\1\0" ASK_NAME),
	  "closed the connection" },
	{ "empty host", NULL, NULL, "", false,
	  BYTES("\5\0"), BYTES("\5\1\0"), "at most 255" },
};

static const char after[] = "220 mx ESMTP\r\n";

static bool connect_by(int fd, const struct talk *t, int64_t ms,
		       struct outcome *why)
{
	struct net_proxy proxy = {
		.host = "proxy.test", .port = 1080, .username = t->user,
		.password = t->password,
	};
	struct net_address address;

	if (t->is_address)
		assert_true(net_address_parse(t->host, 25, &address));
	return socks_connect(fd, &proxy, t->host,
			     t->is_address ? &address : NULL, 25,
			     clock_in(ms), why);
}

static void pair(int fd[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
				    SOCK_NONBLOCK, 0, fd), 0);
}

static void expect(const struct talk *t, bool done, const struct outcome *why)
{
	if (done != !t->words || (!done && !strstr(why->text, t->words)))
		print_error("%s: %s\n", t->label, done ? "connected" :
			    why->text);
	assert_int_equal(done, !t->words);
	if (done)
		return;
	assert_non_null(strstr(why->text, t->words));
	assert_non_null(strstr(why->text, "proxy.test port 1080"));
	assert_null(strstr(why->text, "secret"));
	assert_int_equal(why->exit, EX_TEMPFAIL);
	assert_int_equal(why->stage, STAGE_CONNECT);
}

/* The proxy has said everything beforehand, and the server's greeting with
 * it, which must still be there afterwards. */
static void test_talks(void **state)
{
	char got[600];
	size_t i;
	int fd[2];

	(void)state;
	for (i = 0; i < sizeof(talks) / sizeof(*talks); i++) {
		const struct talk *t = &talks[i];
		struct outcome why = { 0 };

		pair(fd);
		assert_int_equal(send(fd[1], t->says, t->says_len, 0),
				 t->says_len);
		if (!t->words)
			send(fd[1], after, sizeof(after) - 1, 0);
		else
			shutdown(fd[1], SHUT_WR);
		expect(t, connect_by(fd[0], t, 2000, &why), &why);
		assert_int_equal(recv(fd[1], got, sizeof(got), 0),
				 t->hears_len);
		assert_memory_equal(got, t->hears, t->hears_len);
		if (!t->words) {
			assert_int_equal(recv(fd[0], got, sizeof(got), 0),
					 sizeof(after) - 1);
			assert_memory_equal(got, after, sizeof(after) - 1);
		}
		close(fd[0]);
		close(fd[1]);
	}
}

struct dripper {
	int fd;
	const struct talk *talk;
	int ms;
};

static void *drip(void *context)
{
	struct dripper *d = context;
	size_t i;

	for (i = 0; i < d->talk->says_len; i++) {
		if (send(d->fd, d->talk->says + i, 1, MSG_NOSIGNAL) < 0)
			break;
		poll(NULL, 0, d->ms);
	}
	return NULL;
}

/* Byte by byte, in time and not. */
static void test_drip(void **state)
{
	struct dripper d = { .talk = &talks[3], .ms = 1 };
	struct talk late = talks[3];
	struct outcome why = { 0 };
	int64_t start;
	pthread_t thread;
	int fd[2];

	(void)state;
	pair(fd);
	d.fd = fd[1];
	pthread_create(&thread, NULL, drip, &d);
	expect(d.talk, connect_by(fd[0], d.talk, 5000, &why), &why);
	pthread_join(thread, NULL);
	close(fd[0]);
	close(fd[1]);

	late.words = "did not answer in time";
	d.ms = 30;
	pair(fd);
	d.fd = fd[1];
	pthread_create(&thread, NULL, drip, &d);
	start = clock_now();
	expect(&late, connect_by(fd[0], &late, 100, &why), &why);
	assert_true(took(start, 95, 2000));
	close(fd[0]);
	pthread_join(thread, NULL);
	close(fd[1]);
}

static void test_silent(void **state)
{
	struct talk t = talks[0];
	struct outcome why = { 0 };
	int64_t start = clock_now();
	int fd[2];

	(void)state;
	t.words = "did not answer in time";
	pair(fd);
	expect(&t, connect_by(fd[0], &t, 60, &why), &why);
	assert_true(took(start, 55, 2000));
	close(fd[1]);
	t.words = "closed the connection";
	expect(&t, connect_by(fd[0], &t, 60, &why), &why);
	close(fd[0]);
}

static void test_lengths(void **state)
{
	char most[257];
	struct talk t = { .label = "long", .says = "\5\2\1\0" V4_OK,
			  .says_len = 14 };
	struct outcome why = { 0 };
	size_t n;
	int fd[2];

	(void)state;
	for (n = 255; n <= 256; n++) {
		memset(most, 'a', n);
		most[n] = '\0';
		t.host = t.user = t.password = most;
		t.words = n == 255 ? NULL : "255";
		pair(fd);
		send(fd[1], t.says, t.says_len, 0);
		expect(&t, connect_by(fd[0], &t, 1000, &why), &why);
		close(fd[0]);
		close(fd[1]);
		t.user = NULL;
		t.says = "\5\0" V4_OK;
		t.says_len = 12;
		pair(fd);
		send(fd[1], t.says, t.says_len, 0);
		expect(&t, connect_by(fd[0], &t, 1000, &why), &why);
		close(fd[0]);
		close(fd[1]);
		t.says = "\5\2\1\0" V4_OK;
		t.says_len = 14;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_talks),
		cmocka_unit_test(test_drip),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
