/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "wire/lookup.h"
#include "wire/net.h"
#include "took.h"

static void add(struct net_addresses *list, const char *text, unsigned port)
{
	struct net_address a;

	assert_true(net_address_parse(text, port, &a));
	net_addresses_add(list, &a);
}

/* --- look-up --- */

static size_t threads(void)
{
	DIR *d = opendir("/proc/self/task");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void test_hosts_name(void **state)
{
	static const char hosts[] = "# 127.0.0.9 no.example web\n"
		"127.0.0.1 localhost\n\n127.0.0.2\n"
		"127.0.1.1\tweb.example.org  WEB # x other\r\n"
		"::1 later.example web alone";
	static const struct {
		const char *nsswitch, *name, *want;
	} row[] = {
		{ "", "web", "web.example.org" },
		{ "", "web.example.org", "web.example.org" },
		{ "", "we", NULL }, { "", "other", NULL },
		{ "", "127.0.0.1", NULL }, { "", "127.0.0.2", NULL },
		{ "", "alone", "later.example" },
		{ "passwd: files\n hosts:\tfiles dns\n", "web",
		  "web.example.org" },
		{ "hosts: files # x\n", "web", "web.example.org" },
		{ "# hosts: dns\n", "web", "web.example.org" },
		{ "hosts: myhostname files\n", "web", NULL },
		{ "hosts: [x] files\n", "web", NULL },
		{ "hosts:\n", "web", NULL },
	};
	char *got;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		got = net_hosts_name(row[i].nsswitch, hosts, row[i].name);
		if (!got != !row[i].want ||
		    (got && strcmp(got, row[i].want) != 0))
			fail_msg("row %zu: %s", i, got ? got : "none");
		free(got);
	}
	assert_null(net_hosts_name("", "", "web"));
}

static void test_lookup(void **state)
{
	struct net_addresses list;
	struct outcome why = { 0 };
	int64_t start = clock_now();
	char text[64];

	(void)state;
	assert_true(net_lookup("[::1]", 25, FAMILY_ANY, clock_in(0), &list,
			       &why));
	assert_int_equal(list.n, 1);
	assert_int_equal(threads(), 1);
	net_addresses_release(&list);
	assert_false(net_lookup("::1", 25, FAMILY_V4, clock_in(0), &list,
				&why));
	assert_non_null(strstr(why.text, "address family allows"));
	assert_int_equal(list.n, 0);

	assert_true(net_lookup("localhost", 25, FAMILY_V4, clock_in(5000),
			       &list, &why));
	net_address_text(&list.item[0], text);
	assert_string_equal(text, "127.0.0.1");
	assert_int_equal(((struct sockaddr_in *)&list.item[0].sa)->sin_port,
			 htons(25));
	net_addresses_release(&list);

	/* whatever the resolver here does, the deadline holds */
	assert_false(net_lookup("name.invalid", 25, FAMILY_ANY, clock_in(1000),
				&list, &why));
	assert_non_null(strstr(why.text, "name.invalid"));
	assert_int_equal(why.stage, STAGE_DNS);
	assert_true(why.exit == EX_NOHOST || why.exit == EX_TEMPFAIL);
	assert_false(net_lookup("name.invalid", 25, FAMILY_ANY, clock_in(0),
				&list, &why));
	assert_true(clock_now() - start < 3000);
}

/* A child must be able to ask even if its parent just did. */
static void test_lookup_forked(void **state)
{
	struct net_addresses list;
	struct outcome why = { 0 };
	int status;
	pid_t pid;

	(void)state;
	assert_true(net_lookup("localhost", 25, FAMILY_V4, clock_in(5000),
			       &list, &why));
	net_addresses_release(&list);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(!net_lookup("localhost", 25, FAMILY_V4, clock_in(3000),
				  &list, &why));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* --- dialling --- */

/* On 127.0.0.last; port 0: any, which is returned. */
static int listen_on(unsigned last, unsigned *port, int backlog)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)*port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + last),
	};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (void *)&sin, len), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (void *)&sin, &len), 0);
	*port = ntohs(sin.sin_port);
	return fd;
}

/* The same, where nobody has that port of 127.0.0.1, nor gets it as long as
 * *nobody is open: who connects to it is refused. */
static int listen_alone(unsigned last, unsigned *port, int *nobody)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd;

	*nobody = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (;;) {
		*port = 0;
		fd = listen_on(last, port, 5);
		sin.sin_port = htons((uint16_t)*port);
		if (!bind(*nobody, (void *)&sin, sizeof(sin)))
			return fd;
		close(fd);
	}
}

static void check_socket(int fd)
{
	socklen_t len = sizeof(int);
	int value = 0;

	assert_true(fd > 2);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value,
				    &len), 0);
	assert_true(value);
}

static void test_dial(void **state)
{
	struct net_dial d = { .host = "127.0.0.1", .connect_timeout = 3000 };
	struct net_peer peer;
	struct outcome why = { 0 };
	int fd, listener;

	(void)state;
	listener = listen_on(1, &d.port, 5);
	assert_true(net_dial(&d, &fd, &peer, &why));
	check_socket(fd);
	assert_string_equal(peer.address, "127.0.0.1");
	assert_false(peer.ipv6);
	assert_false(peer.dual_stack);
	close(fd);
	d.host = "localhost";
	assert_true(net_dial(&d, &fd, &peer, &why));
	assert_string_equal(peer.address, "127.0.0.1");
	close(fd);
	close(listener);
	d.host = "127.0.0.1";
	assert_false(net_dial(&d, &fd, &peer, &why));
	assert_int_equal(fd, -1);
	assert_int_equal(why.exit, EX_TEMPFAIL);
	assert_int_equal(why.stage, STAGE_CONNECT);
	assert_false(why.no_network);
	assert_non_null(strstr(why.text, "127.0.0.1: Connection refused"));
}

static void test_source(void **state)
{
	struct net_dial d = { .host = "127.0.0.1", .connect_timeout = 3000,
			      .source_address = "127.0.0.77" };
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	struct net_peer peer;
	struct outcome why = { 0 };
	int fd, got, listener;

	(void)state;
	listener = listen_on(1, &d.port, 5);
	assert_true(net_dial(&d, &fd, &peer, &why));
	got = accept(listener, (void *)&sin, &len);
	assert_int_equal(ntohl(sin.sin_addr.s_addr), 0x7f00004d);
	close(got);
	close(fd);
	d.source_address = "192.0.2.200";
	assert_false(net_dial(&d, &fd, &peer, &why));
	assert_non_null(strstr(why.text, "source address is not here"));
	d.source_address = "::1";
	assert_false(net_dial(&d, &fd, &peer, &why));
	assert_non_null(strstr(why.text, "source address allow"));
	d.source_address = "here";
	assert_false(net_dial(&d, &fd, &peer, &why));
	assert_int_equal(why.exit, EX_CONFIG);
	close(listener);
}

static void test_given_addresses(void **state)
{
	struct net_addresses list = { 0 };
	struct net_dial d = { .host = "mx.example.org", .addresses = &list,
			      .connect_timeout = 3000 };
	struct net_peer peer;
	struct outcome why = { 0 };
	int64_t start = clock_now();
	int fd, listener, nobody;

	(void)state;
	listener = listen_alone(3, &d.port, &nobody);
	add(&list, "127.0.0.1", d.port);
	add(&list, "::1", d.port);
	add(&list, "127.0.0.3", d.port);
	assert_true(net_dial(&d, &fd, &peer, &why));
	assert_string_equal(peer.address, "127.0.0.3");
	assert_true(peer.dual_stack);
	/* what is refused costs no time */
	assert_true(clock_now() - start < 200);
	close(fd);
	d.family = FAMILY_V6;
	assert_false(net_dial(&d, &fd, &peer, &why));
	assert_non_null(strstr(why.text, "mx.example.org"));
	d.family = FAMILY_V4;
	assert_true(net_dial(&d, &fd, &peer, &why));
	close(fd);
	close(listener);
	close(nobody);
	net_addresses_release(&list);
}

/* A listener that accepts no more connections lets us wait. */
static void fill_backlog(unsigned last, unsigned port, int fds[8])
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + last),
	};
	size_t i;

	for (i = 0; i < 8; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK |
				SOCK_CLOEXEC, 0);
		if (connect(fds[i], (void *)&sin, sizeof(sin)) < 0)
			assert_int_equal(errno, EINPROGRESS);
	}
}

static void test_stagger(void **state)
{
	struct net_addresses list = { 0 };
	struct net_dial d = { .host = "mx.example.org", .addresses = &list,
			      .connect_timeout = 5000 };
	struct net_peer peer;
	struct outcome why = { 0 };
	int64_t start;
	int fd, dead, live, fds[8], i;

	(void)state;
	dead = listen_on(4, &d.port, 0);
	live = listen_on(5, &d.port, 5);
	fill_backlog(4, d.port, fds);
	add(&list, "127.0.0.4", d.port);
	add(&list, "127.0.0.5", d.port);
	start = clock_now();
	assert_true(net_dial(&d, &fd, &peer, &why));
	assert_true(took(start, 245, 2000));
	assert_string_equal(peer.address, "127.0.0.5");
	close(fd);
	list.n = 1;
	d.connect_timeout = 300;
	start = clock_now();
	assert_false(net_dial(&d, &fd, &peer, &why));
	assert_true(took(start, 295, 2000));
	assert_non_null(strstr(why.text, "no answer within 1 s"));
	for (i = 0; i < 8; i++)
		close(fds[i]);
	close(dead);
	close(live);
	net_addresses_release(&list);
}

static void test_unix(void **state)
{
	char dir[] = "/tmp/net-test-XXXXXX", path[64], longest[200];
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct net_dial d = { .connect_timeout = 1000 };
	struct net_peer peer;
	struct outcome why = { 0 };
	int listener, fd, more[3];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	strcpy(sun.sun_path, path);
	d.host = path;
	assert_false(net_dial(&d, &fd, &peer, &why));
	assert_non_null(strstr(why.text, path));
	assert_int_equal(why.exit, EX_TEMPFAIL);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (void *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_true(net_dial(&d, &fd, &peer, &why));
	assert_string_equal(peer.address, path);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	/* a full backlog is waited for, but not for ever */
	d.connect_timeout = 60;
	assert_false(net_dial(&d, &more[0], &peer, &why));
	assert_non_null(strstr(why.text, "timed out"));
	close(fd);
	close(listener);
	unlink(path);
	rmdir(dir);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	d.host = longest;
	assert_false(net_dial(&d, &fd, &peer, &why));
	assert_int_equal(why.exit, EX_CONFIG);
}

/* --- through a proxy --- */

struct proxy {
	int listener;
	const char *answers[2];  /* one a connection: code and what follows */
	char heard[2][300];
	size_t heard_len[2];
	pthread_t thread;
};

static void *proxy_run(void *context)
{
	struct proxy *p = context;
	size_t i;
	char hello[3];
	ssize_t n;
	int fd;

	for (i = 0; i < 2 && p->answers[i]; i++) {
		fd = accept(p->listener, NULL, NULL);
		n = recv(fd, hello, 3, MSG_WAITALL);
		send(fd, "\5\0", 2, MSG_NOSIGNAL);
		n = recv(fd, p->heard[i], sizeof(p->heard[i]), 0);
		p->heard_len[i] = n > 0 ? (size_t)n : 0;
		if (p->answers[i][0]) {
			send(fd, p->answers[i], 10, MSG_NOSIGNAL);
			send(fd, "220 hi\r\n", 8, MSG_NOSIGNAL);
		} else {
			while (recv(fd, hello, 1, 0) > 0)
				;
		}
		close(fd);
	}
	return NULL;
}

static bool dial_by(struct proxy *p, struct net_dial *d, unsigned port,
		    struct net_peer *peer, struct outcome *why)
{
	struct net_proxy via = { .host = "127.0.0.1", .port = port,
				 .names = true };
	char got[16];
	bool done;
	int fd;

	d->proxy = &via;
	d->port = 25;
	d->connect_timeout = 3000;
	pthread_create(&p->thread, NULL, proxy_run, p);
	done = net_dial(d, &fd, peer, why);
	pthread_join(p->thread, NULL);
	if (done) {
		check_socket(fd);
		assert_int_equal(recv(fd, got, sizeof(got), 0), 8);
		close(fd);
	}
	return done;
}

#define OK "\5\0\0\1\0\0\0\0\0\0"
#define REFUSED "\5\5\0\1\0\0\0\0\0\0"
#define SILENCE ""

static void test_proxy(void **state)
{
	struct net_addresses list = { 0 };
	struct net_dial d = { .host = "mx.example.org" };
	struct net_peer peer;
	struct outcome why = { 0 };
	struct proxy p = { .answers = { OK } };
	unsigned port = 0;

	(void)state;
	p.listener = listen_on(1, &port, 5);
	assert_true(dial_by(&p, &d, port, &peer, &why));
	assert_string_equal(peer.address, "");
	assert_int_equal(p.heard_len[0], 21);
	assert_memory_equal(p.heard[0] + 5, "mx.example.org", 14);

	p.answers[0] = REFUSED;
	assert_false(dial_by(&p, &d, port, &peer, &why));
	assert_int_equal(why.exit, EX_TEMPFAIL);
	assert_non_null(strstr(why.text, "refused"));

	/* addresses that are known go as such, one after the other */
	add(&list, "192.0.2.1", 25);
	add(&list, "192.0.2.2", 25);
	d.addresses = &list;
	p.answers[1] = OK;
	assert_true(dial_by(&p, &d, port, &peer, &why));
	assert_string_equal(peer.address, "192.0.2.2");
	assert_int_equal(p.heard[0][3], 1);
	assert_int_equal(p.heard[1][7], 2);

	/* one that the proxy never answers for leaves time for the next */
	p.answers[0] = SILENCE;
	assert_true(dial_by(&p, &d, port, &peer, &why));
	assert_string_equal(peer.address, "192.0.2.2");
	net_addresses_release(&list);
	close(p.listener);
}

static void test_no_proxy(void **state)
{
	struct net_proxy via = { .host = "127.0.0.1", .names = true };
	struct net_dial d = { .host = "mx.example.org", .port = 25,
			      .proxy = &via, .connect_timeout = 2000 };
	struct net_peer peer;
	struct outcome why = { 0 };
	int fd;

	(void)state;
	close(listen_on(1, &via.port, 1));
	assert_false(net_dial(&d, &fd, &peer, &why));
	assert_int_equal(why.exit, EX_TEMPFAIL);
	assert_non_null(strstr(why.text, "proxy"));
	via.host = "name.invalid";
	assert_false(net_dial(&d, &fd, &peer, &why));
	assert_int_equal(why.exit, EX_TEMPFAIL);
}

/* With 0 to 2 closed nothing of ours may land there. */
static void test_standard_descriptors(void **state)
{
	struct net_dial d = { .host = "127.0.0.1", .connect_timeout = 3000 };
	struct net_peer peer;
	struct outcome why = { 0 };
	int listener, fd, status, i;
	char c = 0;
	pid_t pid;

	(void)state;
	listener = listen_on(1, &d.port, 5);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		for (i = 0; i <= 2; i++)
			close(i);
		if (!net_dial(&d, &fd, &peer, &why) || fd <= 2)
			_exit(1);
		for (i = 0; i <= 2; i++)
			if (fcntl(i, F_GETFD) >= 0)
				_exit(2);
		file_reserve_standard();
		for (i = 0; i <= 2; i++)
			if (fcntl(i, F_GETFD) < 0)
				_exit(3);
		/* they still fail as closed ones do */
		if (read(0, &c, 1) >= 0 || write(1, &c, 1) >= 0 ||
		    write(2, &c, 1) >= 0)
			_exit(4);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts_name),
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_lookup_forked),
		cmocka_unit_test(test_dial),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_given_addresses),
		cmocka_unit_test(test_stagger),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_no_proxy),
		cmocka_unit_test(test_standard_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
