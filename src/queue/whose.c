/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a look at the directory tells, without reading an entry. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "queue/format.h"
#include "queue/queue_parts.h"
#include "base/scan.h"

/* The envelope's first lines say whose it is where the file does not: it came
 * through the owner's own hands (a socket, root). */
static bool read_uid(int fd, uid_t *uid)
{
	char text[256];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	struct scan all = { text, text + (n > 0 ? n : 0) }, line;
	int64_t value;

	while (scan_until(&all, '\n', &line)) {
		if (!scan_skip(&line, "uid "))
			continue;
		if (!scan_number(&line, UINT32_MAX, &value))
			return false;
		*uid = (uid_t)value;
		return true;
	}
	return false;
}

bool queue_whose(struct queue *q, const char *name, uid_t *uid)
{
	struct stat st;
	int fd;

	if (fstatat(q->dir.mess, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	*uid = st.st_uid;
	if (st.st_uid != q->dir.owner || !(q->dir.mode & S_IRGRP))
		return true;
	fd = openat(q->dir.mess, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
		    O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return false;
	read_uid(fd, uid);
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
