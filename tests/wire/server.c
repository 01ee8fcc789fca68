/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * server SCRIPT RECORD MESSAGES CERTIFICATES [SECONDS]
 * server --make-certs DIRECTORY
 *
 * Prints "port N" (or "path P") once it listens; a process per connection;
 * ends when standard input ends, or after SECONDS.
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHILDREN = 256 };

struct place {
	const char *messages;
	const char *certificates;
	struct script *script;
	int seconds;
	pid_t child[CHILDREN];
	size_t children;
};

/* where: "inet", "inet6" (loopback, any port), or an address and a port. */
static int listen_inet(const char *where)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6 };
	char address[64] = "";
	int port = 0, on = 1;
	bool six = strchr(where, ':') || strcmp(where, "inet6") == 0;
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC,
			0);
	struct sockaddr *sa = six ? (struct sockaddr *)&a6 :
		(struct sockaddr *)&a;
	socklen_t n = six ? sizeof(a6) : sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a6.sin6_addr = in6addr_loopback;
	if (sscanf(where, "%63s %d", address, &port) == 2 &&
	    inet_pton(six ? AF_INET6 : AF_INET, address, six ?
		      (void *)&a6.sin6_addr : (void *)&a.sin_addr) != 1)
		return -1;
	a.sin_port = a6.sin6_port = htons((uint16_t)port);
	if (fd < 0 || (port && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
					  sizeof(on)) < 0) ||
	    bind(fd, sa, n) < 0 || listen(fd, 64) < 0 ||
	    getsockname(fd, sa, &n) < 0)
		return -1;
	printf("port %d\n", ntohs(six ? a6.sin6_port : a.sin_port));
	return fd;
}

static int listen_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(a.sun_path))
		return -1;
	memcpy(a.sun_path, path, strlen(path) + 1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(fd, 64) < 0)
		return -1;
	printf("path %s\n", path);
	return fd;
}

static int start_listening(const struct script *s)
{
	int fd = *s->listen == '/' ? listen_unix(s->listen) :
		listen_inet(s->listen);

	fflush(stdout);
	return fd;
}

static _Noreturn void serve(struct place *place, int fd, int number)
{
	struct peer p = {
		.fd = fd, .connection = number, .script = place->script,
		.directory = place->certificates, .answered = true,
	};
	int on = 1;

	alarm((unsigned int)place->seconds);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	record(number, "connect", NULL);
	session_run(&p, place->messages);
	_exit(0);
}

static void take(struct place *place, int listener, int number)
{
	int fd = accept(listener, NULL, NULL);
	pid_t pid;

	if (fd < 0)
		return;
	pid = place->children < CHILDREN ? fork() : -1;
	if (pid == 0) {
		close(listener);
		serve(place, fd, number);
	}
	if (pid > 0)
		place->child[place->children++] = pid;
	close(fd);
}

/* Children that still talk get a moment to see their client's end. */
static void end_children(struct place *place)
{
	for (int round = 0; round < 60; round++) {
		size_t left = 0;

		for (size_t i = 0; i < place->children; i++)
			if (waitpid(place->child[i], NULL, WNOHANG) == 0)
				place->child[left++] = place->child[i];
		place->children = left;
		if (!left)
			return;
		usleep(10000);
	}
	for (size_t i = 0; i < place->children; i++) {
		kill(place->child[i], SIGKILL);
		waitpid(place->child[i], NULL, 0);
	}
}

static void accept_all(struct place *place, int listener)
{
	time_t end = time(NULL) + place->seconds;
	struct pollfd f[2] = {
		{ .fd = listener, .events = POLLIN },
		{ .fd = 0, .events = POLLIN },
	};
	int number = 0;
	char byte;

	while (time(NULL) < end) {
		if (poll(f, 2, 1000) <= 0)
			continue;
		if (f[0].revents)
			take(place, listener, ++number);
		else if (f[1].revents && read(0, &byte, 1) <= 0)
			break;
	}
	end_children(place);
}

int main(int argc, char **argv)
{
	static struct script script;
	struct place place = { .script = &script, .seconds = 60 };
	int listener;

	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "--make-certs") == 0)
		return certs_make(argv[2]) ? 0 : 1;
	if (argc < 5) {
		fprintf(stderr, "usage: server SCRIPT RECORD MESSAGES "
			"CERTIFICATES [SECONDS]\n");
		return 64;
	}
	if (!script_read(argv[1], &script) || !record_open(argv[2]))
		return 1;
	place.messages = argv[3];
	place.certificates = argv[4];
	if (argc > 5)
		place.seconds = atoi(argv[5]);
	listener = start_listening(&script);
	if (listener < 0) {
		perror("listen");
		return 1;
	}
	accept_all(&place, listener);
	return 0;
}
