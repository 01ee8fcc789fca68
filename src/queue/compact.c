/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A journal that has grown is written anew: a line a recipient. */
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "queue/format.h"
#include "queue/queue_parts.h"

enum { PIECE = 64 * 1024 };      /* is written at once */

static bool has_outcome(const struct recipient *r)
{
	return r->attempts || r->state != RCPT_PENDING || r->last.not_before;
}

/* About what a journal takes that says the same in a line a recipient. */
static int64_t compact_size(const struct entry *e)
{
	enum { WORDS = 250 };
	const struct recipient *r;
	int64_t size = 0;
	size_t i;

	for (i = 0; i < e->envelope.n; i++) {
		r = &e->envelope.rcpt[i];
		if (has_outcome(r))
			size += WORDS + (int64_t)(strlen(r->last.host) +
						  strlen(r->last.text));
		else if (e->progress[i].missed || e->progress[i].wait)
			size += WORDS;
	}
	return size;
}

/* Writes what was gathered, once it is a piece. */
static bool piece_out(struct qdir_writer *w, struct buf *b, bool end,
		      struct outcome *why)
{
	bool good;

	if (b->len < PIECE && !end)
		return true;
	good = !b->len || qdir_add(w, b->data, b->len, why);
	buf_reset(b);
	return good;
}

static bool copy_bytes(struct qdir_writer *w, int fd, int64_t at, int64_t end,
		       struct outcome *why)
{
	char block[PIECE];
	size_t n;

	for (; at < end; at += (int64_t)n) {
		n = end - at < PIECE ? (size_t)(end - at) : PIECE;
		if (!qdir_read(fd, at, block, n)) {
			qdir_abandon(w);
			return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
					    "queue: cannot read an entry");
		}
		if (!qdir_add(w, block, n, why))
			return false;
	}
	return true;
}

static bool compact_journal(struct entry *e, struct qdir_writer *w,
			    struct buf *b, struct outcome *why)
{
	const int64_t now = time(NULL);
	bool good = true;
	size_t i;

	for (i = 0; good && i < e->envelope.n; i++) {
		const struct recipient *r = &e->envelope.rcpt[i];
		const struct progress *p = &e->progress[i];
		const int64_t since = p->since ? p->since : now;

		if (has_outcome(r))
			text_result(b, since, i, r);
		if (p->missed || (p->since && r->last.not_before))
			text_missed(b, since, p->missed, &i, 1);
		if (p->wait > now)
			text_wait(b, now, p->wait, &i, 1);
		if (p->failure_reported)
			text_reported(b, now, REPORT_FAILURE, &i, 1);
		if (p->delay_reported)
			text_reported(b, now, REPORT_DELAY, &i, 1);
		good = piece_out(w, b, false, why);
	}
	if (e->transport)
		text_transport(b, now, e->transport, e->by_owner);
	if (e->regular)
		text_regular(b, now, e->regular);
	return good && piece_out(w, b, true, why);
}

static bool compact_write(struct entry *e, struct qdir_writer *w,
			  int64_t *header, struct outcome *why)
{
	struct entry_file *file = e->file;
	struct buf b = BUF(4 * PIECE);
	bool good;
	size_t i;

	good = qdir_begin(file->dir, NULL, w, why);
	/* the header says whose it is: the file will be ours */
	text_header_begin(&b, e);
	for (i = 0; good && i < e->envelope.n; i++) {
		text_header_rcpt(&b, &e->envelope.rcpt[i]);
		good = piece_out(w, &b, false, why);
	}
	text_header_end(&b, e);
	good = good && piece_out(w, &b, true, why);
	*header = w->size;
	good = good && copy_bytes(w, file->fd, file->header,
				  file->header + e->size, why);
	if (good) {
		text_checksum(&b, w->sum);
		good = piece_out(w, &b, true, why) &&
		       compact_journal(e, w, &b, why) &&
		       qdir_replace(w, e->name, why);
	}
	buf_release(&b);
	return good;
}

bool entry_rewrite(struct entry *e, struct outcome *why)
{
	struct entry_file *file = e->file;
	struct qdir_writer w;
	int64_t header;

	if (!compact_write(e, &w, &header, why))
		return false;
	close(file->fd);
	file->fd = w.fd;
	file->header = header;
	file->journal = header + e->size + TEXT_CHECKSUM_SIZE;
	return true;
}

bool entry_compact(struct entry *e, struct outcome *why)
{
	struct stat st;

	if (fstat(e->file->fd, &st) < 0 || st.st_size - e->file->journal <
					   PIECE + 2 * compact_size(e))
		return true;
	if (!entry_rewrite(e, why)) {
		log_say(LOG_AT_ERROR, "queue: %s: its journal cannot be "
			"compacted: %s", e->id, why->text);
		return true;
	}
	return qdir_sync(e->file->dir, why);
}
