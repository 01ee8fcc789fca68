/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Working on one entry: taken, tried, recorded, settled, administered. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/kernel.h"
#include "base/log.h"
#include "mail/log_mail.h"
#include "queue/drop.h"
#include "queue/format.h"
#include "queue/order.h"
#include "queue/queue_parts.h"

enum {
	RESULT_ROOM = 1200,      /* the most that one recipient's line takes */
	PIECE = 64 * 1024,       /* is written at once */
	RECORDS = 1024 * 1024    /* the same of outcomes, so that those of a
				  * transaction are one write */
};

static bool append(struct entry *e, struct buf *lines, struct outcome *why)
{
	bool good;

	e->file->synced = false;
	good = qdir_append(e->file->fd, buf_text(lines), lines->len, why);
	buf_release(lines);
	return good;
}

/* --- what a cut-short attempt leaves --- */

/* Read once, however many recipients there are. */
static const char *entry_message_id(const struct entry *e)
{
	struct message *m;
	struct outcome ignored;

	if (!e->file || e->foreign)
		return NULL;
	if (!e->file->message_id &&
	    message_open(e->file->fd, e->file->header, e->size, &m,
			 &ignored)) {
		e->file->message_id = message_id(m);
		message_free(m);
	}
	return e->file->message_id;
}

void entry_log(const struct entry *e, size_t i, const struct outcome *o,
	       const char *status)
{
	const struct recipient *r = &e->envelope.rcpt[i];
	const struct mail_event event = {
		.id = e->id, .message_id = entry_message_id(e), .uid = e->uid,
		.from = e->envelope.sender, .to = r->address,
		.account = e->envelope.account, .size = e->size,
		.attempt = r->attempts, .waited = true,
		.delay = (int64_t)time(NULL) - e->queued,
	};

	log_mail(strcmp(status, "failed") ? LOG_AT_INFO : LOG_AT_ERROR, &event,
		 o, status);
}

bool entry_end(struct entry *e, const size_t *rcpt, size_t n,
	       struct outcome *why)
{
	struct buf lines = BUF(2 * PIECE);
	struct recipient *r;
	bool dot, good = true;
	size_t i, k;

	for (i = 0; i < n; i++) {
		k = rcpt ? rcpt[i] : i;
		r = &e->envelope.rcpt[k];
		dot = e->progress[k].dot;
		/* begun, and without an outcome: it counts, so that an entry
		 * that kills its worker does not do so for ever */
		if (e->progress[k].begun) {
			e->progress[k].begun = e->progress[k].dot = false;
			e->progress[k].since = time(NULL);
			e->interrupted = true;
			r->attempts++;
			if (r->attempts > e->attempts)
				e->attempts = r->attempts;
			outcome_fail(&r->last, dot ? STAGE_DOT : STAGE_DATA,
				     EX_TEMPFAIL, "the attempt was "
				     "interrupted%s", dot ? ", perhaps after "
				     "the message was taken" : "");
			r->last.in_doubt = dot;
			text_result(&lines, time(NULL), k, r);
			entry_log(e, k, &r->last, dot ? "duplicate_possible" :
				  "deferred");
		}
		if (lines.len < PIECE && i + 1 < n)
			continue;
		/* behind half a line it would be lost, and do harm */
		if (lines.len && !e->file->torn)
			good = append(e, &lines, why) && good;
		buf_release(&lines);
	}
	return good;
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

	/* a cause is older than its report, so whoever saw this saw that */
	if (!e->cause || !queue_find(q, e->cause, name) ||
	    !queue_look(q, name, &cause, &why))
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
static bool entry_prepare(struct queue *q, struct entry *e, int64_t torn,
			  int64_t size, struct outcome *why)
{
	if (cause_unsettled(q, e))
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "%s: waits for its cause", e->id);
	if (torn > 0 && kernel_cut(e->file->fd, size - torn) < 0)
		return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "queue: %s: %s", e->id, strerror(errno));
	return entry_end(e, NULL, e->envelope.n, why) &&
	       entry_compact(e, why);
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
	if (!entry_prepare(q, e, torn, st.st_size, why)) {
		entry_release(e);
		return false;
	}
	*out = e;
	return true;
}

int entry_descriptor(const struct entry *e)
{
	return e->file->fd;
}

void entry_release(struct entry *e)
{
	if (!e)
		return;
	if (e->file) {
		/* workers that were forked meanwhile have the descriptor,
		 * and with it the lock */
		kernel_lock(e->file->fd, LOCK_UN);
		close(e->file->fd);
		free(e->file->message_id);
	}
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
	/* for all that is pending, since other workers of this entry reserve
	 * the same blocks */
	const size_t room = e->pending * RESULT_ROOM;
	size_t i;

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
	for (i = 0; i < n; i++) {
		e->progress[rcpt[i]].begun = true;
		e->progress[rcpt[i]].dot = false;
	}
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
	/* what a power cut leaves must still tell that this was in doubt */
	if (!append(e, &lines, &why) || !entry_sync(e, &why))
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

void entry_note(struct entry *e, size_t rcpt, const struct outcome *o,
		enum rcpt_state state, unsigned attempts)
{
	struct recipient *r = &e->envelope.rcpt[rcpt];

	if (&r->last != o)
		r->last = *o;
	e->pending += state == RCPT_PENDING;
	e->pending -= r->state == RCPT_PENDING;
	r->attempts = attempts;
	r->state = state;
	e->progress[rcpt].begun = e->progress[rcpt].dot = false;
	if (!r->last.not_before)
		e->progress[rcpt].since = time(NULL);
	if (attempts > e->attempts)
		e->attempts = attempts;
	/* it was for one attempt */
	free(e->transport);
	e->transport = NULL;
}

bool entry_record(struct entry *e, size_t rcpt, const struct outcome *o,
		  enum rcpt_state state, unsigned attempts,
		  struct outcome *why)
{
	entry_note(e, rcpt, o, state, attempts);
	return entry_write(e, &rcpt, 1, why);
}

bool entry_write(struct entry *e, const size_t *rcpt, size_t n,
		 struct outcome *why)
{
	struct buf lines = BUF(RECORDS + TEXT_LINE_MAX);
	const int64_t now = time(NULL);
	bool good = true;
	size_t i;

	for (i = 0; good && i < n; i++) {
		text_result(&lines, now, rcpt[i], &e->envelope.rcpt[rcpt[i]]);
		if (lines.len < RECORDS && i + 1 < n)
			continue;
		e->file->synced = false;
		/* what a server took would be sent again: once more, then */
		good = qdir_append(e->file->fd, lines.data, lines.len, why) ||
		       qdir_append(e->file->fd, lines.data, lines.len, why);
		buf_reset(&lines);
	}
	buf_release(&lines);
	return good || broken(e, why);
}

bool entry_sync(struct entry *e, struct outcome *why)
{
	if (e->file->synced)
		return true;
	if (e->file->sync_failed)
		return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "queue: an earlier sync failed");
	if (kernel_sync_data(e->file->fd) == 0) {
		e->file->synced = true;
		return true;
	}
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

void entry_synced(struct entry *e)
{
	e->file->synced = true;
}

/* After the workers, one of whom may have been cut off within a line. */
static bool append_settled(struct entry *e, struct buf *lines,
			   struct outcome *why)
{
	if (!qdir_cut_torn(e->file->fd)) {
		buf_release(lines);
		return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "queue: cannot write the journal");
	}
	e->file->torn = false;
	return append(e, lines, why);
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

bool entry_owes_report(const struct entry *e)
{
	size_t i;

	for (i = 0; i < e->envelope.n; i++)
		if (e->envelope.rcpt[i].state == RCPT_FAILED &&
		    !e->progress[i].failure_reported)
			return true;
	return false;
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
	return append_settled(e, &lines, why) && entry_sync(e, why);
}

/* --- settling --- */

bool entry_wait(struct entry *e, const int64_t *until, struct outcome *why)
{
	struct buf lines = BUF(TEXT_JOURNAL_MAX);
	size_t i, j, n, *place = mem_alloc(e->envelope.n * sizeof(*place));

	for (i = 0; i < e->envelope.n; i = j) {
		for (j = i, n = 0; j < e->envelope.n &&
				   (until[j] == until[i] || !until[j]); j++)
			if (until[j]) {
				e->progress[j].wait = until[j];
				place[n++] = j;
			}
		text_wait(&lines, time(NULL), until[i], place, n);
	}
	free(place);
	return !lines.len || append_settled(e, &lines, why);
}

bool entry_missed(struct entry *e, const unsigned *more, struct outcome *why)
{
	struct buf lines = BUF(TEXT_JOURNAL_MAX);
	size_t i, j, n, *place = mem_alloc(e->envelope.n * sizeof(*place));
	const int64_t now = time(NULL);

	for (i = 0; i < e->envelope.n; i = j) {
		for (j = i, n = 0; j < e->envelope.n &&
				   (more[j] == more[i] || !more[j]); j++)
			if (more[j]) {
				e->progress[j].missed += more[j];
				e->progress[j].since = now;
				place[n++] = j;
			}
		text_missed(&lines, now, more[i], place, n);
	}
	free(place);
	return !lines.len || append_settled(e, &lines, why);
}

bool entry_schedule(struct entry *e, int64_t next, struct outcome *why)
{
	char name[QUEUE_NAME_SIZE];
	struct stat st;

	/* what was reserved for the attempt is for others now; where that
	 * cannot be had, it stays until the entry goes */
	if (fstat(e->file->fd, &st) < 0 ||
	    kernel_cut(e->file->fd, st.st_size) < 0)
		log_say(LOG_AT_DEBUG, "queue: %s: %s", e->id, strerror(errno));
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

	for (i = 0; i < e->envelope.n; i++)
		if (e->envelope.rcpt[i].state == RCPT_PENDING)
			return outcome_fail(why, STAGE_LOCAL, EX_SOFTWARE,
					    "%s: a recipient is pending",
					    e->id);
	if (entry_owes_report(e))
		return outcome_fail(why, STAGE_LOCAL, EX_SOFTWARE,
				    "%s: a report is due", e->id);
	return entry_sync(e, why) &&
	       qdir_unlink(e->file->dir, e->name, false, why);
}

void entry_quarantine(struct entry *e, const char *words)
{
	quarantine(e->file->dir, e->name, words);
}

/* --- administration --- */

/* A way that the owner orders for another's mail stands in a file of his, where
 * nobody else can have written it. */
static bool own_for_order(struct queue *q, enum order order, const char *name,
			  const char *transport, struct outcome *why)
{
	struct entry *e;
	bool good;
	struct stat st;

	if (order != ORDER_RETRY || !transport)
		return true;
	if (!queue_take(q, name, &e, why))
		return false;
	/* as a compacted one is: what he notes in it counts */
	good = (fstat(e->file->fd, &st) == 0 &&
		st.st_uid == e->file->dir->owner) ||
	       (entry_rewrite(e, why) && qdir_sync(e->file->dir, why));
	entry_release(e);
	return good;
}

bool queue_order(struct queue *q, enum order order, const char *id,
		 const char *transport, struct outcome *why)
{
	if (queue_is_remote(q))
		return drop_order(q, order, id, transport, why);
	if (!own_for_order(q, order, id, transport, why))
		return false;
	return qdir_order(&q->dir, order, id, QDIR_ANY, transport, why);
}

bool queue_order_all(struct queue *q, enum order order,
		     const char *transport, struct outcome *why)
{
	struct list names = { 0 };
	struct outcome ignored;
	size_t i;

	if (queue_is_remote(q))
		return drop_order(q, order, NULL, transport, why);
	if (order == ORDER_RETRY && transport && qdir_names(&q->dir, &names,
							    &ignored))
		for (i = 0; i < names.n; i++)
			own_for_order(q, order, names.item[i], transport,
				      &ignored);
	list_release(&names);
	return qdir_order_all(&q->dir, order, QDIR_ANY, transport, why);
}
