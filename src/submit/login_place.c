/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the file of a login is, and whose. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "submit/login.h"
#include "submit/place.h"

#ifndef STATE_DIRECTORY
#define STATE_DIRECTORY "/usr/local/var/lib/posthaste"
#endif

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
	char *name = place_file_name(t->name), *path = NULL;
	char *directory = owners ? mem_string(STATE_DIRECTORY "/oauth") :
			  place_own_state("oauth");

	if (directory)
		path = mem_printf("%s/%s", directory, name);
	free(directory);
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
	name = place_file_name(t->name);
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
