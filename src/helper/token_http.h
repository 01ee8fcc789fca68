/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One HTTPS request after the other: verified, never redirected, with a bound
 * for what comes and a deadline for all of them.
 */
#ifndef HELPER_TOKEN_HTTP_H
#define HELPER_TOKEN_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"

enum { HTTP_BODY_MAX = 256 * 1024, HTTP_HEADER_MAX = 64 * 1024 };

struct http {
	const char *ca_file;       /* NULL: the system's */
	struct list resolver;      /* asked before the system's */
	struct {
		const char *host;  /* SOCKS5; NULL: none */
		int64_t port;
		const char *username, *password;
		bool names;        /* it looks names up */
	} proxy;
	int64_t deadline;          /* of them all */
	/* ms that have to be left for the answer of a POST; where they are
	 * not, nothing of its body is sent. 0: REQUEST_MS for all of it */
	int64_t least;

	long status;               /* of the last answer */
	struct buf body;           /* of the last answer; a secret */
	char words[256];           /* why there was none: "HOST: words" */
	void *curl;
	const struct buf *post;    /* the body */
	size_t header, given;      /* bytes: of the answer's header; of post */
	bool too_much, too_late, lacking;
};

/* https, a host, and nothing of user, password or fragment. */
bool http_is_url(const char *url);
/* False: there was no whole answer; words say why. Any status is an answer,
 * but for those that lead elsewhere. */
bool http_get(struct http *h, const char *url);
/* credentials: "user:password", as they are to be sent; NULL: none. */
bool http_post(struct http *h, const char *url, const char *type,
	       const struct buf *body, const char *credentials);
void http_release(struct http *h);

#endif
