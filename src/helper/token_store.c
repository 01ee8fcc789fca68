/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The file of a login: who may write it, and that what is written stays. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/kernel.h"
#include "helper/token_parts.h"

/* How much longer tokens may be than those before. */
enum { LOOK_AGAIN_NS = 20 * 1000 * 1000, MORE = 4096 };

/* What a writer left that was killed; its name is ours and a number. */
static void sweep(const struct store *s)
{
	const char *name = strrchr(s->path, '/') + 1;
	int fd = kernel_open(s->directory, ".", O_RDONLY | O_DIRECTORY |
			     O_CLOEXEC, 0);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	size_t n = strlen(name);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] == '.' && !strncmp(e->d_name + 1, name, n) &&
		    e->d_name[n + 1] == '.' && e->d_name[n + 2] &&
		    !e->d_name[n + 2 + strspn(e->d_name + n + 2,
					      "0123456789abcdef")])
			unlinkat(s->directory, e->d_name, 0);
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

static int place_fault(struct helper *h, const char *path)
{
	return helper_fail(h, EX_CANTCREAT, "%s: cannot be written: %s", path,
			   errno == EPERM ? "a directory or a link on the way "
			   "is another user's" : strerror(errno));
}

/* -1: words */
static int open_place(struct helper *h, const char *path)
{
	char *directory = mem_stringn(path, (size_t)(strrchr(path, '/') -
						     path));
	int fd = file_open_made(directory, !geteuid());

	if (fd < 0)
		place_fault(h, path);
	free(directory);
	return fd;
}

/* A file without a name that keeps so much room. -1: there is no room, and
 * errno says so; or no way to keep it, and errno is 0. */
static int take_room(int directory, size_t n)
{
	int fd = kernel_open(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC,
			     0600);
	int error = fd < 0 || kernel_reserve(fd, 0, (off_t)n) ? errno : 0;

	if (error != ENOSPC && error != EDQUOT) {
		errno = 0;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	errno = error;
	return -1;
}

int store_prove(struct helper *h, const char *path)
{
	int fd = open_place(h, path), room, status = EX_OK;

	if (fd < 0)
		return EX_CANTCREAT;
	room = take_room(fd, 2 * MORE);
	if (room >= 0)
		close(room);
	if ((room < 0 && errno) || faccessat(fd, ".", W_OK, AT_EACCESS))
		status = place_fault(h, path);
	close(fd);
	return status;
}

int store_open(struct helper *h, const char *path, struct store *s)
{
	const struct timespec pause = { 0, LOOK_AGAIN_NS };
	char *name = mem_printf(".%s.lock", strrchr(path, '/') + 1);
	int status = EX_OK;

	*s = (struct store){ mem_string(path), open_place(h, path), -1 };
	if (s->directory < 0)
		status = EX_CANTCREAT;
	else
		s->lock = kernel_open(s->directory, name, O_RDWR | O_CREAT |
				      O_CLOEXEC | O_NOFOLLOW, 0600);
	if (!status && s->lock < 0)
		status = place_fault(h, path);
	while (!status && kernel_lock(s->lock, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK || !clock_left(h->http.deadline))
			status = helper_fail(h, EX_TEMPFAIL, "another process "
					     "is at it and does not end");
		else
			nanosleep(&pause, NULL);
	}
	if (!status)
		sweep(s);
	free(name);
	return status;
}

void store_close(struct store *s)
{
	if (s->lock >= 0)
		close(s->lock);
	if (s->directory >= 0)
		close(s->directory);
	free(s->path);
	*s = (struct store){ NULL, -1, -1 };
}

int store_read(struct helper *h, const struct store *s, struct token *t)
{
	struct buf text = BUF_SECRET(TOKEN_FILE_MAX);
	struct outcome why;
	int status = EX_OK;

	*t = (struct token){ 0 };
	if (!file_read(s->path, FILE_PRIVATE | FILE_TRUSTED, &text, NULL,
		       &why))
		status = why.exit == EX_OSERR ?
			 helper_fail(h, EX_TEMPFAIL, "%s", why.text) :
			 EX_NOPERM;
	else if (!token_parse(buf_text(&text), t))
		status = EX_NOPERM;
	buf_release(&text);
	return status;
}

static int write_fault(struct helper *h, const struct store *s)
{
	return helper_fail(h, EX_CANTCREAT, "%s: cannot be written: %s",
			   s->path, strerror(errno));
}

int store_reserve(struct helper *h, const struct store *s,
		  const struct token *t, int *room)
{
	struct buf text = BUF_SECRET(TOKEN_FILE_MAX);
	int status = EX_OK;

	(void)token_write(t, &text);
	*room = take_room(s->directory, text.len + MORE);
	if (*room < 0 && errno)
		status = write_fault(h, s);
	buf_release(&text);
	return status;
}

int store_write(struct helper *h, const struct store *s, const struct token *t)
{
	struct buf text = BUF_SECRET(TOKEN_FILE_MAX);
	int status = EX_OK;

	if (!token_write(t, &text))
		status = helper_fail(h, EX_DATAERR, "the tokens do not fit "
				     "into a file");
	else if (!file_replace(s->directory, strrchr(s->path, '/') + 1, 0600,
			       &text))
		status = write_fault(h, s);
	buf_release(&text);
	return status;
}
