/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "queue/qdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/kernel.h"
#include "base/log.h"
#include "queue/format.h"

/* what is gathered before it is written */
enum { WRITE_SIZE = 32 * 1024 };

enum { OPEN_DIRECTORY = O_RDONLY | O_DIRECTORY | O_CLOEXEC };
/* O_NONBLOCK: a FIFO that somebody put here must not stop us. */
enum { OPEN_FILE = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };

static bool qdir_failed(struct outcome *why, int exit, const char *what)
{
	return outcome_fail(why, STAGE_LOCAL, exit, "queue: %s: %s", what,
			    strerror(errno));
}

/* A disk that is full, read-only or beyond a quota can be told from one that
 * fails. */
static int write_exit(void)
{
	return errno == EIO ? EX_IOERR : EX_CANTCREAT;
}

/* --- directories --- */

static bool open_part(struct qdir *s, const char *name, bool create,
		      bool *made, int *fd)
{
	if (create && mkdirat(s->root, name, 0700) == 0)
		*made = true;
	else if (create && errno != EEXIST)
		return false;
	if (faccessat(s->root, name, R_OK | W_OK | X_OK, AT_EACCESS) < 0)
		return false;
	*fd = kernel_open(s->root, name, OPEN_DIRECTORY | O_NOFOLLOW, 0);
	return *fd >= 0;
}

/* A new directory's own name must be as durable as what it holds. corrupt is
 * made after that: where it is, nobody was killed in between, and nobody else
 * is just making the others. */
static bool sync_made(const struct qdir *s, bool made)
{
	struct stat st;

	return (!made && !fstatat(s->root, "corrupt", &st,
				  AT_SYMLINK_NOFOLLOW)) ||
	       kernel_sync_system(s->root) == 0;
}

bool qdir_open(const char *directory, bool create, struct qdir *s,
		struct outcome *why)
{
	struct stat root, mess;
	bool made = false;

	*s = (struct qdir){ -1, -1, -1, -1, 0, 0 };
	s->root = kernel_open(AT_FDCWD, directory, OPEN_DIRECTORY, 0);
	if (s->root < 0 && create && errno == ENOENT &&
	    file_make_directories(directory))
		s->root = kernel_open(AT_FDCWD, directory, OPEN_DIRECTORY, 0);
	if (s->root < 0 || fstat(s->root, &root) < 0 ||
	    !open_part(s, "tmp", create, &made, &s->tmp) ||
	    !open_part(s, "mess", create, &made, &s->mess) ||
	    (create && !sync_made(s, made)) ||
	    !open_part(s, "corrupt", create, &made, &s->corrupt) ||
	    fstat(s->mess, &mess) < 0)
		return qdir_failed(why, errno == EACCES || errno == EPERM ?
				   EX_NOPERM : EX_CANTCREAT, directory);
	s->owner = root.st_uid;
	s->mode = mess.st_mode & S_IWGRP ? 0660 : 0600;
	return true;
}

void qdir_close(struct qdir *s)
{
	int *fd[] = { &s->root, &s->tmp, &s->mess, &s->corrupt };
	size_t i;

	for (i = 0; i < sizeof(fd) / sizeof(*fd); i++) {
		if (*fd[i] >= 0)
			close(*fd[i]);
		*fd[i] = -1;
	}
}

/* --- writing --- */

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

/* Whether the file behind fd is (still) the one of this name. */
static bool is_at(int directory, const char *name, int fd, struct stat *st)
{
	struct stat there;

	return fstat(fd, st) == 0 && st->st_nlink == 1 &&
	       fstatat(directory, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       there.st_dev == st->st_dev && there.st_ino == st->st_ino;
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
		    is_at(s->tmp, w->id, w->fd, &st))
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
	qdir_failed(why, write_exit(), "cannot write an entry");
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

/* Where the file system cannot refuse to replace, the id's randomness is
 * what is left. */
static int rename_new(int from_fd, const char *from, int to_fd,
		      const char *to)
{
	if (kernel_rename_new(from_fd, from, to_fd, to) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	return kernel_rename(from_fd, from, to_fd, to);
}

/* Only in the system's queue: a user's own has no path unit. */
void qdir_waken(struct qdir *s)
{
	int fd;

	if (!(s->mode & S_IRGRP))
		return;
	fd = kernel_open(s->root, QDIR_WAKE, O_WRONLY | O_CREAT | O_NOFOLLOW |
			 O_NONBLOCK | O_NOCTTY | O_CLOEXEC, s->mode);
	if (fd >= 0)
		close(fd);
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
		qdir_failed(why, write_exit(), "cannot sync an entry");
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
	if (rename_new(s->tmp, w->id, s->mess, name) < 0) {
		qdir_failed(why, EX_CANTCREAT, "cannot name an entry");
		qdir_abandon(w);
		return false;
	}
	if (!sync_directories(s)) {
		qdir_failed(why, write_exit(), "cannot sync the directory");
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
		qdir_failed(why, write_exit(), "cannot rewrite an entry");
		qdir_abandon(w);
		return false;
	}
	buf_release(&w->pending);
	return true;
}

bool qdir_sync(struct qdir *s, struct outcome *why)
{
	return sync_directories(s) ||
	       qdir_failed(why, write_exit(), "cannot sync the directory");
}

void qdir_abandon(struct qdir_writer *w)
{
	if (w->fd < 0)
		return;
	unlinkat(w->dir->tmp, w->id, 0);
	writer_close(w);
}

/* --- looking --- */

/* The directory's descriptor has one position for all; a new one reads from
 * the beginning. */
static DIR *read_directory(int directory)
{
	int fd = kernel_open(directory, ".", OPEN_DIRECTORY, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const int error = errno;

	if (!dir && fd >= 0)
		close(fd);
	errno = error;
	return dir;
}

bool qdir_names(struct qdir *s, struct list *names, struct outcome *why)
{
	char id[QUEUE_ID_SIZE];
	struct dirent *d;
	int64_t next;
	bool held;
	DIR *dir = read_directory(s->mess);

	if (!dir)
		return qdir_failed(why, errno == EACCES ? EX_NOPERM : EX_IOERR,
				   "cannot read the directory");
	while (errno = 0, (d = readdir(dir)))
		if (text_read_name(d->d_name, id, &next, &held))
			list_add(names, d->d_name);
	if (errno) {
		qdir_failed(why, EX_IOERR, "cannot read the directory");
		closedir(dir);
		return false;
	}
	closedir(dir);
	return true;
}

bool qdir_find(struct qdir *s, const char *id, char name[QUEUE_NAME_SIZE])
{
	char found[QUEUE_ID_SIZE];
	DIR *dir = read_directory(s->mess);
	struct dirent *d;
	int64_t next;
	bool held, there = false;

	while (dir && !there && (d = readdir(dir))) {
		there = text_read_name(d->d_name, found, &next, &held) &&
			!strcmp(found, id);
		if (there)
			text_name(name, id, next, held);
	}
	if (dir)
		closedir(dir);
	return there;
}

bool qdir_has(struct qdir *s, const char *name)
{
	struct stat st;

	return fstatat(s->mess, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool qdir_is_corrupt(struct qdir *s, const char *id)
{
	struct stat st;

	return fstatat(s->corrupt, id, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

size_t qdir_damaged(struct qdir *s)
{
	DIR *dir = s->corrupt < 0 ? NULL : read_directory(s->corrupt);
	const struct dirent *d;
	size_t n = 0;

	while (dir && (d = readdir(dir)))
		n += d->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

static bool open_entry(struct qdir *s, const char *name, int flags, int *fd,
		       struct stat *st, struct outcome *why)
{
	*fd = kernel_open(s->mess, name, flags | OPEN_FILE, 0);
	if (*fd < 0 && errno == ENOENT)
		return outcome_fail(why, STAGE_LOCAL, EX_NOINPUT,
				    "%s: no such entry", name);
	if (*fd < 0 && (errno == EACCES || errno == EPERM))
		return qdir_failed(why, EX_NOPERM, name);
	if (*fd < 0 && (errno == EMFILE || errno == ENFILE ||
			errno == ENOMEM))
		return qdir_failed(why, EX_OSERR, name);
	if (*fd < 0 && errno != ELOOP && errno != EISDIR && errno != ENXIO &&
	    errno != ENODEV)
		return qdir_failed(why, EX_IOERR, name);
	if (*fd >= 0 && fstat(*fd, st) == 0 && S_ISREG(st->st_mode) &&
	    st->st_nlink <= 1)
		return true;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return outcome_fail(why, STAGE_LOCAL, EX_NOPERM, "queue: %s is no "
			    "entry: not a plain file with one name", name);
}

bool qdir_look(struct qdir *s, const char *name, int *fd, struct stat *st,
		struct outcome *why)
{
	return open_entry(s, name, O_RDONLY, fd, st, why);
}

bool qdir_lock(struct qdir *s, const char *name, int *fd, struct stat *st,
		struct outcome *why)
{
	if (!open_entry(s, name, O_RDWR | O_APPEND, fd, st, why))
		return false;
	if (kernel_lock(*fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				     "%.*s: is being delivered",
				     (int)strcspn(name, ","), name);
		else
			qdir_failed(why, EX_IOERR, name);
	} else if (is_at(s->mess, name, *fd, st)) {
		return true;
	} else {
		/* whoever had the lock renamed or removed it */
		outcome_fail(why, STAGE_LOCAL, EX_NOINPUT,
			     "%s: no such entry", name);
	}
	close(*fd);
	*fd = -1;
	return false;
}

bool qdir_read(int fd, int64_t offset, void *data, size_t n)
{
	return file_read_at(fd, offset, data, n);
}

bool qdir_sum(int fd, int64_t n, uint64_t *sum)
{
	char block[32 * 1024];
	int64_t offset;
	size_t part;

	*sum = 0;
	for (offset = 0; offset < n; offset += (int64_t)part) {
		part = n - offset < (int64_t)sizeof(block) ?
		       (size_t)(n - offset) : sizeof(block);
		if (!qdir_read(fd, offset, block, part))
			return false;
		*sum = text_sum(*sum, block, part);
	}
	return true;
}

/* --- changing --- */

/* Whether the file ends with these bytes. */
static bool ends_with(int fd, off_t end, const char *data, size_t n)
{
	char block[4096];
	size_t at, part;

	if (end < (off_t)n)
		return false;
	for (at = 0; at < n; at += part) {
		part = n - at < sizeof(block) ? n - at : sizeof(block);
		if (!qdir_read(fd, end - (off_t)(n - at), block, part) ||
		    memcmp(block, data + at, part) != 0)
			return false;
	}
	return true;
}

bool qdir_append(int fd, const char *data, size_t n, struct outcome *why)
{
	size_t done = 0;
	ssize_t part = 0;
	sigset_t all, old;
	struct stat st;
	int error;

	/* half a record, after which others write, would be damage: whoever is
	 * to end this process waits for the write */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	while (done < n) {
		part = write(fd, data + done, n - done);
		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			break;
		done += (size_t)part;
	}
	error = part < 0 ? errno : ENOSPC;
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (done == n)
		return true;
	/* whatever lines follow must not follow half a line; but what another
	 * worker has written behind it by now stays */
	if (done && fstat(fd, &st) == 0 &&
	    ends_with(fd, st.st_size, data, done) &&
	    kernel_cut(fd, st.st_size - (off_t)done) < 0)
		log_say(LOG_AT_ERROR, "queue: cannot cut the journal: %s",
			strerror(errno));
	errno = error;
	return qdir_failed(why, EX_IOERR, "cannot write the journal");
}

bool qdir_cut_torn(int fd)
{
	char tail[TEXT_LINE_MAX];
	struct stat st;
	const char *end;
	size_t n;

	if (fstat(fd, &st) < 0)
		return false;
	n = st.st_size < (off_t)sizeof(tail) ? (size_t)st.st_size :
	    sizeof(tail);
	if (!qdir_read(fd, st.st_size - (off_t)n, tail, n))
		return false;
	end = memrchr(tail, '\n', n);
	if (!end)
		return false;
	n -= (size_t)(end + 1 - tail);
	return !n || kernel_cut(fd, st.st_size - (off_t)n) == 0;
}

bool qdir_reserve(int fd, size_t n, struct outcome *why)
{
	struct rlimit most;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return qdir_failed(why, EX_IOERR, "cannot reserve room");
	/* what is reserved behind the end is not held against it */
	if (!getrlimit(RLIMIT_FSIZE, &most) &&
	    most.rlim_cur != RLIM_INFINITY &&
	    (uint64_t)st.st_size + n > most.rlim_cur) {
		errno = EFBIG;
		return qdir_failed(why, write_exit(),
				   "cannot reserve room for the journal");
	}
	if (kernel_reserve(fd, st.st_size, (off_t)n) == 0 ||
	    errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)
		return true;
	return qdir_failed(why, write_exit(),
			   "cannot reserve room for the journal");
}

bool qdir_rename(struct qdir *s, const char *from, const char *to,
		  bool sync, struct outcome *why)
{
	if (strcmp(from, to) != 0 &&
	    rename_new(s->mess, from, s->mess, to) < 0)
		return qdir_failed(why, EX_IOERR, "cannot rename an entry");
	if (sync && kernel_sync(s->mess) < 0)
		return qdir_failed(why, EX_IOERR, "cannot sync the directory");
	if (sync)
		qdir_waken(s);
	return true;
}

bool qdir_unlink(struct qdir *s, const char *name, bool sync,
		  struct outcome *why)
{
	if (unlinkat(s->mess, name, 0) < 0 && errno != ENOENT)
		return qdir_failed(why, EX_IOERR, "cannot remove an entry");
	if (sync && kernel_sync(s->mess) < 0)
		return qdir_failed(why, EX_IOERR, "cannot sync the directory");
	return true;
}

bool qdir_quarantine(struct qdir *s, const char *name, const char *id)
{
	char to[QUEUE_ID_SIZE + 8];
	int i, moved = -1;

	for (i = 0; i < 100 && moved < 0; i++) {
		snprintf(to, sizeof(to), i ? "%s~%d" : "%s", id, i);
		moved = rename_new(s->mess, name, s->corrupt, to);
		if (moved < 0 && errno != EEXIST)
			break;
	}
	return moved == 0 && kernel_sync(s->corrupt) == 0 &&
	       kernel_sync(s->mess) == 0;
}

/* --- sweeping --- */

void qdir_sweep(struct qdir *s)
{
	DIR *dir = read_directory(s->tmp);
	struct dirent *d;
	struct stat st;
	int fd;

	while (dir && (d = readdir(dir))) {
		/* on NFS a lock that excludes needs a descriptor to write by */
		fd = d->d_name[0] == '.' ? -1 :
		     kernel_open(s->tmp, d->d_name, O_RDWR | OPEN_FILE, 0);
		if (fd < 0)
			continue;
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		    kernel_lock(fd, LOCK_EX | LOCK_NB) == 0)
			unlinkat(s->tmp, d->d_name, 0);
		close(fd);
	}
	if (dir)
		closedir(dir);
}
