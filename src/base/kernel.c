/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* --- what is begun again --- */

int kernel_open(int directory, const char *path, int flags, mode_t mode)
{
	int fd;

	do
		fd = openat(directory, path, flags, mode);
	while (fd < 0 && errno == EINTR);
	return fd;
}

int kernel_duplicate(int fd, int to)
{
	int rc;

	do
		rc = dup2(fd, to);
	while (rc < 0 && errno == EINTR);
	return rc;
}

int kernel_sync(int fd)
{
	int rc;

	do
		rc = fsync(fd);
	while (rc < 0 && errno == EINTR);
	return rc;
}

int kernel_sync_data(int fd)
{
	int rc;

	do
		rc = fdatasync(fd);
	while (rc < 0 && errno == EINTR);
	return rc;
}

int kernel_sync_system(int fd)
{
	int rc;

	do
		rc = syncfs(fd);
	while (rc < 0 && errno == EINTR);
	return rc;
}

int kernel_lock(int fd, int how)
{
	int rc;

	do
		rc = flock(fd, how);
	while (rc < 0 && errno == EINTR);
	return rc;
}

int kernel_cut(int fd, off_t size)
{
	int rc;

	do
		rc = ftruncate(fd, size);
	while (rc < 0 && errno == EINTR);
	return rc;
}

int kernel_reserve(int fd, off_t at, off_t n)
{
	int rc;

	do
		rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, at, n);
	while (rc < 0 && errno == EINTR);
	return rc;
}

int kernel_rename(int from_fd, const char *from, int to_fd, const char *to)
{
	int rc;

	do
		rc = renameat(from_fd, from, to_fd, to);
	while (rc < 0 && errno == EINTR);
	return rc;
}

int kernel_rename_new(int from_fd, const char *from, int to_fd,
		      const char *to)
{
	int rc;

	do
		rc = (int)syscall(SYS_renameat2, from_fd, from, to_fd, to,
				  RENAME_NOREPLACE);
	while (rc < 0 && errno == EINTR);
	return rc;
}

ssize_t kernel_read_at(int fd, void *data, size_t n, off_t at)
{
	char *p = data;
	size_t done = 0;
	ssize_t got;

	do {
		got = pread(fd, p + done, n - done, at + (off_t)done);
		done += got > 0 ? (size_t)got : 0;
	} while ((got > 0 && done < n) || (got < 0 && errno == EINTR));
	return got < 0 ? got : (ssize_t)done;
}

/* --- waiting --- */

int kernel_poll(struct pollfd *p, nfds_t n, int ms)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	int ready = poll(p, n, ms);
	nfds_t i;

	if (ready >= 0 || errno == EINTR)
		return ready;
	if (ms)
		nanosleep(&pause, NULL);
	for (ready = 0, i = 0; i < n; i++) {
		p[i].revents = p[i].fd < 0 ? 0 : p[i].events;
		ready += p[i].revents != 0;
	}
	return ready;
}

/* --- what not every C library has --- */

void kernel_close_from(int fd)
{
	long end;

	if (syscall(SYS_close_range, fd, ~0U, 0) == 0)
		return;
	/* Linux before 5.9 */
	for (end = sysconf(_SC_OPEN_MAX); fd < end; fd++)
		close(fd);
}

static int lower_first(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void kernel_close_range(int first, int last)
{
	if (syscall(SYS_close_range, first, last, 0) == 0)
		return;
	for (; first <= last; first++)
		close(first);
}

void kernel_close_except(int *keep, size_t n)
{
	unsigned next = 0;
	size_t i;

	qsort(keep, n, sizeof(*keep), lower_first);
	for (i = 0; i < n; i++) {
		if (keep[i] < 0 || (unsigned)keep[i] < next)
			continue;
		if ((unsigned)keep[i] > next)
			syscall(SYS_close_range, next, keep[i] - 1, 0);
		next = (unsigned)keep[i] + 1;
	}
	syscall(SYS_close_range, next, ~0U, 0);
}

int kernel_pidfd(int pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}
