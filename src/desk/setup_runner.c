/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who runs the queue that --setup leaves behind, and whose name is
 * /usr/sbin/sendmail. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "base/scan.h"
#include "base/user.h"
#include "desk/setup_parts.h"
#include "policy/policy.h"

enum { RUN_MS = 60 * 1000, TABLE_MAX = 1024 * 1024 };

static const char *const places[] = { "/usr/bin/", "/bin/", "/usr/sbin/",
				      "/sbin/", "/usr/local/bin/" };

static char *program_named(const char *name)
{
	char *path;
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(*places); i++) {
		path = mem_printf("%s%s", places[i], name);
		if (!access(path, X_OK))
			return path;
		free(path);
	}
	return NULL;
}

char *setup_program(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return mem_string("posthaste");
	path[n] = '\0';
	return mem_string(path);
}

bool setup_run(const char *const *argv, const struct buf *input,
	       struct buf *words, int *status)
{
	const struct child c = { .argv = argv, .input = input,
				 .output = words, .words = words,
				 .deadline = clock_in(RUN_MS),
				 .may_gain_rights = true };
	struct outcome why;

	if (child_run(&c, status, &why))
		return !*status;
	buf_adds(words, why.text);
	*status = why.exit;
	return false;
}

static bool is_there(const char *path)
{
	return !access(path, F_OK);
}

static void look(const struct setup *s, struct runner_facts *f)
{
	static const char *const units[] = {
		"/etc/systemd/system/posthaste.timer",
		"/usr/local/lib/systemd/system/posthaste.timer",
		"/usr/lib/systemd/system/posthaste.timer",
		"/lib/systemd/system/posthaste.timer",
	};
	const char *directory = getenv("XDG_RUNTIME_DIR");
	char *users = directory && *directory ?
		      mem_printf("%s/systemd/private", directory) : NULL;
	char *crontab = program_named("crontab");
	char *systemctl = program_named("systemctl");
	struct stat st;
	size_t i;

	*f = (struct runner_facts){
		.root = s->root,
		.queue_owned = s->written.queue.directory &&
			       !stat(s->written.queue.directory, &st) &&
			       st.st_uid,
		.systemd = systemctl && is_there("/run/systemd/system"),
		.user_systemd = systemctl && users && is_there(users),
		.crontab = crontab != NULL,
		.cron_d = is_there("/etc/cron.d"),
	};
	for (i = 0; i < sizeof(units) / sizeof(*units); i++)
		f->units = f->units || is_there(units[i]);
	free(users);
	free(crontab);
	free(systemctl);
}

/* --- the deeds --- */

static void tell(const char *what, const struct buf *words)
{
	setup_say("%s: %.1000s", what, buf_text(words));
}

static bool systemctl(bool user, const char *verb, const char *unit)
{
	char *path = program_named("systemctl");
	const char *argv[8] = { path };
	struct buf words = BUF(16 * 1024);
	size_t n = 1;
	int status;
	bool done;

	if (user)
		argv[n++] = "--user";
	argv[n++] = verb;
	if (unit) {
		argv[n++] = "--now";
		argv[n++] = unit;
	}
	done = path && setup_run(argv, NULL, &words, &status);
	if (!done)
		tell("systemctl", &words);
	buf_release(&words);
	free(path);
	return done;
}

/* What somebody has put there is his. */
static bool put(const char *path, const char *text)
{
	struct buf b = BUF(64 * 1024), there = BUF(64 * 1024);
	struct outcome why;
	struct stat st;
	bool done = true;

	buf_adds(&b, text);
	if (lstat(path, &st))
		done = file_replace_path(path, 0644, &b, &why);
	else if (!file_read(path, 0, &there, NULL, &why) ||
		 strcmp(buf_text(&there), text))
		setup_say("%s is there already, and stays as it is.", path);
	if (!done)
		setup_say("%s", why.text);
	buf_release(&there);
	buf_release(&b);
	return done;
}

static bool user_units(void)
{
	const char *base = getenv("XDG_CONFIG_HOME");
	char *home = NULL, *directory = NULL, *path, *program, *text;
	struct outcome why;
	bool done = false;

	if (base && base[0] == '/')
		directory = mem_printf("%s/systemd/user", base);
	else if (user_home(&home, &why) && home)
		directory = mem_printf("%s/.config/systemd/user", home);
	free(home);
	if (!directory || !file_make_directories(directory)) {
		setup_say("%s cannot be made: %s", directory ? directory :
			  "~/.config/systemd/user", strerror(errno));
		free(directory);
		return false;
	}
	program = setup_program();
	text = mem_printf("[Unit]\nDescription=Send queued mail\n\n[Service]\n"
			  "Type=oneshot\nExecStart=%s -q\n", program);
	path = mem_printf("%s/posthaste.service", directory);
	done = put(path, text);
	free(path);
	path = mem_printf("%s/posthaste.timer", directory);
	done = done && put(path, "[Unit]\nDescription=Send queued mail\n\n"
			   "[Timer]\nOnBootSec=2min\nOnUnitInactiveSec=5min\n"
			   "\n[Install]\nWantedBy=timers.target\n") &&
	       systemctl(true, "daemon-reload", NULL) &&
	       systemctl(true, "enable", "posthaste.timer");
	free(path);
	free(text);
	free(program);
	free(directory);
	return done;
}

/* Whether the person's systemd goes on once he has logged out. */
static bool lingers(void)
{
	struct user user = { 0 };
	struct outcome ignored;
	char *path = NULL;
	bool there;

	if (user_find(geteuid(), &user, &ignored) && user.name)
		path = mem_printf("/var/lib/systemd/linger/%s", user.name);
	there = path && is_there(path);
	user_release(&user);
	free(path);
	return there;
}

static bool system_cron(const struct setup *s)
{
	char *program = setup_program(), *text;
	struct user owner = { 0 };
	struct outcome why;
	struct stat st;
	bool done;

	done = !stat(s->written.queue.directory, &st) &&
	       user_find(st.st_uid, &owner, &why) && owner.name;
	if (done) {
		text = mem_printf("*/5 * * * * %s %s -q\n", owner.name,
				  program);
		done = put("/etc/cron.d/posthaste", text);
		free(text);
	}
	user_release(&owner);
	free(program);
	return done;
}

/* Whether one of its lines runs the queue; comments do not. */
static bool runs_queue(const struct buf *table)
{
	struct scan rest = scan_text(buf_text(table)), line;

	while (scan_line(&rest, &line)) {
		scan_skip_blanks(&line);
		if (scan_left(&line) && *line.p != '#' &&
		    memmem(line.p, scan_left(&line), "posthaste -q", 12))
			return true;
	}
	return false;
}

/* The person's table with our line after the others. */
static bool own_cron(void)
{
	char *crontab = program_named("crontab"), *program = setup_program();
	const char *list[] = { crontab, "-l", NULL };
	const char *load[] = { crontab, "-", NULL };
	struct buf table = BUF(TABLE_MAX), words = BUF(16 * 1024);
	const struct child c = { .argv = list, .output = &table,
				 .words = &words,
				 .deadline = clock_in(RUN_MS),
				 .may_gain_rights = true };
	struct outcome why;
	int status;
	bool done;

	/* nobody has a table yet: status 1 and nothing to keep; whatever else
	 * went wrong, a table that could not be read is not replaced */
	done = crontab && child_run(&c, &status, &why) &&
	       (!status || (status == 1 && !table.len));
	if (done && runs_queue(&table)) {
		setup_say("Your crontab has it already.");
	} else if (done) {
		if (table.len && table.data[table.len - 1] != '\n')
			buf_addc(&table, '\n');
		buf_addf(&table, "*/5 * * * * %s -q\n", program);
		buf_reset(&words);
		done = setup_run(load, &table, &words, &status);
	}
	if (!done)
		tell("crontab", &words);
	buf_release(&words);
	buf_release(&table);
	free(program);
	free(crontab);
	return done;
}

static void without_runner(const struct setup *s,
			   const struct runner_facts *f)
{
	char *program = setup_program();

	if (s->root && !f->queue_owned)
		setup_say("This machine has no queue yet, so root alone can "
			  "send. contrib/setup, run as root, makes it; then "
			  "run this again.");
	else
		setup_say("There is neither systemd nor cron here to run the "
			  "queue. Have something run \"%s -q\" every few "
			  "minutes; until then mail that cannot be sent at "
			  "once is not kept (status 75).", program);
	free(program);
}

void setup_runner(struct setup *s)
{
	static const char *const offer[] = {
		[RUNNER_UNITS] = "systemd (posthaste.timer, posthaste.path)",
		[RUNNER_USER_TIMER] = "a timer of your systemd",
		[RUNNER_CRON_D] = "cron (/etc/cron.d/posthaste)",
		[RUNNER_CRONTAB] = "a line in your crontab",
	};
	struct runner_facts f;
	enum queue_runner r;
	bool done = false;

	look(s, &f);
	r = policy_runner(&f);
	setup_say("%s", "");
	if (r == RUNNER_NONE) {
		without_runner(s, &f);
		return;
	}
	setup_say("Mail that cannot be sent at once is kept in a queue, if "
		  "something runs it every few minutes.");
	if (!setup_agrees(s, true, "Have it run by %s?", offer[r]))
		return;
	if (r == RUNNER_UNITS)
		done = systemctl(false, "daemon-reload", NULL) &&
		       systemctl(false, "enable", "posthaste.timer") &&
		       systemctl(false, "enable", "posthaste.path");
	else if (r == RUNNER_USER_TIMER)
		done = user_units();
	else if (r == RUNNER_CRON_D)
		done = system_cron(s);
	else
		done = own_cron();
	setup_say(done ? "The queue is run." : "The queue is not run; "
		  "posthaste(1), under QUEUE, says how to have that.");
	if (done && r == RUNNER_USER_TIMER && !lingers())
		setup_say("That ends when you log out, and goes on when you "
			  "log in; \"loginctl enable-linger\" keeps it going.");
}

void setup_sendmail(const struct setup *s)
{
	const char *sudo = s->root ? "" : "sudo ";
	char *program = setup_program();
	struct buf out = BUF(64 * 1024);
	struct stat a, b;
	const char *divert = is_there("/usr/bin/dpkg-divert") ?
		"dpkg-divert --local --rename --add \"$f\" && " : "";

	setup_say("%s", "");
	if (!stat("/usr/sbin/sendmail", &a) && !stat(program, &b) &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
		setup_say("Programs that call /usr/sbin/sendmail call "
			  "posthaste.");
	} else {
		setup_say("Programs that call /usr/sbin/sendmail (cron, PHP, "
			  "git) get posthaste by");
		buf_addf(&out, "for f in /usr/sbin/sendmail /usr/bin/mailq "
			 "/usr/bin/newaliases; do\n    %s%s%s%sln -sf %s "
			 "\"$f\"\ndone\n", *divert ? sudo : "",
			 *divert ? divert : "", *divert ? "" : "", sudo,
			 program);
		setup_show(buf_text(&out));
	}
	buf_release(&out);
	free(program);
}
