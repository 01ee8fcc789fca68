/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/kernel.h"

#include <linux/fs.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int kernel_rename_new(int from_fd, const char *from, int to_fd,
		      const char *to)
{
	return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to,
			    RENAME_NOREPLACE);
}

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
