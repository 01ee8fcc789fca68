/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/socks.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/kernel.h"

enum {
	VERSION = 5,
	AUTH_VERSION = 1,
	METHOD_NONE = 0,
	METHOD_PASSWORD = 2,
	METHOD_REFUSED = 0xff,
	COMMAND_CONNECT = 1,
	TYPE_V4 = 1,
	TYPE_NAME = 3,
	TYPE_V6 = 4
};

/* RFC 1928 6 */
static const char *const replies[] = {
	[1] = "general failure of the proxy",
	[2] = "not allowed by the proxy's rules",
	[3] = "network unreachable",
	[4] = "host unreachable",
	[5] = "connection refused",
	[6] = "the connection's time to live expired",
	[7] = "the proxy does not know the command CONNECT",
	[8] = "the proxy does not know this type of address",
};

struct socks {
	int fd;
	const struct net_proxy *proxy;
	int64_t deadline;
	struct outcome *why;
};

static bool socks_fail(struct socks *s, const char *words)
{
	return outcome_fail(s->why, STAGE_CONNECT, EX_TEMPFAIL,
			    "SOCKS proxy %s port %u: %s", s->proxy->host,
			    s->proxy->port, words);
}

static bool socks_ready(struct socks *s, short events)
{
	struct pollfd p = { .fd = s->fd, .events = events };
	int n;

	do {
		if (!clock_left(s->deadline))
			return socks_fail(s, "did not answer in time");
		n = kernel_poll(&p, 1, clock_left(s->deadline));
	} while (n <= 0);
	return true;
}

static bool socks_send(struct socks *s, const unsigned char *data, size_t n)
{
	ssize_t sent;

	while (n) {
		if (!socks_ready(s, POLLOUT))
			return false;
		sent = send(s->fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0) {
			if (errno == EAGAIN || errno == EINTR)
				continue;
			return socks_fail(s, "closed the connection");
		}
		data += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* Exactly n bytes: what comes after them is the server's. */
static bool socks_receive(struct socks *s, unsigned char *data, size_t n)
{
	ssize_t got;

	while (n) {
		if (!socks_ready(s, POLLIN))
			return false;
		got = recv(s->fd, data, n, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got <= 0)
			return socks_fail(s, "closed the connection within its "
					  "answer");
		data += got;
		n -= (size_t)got;
	}
	return true;
}

/* RFC 1929 */
static bool socks_authenticate(struct socks *s)
{
	const char *password = s->proxy->password ? s->proxy->password : "";
	size_t user_len = strlen(s->proxy->username);
	size_t password_len = strlen(password);
	unsigned char message[3 + 255 + 255], answer[2];
	size_t n = 0;
	bool sent;

	if (!user_len || user_len > 255 || password_len > 255)
		return socks_fail(s, "user name and password have at most 255 "
				  "bytes, and a name is needed");
	message[n++] = AUTH_VERSION;
	message[n++] = (unsigned char)user_len;
	memcpy(message + n, s->proxy->username, user_len);
	n += user_len;
	message[n++] = (unsigned char)password_len;
	memcpy(message + n, password, password_len);
	n += password_len;
	sent = socks_send(s, message, n);
	mem_wipe(message, sizeof(message));
	if (!sent || !socks_receive(s, answer, sizeof(answer)))
		return false;
	if (answer[0] != AUTH_VERSION)
		return socks_fail(s, "its answer to the password is not "
				  "SOCKS5's");
	if (answer[1])
		return socks_fail(s, "refused user name and password");
	return true;
}

static bool socks_greet(struct socks *s)
{
	unsigned char hello[4] = { VERSION, 1, METHOD_NONE, METHOD_PASSWORD };
	unsigned char answer[2];

	if (s->proxy->username)
		hello[1] = 2;
	if (!socks_send(s, hello, 2u + hello[1]) ||
	    !socks_receive(s, answer, sizeof(answer)))
		return false;
	if (answer[0] != VERSION)
		return socks_fail(s, "does not speak SOCKS5");
	if (answer[1] == METHOD_NONE)
		return true;
	if (answer[1] == METHOD_PASSWORD && s->proxy->username)
		return socks_authenticate(s);
	if (answer[1] != METHOD_REFUSED)
		return socks_fail(s, "chose a way to authenticate that was not "
				  "offered");
	return socks_fail(s, s->proxy->username ?
			  "accepts neither a password nor none" :
			  "wants a user name and a password");
}

static bool socks_request(struct socks *s, const char *host,
		    const struct net_address *address, unsigned port)
{
	unsigned char message[3 + 2 + 255 + 2] = {
		VERSION, COMMAND_CONNECT, 0
	};
	size_t len, n = 3;

	if (address && address->sa.ss_family == AF_INET) {
		message[n++] = TYPE_V4;
		memcpy(message + n, &address->v4.sin_addr, 4);
		n += 4;
	} else if (address) {
		message[n++] = TYPE_V6;
		memcpy(message + n, &address->v6.sin6_addr, 16);
		n += 16;
	} else {
		len = strlen(host);
		if (!len || len > 255)
			return socks_fail(s, "a host name has at most 255 "
					  "bytes");
		message[n++] = TYPE_NAME;
		message[n++] = (unsigned char)len;
		memcpy(message + n, host, len);
		n += len;
	}
	message[n++] = (unsigned char)(port >> 8 & 0xff);
	message[n++] = (unsigned char)(port & 0xff);
	return socks_send(s, message, n);
}

static bool socks_answered(struct socks *s, const char *target, unsigned port)
{
	unsigned char answer[4], rest[1 + 255 + 2];
	const char *words = "an unknown error code";
	size_t n = 0;

	if (!socks_receive(s, answer, sizeof(answer)))
		return false;
	if (answer[0] != VERSION)
		return socks_fail(s, "its answer is not SOCKS5's");
	/* the bound address is of no use, but its length must be known */
	if (!answer[1]) {
		if (answer[3] == TYPE_NAME && !socks_receive(s, rest, 1))
			return false;
		if (answer[3] == TYPE_V4)
			n = 4;
		else if (answer[3] == TYPE_V6)
			n = 16;
		else if (answer[3] == TYPE_NAME)
			n = rest[0];
		else
			return socks_fail(s, "its answer is not SOCKS5's");
		return socks_receive(s, rest, n + 2);
	}
	if (answer[1] < sizeof(replies) / sizeof(*replies))
		words = replies[answer[1]];
	return outcome_fail(s->why, STAGE_CONNECT, EX_TEMPFAIL,
			    "SOCKS proxy %s port %u: no connection to %s port "
			    "%u: %s (%u)", s->proxy->host, s->proxy->port,
			    target, port, words, answer[1]);
}

bool socks_connect(int fd, const struct net_proxy *proxy, const char *host,
		   const struct net_address *address, unsigned port,
		   int64_t deadline, struct outcome *why)
{
	struct socks s = { .fd = fd, .proxy = proxy, .deadline = deadline,
			   .why = why };
	char text[64];

	if (address)
		net_address_text(address, text);
	return socks_greet(&s) && socks_request(&s, host, address, port) &&
	       socks_answered(&s, address ? text : host, port);
}
