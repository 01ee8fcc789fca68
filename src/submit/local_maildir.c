/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Into a maildir. The file is written and synced before it has a name where
 * readers look, and the directory after; where the file system can, it has no
 * name at all before that, so that nobody who is killed leaves one in tmp.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/kernel.h"
#include "submit/local.h"

enum { NAME_SIZE = 160, HOST_MAX = 64 };

struct maildir {
	int top, tmp, new;
};

/* --- the directories --- */

/* One in the maildir, which is no link to somewhere else; made if missing. */
static int open_within(int top, const char *name, bool *made)
{
	if (!mkdirat(top, name, 0700))
		*made = true;
	else if (errno != EEXIST && errno != EACCES && errno != EROFS)
		return -1;
	return kernel_open(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
			   O_CLOEXEC, 0);
}

/* The directories from the maildir upwards in which a name may be new. */
static bool sync_upwards(const char *path)
{
	char *at = mem_string(path), *slash;
	bool synced = true;
	int fd;

	while (synced && (slash = strrchr(at, '/'))) {
		*slash = '\0';
		fd = kernel_open(AT_FDCWD, slash == at ? "/" : at,
				 O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
		/* one that we may not even read is none that we wrote to */
		if (fd < 0)
			break;
		synced = !kernel_sync(fd) || errno == EROFS || errno == EINVAL;
		close(fd);
	}
	free(at);
	return synced;
}

static bool maildir_open(struct maildir *m, const char *path)
{
	const int how = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	char name[NAME_MAX + 1];
	bool made = false, whole;
	struct stat st;
	int above, cur;

	*m = (struct maildir){ -1, -1, -1 };
	if (stat(path, &st) && !file_make_directories(path))
		return false;
	if (geteuid()) {
		m->top = kernel_open(AT_FDCWD, path, how, 0);
	} else if (file_walk_directory(path, false, &above, name)) {
		/* root goes where nobody but root can lead it */
		m->top = kernel_open(above, name, how | O_NOFOLLOW, 0);
		close(above);
	}
	if (m->top < 0)
		return false;
	m->tmp = open_within(m->top, "tmp", &made);
	if (m->tmp < 0)
		return false;
	m->new = open_within(m->top, "new", &made);
	if (m->new < 0)
		return false;
	/* The names of what is new are synced before anything gets in there,
	 * and cur is made after that: where it is, nobody was killed in
	 * between, and nobody else is just making the others. */
	whole = !fstatat(m->top, "cur", &st, AT_SYMLINK_NOFOLLOW);
	if ((!whole && !sync_upwards(path)) ||
	    ((made || !whole) && kernel_sync(m->top)))
		return false;
	cur = open_within(m->top, "cur", &made);
	if (cur < 0)
		return false;
	close(cur);
	return true;
}

/* --- the file --- */

/* A name that no other delivery chooses, on this host or another one that
 * shares the directory. */
static void unique_name(char name[NAME_SIZE])
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
	char host[HOST_MAX + 1] = "";
	struct timespec now;
	size_t i;

	clock_gettime(CLOCK_REALTIME, &now);
	if (gethostname(host, HOST_MAX) || !host[0])
		snprintf(host, sizeof(host), "localhost");
	for (i = 0; host[i]; i++)
		if (!strchr(safe, host[i]))
			host[i] = '_';
	snprintf(name, NAME_SIZE, "%lld.M%ldP%ldR%016llx.%s",
		 (long long)now.tv_sec, now.tv_nsec / 1000, (long)getpid(),
		 (unsigned long long)clock_chance(), host);
}

static bool write_message(const struct local *l, int fd)
{
	return local_text_write(l, true, fd) && !kernel_sync(fd);
}

/* What was synced is there, whatever close(2) says of it; errno stays. */
static void close_file(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
}

/* Whether the file system has files without a name is *able. */
static bool deliver_unnamed(const struct local *l, const struct maildir *m,
			    const char *name, bool *able)
{
	int fd = kernel_open(m->tmp, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC,
			     0600);
	char link[40];
	bool done;

	*able = fd >= 0;
	if (fd < 0)
		return false;
	done = write_message(l, fd);
	if (done) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		done = !linkat(AT_FDCWD, link, m->new, name,
			       AT_SYMLINK_FOLLOW);
		/* there may be no /proc, or no links */
		*able = done;
	}
	close_file(fd);
	return done;
}

static bool maildir_deliver(const struct local *l, struct maildir *m)
{
	char name[NAME_SIZE];
	bool able, written;
	int error, fd;

	unique_name(name);
	if (!deliver_unnamed(l, m, name, &able)) {
		if (able)
			return false;
		fd = kernel_open(m->tmp, name, O_WRONLY | O_CREAT | O_EXCL |
				 O_CLOEXEC, 0600);
		if (fd < 0)
			return false;
		written = write_message(l, fd);
		close_file(fd);
		if (!written || kernel_rename(m->tmp, name, m->new, name)) {
			error = errno;
			unlinkat(m->tmp, name, 0);
			errno = error;
			return false;
		}
	}
	if (!kernel_sync(m->new))
		return true;
	/* what may be gone tomorrow is not delivered */
	error = errno;
	unlinkat(m->new, name, 0);
	errno = error;
	return false;
}

static void into_maildir(const struct local *l, struct outcome *o)
{
	const char *path = l->transport->path;
	struct maildir m;
	bool done = maildir_open(&m, path) && maildir_deliver(l, &m);

	*o = (struct outcome){ .stage = STAGE_DOT, .status = "2.0.0" };
	if (done)
		snprintf(o->text, sizeof(o->text), "in the maildir %.400s",
			 path);
	else
		outcome_fail_status(o, STAGE_RCPT, EX_TEMPFAIL, "4.3.0",
				    "the maildir %.400s: %s", path,
				    strerror(errno));
	if (m.top >= 0)
		close(m.top);
	if (m.tmp >= 0)
		close(m.tmp);
	if (m.new >= 0)
		close(m.new);
}

const struct local_kind local_maildir = {
	into_maildir, true, "into the maildir",
	offsetof(struct transport, path)
};
