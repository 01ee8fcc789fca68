/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/kernel.h"

#include <linux/fs.h>
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

int kernel_pidfd(int pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}
