/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sink CERTIFICATE KEY [HOLD]
 *
 * An SMTP server that takes everything and keeps nothing, fast enough to
 * measure clients by. Prints "PLAIN-PORT TLS-PORT" on 127.0.0.1 (the first
 * offers STARTTLS), then, for each line of its standard input, what it has
 * counted since the last, as a line of JSON; ends with its input. HOLD: wait
 * so many milliseconds before each flight of a client is read, so that all
 * that was sent without waiting for an answer counts as one flight.
 */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_SIZE = 256 * 1024, OUT_SIZE = 128 * 1024, STORY_SIZE = 2000 };

static gnutls_certificate_credentials_t credentials;
static int hold;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	unsigned long connections, messages, recipients, octets;
	char story[STORY_SIZE];      /* of the last connection */
} seen;

struct client {
	int fd;
	gnutls_session_t tls;
	char in[IN_SIZE];
	size_t start, end;
	char out[OUT_SIZE];
	size_t out_len;
	bool answered;               /* what comes now opens a flight */
	bool gone;
	char story[STORY_SIZE];
	unsigned long recipients;    /* of this transaction */
};

static void fail(const char *what)
{
	fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- bytes --- */

static void tell(struct client *c, const char *words)
{
	size_t n = strlen(c->story);
	bool apart = n && c->story[n - 1] != '/' && *words != '/';

	snprintf(c->story + n, STORY_SIZE - n, "%s%s", apart ? "+" : "",
		 words);
}

static void await(struct client *c, short events)
{
	struct pollfd p = { .fd = c->fd, .events = events };

	poll(&p, 1, 60000);
	if (!p.revents)
		c->gone = true;
}

static void flush(struct client *c)
{
	size_t done = 0;
	ssize_t n;

	while (done < c->out_len && !c->gone) {
		n = c->tls ? gnutls_record_send(c->tls, c->out + done,
						c->out_len - done) :
		    send(c->fd, c->out + done, c->out_len - done,
			 MSG_NOSIGNAL);
		if (n > 0)
			done += (size_t)n;
		else if (c->tls ? gnutls_error_is_fatal((int)n) :
			 errno != EAGAIN)
			c->gone = true;
		else
			await(c, POLLOUT);
	}
	c->answered = c->answered || c->out_len;
	c->out_len = 0;
}

static void say(struct client *c, const char *words)
{
	size_t n = strlen(words);

	if (c->out_len + n > OUT_SIZE)
		flush(c);
	memcpy(c->out + c->out_len, words, n);
	c->out_len += n;
}

static ssize_t read_now(struct client *c, char *to, size_t n)
{
	ssize_t got;

	if (!c->tls) {
		got = recv(c->fd, to, n, 0);
		return got < 0 && errno == EAGAIN ? -1 : got <= 0 ? 0 : got;
	}
	got = gnutls_record_recv(c->tls, to, n);
	return got >= 0 ? got : gnutls_error_is_fatal((int)got) ? 0 : -1;
}

/* More bytes; answers leave only when there is nothing to read. */
static bool more(struct client *c)
{
	ssize_t n;

	memmove(c->in, c->in + c->start, c->end - c->start);
	c->end -= c->start;
	c->start = 0;
	while (!c->gone) {
		if (!c->answered || !hold) {
			n = read_now(c, c->in + c->end, IN_SIZE - c->end);
			if (n > 0) {
				if (c->answered)
					tell(c, "/");
				c->answered = false;
				c->end += (size_t)n;
				return true;
			}
			if (!n)
				return false;
		}
		flush(c);
		await(c, POLLIN);
		if (c->answered && hold) {
			usleep((useconds_t)hold * 1000);
			c->answered = false;
			tell(c, "/");
		}
	}
	return false;
}

static char *line(struct client *c)
{
	char *lf, *at;

	while (!(lf = memchr(c->in + c->start, '\n', c->end - c->start)))
		if (c->end - c->start == IN_SIZE || !more(c))
			return NULL;
	at = c->in + c->start;
	c->start = (size_t)(lf - c->in) + 1;
	*lf = '\0';
	return at;
}

/* --- SMTP --- */

static bool handshake(struct client *c)
{
	int n;

	flush(c);
	c->start = c->end = 0;
	gnutls_init(&c->tls, GNUTLS_SERVER | GNUTLS_NONBLOCK |
		    GNUTLS_NO_SIGNAL);
	gnutls_set_default_priority(c->tls);
	gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_transport_set_int(c->tls, c->fd);
	tell(c, "tls");
	while ((n = gnutls_handshake(c->tls)) < 0 && !c->gone) {
		if (gnutls_error_is_fatal(n))
			return false;
		await(c, gnutls_record_get_direction(c->tls) ? POLLOUT :
		      POLLIN);
	}
	c->answered = true;
	return !c->gone;
}

static void accepted(struct client *c, unsigned long octets)
{
	say(c, "250 2.0.0 taken\r\n");
	pthread_mutex_lock(&lock);
	seen.messages++;
	seen.recipients += c->recipients;
	seen.octets += octets;
	pthread_mutex_unlock(&lock);
	c->recipients = 0;
}

static bool chunk(struct client *c, const char *argument)
{
	char *rest;
	unsigned long size = strtoul(argument, &rest, 10), left = size;
	size_t n;

	while (left) {
		if (c->start == c->end && !more(c))
			return false;
		n = c->end - c->start < left ? c->end - c->start : left;
		c->start += n;
		left -= n;
	}
	if (strcasestr(rest, "LAST"))
		accepted(c, size);
	else
		say(c, "250 2.0.0 go on\r\n");
	return true;
}

/* The end is found by its five octets: what they cross is kept. */
static bool text(struct client *c)
{
	unsigned long octets = 0;
	char *dot;

	say(c, "354 go on\r\n");
	if (c->start == c->end && !more(c))
		return false;
	tell(c, "text");
	while (!(dot = memmem(c->in + c->start, c->end - c->start,
			      "\r\n.\r\n", 5))) {
		if (c->end - c->start > 4) {
			octets += c->end - c->start - 4;
			c->start = c->end - 4;
		}
		if (!more(c))
			return false;
	}
	octets += (size_t)(dot - c->in) + 2 - c->start;
	c->start = (size_t)(dot - c->in) + 5;
	accepted(c, octets);
	return true;
}

static bool login(struct client *c, const char *rest)
{
	if (strncasecmp(rest, "LOGIN", 5) == 0) {
		say(c, "334 VXNlcm5hbWU6\r\n");
		if (!line(c))
			return false;
		say(c, "334 UGFzc3dvcmQ6\r\n");
		if (!line(c))
			return false;
	} else if (!strchr(rest, ' ')) {
		say(c, "334 \r\n");
		if (!line(c))
			return false;
	}
	say(c, "235 2.7.0 welcome\r\n");
	return true;
}

static void greet(struct client *c)
{
	say(c, "250-sink\r\n250-PIPELINING\r\n250-SIZE 1073741824\r\n"
	    "250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-DSN\r\n");
	say(c, c->tls ? "250-AUTH PLAIN LOGIN\r\n" : "250-STARTTLS\r\n");
	say(c, "250 ENHANCEDSTATUSCODES\r\n");
}

static bool verb(const char *words, const char *name)
{
	return strncasecmp(words, name, strlen(name)) == 0;
}

/* False: the session is over. */
static bool command(struct client *c, const char *words)
{
	char name[5] = "";

	snprintf(name, sizeof(name), "%s", words);
	tell(c, name);
	if (verb(words, "EHLO"))
		greet(c);
	else if (verb(words, "STARTTLS")) {
		say(c, "220 2.0.0 go ahead\r\n");
		return handshake(c);
	} else if (verb(words, "AUTH "))
		return login(c, words + 5);
	else if (verb(words, "BDAT "))
		return chunk(c, words + 5);
	else if (verb(words, "DATA"))
		return text(c);
	else if (verb(words, "QUIT"))
		say(c, "221 2.0.0 bye\r\n");
	else
		say(c, "250 2.0.0 ok\r\n");
	c->recipients += verb(words, "RCPT");
	return !verb(words, "QUIT");
}

static void dialogue(struct client *c)
{
	const char *words;

	say(c, "220 sink ESMTP\r\n");
	flush(c);
	while ((words = line(c)) && command(c, words))
		continue;
	flush(c);
}

static void *serve(void *start)
{
	struct client *c = start;

	if (!c->tls || (c->tls = NULL, handshake(c)))
		dialogue(c);
	pthread_mutex_lock(&lock);
	memcpy(seen.story, c->story, STORY_SIZE);
	pthread_mutex_unlock(&lock);
	if (c->tls)
		gnutls_deinit(c->tls);
	close(c->fd);
	free(c);
	return NULL;
}

/* --- listening --- */

struct listener {
	int fd;
	bool tls;
};

static void *listen_on(void *listener)
{
	const struct listener *l = listener;
	struct client *c;
	pthread_t thread;
	int fd, one = 1;

	while ((fd = accept4(l->fd, NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c = calloc(1, sizeof(*c));
		if (!c)
			fail("memory");
		c->fd = fd;
		/* a mark that serve() turns into a session */
		c->tls = l->tls ? (gnutls_session_t)(void *)c : NULL;
		pthread_mutex_lock(&lock);
		seen.connections++;
		pthread_mutex_unlock(&lock);
		if (pthread_create(&thread, NULL, serve, c))
			fail("thread");
		pthread_detach(thread);
	}
	return NULL;
}

static int open_port(int *fd)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t n = sizeof(address);

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0 || bind(*fd, (void *)&address, n) ||
	    listen(*fd, 1024) || getsockname(*fd, (void *)&address, &n))
		fail("listen");
	return ntohs(address.sin_port);
}

static void report(void)
{
	pthread_mutex_lock(&lock);
	printf("{\"connections\": %lu, \"messages\": %lu, \"recipients\": "
	       "%lu, \"octets\": %lu, \"story\": \"%s\"}\n",
	       seen.connections, seen.messages, seen.recipients, seen.octets,
	       seen.story);
	memset(&seen, 0, sizeof(seen));
	pthread_mutex_unlock(&lock);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct listener listener[2] = { { -1, false }, { -1, true } };
	char asked[16];
	pthread_t thread;
	int i, port[2];

	if (argc < 3 || argc > 4)
		return 2;
	hold = argc > 3 ? atoi(argv[3]) : 0;
	signal(SIGPIPE, SIG_IGN);
	gnutls_certificate_allocate_credentials(&credentials);
	if (gnutls_certificate_set_x509_key_file(credentials, argv[1],
						 argv[2],
						 GNUTLS_X509_FMT_PEM) < 0)
		fail("certificate");
	for (i = 0; i < 2; i++) {
		port[i] = open_port(&listener[i].fd);
		if (pthread_create(&thread, NULL, listen_on, &listener[i]))
			fail("thread");
	}
	printf("%d %d\n", port[0], port[1]);
	fflush(stdout);
	while (fgets(asked, sizeof(asked), stdin))
		report();
	return 0;
}
