/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/kernel.h"
#include "base/process.h"

/* Linux 6.2 */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

enum {
	TRUNCATES = 3,          /* the version that knows of that */
	PLACES_MOST = 4096,     /* that are opened */
	HELD_MOST = 32
};

static const uint64_t read_file = LANDLOCK_ACCESS_FS_READ_FILE;
static const uint64_t write_file = LANDLOCK_ACCESS_FS_WRITE_FILE |
				   LANDLOCK_ACCESS_FS_TRUNCATE;
static const uint64_t make_files = LANDLOCK_ACCESS_FS_MAKE_REG |
				   LANDLOCK_ACCESS_FS_REMOVE_FILE;
static const uint64_t make_others = LANDLOCK_ACCESS_FS_MAKE_DIR |
				    LANDLOCK_ACCESS_FS_REMOVE_DIR |
				    LANDLOCK_ACCESS_FS_MAKE_SYM |
				    LANDLOCK_ACCESS_FS_MAKE_SOCK |
				    LANDLOCK_ACCESS_FS_MAKE_FIFO |
				    LANDLOCK_ACCESS_FS_MAKE_CHAR |
				    LANDLOCK_ACCESS_FS_MAKE_BLOCK;

static long ask_version(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0,
		       LANDLOCK_CREATE_RULESET_VERSION);
}

/* Whether the calls can be made at all. */
static bool may_call(void)
{
	int status = 0;
	pid_t pid;

	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) <= 0)
		return true;
	pid = fork();
	if (pid == 0) {
		(void)ask_version();
		(void)syscall(SYS_landlock_add_rule, -1,
			      LANDLOCK_RULE_PATH_BENEATH, NULL, 0);
		(void)syscall(SYS_landlock_restrict_self, -1, 0);
		process_leave(EX_OK);
	}
	if (pid < 0)
		return false;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return status == 0;
}

int sandbox_version(void)
{
	long n = may_call() ? ask_version() : 0;

	return n > 0 ? (int)n : 0;
}

/* While it is built. */
struct rules {
	int fd;                 /* the rules */
	uint64_t handled;       /* what needs one */
	size_t places;
	/* Descriptors of places, closed many at once: they are as many as the
	 * rules. */
	int held[HELD_MOST], n;
	int error;              /* errno of what kept it from being built */
};

/* Most of them were numbered one after the other. */
static void let_go(struct rules *w)
{
	int i, first;

	for (i = 0; i < w->n; i++) {
		first = w->held[i];
		while (i + 1 < w->n && w->held[i + 1] == w->held[i] + 1)
			i++;
		kernel_close_range(first, w->held[i]);
	}
	w->n = 0;
}

/* Where it is gone, or not ours to look at, nothing is opened. */
static void wall_open(struct rules *w, const char *path, uint64_t access,
		      bool follow)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = access & w->handled,
	};
	int fd;

	if (w->error || !rule.allowed_access)
		return;
	fd = kernel_open(AT_FDCWD, path, O_PATH | O_CLOEXEC |
			 (follow ? 0 : O_NOFOLLOW), 0);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			w->error = errno;
		return;
	}
	rule.parent_fd = fd;
	if (++w->places > PLACES_MOST)
		w->error = E2BIG;
	else if (syscall(SYS_landlock_add_rule, w->fd,
			 LANDLOCK_RULE_PATH_BENEATH, &rule, 0) &&
		 errno == ENOMEM)
		w->error = errno;
	w->held[w->n++] = fd;
	if (w->n == HELD_MOST)
		let_go(w);
}

enum where { APART, ABOVE, WITHIN };

/* How a path stands to what is hidden. */
static enum where stands(const struct sandbox *s, const char *path)
{
	const size_t n = strlen(path);
	enum where where = APART;
	const char *hidden;
	size_t i, len;

	for (i = 0; i < s->hidden.n; i++) {
		hidden = s->hidden.item[i];
		len = strlen(hidden);
		if (!strncmp(path, hidden, len) &&
		    (path[len] == '/' || !path[len]))
			return WITHIN;
		if (!strncmp(path, hidden, n) && hidden[n] == '/')
			where = ABOVE;
	}
	return where;
}

static bool is_narrowed(const struct sandbox *s, const char *path)
{
	return s->narrowed && !strcmp(path, s->narrowed);
}

static bool is_named(const struct sandbox *s, const char *name)
{
	size_t i;

	for (i = 0; s->names[i]; i++)
		if (*s->names[i] == *name && !fnmatch(s->names[i], name, 0))
			return true;
	return false;
}

/* What a link in the narrowed directory leads to, unless something is hidden
 * there, or all of that directory would be open with it. */
static void open_linked(struct rules *w, const struct sandbox *s,
			const char *name)
{
	char *found = realpath(name, NULL);
	const size_t n = found ? strlen(found) : 0;

	if (n > 1 && stands(s, found) == APART &&
	    (strncmp(found, s->narrowed, n) ||
	     (s->narrowed[n] && s->narrowed[n] != '/')))
		wall_open(w, found, read_file, false);
	free(found);
}

/* Opens all of a directory ("": the root) that is not hidden. One that cannot
 * be listed is opened whole: what is needed may be in it. Symbolic links need
 * nothing, what they lead to does. */
static void open_around(struct rules *w, const struct sandbox *s,
			const char *path)
{
	DIR *directory = opendir(*path ? path : "/");
	const bool narrowed = is_narrowed(s, path);
	const struct dirent *d;
	enum where where;
	char *name;

	if (!directory) {
		wall_open(w, *path ? path : "/", read_file, false);
		return;
	}
	while (!w->error && (d = readdir(directory))) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..") ||
		    (narrowed ? !is_named(s, d->d_name) : d->d_type == DT_LNK))
			continue;
		name = mem_printf("%s/%s", path, d->d_name);
		where = stands(s, name);
		if (where == ABOVE ||
		    (where == APART && is_narrowed(s, name)))
			open_around(w, s, name);
		else if (where == APART && narrowed &&
			 (d->d_type == DT_LNK || d->d_type == DT_UNKNOWN))
			open_linked(w, s, name);
		else if (where == APART)
			wall_open(w, name, read_file, false);
		free(name);
	}
	closedir(directory);
}

static uint64_t to_handle(const struct sandbox *s, int version)
{
	uint64_t handled = read_file;

	if (s->read_only)
		handled |= write_file | make_files | make_others;
	if (version < TRUNCATES)
		handled &= ~(uint64_t)LANDLOCK_ACCESS_FS_TRUNCATE;
	return handled;
}

int sandbox_build(const struct sandbox *s, int version, struct outcome *why)
{
	struct rules w = { .handled = to_handle(s, version) };
	const struct landlock_ruleset_attr attr = {
		.handled_access_fs = w.handled,
	};
	size_t i;

	w.fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr),
			    0);
	if (w.fd < 0) {
		outcome_fail(why, STAGE_LOCAL, EX_OSERR, "Landlock: %s",
			     strerror(errno));
		return -1;
	}
	if (s->hidden.n || s->narrowed)
		open_around(&w, s, "");
	else
		wall_open(&w, "/", read_file, true);
	for (i = 0; i < s->shown.n; i++)
		wall_open(&w, s->shown.item[i], read_file, true);
	for (i = 0; i < s->kept.n; i++)
		wall_open(&w, s->kept.item[i], read_file | write_file |
			   make_files, true);
	wall_open(&w, "/dev", write_file, true);
	let_go(&w);
	if (!w.error)
		return w.fd;
	close(w.fd);
	outcome_fail(why, STAGE_LOCAL, EX_OSERR, "Landlock: %s",
		     strerror(w.error));
	return -1;
}

bool sandbox_enter(int fd, struct outcome *why)
{
	if (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	    !syscall(SYS_landlock_restrict_self, fd, 0))
		return true;
	return outcome_fail(why, STAGE_LOCAL, EX_OSERR, "Landlock: %s",
			    strerror(errno));
}

static bool same_list(const struct list *a, const struct list *b)
{
	size_t i;

	for (i = 0; a->n == b->n && i < a->n; i++)
		if (strcmp(a->item[i], b->item[i]) != 0)
			return false;
	return a->n == b->n;
}

bool sandbox_same(const struct sandbox *a, const struct sandbox *b)
{
	return a->read_only == b->read_only && a->narrowed == b->narrowed &&
	       a->names == b->names && same_list(&a->hidden, &b->hidden) &&
	       same_list(&a->shown, &b->shown) && same_list(&a->kept, &b->kept);
}

void sandbox_release(struct sandbox *s)
{
	list_release(&s->hidden);
	list_release(&s->shown);
	list_release(&s->kept);
}
