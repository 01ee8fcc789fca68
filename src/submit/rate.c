/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/rate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/kernel.h"
#include "base/log.h"
#include "base/scan.h"
#include "submit/place.h"

enum {
	FILE_MOST = 32 * 1024,
	LOCK_MS = 2000,           /* that somebody else is waited for */
	LOCK_PAUSE_NS = 2000000
};

static const char heading[] = "posthaste-rate 1", letters[] = "smhd";

/* --- as text --- */

void rate_write(const struct rate_state *s, struct buf *out)
{
	const struct rate_row *row;
	enum rate_unit u;
	size_t i;

	buf_addf(out, "%s\n", heading);
	for (u = RATE_SECOND; u < RATE_UNITS; u++) {
		row = &s->row[u];
		for (i = 0; i < row->used; i++)
			if (row->n[i])
				buf_addf(out, "%c %" PRId64 " %" PRId64 "\n",
					 letters[u], row->slot[i], row->n[i]);
	}
	if (s->pace.step)
		buf_addf(out, "pace %" PRId64 " %" PRId64 "\n", s->pace.until,
			 s->pace.step);
	/* what a longer one left after it does not count */
	buf_adds(out, "end\n");
}

static bool read_two(struct scan *line, int64_t *a, int64_t *b)
{
	struct scan word;

	return scan_until(line, ' ', &word) &&
	       scan_number(&word, INT64_MAX / 4, a) &&
	       scan_number(line, INT64_MAX / 4, b);
}

static bool read_row(struct rate_row *row, struct scan *line)
{
	int64_t slot, n;

	if (!read_two(line, &slot, &n) || row->used == RATE_SLOTS ||
	    n > 1000000000 ||
	    (row->used && row->slot[row->used - 1] >= slot))
		return false;
	row->slot[row->used] = slot;
	row->n[row->used++] = n;
	return true;
}

static bool read_lines(struct scan *text, struct rate_state *s)
{
	struct scan line, word;
	const char *letter;

	if (!scan_line(text, &line) || !scan_is(&line, heading))
		return false;
	while (scan_line(text, &line)) {
		if (scan_is(&line, "end"))
			return true;
		if (!scan_until(&line, ' ', &word))
			return false;
		letter = scan_left(&word) == 1 ? strchr(letters, *word.p) :
						 NULL;
		if (letter && *letter ?
		    !read_row(&s->row[letter - letters], &line) :
		    !scan_is(&word, "pace") ||
		    !read_two(&line, &s->pace.until, &s->pace.step))
			return false;
	}
	return false;
}

bool rate_read(const char *text, size_t n, struct rate_state *s)
{
	struct scan scan = scan_bytes(text, n);

	*s = (struct rate_state){ 0 };
	if (read_lines(&scan, s))
		return true;
	*s = (struct rate_state){ 0 };
	return false;
}

/* --- the file --- */

char *rate_directory(const struct config *c)
{
	struct stat st;

	if (c->queue.directory && !stat(c->queue.directory, &st) &&
	    S_ISDIR(st.st_mode) && st.st_uid == geteuid())
		return mem_printf("%s/rate", c->queue.directory);
	return place_own_state("rate");
}

/* Whoever holds the lock reads and writes; one that was stopped in between is
 * not waited for. */
static bool lock(int fd)
{
	const struct timespec pause = { 0, LOCK_PAUSE_NS };
	const int64_t deadline = clock_in(LOCK_MS);

	while (kernel_lock(fd, LOCK_EX | LOCK_NB)) {
		if ((errno != EWOULDBLOCK && errno != EINTR) ||
		    !clock_left(deadline))
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

int rate_open_directory(const char *directory)
{
	int fd;

	/* below a home that the environment names, and that may be another
	 * user's */
	if (!geteuid())
		return file_open_made(directory, true);
	fd = kernel_open(AT_FDCWD, directory, O_PATH | O_DIRECTORY | O_CLOEXEC,
			 0);
	if (fd < 0 && errno == ENOENT && file_make_directories(directory))
		fd = kernel_open(AT_FDCWD, directory, O_PATH | O_DIRECTORY |
				 O_CLOEXEC, 0);
	return fd;
}

/* -1: errno */
static int open_file(const char *directory, const char *name)
{
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
			  O_NONBLOCK | O_NOCTTY;
	int place = rate_open_directory(directory), fd, error;
	struct stat st;

	if (place < 0)
		return -1;
	fd = kernel_open(place, name, flags, 0600);
	error = errno;
	close(place);
	errno = error;
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) ||
	    st.st_uid != geteuid() || st.st_nlink != 1)
		errno = EPERM;
	else if (lock(fd))
		return fd;
	close(fd);
	return -1;
}

/* Opens a transport's, locked, and reads it; what cannot be read was written
 * by nobody, and begins anew. -1: it cannot be used, which was said. */
static int open_state(struct run *run, const struct transport *t,
		      struct rate_state *s)
{
	char *directory = rate_directory(run->config);
	char *name = place_file_name(t->name);
	char *path = mem_printf("%s/%s", directory ? directory : "", name);
	char text[FILE_MOST];
	int fd = -1;
	ssize_t n;

	errno = ENOENT;
	if (directory)
		fd = open_file(directory, name);
	if (fd >= 0) {
		n = kernel_read_at(fd, text, sizeof(text), 0);
		if (!rate_read(text, n > 0 ? (size_t)n : 0, s) && n > 0) {
			log_say(LOG_AT_ERROR, "%s is damaged: the rate of "
				"transport %s begins anew", path, t->name);
			(void)!kernel_cut(fd, 0);
		}
	} else if (!run->rate_told) {
		log_say(LOG_AT_ERROR, "the rate of transport %s is not kept: "
			"%s: %s", t->name, directory ? path :
			"no home directory", strerror(errno));
		run->rate_told = true;
	}
	free(path);
	free(name);
	free(directory);
	return fd;
}

static void close_state(int fd, const struct rate_state *s)
{
	struct buf text = BUF(FILE_MOST);

	rate_write(s, &text);
	/* a disk that is full keeps the old one; the lock goes with the
	 * descriptor */
	if (pwrite(fd, text.data, text.len, 0) == (ssize_t)text.len)
		(void)!kernel_cut(fd, (off_t)text.len);
	buf_release(&text);
	close(fd);
}

/* --- the deed --- */

static int64_t wall_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t rate_wait(struct run *run, const struct transport *t)
{
	int64_t most[RATE_UNITS], wait;
	struct rate_state s;
	int fd;

	if (!transport_rates(t, most) || (fd = open_state(run, t, &s)) < 0)
		return 0;
	wait = policy_rate_take(&s, most, wall_clock(), 1);
	close(fd);
	return wait;
}

int64_t rate_take(struct run *run, const struct transport *t, size_t n,
		  struct rate_ticket *taken)
{
	int64_t most[RATE_UNITS], wait;
	struct rate_state s;
	int fd;

	*taken = (struct rate_ticket){ .n = (int64_t)n };
	if (!transport_rates(t, most))
		return 0;
	if (taken->n > policy_rate_least(most))
		taken->n = policy_rate_least(most);
	fd = open_state(run, t, &s);
	if (fd < 0)
		return 0;
	taken->at = wall_clock();
	wait = policy_rate_take(&s, most, taken->at, taken->n);
	close_state(fd, &s);
	return wait;
}

void rate_done(struct run *run, const struct transport *t,
	       const struct rate_ticket *taken, bool took, bool slows)
{
	int64_t most[RATE_UNITS];
	struct rate_state s;
	int fd;

	if (!transport_rates(t, most) || (fd = open_state(run, t, &s)) < 0)
		return;
	policy_rate_done(&s, most, taken->at, wall_clock(), taken->n);
	if (slows)
		policy_slow_down(&s.pace, wall_clock());
	else if (took)
		policy_speed_up(&s.pace);
	close_state(fd, &s);
}

bool rate_fail(const struct transport *t, int64_t wait, struct outcome *why)
{
	char *rates = list_join(&t->rate, " ");

	outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL, "the rate of transport "
		     "%s (%s) is used up for now", t->name, rates);
	why->not_before = (int64_t)time(NULL) + (wait + 999) / 1000;
	free(rates);
	return false;
}
