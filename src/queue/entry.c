/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Working on one entry: taken, tried, recorded, settled. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "queue/queue_parts.h"
#include "queue/format.h"

enum { RESULT_ROOM = 1200 };  /* the most that one recipient's line takes */

static bool append(struct entry *e, struct buf *lines, struct outcome *why)
{
	bool good;

	e->file->synced = false;
	good = qdir_append(e->file->fd, buf_text(lines), lines->len, why);
	buf_release(lines);
	return good;
}

/* --- what a cut-short attempt leaves --- */

void entry_log(const struct entry *e, size_t i, const char *status,
	       const char *dsn)
{
	const struct recipient *r = &e->envelope.rcpt[i];
	char attempt[16], uid[24];
	const struct log_field field[] = {
		{ "id", e->id, LOG_WORD }, { "uid", uid, LOG_NUMBER },
		{ "from", e->envelope.sender, LOG_ADDRESS },
		{ "to", r->address, LOG_ADDRESS },
		{ "account", e->envelope.account, LOG_WORD },
		{ "attempt", attempt, LOG_NUMBER },
		{ "status", status, LOG_WORD },
		{ "dsn", *dsn ? dsn : NULL, LOG_WORD },
		{ "text", r->last.text, LOG_WORD },
	};

	snprintf(attempt, sizeof(attempt), "%u", r->attempts);
	snprintf(uid, sizeof(uid), "%lu", (unsigned long)e->uid);
	log_event(strcmp(status, "failed") ? LOG_AT_INFO : LOG_AT_ERROR,
		  field, sizeof(field) / sizeof(*field));
}

/* Ends the attempt that was begun for a recipient and has no outcome: it
 * counts, so that an entry that kills its worker does not do so for ever. */
static void end_attempt(struct entry *e, size_t i, struct buf *lines)
{
	struct recipient *r = &e->envelope.rcpt[i];
	bool dot = e->progress[i].dot;

	if (!e->progress[i].begun)
		return;
	e->progress[i].begun = e->progress[i].dot = false;
	e->interrupted = true;
	r->attempts++;
	if (r->attempts > e->attempts)
		e->attempts = r->attempts;
	outcome_fail(&r->last, dot ? STAGE_DOT : STAGE_DATA, EX_TEMPFAIL,
		     "the attempt was interrupted%s",
		     dot ? ", perhaps after the message was taken" : "");
	r->last.in_doubt = dot;
	text_result(lines, time(NULL), i, r);
	entry_log(e, i, dot ? "duplicate_possible" : "deferred", "");
}

static bool end_attempts(struct entry *e, const size_t *rcpt, size_t n,
			 struct outcome *why)
{
	struct buf lines = BUF(TEXT_JOURNAL_MAX);
	size_t i;

	for (i = 0; i < n; i++)
		end_attempt(e, rcpt ? rcpt[i] : i, &lines);
	/* behind half a line it would be lost, and do harm */
	if (lines.len && !e->file->torn)
		return append(e, &lines, why);
	buf_release(&lines);
	return true;
}

/* --- taking --- */

/* Whether it is a report whose cause might still make it anew: as long as it
 * waits here, that is noticed. */
static bool cause_unsettled(struct queue *q, const struct entry *e)
{
	char name[QUEUE_NAME_SIZE];
	struct entry *cause;
	struct outcome why;
	char id[QUEUE_ID_SIZE];
	int kind;
	bool unsettled = false;
	size_t i;

	if (!e->cause || !qdir_find(&q->dir, e->cause, name) ||
	    !queue_look(q, e->cause, &cause, &why))
		return false;
	for (i = 0; i < cause->envelope.n; i++)
		for (kind = REPORT_FAILURE; kind <= REPORT_DELAY; kind++) {
			entry_report_id(cause, (enum report_kind)kind, i, id);
			if (strcmp(id, e->id) != 0)
				continue;
			unsettled = kind == REPORT_DELAY ?
				!cause->progress[i].delay_reported :
				!cause->progress[i].failure_reported;
		}
	entry_release(cause);
	return unsettled;
}

static void quarantine(struct qdir *s, const char *name, const char *words)
{
	char id[QUEUE_ID_SIZE];
	int64_t next;
	bool held, moved;

	moved = text_read_name(name, id, &next, &held) &&
		qdir_quarantine(s, name, id);
	log_say(LOG_AT_ERROR, "queue: %s: %s; %s", name, words,
		moved ? "moved to corrupt" : "cannot be moved to corrupt");
}

/* An entry that was read and locked is made fit for work. */
static bool prepare(struct queue *q, struct entry *e, int64_t torn,
		    int64_t size, struct outcome *why)
{
	if (cause_unsettled(q, e))
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "%s: waits for its cause", e->id);
	if (torn > 0 && ftruncate(e->file->fd, size - torn) < 0)
		return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "queue: %s: %s", e->id, strerror(errno));
	return end_attempts(e, NULL, e->envelope.n, why);
}

bool queue_take(struct queue *q, const char *name, struct entry **out,
		struct outcome *why)
{
	struct entry *e = mem_alloc(sizeof(*e));
	char found[QUEUE_NAME_SIZE];
	struct stat st;
	int64_t torn = 0;
	int fd;

	*out = NULL;
	if (strchr(name, ','))
		snprintf(found, sizeof(found), "%s", name);
	else if (!qdir_find(&q->dir, name, found)) {
		free(e);
		return outcome_fail(why, STAGE_LOCAL, EX_NOINPUT,
				    "%s: no such entry", name);
	}
	if (!qdir_lock(&q->dir, found, &fd, &st, why)) {
		free(e);
		return false;
	}
	if (!entry_read(&q->dir, found, fd, &st, true, e, &torn, why)) {
		if (why->exit == EX_DATAERR)
			quarantine(&q->dir, found, why->text);
		close(fd);
		free(e);
		return false;
	}
	if (!prepare(q, e, torn, st.st_size, why)) {
		entry_release(e);
		return false;
	}
	*out = e;
	return true;
}

void entry_release(struct entry *e)
{
	if (!e)
		return;
	if (e->file)
		close(e->file->fd);
	free(e->file);
	text_release(e);
	free(e);
}

bool entry_message(struct entry *e, const struct message_limits *limits,
		   struct message **out, struct outcome *why)
{
	if (e->foreign)
		return message_parse(e->file->fd, e->file->header, e->size,
				     limits, out, why);
	return message_open(e->file->fd, e->file->header, e->size, out, why);
}

/* --- an attempt --- */

bool entry_begin(struct entry *e, const size_t *rcpt, size_t n,
		 struct outcome *why)
{
	struct buf line = BUF(TEXT_JOURNAL_MAX);
	size_t i, room = 0;

	/* for all that is pending, since other workers of this entry reserve
	 * the same blocks */
	for (i = 0; i < e->envelope.n; i++)
		if (e->envelope.rcpt[i].state == RCPT_PENDING)
			room += RESULT_ROOM;
	if (e->broken)
		return outcome_fail(why, STAGE_LOCAL, EX_IOERR, "%s: an "
				    "outcome could not be recorded", e->id);
	text_begin(&line, time(NULL), rcpt, n);
	if (!qdir_reserve(e->file->fd, 2 * line.len + room, why)) {
		buf_release(&line);
		return false;
	}
	if (!append(e, &line, why))
		return false;
	for (i = 0; i < n; i++)
		e->progress[rcpt[i]] = (struct progress){
			.begun = true,
			.delay_reported = e->progress[rcpt[i]].delay_reported,
		};
	return true;
}

void entry_dot(struct entry *e)
{
	struct buf lines = BUF(TEXT_JOURNAL_MAX);
	size_t *rcpt = mem_alloc(e->envelope.n * sizeof(*rcpt));
	struct outcome why;
	size_t i, n = 0;

	for (i = 0; i < e->envelope.n; i++) {
		if (!e->progress[i].begun)
			continue;
		e->progress[i].dot = true;
		rcpt[n++] = i;
	}
	text_dot(&lines, time(NULL), rcpt, n);
	free(rcpt);
	if (!append(e, &lines, &why))
		log_say(LOG_AT_ERROR, "queue: %s: %s", e->id, why.text);
}

/* The state on disk is behind what happened. */
static bool broken(struct entry *e, const struct outcome *why)
{
	e->broken = true;
	log_say(LOG_AT_ERROR, "queue: %s: an outcome is not recorded, so a "
		"later run may send it again: %s", e->id, why->text);
	return false;
}

bool entry_record(struct entry *e, size_t rcpt, const struct outcome *o,
		  enum rcpt_state state, unsigned attempts,
		  struct outcome *why)
{
	struct recipient *r = &e->envelope.rcpt[rcpt];
	struct buf line = BUF(TEXT_LINE_MAX);

	if (&r->last != o)
		r->last = *o;
	r->attempts = attempts;
	r->state = state;
	e->progress[rcpt].begun = e->progress[rcpt].dot = false;
	if (attempts > e->attempts)
		e->attempts = attempts;
	text_result(&line, time(NULL), rcpt, r);
	return append(e, &line, why) || broken(e, why);
}

bool entry_sync(struct entry *e, struct outcome *why)
{
	if (e->file->synced)
		return true;
	if (e->file->sync_failed)
		return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "queue: an earlier sync failed");
	if (fdatasync(e->file->fd) == 0)
		return e->file->synced = true;
	e->file->sync_failed = true;
	outcome_fail(why, STAGE_LOCAL, EX_IOERR, "queue: cannot sync the "
		     "journal: %s", strerror(errno));
	return broken(e, why);
}

bool entry_reload(struct entry *e, struct outcome *why)
{
	struct stat st;
	int64_t torn;

	e->file->synced = false;
	if (fstat(e->file->fd, &st) < 0)
		return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "queue: %s: %s", e->id, strerror(errno));
	if (!entry_read_journal(e, st.st_size, &torn, why))
		return false;
	/* it may be that of a worker who is just writing it */
	e->file->torn = torn > 0;
	return true;
}

bool entry_end(struct entry *e, const size_t *rcpt, size_t n,
	       struct outcome *why)
{
	return end_attempts(e, rcpt, n, why);
}

void entry_synced(struct entry *e)
{
	e->file->synced = true;
}

/* --- reports --- */

size_t entry_unreported(const struct entry *e, enum report_kind kind,
			size_t *rcpt)
{
	const struct progress *p = e->progress;
	enum rcpt_state state;
	size_t i, n = 0;

	for (i = 0; i < e->envelope.n; i++) {
		state = e->envelope.rcpt[i].state;
		if (kind == REPORT_DELAY ?
		    state == RCPT_PENDING && !p[i].delay_reported :
		    state == RCPT_FAILED && !p[i].failure_reported)
			rcpt[n++] = i;
	}
	return n;
}

/* A recipient fails once and is reported as delayed once, so its number
 * alone makes the id unique. The attempts of a failed one stand; those of a
 * delayed one go on, and so are not part of the id. */
void entry_report_id(const struct entry *e, enum report_kind kind,
		     size_t first_rcpt, char id[QUEUE_ID_SIZE])
{
	if (kind == REPORT_DELAY)
		snprintf(id, QUEUE_ID_SIZE, "%.24s-d%zu", e->id, first_rcpt);
	else
		snprintf(id, QUEUE_ID_SIZE, "%.24s-f%u.%zu", e->id,
			 e->envelope.rcpt[first_rcpt].attempts, first_rcpt);
}

bool entry_reported(struct entry *e, enum report_kind kind,
		    const size_t *rcpt, size_t n, struct outcome *why)
{
	struct buf lines = BUF(TEXT_JOURNAL_MAX);
	size_t i;

	for (i = 0; i < n; i++)
		if (kind == REPORT_DELAY)
			e->progress[rcpt[i]].delay_reported = true;
		else
			e->progress[rcpt[i]].failure_reported = true;
	text_reported(&lines, time(NULL), kind, rcpt, n);
	if (!qdir_cut_torn(e->file->fd)) {
		buf_release(&lines);
		return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "queue: cannot write the journal");
	}
	e->file->torn = false;
	return append(e, &lines, why) && entry_sync(e, why);
}

/* --- settling --- */

bool entry_schedule(struct entry *e, int64_t next, struct outcome *why)
{
	char name[QUEUE_NAME_SIZE];

	/* not synced: if the old name comes back, it is tried too early */
	text_name(name, e->id, next, false);
	if (!qdir_rename(e->file->dir, e->name, name, false, why))
		return false;
	snprintf(e->name, sizeof(e->name), "%s", name);
	e->next = next > 0 ? next : 0;
	e->held = false;
	return true;
}

bool entry_finish(struct entry *e, struct outcome *why)
{
	size_t i;

	for (i = 0; i < e->envelope.n; i++) {
		if (e->envelope.rcpt[i].state == RCPT_PENDING)
			return outcome_fail(why, STAGE_LOCAL, EX_SOFTWARE,
					    "%s: a recipient is pending",
					    e->id);
		if (e->envelope.rcpt[i].state == RCPT_FAILED &&
		    !e->progress[i].failure_reported)
			return outcome_fail(why, STAGE_LOCAL, EX_SOFTWARE,
					    "%s: a report is due", e->id);
	}
	return entry_sync(e, why) &&
	       qdir_unlink(e->file->dir, e->name, false, why);
}

void entry_quarantine(struct entry *e, const char *words)
{
	quarantine(e->file->dir, e->name, words);
}
