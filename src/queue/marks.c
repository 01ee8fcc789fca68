/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the queue's folder tells without an entry being read, and the files in
 * it by which processes tell each other something. */
#include "queue/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/kernel.h"
#include "base/log.h"
#include "base/scan.h"
#include "queue/queue_parts.h"

static const char run_file[] = "last-run", alarm_file[] = "last-alarm";
enum { ALARM_SIZE = 53 };
enum { DAY = 24 * 60 * 60, WEEK = 7 * DAY };

/* --- runs, and what there is to run --- */

/* 0: there was none. */
static time_t last_run(const struct queue *q)
{
	struct stat st;

	return q->dir.root >= 0 &&
	       fstatat(q->dir.root, run_file, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) ? st.st_mtime : 0;
}

/* A time of the future was written under another clock; it tells nothing
 * unless it is near. */
bool queue_tended(const struct queue *q)
{
	const time_t now = time(NULL), run = last_run(q);

	return run > now - WEEK && run < now + DAY;
}

static unsigned percent_of(uint64_t part, uint64_t all)
{
	return all ? (unsigned)((double)part / (double)all * 100) : 100;
}

void queue_vitals(struct queue *q, struct queue_vitals *v)
{
	unsigned inodes;
	struct statvfs s;

	*v = (struct queue_vitals){
		.last_run = last_run(q), .free_percent = 100, .free_bytes = -1,
		.damaged = queue_is_remote(q) ? 0 : qdir_damaged(&q->dir),
		.unread = q->unread,
	};
	if (q->dir.root < 0 || fstatvfs(q->dir.root, &s) < 0)
		return;
	inodes = percent_of(s.f_favail, s.f_files);
	v->free_percent = percent_of(s.f_bavail, s.f_blocks);
	if (inodes < v->free_percent)
		v->free_percent = inodes;
	v->free_bytes = (int64_t)(s.f_bavail * s.f_frsize);
}

void queue_mark_run(struct queue *q)
{
	int fd = kernel_open(q->dir.root, run_file, O_WRONLY | O_CREAT |
			     O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
			     0644);

	if (fd < 0 || futimens(fd, NULL) < 0)
		log_say(LOG_AT_ERROR, "queue: cannot touch %s: %s", run_file,
			strerror(errno));
	if (fd >= 0)
		close(fd);
}

struct queue_state queue_state(struct queue *q)
{
	struct stat st;

	if (fstat(q->dir.mess, &st) < 0)
		return (struct queue_state){ 0 };
	return (struct queue_state){ st.st_mtim.tv_sec, st.st_mtim.tv_nsec };
}

bool queue_waken(struct queue *q, bool due)
{
	if (!due)
		return unlinkat(q->dir.root, QDIR_WAKE, 0) == 0;
	qdir_waken(&q->dir);
	return true;
}

/* --- one at a time, so many at a time --- */

/* A byte of a file for each session that a user may have. */
bool queue_session(struct queue *q, uid_t uid, unsigned most)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
			      .l_len = 1 };
	unsigned i;
	int fd;

	fd = queue_is_remote(q) ? -1 :
	     kernel_open(q->dir.root, "sessions", O_RDWR | O_CREAT |
			 O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
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

bool queue_wait_turn(struct queue *q, int64_t *until)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	struct stat st;
	bool left = false;

	if (!q->turn)
		q->turn = 1 + openat(q->dir.root, "turn", O_RDWR | O_CREAT |
				     O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
				     O_CLOEXEC, 0600);
	if (!q->turn || fstat(q->turn - 1, &st))
		return true;
	/* no lock of this kind goes to workers, which may outlive us */
	while (fcntl(q->turn - 1, F_SETLK, &lock)) {
		if ((errno != EAGAIN && errno != EACCES) || left)
			return !left;
		if (st.st_mtime < *until)
			st.st_mtime = (time_t)*until;
		times[1].tv_sec = st.st_mtime;
		left = true;
		/* and once more, since whoever waited may have ended */
		if (futimens(q->turn - 1, times))
			return true;
	}
	if (st.st_mtime > *until)
		*until = st.st_mtime;
	return true;
}

/* --- when the postmaster was told --- */

static bool alarm_fails(struct outcome *why)
{
	return outcome_fail(why, STAGE_LOCAL, EX_CANTCREAT, "queue: %s: %s",
			    alarm_file, strerror(errno));
}

static int64_t alarm_time(struct scan *line)
{
	struct scan word;
	int64_t t = 0;

	return scan_word(line, " ", &word) &&
	       scan_number(&word, INT64_MAX / 4, &t) ? t : 0;
}

bool queue_last_alarm(struct queue *q, bool create, struct last_alarm *a,
		      struct outcome *why)
{
	const int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
			  O_CLOEXEC | (create ? O_CREAT : 0);
	struct scan all, line, word;
	char text[ALARM_SIZE];
	ssize_t n;

	*a = (struct last_alarm){
		.fd = kernel_open(q->dir.root, alarm_file, flags, 0600),
	};
	if (a->fd < 0)
		return alarm_fails(why);
	if (kernel_lock(a->fd, LOCK_EX | LOCK_NB)) {
		alarm_fails(why);
		queue_end_alarm(a);
		return false;
	}
	n = kernel_read_at(a->fd, text, sizeof(text), 0);
	all = scan_bytes(text, n > 0 ? (size_t)n : 0);
	if (!scan_line(&all, &line))
		return true;
	a->when = alarm_time(&line);
	a->queued = scan_word(&line, " ", &word) && a->when &&
		    scan_is(&word, "queued");
	a->look = alarm_time(&line);
	return true;
}

bool queue_note_alarm(const struct last_alarm *a, struct outcome *why)
{
	char text[ALARM_SIZE + 1];

	/* always as long, so that one write is all it takes */
	snprintf(text, sizeof(text), "%-20lld %-10s %-20lld\n",
		 (long long)a->when, a->queued ? "queued" : "-",
		 (long long)a->look);
	return (pwrite(a->fd, text, ALARM_SIZE, 0) == ALARM_SIZE &&
		!kernel_sync_data(a->fd)) || alarm_fails(why);
}

void queue_end_alarm(struct last_alarm *a)
{
	close(a->fd);
	a->fd = -1;
}
