/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Policies on disk, one file a domain. Writers make a file of their own and
 * rename it, so that a reader sees an old policy or a new one, never half of
 * one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "submit/mtasts_parts.h"

static const char magic[] = "posthaste-mta-sts 1";
enum { HEAD_MAX = 128, FAILED_MOST = 24 * 3600 };

/* A domain of ours is A-labels; whatever is not must not become a path. */
static bool is_file_name(const char *domain)
{
	return *domain && *domain != '.' && strlen(domain) <= 240 &&
	       strspn(domain, "abcdefghijklmnopqrstuvwxyz0123456789-_.") ==
	       strlen(domain);
}

/* Opens the directory, making it if only its last part is missing. What
 * others may write to is no place for a policy. */
static int open_directory(const char *path, bool create)
{
	struct stat st;
	int fd;

	if (!path || !*path)
		return -1;
	if (create && mkdir(path, 0700) && errno != EEXIST)
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && !(st.st_mode & S_IWOTH))
		return fd;
	close(fd);
	errno = 0;
	return -1;
}

static bool load(const char *directory, const char *file, struct buf *b)
{
	int dir = open_directory(directory, false), fd;
	struct outcome ignored;
	bool ok;

	if (dir < 0)
		return false;
	fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
		    O_CLOEXEC);
	close(dir);
	if (fd < 0)
		return false;
	ok = file_read_fd(fd, file, FILE_TRUSTED, b, NULL, &ignored);
	close(fd);
	return ok;
}

/* The first three lines; *rest gets what follows. */
static bool read_head(const char *text, char id[33], int64_t *expires,
		      const char **rest)
{
	long long when = 0;
	int used = 0;

	if (strncmp(text, magic, sizeof(magic) - 1) ||
	    sscanf(text + sizeof(magic) - 1,
		   "\nid %32[0-9A-Za-z]\nexpires %15lld\n%n", id, &when,
		   &used) != 2 || !used)
		return false;
	*expires = when;
	*rest = text + sizeof(magic) - 1 + used;
	return true;
}

bool sts_cache_get(const char *directory, const char *domain,
		   struct kept_policy *out)
{
	struct buf b = BUF(STS_POLICY_MAX + HEAD_MAX);
	const int64_t now = time(NULL);
	const char *rest;
	bool ok;

	*out = (struct kept_policy){ 0 };
	ok = is_file_name(domain) && load(directory, domain, &b) &&
	     read_head(buf_text(&b), out->id, &out->expires, &rest) &&
	     /* far in the future: the clock was wrong when it was kept */
	     out->expires > now && out->expires <= now + STS_AGE_MAX &&
	     sts_policy_read(rest, b.len - (size_t)(rest - b.data),
			     &out->policy);
	if (!ok)
		*out = (struct kept_policy){ 0 };
	buf_release(&b);
	return ok;
}

/* Without a cache every message asks the policy's host again, and a policy
 * that was known is as good as none: no silence about that. */
static int open_cache(const char *directory, const char *domain)
{
	int dir = open_directory(directory, true);

	if (dir < 0 && directory && *directory)
		log_say(LOG_AT_INFO, "MTA-STS: nothing about %s can be kept "
			"in the cache %s: %s", domain, directory,
			errno ? strerror(errno) : "others may write to it");
	return dir;
}

void sts_cache_put(const char *directory, const char *domain, const char *id,
		   int64_t max_age, const struct buf *text)
{
	struct buf b = BUF(STS_POLICY_MAX + HEAD_MAX);
	int dir;

	if (!is_file_name(domain))
		return;
	dir = open_cache(directory, domain);
	if (dir < 0)
		return;
	buf_addf(&b, "%s\nid %s\nexpires %lld\n", magic, id,
		 (long long)time(NULL) + (long long)max_age);
	buf_add(&b, buf_text(text), text->len);
	if (b.full || !file_replace(dir, domain, 0600, &b))
		log_say(LOG_AT_INFO, "MTA-STS: the policy of %s cannot be "
			"kept in %s: %s", domain, directory, strerror(errno));
	close(dir);
	buf_release(&b);
}

/* No domain begins with a dot, so that none is in the way of this. */
static char *failed_name(const char *domain)
{
	return mem_printf(".failed.%s", domain);
}

bool sts_cache_failed(const char *directory, const char *domain,
		      const char *id)
{
	struct buf b = BUF(HEAD_MAX);
	const int64_t now = time(NULL);
	char *file = failed_name(domain), kept[33] = "";
	const char *rest;
	int64_t until;
	bool failed;

	failed = is_file_name(domain) && load(directory, file, &b) &&
		 read_head(buf_text(&b), kept, &until, &rest) &&
		 !strcmp(kept, id) && until > now &&
		 until <= now + FAILED_MOST;
	buf_release(&b);
	free(file);
	return failed;
}

bool sts_cache_fail(const char *directory, const char *domain,
		    const char *id, int64_t seconds)
{
	struct buf b = BUF(HEAD_MAX);
	char *file = failed_name(domain);
	int dir = is_file_name(domain) ? open_cache(directory, domain) : -1;
	bool kept = false;

	if (dir >= 0) {
		buf_addf(&b, "%s\nid %s\nexpires %lld\n", magic, id,
			 (long long)time(NULL) + (long long)seconds);
		kept = file_replace(dir, file, 0600, &b);
		/* without it, the next run tries again, and that is all */
		if (!kept)
			log_say(LOG_AT_DEBUG, "MTA-STS: %s cannot be "
				"written", file);
		close(dir);
	}
	buf_release(&b);
	free(file);
	return kept;
}
