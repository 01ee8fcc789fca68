/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Secrets in files: password_file and systemd's credentials. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "submit/secret_parts.h"

bool secret_file(const char *path, char **out, struct outcome *why)
{
	struct buf text = BUF_SECRET(SECRET_MAX + 4096);
	const char *what;
	bool done = file_read(path, FILE_PRIVATE | FILE_TRUSTED, &text, NULL,
			      why);

	if (!done && !text.full)
		goto out;
	/* what follows the first line may be as long as it likes */
	if (text.full && !memchr(text.data, '\n', text.len))
		done = outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "the first line of %s is too long", path);
	else
		done = secret_first_line(&text, out, &what) ||
		       outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "the first line of %s %s", path, what);
out:
	buf_release(&text);
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
