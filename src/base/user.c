/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/user.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/kernel.h"

enum { ENTRY_MAX = 1024 * 1024 };

bool user_is_unmapped(uid_t uid)
{
	enum { UNMAPPED = 65534 };
	char map[128] = "";
	int fd;

	fd = uid == UNMAPPED ? kernel_open(AT_FDCWD, "/proc/self/uid_map",
					   O_RDONLY | O_CLOEXEC, 0) : -1;
	if (fd >= 0) {
		if (read(fd, map, sizeof(map) - 1) < 0)
			map[0] = '\0';
		close(fd);
	}
	return fd >= 0 && !strstr(map, "4294967295");
}

/* Of root's. */
static bool is_out_of_reach(uid_t owner, const char *directory)
{
	if (!access(directory, W_OK) || errno != EACCES)
		return false;
	/* whether root may become him nothing tells but trying */
	return user_is_unmapped(owner) || seteuid(owner) < 0 || seteuid(0) < 0;
}

bool user_is_to_become_owner(const char *directory, struct stat *st)
{
	return !geteuid() && !stat(directory, st) && st->st_uid &&
	       !is_out_of_reach(st->st_uid, directory);
}

bool user_find(uid_t uid, struct user *out, struct outcome *why)
{
	struct passwd entry, *found = NULL;
	size_t size = 1024;
	char *space = NULL;
	int error;

	*out = (struct user){ 0 };
	do {
		size *= 2;
		space = mem_resize(space, size, 1);
		error = getpwuid_r(uid, &entry, space, size, &found);
	} while ((error == ERANGE && size < ENTRY_MAX) || error == EINTR);
	if (found && found->pw_name && *found->pw_name) {
		out->name = mem_string(found->pw_name);
		out->gecos = mem_string(found->pw_gecos);
		out->home = mem_string(found->pw_dir);
		out->gid = found->pw_gid;
	}
	free(space);
	if (out->name || !error || error == ENOENT || error == ESRCH)
		return true;
	return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL, "the user database "
			    "cannot be asked for uid %lu: %s",
			    (unsigned long)uid, strerror(error));
}

void user_release(struct user *u)
{
	free(u->name);
	free(u->gecos);
	free(u->home);
	*u = (struct user){ 0 };
}

bool user_home(char **home, struct outcome *why)
{
	const char *set = getenv("HOME");
	struct user user;

	*home = NULL;
	if (set && *set) {
		*home = mem_string(set);
		return true;
	}
	if (!user_find(getuid(), &user, why))
		return false;
	if (user.home && *user.home)
		*home = mem_string(user.home);
	user_release(&user);
	return true;
}

void user_words(uid_t uid, char *out, size_t size)
{
	struct outcome ignored;
	struct user user;

	if (user_find(uid, &user, &ignored) && user.name)
		snprintf(out, size, "the user %s", user.name);
	else
		snprintf(out, size, "uid %lu", (unsigned long)uid);
	user_release(&user);
}
