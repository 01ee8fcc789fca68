/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/kernel.h"
#include "base/user.h"

int file_exit(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM ?
	       EX_OSERR : EX_CONFIG;
}

/* --- whose it is --- */

const char *file_reason(const struct outcome *why, const char *path)
{
	size_t n = strlen(path);

	return !strncmp(why->text, path, n) &&
	       !strncmp(why->text + n, ": ", 2) ? why->text + n + 2 :
	       why->text;
}

void file_add_reader(struct outcome *why, const char *path)
{
	char reader[80], owner[80], text[sizeof(why->text)];
	struct stat st;

	user_words(geteuid(), reader, sizeof(reader));
	memcpy(text, why->text, sizeof(text));
	if (!stat(path, &st) && st.st_uid != geteuid()) {
		user_words(st.st_uid, owner, sizeof(owner));
		outcome_fail(why, why->stage, why->exit, "%.300s (read as "
			     "%s); it belongs to %s", text, reader, owner);
	} else {
		outcome_fail(why, why->stage, why->exit,
			     "%.300s (read as %s)", text, reader);
	}
}

/* Within a user namespace that does not know the host's root, what is his
 * belongs to nobody. */
static bool is_root(uid_t uid)
{
	return !uid || user_is_unmapped(uid);
}

static bool is_read_only(int fd)
{
	struct statvfs v;

	return !fstatvfs(fd, &v) && v.f_flag & ST_RDONLY;
}

bool file_judge(int fd, const char *path, unsigned how,
		struct file_facts *facts, struct outcome *why)
{
	char owner[80], reader[80];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return outcome_fail(why, STAGE_LOCAL, file_exit(errno),
				    "%s: %s", path, strerror(errno));
	facts->there = true;
	facts->mode = st.st_mode & 07777;
	facts->owner = st.st_uid;
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
		return true;
	if (S_ISDIR(st.st_mode))
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "%s: %s",
				    path, strerror(EISDIR));
	if (!S_ISREG(st.st_mode))
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "%s: is not a regular file", path);
	if (how & FILE_TRUSTED && st.st_mode & S_IWOTH && !is_read_only(fd))
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "%s: can be "
				    "written by others (chmod o-w)", path);
	if (how & FILE_TRUSTED && !is_root(st.st_uid) &&
	    st.st_uid != geteuid()) {
		user_words(st.st_uid, owner, sizeof(owner));
		user_words(geteuid(), reader, sizeof(reader));
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "%s: belongs "
				    "to %s; for %s it has to be his own or "
				    "root's", path, owner, reader);
	}
	if (how & FILE_PRIVATE && st.st_mode & S_IROTH) {
		facts->exposed = is_read_only(fd);
		if (!facts->exposed)
			return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
					    "%s: can be read by others "
					    "(chmod o-r)", path);
	}
	return true;
}

/* --- reading --- */

int file_open(const char *path, unsigned how, struct file_facts *facts,
	      struct outcome *why)
{
	struct file_facts ignored;
	struct stat st;
	int fd;

	if (!facts)
		facts = &ignored;
	*facts = (struct file_facts){ 0 };
	/* O_NONBLOCK: a FIFO without a writer must not stop us here */
	fd = kernel_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY |
			 O_NONBLOCK, 0);
	if (fd >= 0) {
		if (file_judge(fd, path, how, facts, why))
			return fd;
		close(fd);
		errno = 0;
		return -1;
	}
	if (errno != ENOENT && errno != ENOTDIR) {
		outcome_fail(why, STAGE_LOCAL, file_exit(errno), "%s: %s",
			     path, strerror(errno));
		if (errno == EACCES)
			file_add_reader(why, path);
		return -1;
	}
	if (!lstat(path, &st) && S_ISLNK(st.st_mode)) {
		outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
			     "%s: is a link that leads nowhere", path);
		errno = ELOOP;
		return -1;
	}
	outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "%s: %s", path,
		     strerror(errno));
	if (how & FILE_OPTIONAL)
		*why = (struct outcome){ 0 };
	errno = ENOENT;
	return -1;
}

static bool file_take(int fd, const char *path, struct buf *out,
		      struct outcome *why)
{
	if (buf_read(out, fd))
		return true;
	if (out->full)
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "%s: is longer than %zu bytes", path,
				    out->max);
	return outcome_fail(why, STAGE_LOCAL, file_exit(errno), "%s: %s",
			    path, strerror(errno));
}

bool file_read(const char *path, unsigned how, struct buf *out,
	       struct file_facts *facts, struct outcome *why)
{
	int fd = file_open(path, how, facts, why), error;
	bool done;

	if (fd < 0)
		return errno == ENOENT && how & FILE_OPTIONAL;
	done = file_take(fd, path, out, why);
	error = errno;
	close(fd);
	errno = error;
	return done;
}

bool file_read_fd(int fd, const char *path, unsigned how, struct buf *out,
		  struct file_facts *facts, struct outcome *why)
{
	struct file_facts ignored;

	if (!facts)
		facts = &ignored;
	*facts = (struct file_facts){ 0 };
	return file_judge(fd, path, how, facts, why) &&
	       file_take(fd, path, out, why);
}

bool file_ends_with(int fd, off_t size, const char *data, size_t n)
{
	char block[4096];
	size_t at, part;

	if (size < (off_t)n)
		return false;
	for (at = 0; at < n; at += part) {
		part = n - at < sizeof(block) ? n - at : sizeof(block);
		if (!file_read_at(fd, size - (off_t)(n - at), block, part) ||
		    memcmp(block, data + at, part) != 0)
			return false;
	}
	return true;
}

bool file_read_at(int fd, off_t offset, void *data, size_t n)
{
	char *p = data;
	ssize_t done;

	while (n) {
		done = pread(fd, p, n, offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			errno = done ? errno : 0;
			return false;
		}
		p += done;
		offset += done;
		n -= (size_t)done;
	}
	return true;
}

/* --- a way that nobody else can change --- */

enum { LINKS_MAX = 16, PATH_BYTES = 4096 };

static bool is_trusted_by(const struct stat *st, bool root_only)
{
	return is_root(st->st_uid) || (!root_only && st->st_uid == geteuid());
}

static bool may_walk(int fd, bool root_only)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	errno = !S_ISDIR(st.st_mode) ? ENOTDIR : EPERM;
	return S_ISDIR(st.st_mode) && is_trusted_by(&st, root_only);
}

/* The target of a link in this directory, put before the rest of the path;
 * *is_link false: there is no link. */
static bool follow(int directory, const char *name, bool root_only,
		   char rest[PATH_BYTES], bool *is_link)
{
	char target[PATH_BYTES];
	struct stat st;
	ssize_t n;

	*is_link = false;
	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT;
	if (!S_ISLNK(st.st_mode))
		return true;
	*is_link = true;
	if (!is_trusted_by(&st, root_only)) {
		errno = EPERM;
		return false;
	}
	n = readlinkat(directory, name, target, sizeof(target));
	if (n < 0)
		return false;
	if ((size_t)n + strlen(rest) >= PATH_BYTES) {
		errno = ENAMETOOLONG;
		return false;
	}
	memmove(rest + n, rest, strlen(rest) + 1);
	memcpy(rest, target, (size_t)n);
	return true;
}

bool file_walk(const char *path, bool root_only, int *directory,
	       char name[NAME_MAX + 1])
{
	char rest[PATH_BYTES], *p, *end;
	int links = 0, next, error;
	bool is_link;

	*directory = -1;
	errno = ENAMETOOLONG;
	if (strlen(path) >= sizeof(rest))
		return false;
	memcpy(rest, path, strlen(path) + 1);
	*directory = kernel_open(AT_FDCWD, rest[0] == '/' ? "/" : ".",
				 O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	while (*directory >= 0 && may_walk(*directory, root_only)) {
		p = rest + strspn(rest, "/");
		end = strchrnul(p, '/');
		errno = ENAMETOOLONG;
		if (end - p > NAME_MAX)
			break;
		memcpy(name, p, (size_t)(end - p));
		name[end - p] = '\0';
		memmove(rest, end, strlen(end) + 1);
		errno = EISDIR;
		if (!*name || (!*rest && (!strcmp(name, ".") ||
					  !strcmp(name, ".."))))
			break;
		if (!follow(*directory, name, root_only, rest, &is_link))
			break;
		if (!is_link && !*rest)
			return true;
		errno = ELOOP;
		if (is_link && ++links > LINKS_MAX)
			break;
		if (is_link && rest[0] != '/')
			continue;
		next = kernel_open(*directory, is_link ? "/" : name, O_PATH |
				   O_DIRECTORY | O_CLOEXEC |
				   (is_link ? 0 : O_NOFOLLOW), 0);
		error = errno;
		close(*directory);
		*directory = next;
		errno = error;
	}
	error = errno;
	if (*directory >= 0)
		close(*directory);
	*directory = -1;
	errno = error;
	return false;
}

bool file_walk_directory(const char *path, bool root_only, int *directory,
			 char name[NAME_MAX + 1])
{
	size_t n = strlen(path);
	bool walked;
	char *bare;

	while (n > 1 && path[n - 1] == '/')
		n--;
	bare = mem_stringn(path, n);
	walked = file_walk(bare, root_only, directory, name);
	free(bare);
	return walked;
}

/* --- writing --- */

bool file_write_all(int fd, const void *data, size_t n)
{
	const char *p = data;
	ssize_t done;

	while (n) {
		done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			errno = done ? errno : ENOSPC;
			return false;
		}
		p += done;
		n -= (size_t)done;
	}
	return true;
}

bool file_replace_for(int directory, const char *name, mode_t mode, uid_t owner,
		      gid_t group, const struct buf *b)
{
	char *fresh = mem_printf(".%.200s.%llx", name,
				 (unsigned long long)clock_chance());
	int fd, error;
	bool done;

	fd = kernel_open(directory, fresh, O_WRONLY | O_CREAT | O_EXCL |
			 O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0) {
		error = errno;
		free(fresh);
		errno = error;
		return false;
	}
	/* whatever the umask took away */
	done = !fchown(fd, owner, group) && !fchmod(fd, mode) &&
	       file_write_all(fd, b->data, b->len) && !kernel_sync(fd);
	error = errno;
	/* what was synced is there, whatever it says */
	close(fd);
	if (done && kernel_rename(directory, fresh, directory, name)) {
		error = errno;
		done = false;
	}
	if (!done)
		unlinkat(directory, fresh, 0);
	free(fresh);
	errno = error;
	return done && !kernel_sync(directory);
}

bool file_replace(int directory, const char *name, mode_t mode,
		  const struct buf *b)
{
	return file_replace_for(directory, name, mode, (uid_t)-1, (gid_t)-1, b);
}

bool file_replace_path(const char *path, mode_t mode, const struct buf *b,
		       struct outcome *why)
{
	const char *slash = strrchr(path, '/');
	char *above = !slash ? mem_string(".") :
		      slash == path ? mem_string("/") :
		      mem_stringn(path, (size_t)(slash - path));
	char name[NAME_MAX + 1];
	int fd = -1, way, error;
	bool done;

	if (geteuid()) {
		fd = kernel_open(AT_FDCWD, above, O_RDONLY | O_DIRECTORY |
				 O_CLOEXEC, 0);
	} else if (file_walk(path, true, &way, name)) {
		fd = kernel_open(way, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC,
				 0);
		close(way);
	}
	done = fd >= 0 &&
	       file_replace(fd, slash ? slash + 1 : path, mode, b);
	error = errno;
	if (fd >= 0)
		close(fd);
	free(above);
	return done || outcome_fail(why, STAGE_LOCAL, EX_CANTCREAT,
				    "%s: cannot be written: %s", path,
				    strerror(error));
}

bool file_make_directories(const char *directory)
{
	char *path = mem_string(directory), *slash = path;
	bool made;

	while (*slash && (slash = strchr(slash + 1, '/'))) {
		*slash = '\0';
		/* one that is there may stand where nothing can be made */
		if (mkdir(path, 0700) < 0 && errno != EEXIST &&
		    errno != EROFS && errno != EACCES)
			break;
		*slash = '/';
	}
	made = mkdir(path, 0700) == 0 || errno == EEXIST;
	free(path);
	return made;
}

bool file_directories_possible(const char *directory)
{
	char *path = mem_string(directory), *slash;
	bool possible;

	while (faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) < 0 &&
	       errno == ENOENT && (slash = strrchr(path, '/')) && path[1])
		slash[slash == path] = '\0';
	possible = faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0;
	free(path);
	return possible;
}

/* The last step of a trusted way, made where it is missing. Closes directory.
 * flags: how it is opened. */
static int enter_trusted(int directory, const char *name, bool root_only,
			 int flags)
{
	int error = mkdirat(directory, name, 0700) ? errno : 0;
	int fd = kernel_open(directory, name, flags | O_DIRECTORY |
			     O_NOFOLLOW | O_CLOEXEC, 0);
	struct stat st;

	if (fd >= 0 || !error || error == EEXIST)
		error = errno;
	if (fd >= 0 && (fstat(fd, &st) || !is_trusted_by(&st, root_only))) {
		close(fd);
		fd = -1;
		error = EPERM;
	}
	close(directory);
	errno = error;
	return fd;
}

static int open_trusted(const char *path, bool root_only, int flags)
{
	char name[NAME_MAX + 1], *above;
	const char *slash = strrchr(path, '/');
	int directory, fd, error;

	if (!file_walk_directory(path, root_only, &directory, name)) {
		if (errno != ENOENT || !slash || slash == path)
			return -1;
		above = mem_stringn(path, (size_t)(slash - path));
		fd = open_trusted(above, root_only, O_PATH);
		error = errno;
		free(above);
		if (fd >= 0)
			close(fd);
		errno = error;
		if (fd < 0 || !file_walk_directory(path, root_only, &directory,
						   name))
			return -1;
	}
	return enter_trusted(directory, name, root_only, flags);
}

int file_open_made(const char *path, bool root_only)
{
	return open_trusted(path, root_only, O_RDONLY);
}

static int unnamed_file(const char *directory)
{
	char *path;
	int fd;

	fd = kernel_open(AT_FDCWD, directory, O_TMPFILE | O_RDWR | O_CLOEXEC,
			 0600);
	if (fd >= 0)
		return fd;
	path = mem_printf("%s/posthaste.XXXXXX", directory);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	free(path);
	return fd;
}

/* Nothing of ours may lie where a library or a child expects its standard
 * streams. */
static int above_standard(int fd)
{
	int moved;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return moved;
}

int file_temporary(const char **place)
{
	const char *chosen = getenv("TMPDIR");
	int fd, error;

	*place = "/tmp";
	if (!chosen || !*chosen)
		return above_standard(unnamed_file("/tmp"));
	fd = above_standard(unnamed_file(chosen));
	if (fd >= 0) {
		*place = chosen;
		return fd;
	}
	error = errno;
	fd = above_standard(unnamed_file("/tmp"));
	if (fd < 0)
		*place = chosen;
	errno = fd < 0 ? error : 0;
	return fd;
}

/* Opened the wrong way round on purpose: whoever reads or writes a
 * descriptor that was closed shall still be told so (EBADF). */
void file_reserve_standard(void)
{
	int fd, got;

	for (fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* gcc 14 would take what open(2) gives here for lost, which
		 * is kept on purpose */
		got = openat(AT_FDCWD, "/dev/null", fd ? O_RDONLY : O_WRONLY);
		if (got < 0)
			got = openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY);
		if (got > fd)
			close(got);
	}
}
