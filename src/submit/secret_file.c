/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Secrets in files: password_file and systemd's credentials. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "submit/secret_parts.h"

static bool read_secret(int fd, const char *path, char **out,
			struct outcome *why)
{
	struct buf text = BUF_SECRET(SECRET_MAX + 4096);
	const char *what;
	struct stat st;
	bool done;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "%s is no regular file", path);
	if (st.st_mode & S_IROTH)
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "%s can be read by others: chmod o-r",
				    path);
	if (!buf_read(&text, fd) && !text.full)
		done = outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "%s: %s",
				    path, strerror(errno));
	else if (text.full && !memchr(text.data, '\n', text.len))
		done = outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "the first line of %s is too long", path);
	else
		done = secret_first_line(&text, out, &what) ||
		       outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "the first line of %s %s", path, what);
	buf_release(&text);
	return done;
}

bool secret_file(const char *path, char **out, struct outcome *why)
{
	/* a FIFO without a writer must not stop us here */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool done;

	if (fd < 0)
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "%s: %s",
				    path, strerror(errno));
	done = read_secret(fd, path, out, why);
	close(fd);
	return done;
}

bool secret_credential(const char *name, char **out, struct outcome *why)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	char *path;
	bool done;

	if (!directory || !*directory)
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "password_credential: systemd gave no "
				    "credentials (CREDENTIALS_DIRECTORY is "
				    "not set)");
	if (!*name || strchr(name, '/') || !strcmp(name, ".") ||
	    !strcmp(name, ".."))
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "password_credential: \"%s\" is no name "
				    "of a credential", name);
	path = mem_printf("%s/%s", directory, name);
	done = secret_file(path, out, why);
	free(path);
	return done;
}
