/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/kernel.h"

int cache_open(const char *path, bool create)
{
	struct stat st;
	int fd;

	if (!path || !*path)
		return -1;
	/* its place may come from the environment, and be another user's;
	 * what is read is judged by itself */
	if (create && !geteuid())
		fd = file_open_made(path, true);
	else if (create && !file_make_directories(path))
		return -1;
	else
		fd = kernel_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY |
				 O_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && !(st.st_mode & S_IWOTH))
		return fd;
	close(fd);
	errno = 0;
	return -1;
}

bool cache_file(const char *path, const char *name, struct buf *out)
{
	int dir = cache_open(path, false), fd;
	struct outcome ignored;
	bool ok;

	if (dir < 0)
		return false;
	fd = kernel_open(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
			 O_CLOEXEC, 0);
	close(dir);
	if (fd < 0)
		return false;
	ok = file_read_fd(fd, name, FILE_TRUSTED, out, NULL, &ignored);
	close(fd);
	return ok;
}
