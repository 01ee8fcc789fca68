/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Users. Their database may be a directory service that is down: that is no
 * answer, and must never be read as "there is no such user".
 */
#ifndef BASE_USER_H
#define BASE_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/outcome.h"

struct user {
	char *name;             /* NULL: there is no such user */
	char *gecos;
	char *home;
	gid_t gid;
};

/* A user by number; user_release frees. False (EX_TEMPFAIL): the database
 * gave no answer. */
bool user_find(uid_t uid, struct user *out, struct outcome *why) MUST_CHECK;
void user_release(struct user *u);
/* Whether that is the number of whoever has none in this user namespace (he is
 * called nobody): he may be anybody, and root here cannot become him. */
bool user_is_unmapped(uid_t uid);
/* Whether the effective user is root and is to become the owner of this
 * directory: it is there (*st is it) and another's. Not where he can neither do
 * that nor write there, because that one has no number here or root lacks the
 * capabilities (as a service may): he is a caller like any other then. */
bool user_is_to_become_owner(const char *directory, struct stat *st);
/* The caller's home directory: HOME, else the database's; NULL where he has
 * none. The caller frees. False as above. */
bool user_home(char **home, struct outcome *why) MUST_CHECK;
/* "the user alice", or "uid 1001" where there is no name to be had. */
void user_words(uid_t uid, char *out, size_t size);

#endif
