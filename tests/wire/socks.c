/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A SOCKS5 proxy (RFC 1928, 1929) that pretends to connect: what follows is
 * the server itself. \x escapes in rules make any answer.
 */
#include "server.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* So many bytes, which the caller frees; NULL: the client went away. */
static unsigned char *take(struct peer *p, size_t n)
{
	unsigned char *bytes;

	while (p->len - p->pos < n)
		if (!peer_fill(p))
			return NULL;
	bytes = calloc(1, n + 1);
	if (!bytes)
		abort();
	memcpy(bytes, p->in + p->pos, n);
	p->pos += n;
	return bytes;
}

/* A length and so many bytes. */
static char *take_string(struct peer *p, size_t *n)
{
	unsigned char *length = take(p, 1);
	char *text;

	if (!length)
		return NULL;
	*n = *length;
	free(length);
	text = (char *)take(p, *n);
	return text;
}

/* Chooses a method; with socks-user only user and password will do. */
static bool negotiate(struct peer *p)
{
	unsigned char *version = take(p, 1);
	char wanted = p->script->socks_user ? 2 : 0;
	size_t n = 0;
	char *methods = version ? take_string(p, &n) : NULL;
	bool good = methods && *version == 5 && memchr(methods, wanted, n);
	char answer[2] = { 5, good ? wanted : (char)0xff };

	free(version);
	free(methods);
	peer_put(p, answer, 2);
	return good;
}

static bool log_in(struct peer *p)
{
	const struct script *s = p->script;
	unsigned char *version = take(p, 1);
	size_t n;
	char *user = version ? take_string(p, &n) : NULL;
	char *password = user ? take_string(p, &n) : NULL;
	bool good = password && strcmp(user, s->socks_user) == 0 &&
		strcmp(password, s->password) == 0;
	const char answer[2] = { 1, (char)!good };

	record_text(p->connection, "socks-user", "user", user);
	free(version);
	free(user);
	free(password);
	peer_put(p, answer, 2);
	return good;
}

/* "name:port" of a request, which the caller frees. */
static char *target(struct peer *p, int type)
{
	char text[80] = "", *out = NULL;
	size_t n = type == 4 ? 16 : 4;
	char *bytes = type == 3 ? take_string(p, &n) : (char *)take(p, n);
	unsigned char *port = bytes ? take(p, 2) : NULL;

	if (port && type != 3)
		inet_ntop(type == 4 ? AF_INET6 : AF_INET, bytes, text,
			  sizeof(text));
	if (port && asprintf(&out, "%s:%d", type == 3 ? bytes : text,
			     port[0] * 256 + port[1]) < 0)
		abort();
	free(bytes);
	free(port);
	return out;
}

bool socks_run(struct peer *p)
{
	static const char done[10] = { 5, 0, 0, 1, 127, 0, 0, 1, 0, 0 };
	unsigned char *request;
	char *to;

	if (!negotiate(p) || (p->script->socks_user && !log_in(p)))
		return false;
	request = take(p, 4);
	to = request && request[1] == 1 ? target(p, request[3]) : NULL;
	free(request);
	if (!to)
		return false;
	record_text(p->connection, "socks", "target", to);
	if (!session_rule(p, "socks", to) && !p->gone)
		peer_put(p, done, sizeof(done));
	free(to);
	p->flight = 0;
	return !p->gone;
}
