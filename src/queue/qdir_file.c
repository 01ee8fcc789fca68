/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bytes of an accepted entry, and of its journal, which grows. */
#include "queue/qdir_parts.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/kernel.h"
#include "base/log.h"
#include "queue/format.h"

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
	    file_ends_with(fd, st.st_size, data, done) &&
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
		return qdir_failed(why, qdir_write_exit(),
				   "cannot reserve room for the journal");
	}
	if (kernel_reserve(fd, st.st_size, (off_t)n) == 0 ||
	    errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)
		return true;
	return qdir_failed(why, qdir_write_exit(),
			   "cannot reserve room for the journal");
}
