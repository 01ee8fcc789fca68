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
#include "helper/token_parts.h"

enum { LOOK_AGAIN_NS = 20 * 1000 * 1000 };

/* What a writer left that was killed; its name is ours and a number. */
static void sweep(const char *directory, const char *name)
{
	size_t n = strlen(name);
	struct dirent *e;
	DIR *d = opendir(directory);

	while (d && (e = readdir(d)))
		if (e->d_name[0] == '.' && !strncmp(e->d_name + 1, name, n) &&
		    e->d_name[n + 1] == '.' && e->d_name[n + 2] &&
		    !e->d_name[n + 2 + strspn(e->d_name + n + 2,
					      "0123456789abcdef")])
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

int store_lock(struct helper *h, const char *path)
{
	const struct timespec pause = { 0, LOOK_AGAIN_NS };
	char *directory = mem_stringn(path, (size_t)(strrchr(path, '/') -
						     path));
	char *name = mem_printf("%s/.%s.lock", directory,
				strrchr(path, '/') + 1);
	int fd = -1;

	if (!file_make_directories(directory))
		helper_fail(h, EX_CANTCREAT, "%s: %s", directory,
			    strerror(errno));
	else
		fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			  0600);
	if (fd < 0 && !*h->words)
		helper_fail(h, EX_CANTCREAT, "%s: %s", name, strerror(errno));
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK || !clock_left(h->http.deadline)) {
			helper_fail(h, EX_TEMPFAIL, "another process is at "
				    "it and does not end");
			close(fd);
			fd = -1;
		} else {
			nanosleep(&pause, NULL);
		}
	}
	if (fd >= 0)
		sweep(directory, strrchr(path, '/') + 1);
	free(directory);
	free(name);
	return fd;
}

bool store_read(const char *path, struct token *t)
{
	struct buf text = BUF_SECRET(TOKEN_FILE_MAX);
	struct outcome ignored;
	bool done;

	*t = (struct token){ 0 };
	done = file_read(path, FILE_PRIVATE | FILE_TRUSTED, &text, NULL,
			 &ignored) && token_parse(buf_text(&text), t);
	buf_release(&text);
	return done;
}

int store_write(struct helper *h, const char *path, const struct token *t)
{
	struct buf text = BUF_SECRET(TOKEN_FILE_MAX);
	struct outcome why;
	int status = EX_OK;

	if (!token_write(t, &text))
		status = helper_fail(h, EX_DATAERR, "the tokens do not fit "
				     "into a file");
	else if (!file_replace_path(path, 0600, &text, &why))
		status = helper_fail(h, EX_CANTCREAT, "%s", why.text);
	buf_release(&text);
	return status;
}
