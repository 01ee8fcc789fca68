/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "queue/qdir_parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/kernel.h"
#include "queue/format.h"

enum { OPEN_DIRECTORY = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

bool qdir_failed(struct outcome *why, int exit, const char *what)
{
	return outcome_fail(why, STAGE_LOCAL, exit, "queue: %s: %s", what,
			    strerror(errno));
}

/* A disk that is full, read-only or beyond a quota can be told from one that
 * fails. */
int qdir_write_exit(void)
{
	return errno == EIO ? EX_IOERR : EX_CANTCREAT;
}

bool qdir_is_at(int directory, const char *name, int fd, struct stat *st)
{
	struct stat there;

	return fstat(fd, st) == 0 && st->st_nlink == 1 &&
	       fstatat(directory, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       there.st_dev == st->st_dev && there.st_ino == st->st_ino;
}

/* Where the file system cannot refuse to replace, the id's randomness is
 * what is left. */
int qdir_rename_new(int from_fd, const char *from, int to_fd, const char *to)
{
	if (kernel_rename_new(from_fd, from, to_fd, to) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	return kernel_rename(from_fd, from, to_fd, to);
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
	} else if (qdir_is_at(s->mess, name, *fd, st)) {
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

/* --- changing --- */

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

bool qdir_rename(struct qdir *s, const char *from, const char *to,
		  bool sync, struct outcome *why)
{
	if (strcmp(from, to) != 0 &&
	    qdir_rename_new(s->mess, from, s->mess, to) < 0)
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
		moved = qdir_rename_new(s->mess, name, s->corrupt, to);
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
