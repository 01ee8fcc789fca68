/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands that print a secret. */
#include <string.h>

#include "base/child.h"
#include "submit/secret_parts.h"

bool secret_first_line(const struct buf *text, char **out, const char **what)
{
	const char *data = buf_text(text);
	const char *end = memchr(data, '\n', text->len);
	size_t n = end ? (size_t)(end - data) : text->len;

	if (n && data[n - 1] == '\r')
		n--;
	*what = !n ? "is empty" : "holds a NUL";
	if (!n || memchr(data, '\0', n))
		return false;
	*out = mem_stringn(data, n);
	return true;
}

bool secret_command(const char *command, int64_t ms, char **out,
		    struct outcome *why)
{
	const char *argv[] = { "/bin/sh", "-c", command, NULL };
	struct buf output = BUF_SECRET(SECRET_MAX);
	const struct child c = { .argv = argv, .output = &output,
				 .deadline = clock_in(ms),
				 .foreground = true };
	const char *what;
	bool done = false;
	int status;

	if (!child_run(&c, &status, why))
		;
	else if (status)
		child_failed(status, NULL, why);
	else if (!secret_first_line(&output, out, &what))
		outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
			     "the first line of its output %s", what);
	else
		done = true;
	buf_release(&output);
	return done;
}
