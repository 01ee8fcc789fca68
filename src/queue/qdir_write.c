/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An entry from its first byte to durable acceptance. */
#include "queue/qdir_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/kernel.h"
#include "queue/format.h"

/* what is gathered before it is written */
enum { WRITE_SIZE = 32 * 1024 };

/* Twelve digits of time, so that ids sort by age, and four of chance. */
static void fresh_id(char id[QUEUE_ID_SIZE])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	struct timespec now;
	uint64_t time, chance = clock_chance();
	int i;

	clock_gettime(CLOCK_REALTIME, &now);
	time = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	id[16] = '\0';
	for (i = 16; i-- > 12; chance /= 36)
		id[i] = digits[chance % 36];
	for (i = 12; i-- > 0; time /= 36)
		id[i] = digits[time % 36];
}

bool qdir_begin(struct qdir *s, const char *id, struct qdir_writer *w,
		 struct outcome *why)
{
	struct stat st;
	int tries;

	*w = (struct qdir_writer){
		.dir = s, .fd = -1, .pending = BUF(WRITE_SIZE + 1)
	};
	/* a sweep may have taken the file for a dead writer's before it was
	 * locked */
	for (tries = 0; tries < 10; tries++) {
		if (id)
			snprintf(w->id, sizeof(w->id), "%s", id);
		else
			fresh_id(w->id);
		w->fd = kernel_open(s->tmp, w->id, O_RDWR | O_CREAT | O_EXCL |
				    OPEN_FILE, s->mode);
		if (w->fd < 0)
			break;
		if (kernel_lock(w->fd, LOCK_EX | LOCK_NB) == 0 &&
		    qdir_is_at(s->tmp, w->id, w->fd, &st))
			break;
		close(w->fd);
		w->fd = -1;
	}
	if (w->fd < 0)
		return qdir_failed(why, EX_CANTCREAT, "cannot create an entry");
	if ((st.st_mode & 07777) != s->mode && fchmod(w->fd, s->mode) < 0) {
		qdir_failed(why, EX_CANTCREAT, "cannot create an entry");
		qdir_abandon(w);
		return false;
	}
	return true;
}

static bool writer_put(struct qdir_writer *w, const char *data, size_t n,
		       struct outcome *why)
{
	if (file_write_all(w->fd, data, n))
		return true;
	qdir_failed(why, qdir_write_exit(), "cannot write an entry");
	qdir_abandon(w);
	return false;
}

bool qdir_flush(struct qdir_writer *w, struct outcome *why)
{
	if (!writer_put(w, w->pending.data, w->pending.len, why))
		return false;
	buf_reset(&w->pending);
	return true;
}

bool qdir_add(struct qdir_writer *w, const char *data, size_t n,
	       struct outcome *why)
{
	/* a small entry is one write */
	if (n > WRITE_SIZE - w->pending.len && !qdir_flush(w, why))
		return false;
	if (n > WRITE_SIZE) {
		if (!writer_put(w, data, n, why))
			return false;
	} else {
		buf_add(&w->pending, data, n);
	}
	w->sum = text_sum(w->sum, data, n);
	w->size += (int64_t)n;
	return true;
}

static void writer_close(struct qdir_writer *w)
{
	buf_release(&w->pending);
	close(w->fd);
	w->fd = -1;
}

/* Whole and on disk, with room to grow. */
static bool writer_sync(struct qdir_writer *w, struct outcome *why)
{
	struct stat st;

	if (!qdir_flush(w, why))
		return false;
	/* a queue that fills its disk could not be drained without room for
	 * the journals */
	if (!w->reserved && !qdir_reserve(w->fd, QDIR_JOURNAL_ROOM, why)) {
		qdir_abandon(w);
		return false;
	}
	if (kernel_sync(w->fd) < 0 || fstat(w->fd, &st) < 0) {
		qdir_failed(why, qdir_write_exit(), "cannot sync an entry");
		qdir_abandon(w);
		return false;
	}
	if (st.st_size != w->size) {
		outcome_fail(why, STAGE_LOCAL, EX_IOERR,
			     "queue: an entry was not written whole");
		qdir_abandon(w);
		return false;
	}
	return true;
}

/* A directory that was made a moment ago may not be on disk itself: whoever
 * made it may have died before it saw to that. */
static bool sync_directories(const struct qdir *s)
{
	enum { A_MOMENT = 300 };
	struct stat st;

	if (kernel_sync(s->mess) < 0 || fstat(s->root, &st) < 0)
		return false;
	return st.st_mtime < time(NULL) - A_MOMENT || kernel_sync(s->root) == 0;
}

bool qdir_commit(struct qdir_writer *w, const char *name,
		  struct outcome *why)
{
	struct qdir *s = w->dir;

	if (!writer_sync(w, why))
		return false;
	if (qdir_rename_new(s->tmp, w->id, s->mess, name) < 0) {
		qdir_failed(why, EX_CANTCREAT, "cannot name an entry");
		qdir_abandon(w);
		return false;
	}
	if (!sync_directories(s)) {
		qdir_failed(why, qdir_write_exit(),
			    "cannot sync the directory");
		/* still locked, so nobody has begun with it */
		unlinkat(s->mess, name, 0);
		writer_close(w);
		return false;
	}
	writer_close(w);
	qdir_waken(s);
	return true;
}

bool qdir_replace(struct qdir_writer *w, const char *name,
		  struct outcome *why)
{
	struct qdir *s = w->dir;

	if (fcntl(w->fd, F_SETFL, O_APPEND | O_NONBLOCK) < 0) {
		qdir_failed(why, EX_IOERR, "cannot rewrite an entry");
		qdir_abandon(w);
		return false;
	}
	if (!writer_sync(w, why))
		return false;
	if (kernel_rename(s->tmp, w->id, s->mess, name) < 0) {
		qdir_failed(why, qdir_write_exit(), "cannot rewrite an entry");
		qdir_abandon(w);
		return false;
	}
	buf_release(&w->pending);
	return true;
}

bool qdir_sync(struct qdir *s, struct outcome *why)
{
	return sync_directories(s) ||
	       qdir_failed(why, qdir_write_exit(), "cannot sync the directory");
}

void qdir_abandon(struct qdir_writer *w)
{
	if (w->fd < 0)
		return;
	unlinkat(w->dir->tmp, w->id, 0);
	writer_close(w);
}
