/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The two small state machines that stand between a caller's bytes and the
 * wire. Neither cares where buffers end. Normalise first, stuff after.
 */
#ifndef MAIL_LINES_H
#define MAIL_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Dot-stuffing (RFC 5321 4.5.2) of text whose every line ends in CRLF. {0}
 * is a machine at the beginning of a line.
 */
struct stuffer {
	enum { STUFF_BOL, STUFF_TEXT, STUFF_CR } state;
};

/* The most bytes that n bytes of input can become. */
#define STUFFED_MAX(n) (2 * (n))
/* Writes the stuffed form of in to out (room for STUFFED_MAX(n)); gives its
 * length. */
size_t stuff(struct stuffer *s, const char *in, size_t n, char *out);

#endif
