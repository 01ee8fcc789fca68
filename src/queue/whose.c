/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a look at the directory tells, without reading an entry. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "queue/queue_parts.h"

bool queue_whose(struct queue *q, const char *name, uid_t *uid)
{
	struct outcome ignored;
	struct stat st;
	int fd;

	if (fstatat(q->dir.mess, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	*uid = st.st_uid;
	if (st.st_uid != q->dir.owner || !(q->dir.mode & S_IRGRP))
		return true;
	if (!qdir_look(&q->dir, name, &fd, &st, &ignored))
		return false;
	if (!entry_whose(&q->dir, fd, &st, uid))
		*uid = st.st_uid;
	close(fd);
	return true;
}

struct queue_state queue_state(struct queue *q)
{
	struct stat st;

	if (fstat(q->dir.mess, &st) < 0)
		return (struct queue_state){ 0 };
	return (struct queue_state){ st.st_mtim.tv_sec, st.st_mtim.tv_nsec };
}

void queue_waken(struct queue *q, bool due)
{
	if (due)
		qdir_waken(&q->dir);
	else
		unlinkat(q->dir.root, QDIR_WAKE, 0);
}

/* A byte of a file for each session that a user may have. */
bool queue_session(struct queue *q, uid_t uid, unsigned most)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
			      .l_len = 1 };
	unsigned i;
	int fd;

	fd = queue_is_remote(q) ? -1 :
	     openat(q->dir.root, "sessions", O_RDWR | O_CREAT | O_NOFOLLOW |
		    O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (fd < 0)
		return true;
	for (i = 0; i < most; i++) {
		lock.l_start = (off_t)uid * most + i;
		/* the descriptor stays open, and with it the lock */
		if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
			return true;
		if (errno != EAGAIN && errno != EACCES)
			break;
	}
	close(fd);
	return i < most;
}
