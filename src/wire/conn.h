/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A connection that speaks lines, in clear or over TLS. It owns its
 * descriptor. Writes are gathered by conn_put and leave in one system call
 * with conn_flush; every wait has a deadline (a point of clock.h).
 *
 * Failures are EX_TEMPFAIL ("closed the connection", "did not answer within
 * N s", "reset"), at STAGE_CONNECT: the caller sets its own stage.
 */
#ifndef WIRE_CONN_H
#define WIRE_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/outcome.h"
#include "wire/tls.h"

struct conn;

/* Takes over fd (non-blocking). */
struct conn *conn_new(int fd);
/* TLS on it from here on (handshake within the deadline). *facts is filled
 * as far as it came, also on failure. False: EX_TEMPFAIL, STAGE_TLS. Bytes
 * that were received but not read when it is called fail it: nobody may
 * speak before the handshake. */
bool conn_tls(struct conn *c, const struct tls_params *params,
	      struct tls_facts *facts, int64_t deadline, struct outcome *why)
	MUST_CHECK;
/* The channel-binding data (RFC 9266, RFC 5929); false: none to be had. The
 * kind is "tls-exporter" or "tls-unique". */
bool conn_binding(struct conn *c, const char **kind, unsigned char data[64],
		  size_t *n);

/* The next line without its CRLF or LF, valid until the next call; NUL bytes
 * stay in. A line over 64 KiB is EX_PROTOCOL. */
bool conn_line(struct conn *c, const char **line, size_t *n,
	       int64_t deadline, struct outcome *why) MUST_CHECK;
/* Looks without waiting, also at the socket: whether bytes were received that
 * no conn_line has returned yet, or the peer is gone and all that it said was
 * read. */
enum conn_state { CONN_QUIET, CONN_SPEAKS, CONN_GONE };
enum conn_state conn_look(struct conn *c);
/* Whether it is the one, or the other. */
bool conn_pending(struct conn *c);
bool conn_ended(struct conn *c);

/* Waits for such bytes until the deadline; false: none came. */
bool conn_wait(struct conn *c, int64_t deadline) MUST_CHECK;

/* Gathers bytes to write. */
void conn_put(struct conn *c, const void *data, size_t n);
void conn_puts(struct conn *c, const char *s);
/* The same for a secret: what was gathered is wiped once it is written. */
void conn_put_secret(struct conn *c, const void *data, size_t n);
/* How many bytes are gathered and not yet written. */
size_t conn_gathered(const struct conn *c);
/* Writes what was gathered. progress: ms within which some byte must leave,
 * each time; the deadline holds for all of it (CLOCK_NEVER: none). Once it
 * failed nothing leaves any more; what the peer said can still be read. */
bool conn_flush(struct conn *c, int64_t progress, int64_t deadline,
		struct outcome *why) MUST_CHECK;
/* Writes what was gathered, then these bytes, without copying them. */
bool conn_write(struct conn *c, const void *data, size_t n, int64_t progress,
		int64_t deadline, struct outcome *why) MUST_CHECK;

/* Says goodbye where TLS is (without waiting) and closes; NULL is fine. */
void conn_close(struct conn *c);

#endif
