/* SPDX-License-Identifier: GPL-3.0-or-later */
/* To a command, which is told everything in its environment and nothing in
 * its words: a shell must not read what a sender has written. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "base/user.h"
#include "mail/address.h"
#include "mail/spool.h"
#include "submit/local.h"

enum { WORDS_MAX = 4096 };

static const char usual_path[] =
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* What it is told; the last one stays NULL. */
struct told {
	char *entry[9];
	size_t n;
};

static void tell_name(struct told *e, const char *name, const char *value)
{
	if (value)
		e->entry[e->n++] = mem_printf("%s=%s", name, value);
}

/* False: the user database gave no answer. */
static bool environment_of(const struct local *l, struct told *e,
			   struct outcome *why)
{
	const char *path = getenv("PATH");
	const char *domain = address_domain(l->recipient);
	size_t n = strlen(l->recipient) - strlen(domain);
	struct user user;
	char *home, *local;

	if (!user_home(&home, why))
		return false;
	if (!user_find(geteuid(), &user, why)) {
		free(home);
		return false;
	}
	/* without the "@" */
	local = mem_stringn(l->recipient, n ? n - 1 : 0);
	tell_name(e, "PATH", path && *path ? path : usual_path);
	tell_name(e, "HOME", home);
	tell_name(e, "USER", user.name);
	tell_name(e, "LOGNAME", user.name);
	tell_name(e, "SENDER", l->sender);
	tell_name(e, "RECIPIENT", l->recipient);
	tell_name(e, "LOCAL", local);
	tell_name(e, "DOMAIN", domain);
	user_release(&user);
	free(home);
	free(local);
	return true;
}

static void set_status(struct outcome *o, const char *status)
{
	snprintf(o->status, sizeof(o->status), "%s", status);
}

/* sysexits(3), and RFC 3463. */
static void judge_status(int status, const struct buf *words,
			 struct outcome *o)
{
	static const struct { int exit; const char *status; } rows[] = {
		{ EX_USAGE, "5.3.0" }, { EX_DATAERR, "5.6.0" },
		{ EX_NOINPUT, "5.3.0" }, { EX_NOUSER, "5.1.1" },
		{ EX_NOHOST, "5.1.2" }, { EX_UNAVAILABLE, "5.3.0" },
		{ EX_SOFTWARE, "5.3.0" }, { EX_OSERR, "4.3.0" },
		{ EX_OSFILE, "5.3.0" }, { EX_CANTCREAT, "4.2.0" },
		{ EX_IOERR, "4.3.0" }, { EX_TEMPFAIL, "4.3.0" },
		{ EX_PROTOCOL, "5.5.0" }, { EX_NOPERM, "5.7.0" },
		{ EX_CONFIG, "5.3.5" },
	};
	size_t i;

	child_failed(status, words, o);
	set_status(o, "4.3.0");
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].exit == status) {
			o->exit = status;
			set_status(o, rows[i].status);
		}
}

/* The whole message: a command that had it by a pipe would take a part for all
 * if we end or fail in the middle. */
static bool open_text(const struct local *l, int *file, struct outcome *why)
{
	const char *place;
	int fd = -1;

	if (message_size(l->message) <= SPOOL_MEMORY)
		fd = memfd_create("message", MFD_CLOEXEC);
	if (fd < 0)
		fd = file_temporary(&place);
	if (fd >= 0 && local_text_write(l, false, fd) &&
	    !lseek(fd, 0, SEEK_SET)) {
		*file = fd;
		return true;
	}
	outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
		     "cannot get the message in a file: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return false;
}

static void to_command(const struct local *l, struct outcome *o)
{
	const char *argv[] = { "/bin/sh", "-c", l->transport->command, NULL };
	struct buf words = BUF(WORDS_MAX);
	struct told environment = { 0 };
	struct child c = {
		.argv = argv, .output = &words, .words = &words,
		.deadline = clock_in(l->timeout),
		.may_gain_rights = true, .alone = true,
	};
	int status = 0;
	bool ran;

	*o = (struct outcome){ 0 };
	ran = open_text(l, &c.file, o) &&
	      environment_of(l, &environment, o);
	if (ran) {
		c.environment = (const char *const *)environment.entry;
		ran = child_run(&c, &status, o);
	}
	if (ran && !status) {
		*o = (struct outcome){ .stage = STAGE_DOT, .status = "2.0.0",
				       .text = "taken by the command" };
	} else {
		if (ran)
			judge_status(status, &words, o);
		else if (!o->status[0])
			set_status(o, "4.3.0");
		o->stage = STAGE_RCPT;
		outcome_prefix(o, "the command of transport %s",
			       l->transport->name);
	}
	if (c.file)
		close(c.file);
	while (environment.n)
		free(environment.entry[--environment.n]);
	buf_release(&words);
}

const struct local_kind local_command = {
	to_command, true, "to the command",
	offsetof(struct transport, command)
};
