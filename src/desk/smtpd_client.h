/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The line to a client of -bs. */
#ifndef DESK_SMTPD_CLIENT_H
#define DESK_SMTPD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "wire/unix_peer.h"

enum {
	CLIENT_INPUT = 64 * 1024,
	CLIENT_REPLIES = 8 * 1024,      /* kept back for pipelining */
	COMMAND_LONGEST = 4096
};

/* Standard input and output, bytes in, replies out. Replies are written when
 * the client has nothing more to say, so that a pipelining one gets them
 * all at once. */
struct client {
	size_t at, n;           /* of input */
	bool ended;             /* end of input, or it cannot be read */
	int error;              /* errno of the read that failed */
	bool heard;             /* something was read */
	bool silent;            /* nothing came for five minutes */
	bool deaf;              /* replies cannot be written */
	struct unix_peer peer;  /* of standard input; anything else is read
				 * as it comes */
	struct buf replies;
	char input[CLIENT_INPUT];
};

enum client_line {
	LINE_END,               /* of the input */
	LINE_LF, LINE_CRLF,     /* by its line end, which is not in the line */
	LINE_TOO_LONG           /* read over */
};

/* Bytes of input, at least one; false at its end. */
bool client_fill(struct client *c);
/* Points *line at the next line, terminated, good until the next call. */
enum client_line client_line(struct client *c, char **line, size_t *n);
/* Adds a reply, CRLF not included. */
void client_reply(struct client *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void client_flush(struct client *c);

#endif
