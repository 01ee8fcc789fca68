/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A port on this host's loopback address at which a browser is sent back to a
 * program (RFC 8252 7.3): a listener, and one request of HTTP/1 at a time as
 * far as its first line. Whoever is on this host may connect; what is asked
 * for tells whether it is the one.
 */
#ifndef WIRE_LOOPBACK_H
#define WIRE_LOOPBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/outcome.h"

enum { LOOPBACK_TARGET_MAX = 16 * 1024 };

struct loopback;

/* On 127.0.0.1, and any port. False: EX_OSERR. */
bool loopback_open(struct loopback **out, unsigned *port,
		   struct outcome *why) MUST_CHECK;
enum loopback_event {
	LOOPBACK_OVER,      /* the deadline passed */
	LOOPBACK_ASKED,     /* target is what a GET asks for: "/?code=..." */
	LOOPBACK_OTHER      /* the other descriptor has something to read */
};
/* Waits; other may be -1. What was asked before and not answered is closed. */
enum loopback_event loopback_wait(struct loopback *l, int other,
				  int64_t deadline, struct buf *target);
/* Answers the last that was asked, with a line for the person. */
void loopback_answer(struct loopback *l, const char *status,
		     const char *words);
void loopback_close(struct loopback *l);

#endif
