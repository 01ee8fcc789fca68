/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * distance RTT PORT
 *
 * A relay to PORT on this host that is RTT milliseconds away: prints its own
 * port; every byte arrives half a round trip after it was sent, and none
 * before TCP's own handshake would have let it. Bandwidth is not limited;
 * Nagle's algorithm and delayed acknowledgements act between client and relay
 * as on loopback. Ends with its standard input.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 65536, PIECES = 64 };

struct piece {
	double due;
	ssize_t n;               /* 0: the end */
	char data[PIECE];
};

struct way {
	int from, to;
	struct piece piece[PIECES];
	unsigned long in, out;   /* pieces that came, that left */
	bool ended, done;
};

struct pair {
	struct way way[2];
};

static double half;              /* milliseconds */
static int target;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void take(struct way *w)
{
	struct piece *p = &w->piece[w->in % PIECES];

	p->n = recv(w->from, p->data, PIECE, 0);
	if (p->n < 0)
		p->n = 0;
	p->due = now() + half;
	w->ended = !p->n;
	w->in++;
}

static void give(struct way *w)
{
	const struct piece *p = &w->piece[w->out % PIECES];
	ssize_t done = 0, n;

	while (done < p->n) {
		n = send(w->to, p->data + done, (size_t)(p->n - done),
			 MSG_NOSIGNAL);
		if (n <= 0)
			break;
		done += n;
	}
	if (!p->n || done < p->n) {
		shutdown(w->to, SHUT_WR);
		w->done = true;
	}
	w->out++;
}

static int until_due(const struct pair *p)
{
	double first = 60000, left;
	int i;

	for (i = 0; i < 2; i++) {
		const struct way *w = &p->way[i];

		if (w->done || w->out == w->in)
			continue;
		left = w->piece[w->out % PIECES].due - now();
		if (left < first)
			first = left;
	}
	return first <= 0 ? 0 : (int)first + 1;
}

static void step(struct pair *p)
{
	struct pollfd fds[2];
	int i;

	for (i = 0; i < 2; i++) {
		struct way *w = &p->way[i];
		bool room = !w->ended && w->in - w->out < PIECES;

		fds[i] = (struct pollfd){ room ? w->from : -1, POLLIN, 0 };
	}
	poll(fds, 2, until_due(p));
	for (i = 0; i < 2; i++) {
		struct way *w = &p->way[i];

		if (fds[i].revents)
			take(w);
		while (!w->done && w->out < w->in &&
		       w->piece[w->out % PIECES].due <= now())
			give(w);
	}
}

static void *carry(void *accepted)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)target),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct pair *p = calloc(1, sizeof(*p));
	struct pollfd first = { .events = POLLIN };
	int near = (int)(long)accepted, one = 1;
	int far = socket(AF_INET, SOCK_STREAM, 0);

	/* a client may write when the server's half of the handshake has
	 * come, a server when the client's last has */
	usleep((useconds_t)(half * 3000));
	if (!p || connect(far, (void *)&address, sizeof(address)))
		exit(1);
	setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	p->way[0].from = p->way[1].to = near;
	p->way[0].to = p->way[1].from = far;
	first.fd = near;
	if (poll(&first, 1, 0) > 0) {
		take(&p->way[0]);
		p->way[0].piece[0].due = now();
	}
	while (!p->way[0].done || !p->way[1].done)
		step(p);
	close(near);
	close(far);
	free(p);
	return NULL;
}

static void *listen_on(void *listener)
{
	pthread_t thread;
	int fd;

	while ((fd = accept((int)(long)listener, NULL, NULL)) >= 0)
		if (pthread_create(&thread, NULL, carry, (void *)(long)fd) ||
		    pthread_detach(thread))
			exit(1);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t n = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t thread;

	if (argc != 3)
		return 2;
	half = atof(argv[1]) / 2;
	target = atoi(argv[2]);
	signal(SIGPIPE, SIG_IGN);
	if (bind(fd, (void *)&address, n) || listen(fd, 64) ||
	    getsockname(fd, (void *)&address, &n) ||
	    pthread_create(&thread, NULL, listen_on, (void *)(long)fd))
		return 1;
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	while (getchar() != EOF)
		continue;
	return 0;
}
