/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the file of a login is, and whose. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/user.h"
#include "submit/login.h"

#ifndef STATE_DIRECTORY
#define STATE_DIRECTORY "/usr/local/var/lib/posthaste"
#endif

/* Any name of a section as one of a file. */
static char *file_name(const char *name)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"abcdefghijklmnopqrstuvwxyz0123456789-_@+.";
	struct buf b = BUF(4096);
	const char *p;

	for (p = name; *p; p++)
		if (strchr(plain, *p) && (p > name || *p != '.'))
			buf_addc(&b, *p);
		else
			buf_addf(&b, "%%%02X", (unsigned char)*p);
	return buf_take(&b);
}

static bool is_system(const struct config *c)
{
	return !c->user_file && !c->named_file && c->path &&
	       c->path[0] == '/';
}

/* With the system's configuration it is the queue's owner who logs in for
 * all; anybody else may have a login of his own. */
char *login_own_path(const struct config *c, const struct transport *t)
{
	struct stat st;
	uid_t owner = c->queue.directory && !stat(c->queue.directory, &st) ?
		      st.st_uid : 0;
	bool owners = is_system(c) && owner == geteuid();
	char *name = file_name(t->name), *path = NULL, *home = NULL;
	const char *state = getenv("XDG_STATE_HOME");
	struct outcome ignored;

	if (owners)
		path = mem_printf(STATE_DIRECTORY "/oauth/%s", name);
	else if (state && state[0] == '/')
		path = mem_printf("%s/posthaste/oauth/%s", state, name);
	else if (user_home(&home, &ignored) && home)
		path = mem_printf("%s/.local/state/posthaste/oauth/%s", home,
				  name);
	free(home);
	free(name);
	return path;
}

char *login_path(const struct config *c, const struct transport *t)
{
	char *path = login_own_path(c, t), *name;

	if ((path && !access(path, F_OK)) || !is_system(c) ||
	    (access(STATE_DIRECTORY "/oauth", F_OK) && errno != EACCES))
		return path;
	free(path);
	name = file_name(t->name);
	path = mem_printf("%s/oauth/%s", STATE_DIRECTORY, name);
	free(name);
	return path;
}

bool login_is_denied(const struct config *c, const struct transport *t)
{
	char *path = t->oauth && c ? login_path(c, t) : NULL;
	bool denied = path && access(path, R_OK) && errno == EACCES;

	free(path);
	return denied;
}

void login_prepare(const struct config *c, uid_t uid, gid_t gid)
{
	char path[] = STATE_DIRECTORY "/";
	mode_t before = umask(022);
	struct stat st;
	char *slash = path;

	if (is_system(c)) {
		/* those on the way are everybody's to pass */
		while ((slash = strchr(slash + 1, '/'))) {
			*slash = '\0';
			(void)mkdir(path, 0755);
			*slash = '/';
		}
		/* in one that is not root's alone another could put what he
		 * likes in its place; who owns that makes it himself */
		if (!lstat(STATE_DIRECTORY, &st) && S_ISDIR(st.st_mode) &&
		    !st.st_uid && !(st.st_mode & (S_IWGRP | S_IWOTH)) &&
		    !mkdir(STATE_DIRECTORY "/oauth", 0700))
			(void)!chown(STATE_DIRECTORY "/oauth", uid, gid);
	}
	umask(before);
}
