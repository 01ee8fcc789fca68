/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/smtp_body.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mail/lines.h"

enum { GATHERED_MAX = 16 * 1024 };

int64_t body_size(const struct delivery *d)
{
	return message_size(d->message) +
	       (d->prefix ? (int64_t)strlen(d->prefix) : 0);
}

bool body_has_command(const struct delivery *d, int64_t size)
{
	struct buf text = BUF(2 * ONE_FLIGHT);
	const char *data;
	int64_t at = 0;
	bool found;
	long n;

	if (size > ONE_FLIGHT)
		return false;
	buf_adds(&text, d->prefix ? d->prefix : "");
	while ((n = message_bytes(d->message, at, &data)) > 0) {
		buf_add(&text, data, (size_t)n);
		at += n;
	}
	found = text_has_command(buf_text(&text), text.len);
	buf_release(&text);
	return found;
}

static bool is_read(const struct delivery *d, int64_t at, struct outcome *why)
{
	return at == message_size(d->message) ||
	       outcome_fail(why, STAGE_DATA, EX_IOERR, "the message can no "
			    "longer be read from disk");
}

bool body_gather(struct session *s, const struct delivery *d,
		 struct outcome *why)
{
	const char *data;
	int64_t at = 0;
	long n;

	if (d->prefix)
		conn_puts(s->conn, d->prefix);
	while ((n = message_bytes(d->message, at, &data)) > 0) {
		conn_put(s->conn, data, (size_t)n);
		at += n;
	}
	return is_read(d, at, why);
}

static void body_progress(const struct session *s, int64_t sent, int64_t size)
{
	const struct watch *w = s->params->watch;

	if (w && w->progress)
		w->progress(w->context, sent, size);
}

/* An answer in the middle of the message. A refusal is taken at its word; as
 * the end never leaves, nothing is in doubt. */
static bool spoke_early(struct session *s, struct outcome *why)
{
	if (!session_reply(s, STAGE_DATA, why))
		return false;
	if (reply_class(&s->reply) < 4)
		outcome_fail(why, STAGE_DATA, EX_PROTOCOL, "unexpected answer "
			     "%d to half a message", s->reply.code);
	else
		session_outcome(s, STAGE_DATA, why);
	return session_break(s, STAGE_DATA, why);
}

static bool write_stuffed(struct session *s, const struct delivery *d,
			  int64_t size, char *room, struct outcome *why)
{
	const int64_t timeout = s->params->timeout;
	struct stuffer stuffer = { 0 };
	const char *data;
	size_t stuffed = 0;
	int64_t at = 0;
	long n;

	/* a field's line never begins with a dot */
	if (d->prefix)
		conn_puts(s->conn, d->prefix);
	while ((n = message_bytes(d->message, at, &data)) > 0) {
		if (at && conn_pending(s->conn))
			return spoke_early(s, why);
		at += n;
		stuffed = stuff(&stuffer, data, (size_t)n, room);
		/* the last piece and the dot leave together */
		if (at == message_size(d->message))
			break;
		/* a header's few bytes leave with what follows them */
		if (conn_gathered(s->conn) + stuffed <= GATHERED_MAX) {
			conn_put(s->conn, room, stuffed);
			continue;
		}
		if (!conn_write(s->conn, room, stuffed, timeout, CLOCK_NEVER,
				why))
			return false;
		body_progress(s, at, size);
	}
	if (!is_read(d, at, why))
		return false;
	if (n <= 0)
		stuffed = 0;
	if (d->dot)
		d->dot(d->context);
	memcpy(room + stuffed, ".\r\n", 3);
	return conn_write(s->conn, room, stuffed + 3, timeout, CLOCK_NEVER,
			  why);
}

bool body_write(struct session *s, const struct delivery *d, int64_t size,
		struct outcome *why)
{
	char *room = mem_alloc(STUFFED_MAX(64 * 1024) + 3);
	struct outcome said;
	bool done;

	session_watch(s, 'C', "(the message)", 13);
	done = write_stuffed(s, d, size, room, why);
	free(room);
	if (done) {
		body_progress(s, size, size);
		return true;
	}
	if (s->broken)
		return false;
	/* a server that hung up while we wrote may have said why */
	session_break(s, STAGE_DATA, why);
	if (!conn_pending(s->conn))
		return false;
	if (!session_reply(s, STAGE_DATA, &said)) {
		if (said.code)
			*why = said;
	} else if (reply_class(&s->reply) > 3) {
		session_outcome(s, STAGE_DATA, why);
	}
	return false;
}
