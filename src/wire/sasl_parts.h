/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of sasl share; nobody else includes this. */
#ifndef WIRE_SASL_PARTS_H
#define WIRE_SASL_PARTS_H

#include <gsasl.h>
#include <stdbool.h>
#include <stddef.h>

#include "wire/sasl.h"

struct sasl;

/* What the server said before one of our messages. */
struct sasl_challenge {
	unsigned step;            /* 1 and up */
	const char *data;         /* decoded, NULL where there is none */
	size_t n;
};

/* A mechanism of our own: messages from the client, and for OAuth an answer to
 * the server's error. */
struct sasl_simple {
	const char *name;
	unsigned messages;        /* the client's, until the server answers */
	bool server_first;
	bool any_prompt;          /* challenges are not looked at, nor are they
				   * always base64 */
	/* What is missing or unfit in the parameters; NULL: nothing. */
	const char *(*want)(const struct sasl_params *p);
	/* False: a local inability. */
	bool (*message)(const struct sasl_params *p,
			const struct sasl_challenge *c, struct buf *out);
	const char *error_answer; /* to the server's error; NULL: it has none */
};

struct sasl {
	struct sasl_params params;
	const struct sasl_simple *simple; /* NULL: libgsasl's */
	Gsasl *library;
	Gsasl_session *session;
	unsigned steps;
	bool complete;
	char refusal[128];  /* our own reason, where the library's word for it
			     * would not help; "" none */
	struct buf words;   /* what the server said inside the mechanism */
};

/* The mechanism of our own with this name; NULL: none. */
const struct sasl_simple *sasl_simple_find(const char *name);
bool sasl_simple_step(struct sasl *s, const char *input, size_t n,
		      struct buf *out, struct outcome *why) MUST_CHECK;

bool sasl_is_scram(const char *mechanism);
/* Gives the library SCRAM's SaltedPassword (RFC 5802 3), unless the server's
 * iteration count is out of bounds. Returns what the callback returns. */
int sasl_scram_salted_password(struct sasl *s);

#endif
