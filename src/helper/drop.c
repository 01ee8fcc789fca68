/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * posthaste-drop: the way of an unprivileged caller into the
 * system's queue. Set-group-id, linked with libc alone, and knows only the
 * directory it was compiled for. mail/drop.h says what it reads and writes.
 * What it accepts is checked for form and size; the runner believes none of
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "base/scan.h"
#include "helper/drop_limits.h"
#include "queue/order.h"
#include "queue/queue_parts.h"
#include "queue/qdir.h"
#include "queue/format.h"

enum { BLOCK = 64 * 1024 };

/* --- a clean start --- */

static bool open_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= 2);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static void clean_signals(void)
{
	struct sigaction plain = { .sa_handler = SIG_DFL };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t none;
	int i;

	for (i = 1; i < NSIG; i++)
		sigaction(i, &plain, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm(0);
}

/* A limit that the caller lowered is raised as far as that is possible; a
 * file must not end where it says. */
static void clean_limit(int which, rlim_t wanted)
{
	struct rlimit limit;

	if (getrlimit(which, &limit) < 0)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	setrlimit(which, &limit);
}

static bool clean(void)
{
	if (clearenv() != 0 || !open_standard())
		return false;
	clean_signals();
	clean_limit(RLIMIT_CORE, 0);
	clean_limit(RLIMIT_FSIZE, RLIM_INFINITY);
	clean_limit(RLIMIT_NOFILE, 256);
	clean_limit(RLIMIT_CPU, RLIM_INFINITY);
	clean_limit(RLIMIT_AS, RLIM_INFINITY);
	umask(0);
	return chdir("/") == 0;
}

/* --- write --- */

static bool read_number(const char *text, int64_t most, int64_t *value)
{
	struct scan s = { text, text + strlen(text) };

	return scan_number(&s, most, value);
}

/* What standard input has to give now; 0 or less: nothing more comes. */
static ssize_t read_input(char *data, size_t n, int64_t deadline)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	ssize_t got;
	int wait, ready;

	do {
		wait = clock_left(deadline);
		ready = poll(&p, 1, wait < DROP_SOME_MS ? wait : DROP_SOME_MS);
		got = ready > 0 ? read(STDIN_FILENO, data, n) : -1;
	} while ((ready < 0 || got < 0) && errno == EINTR && ready != 0);
	return got;
}

/* The line before the entry, byte by byte so that nothing after it is
 * read. */
static bool read_intro(int64_t deadline, int64_t *total, struct outcome *why)
{
	static const char intro[] = "posthaste-drop 1 ";
	char line[64];
	size_t n = 0;
	bool whole = false;

	while (!whole && n < sizeof(line) &&
	       read_input(&line[n], 1, deadline) == 1)
		whole = line[n++] == '\n';
	if (whole)
		line[n - 1] = '\0';
	if (!whole || strncmp(line, intro, sizeof(intro) - 1) != 0 ||
	    !read_number(line + sizeof(intro) - 1, INT64_MAX / 2, total))
		return outcome_fail(why, STAGE_LOCAL, EX_USAGE,
				    "standard input is no queue entry");
	return true;
}

/* The room is taken before anybody looks how much is left, so that of any
 * number of callers at once each sees what the others took. */
static bool take_room(struct qdir_writer *w, int64_t total,
		      struct outcome *why)
{
	const int64_t all = total + QDIR_JOURNAL_ROOM;
	struct statvfs v;
	bool taken = fallocate(w->fd, FALLOC_FL_KEEP_SIZE, 0, all) == 0;

	if (!taken && errno != EOPNOTSUPP && errno != ENOSYS &&
	    errno != ENOSPC && errno != EDQUOT && errno != EFBIG)
		outcome_fail(why, STAGE_LOCAL, EX_IOERR, "queue: %s",
			     strerror(errno));
	else if (!taken && (errno == ENOSPC || errno == EDQUOT))
		outcome_fail(why, STAGE_LOCAL, EX_CANTCREAT,
			     "the queue's disk is full");
	else if (fstatvfs(w->fd, &v) < 0)
		outcome_fail(why, STAGE_LOCAL, EX_CANTCREAT, "queue: %s",
			     strerror(errno));
	else if (drop_room(v.f_frsize, v.f_blocks, v.f_bavail,
			   taken ? 0 : all) &&
		 drop_room(1, v.f_files, v.f_files ? v.f_favail : 0, 0))
		return true;
	else
		outcome_fail(why, STAGE_LOCAL, EX_CANTCREAT,
			     "the queue's disk is nearly full");
	qdir_abandon(w);
	return false;
}

static bool copy(struct qdir_writer *w, int64_t deadline, int64_t total,
		 struct outcome *why)
{
	char block[BLOCK];
	ssize_t n;

	while (total > 0) {
		n = read_input(block, total < BLOCK ? (size_t)total : BLOCK,
			       deadline);
		if (n <= 0) {
			qdir_abandon(w);
			return outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
					    "the entry is cut short");
		}
		if (!qdir_add(w, block, (size_t)n, why))
			return false;
		total -= n;
	}
	return true;
}

/* Nothing that could move a cursor, hide, or turn the text around it. */
static bool is_plain(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t left = s ? strlen(s) : 0, n;
	unsigned c;

	for (; left; p += n, left -= n) {
		n = utf8_next(p, left, &c);
		if (!n || utf8_is_hidden(c))
			return false;
	}
	return true;
}

static bool is_sane(const struct entry *e, struct outcome *why)
{
	enum { AHEAD = 3600 };
	const struct envelope *v = &e->envelope;
	bool plain = is_plain(v->sender) && is_plain(v->account) &&
		     is_plain(v->transport) && is_plain(v->envid);
	size_t i;

	for (i = 0; plain && i < v->n; i++)
		plain = is_plain(v->rcpt[i].address) &&
			is_plain(v->rcpt[i].orcpt);
	if (!plain)
		return outcome_fail(why, STAGE_LOCAL, EX_DATAERR, "control "
				    "characters in the envelope");
	return e->queued <= time(NULL) + AHEAD ||
	       outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
			    "an entry of times to come");
}

/* Reads what was written as the runner will. */
static bool check(struct qdir *s, struct qdir_writer *w, const char *name,
		  struct outcome *why)
{
	struct stat st;
	struct entry e;
	int64_t torn = 0;
	bool good;

	if (fstat(w->fd, &st) < 0)
		good = outcome_fail(why, STAGE_LOCAL, EX_IOERR, "queue: %s",
				    strerror(errno));
	else if ((good = entry_read(s, name, w->fd, &st, true, &e, &torn,
				    why))) {
		good = is_sane(&e, why);
		free(e.file);
		text_release(&e);
	}
	if (good && torn)
		good = outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
				    "the entry is cut short");
	if (!good)
		qdir_abandon(w);
	return good;
}

/* The id is told before it is true: if it cannot be told, the entry must not
 * be kept. Whoever reads it waits for our end. */
static bool tell_id(struct qdir_writer *w, struct outcome *why)
{
	if (printf("%s\n", w->id) > 0 && fflush(stdout) == 0)
		return true;
	outcome_fail(why, STAGE_LOCAL, EX_IOERR, "cannot print: %s",
		     strerror(errno));
	qdir_abandon(w);
	return false;
}

static bool do_write(struct qdir *s, char **argv, struct outcome *why)
{
	const int64_t deadline = clock_in(DROP_ALL_MS);
	char name[QUEUE_NAME_SIZE];
	struct qdir_writer w;
	bool held = !strcmp(argv[0], "h");
	int64_t next = 0, total;

	if (!held && !read_number(argv[0], INT64_MAX, &next))
		return outcome_fail(why, STAGE_LOCAL, EX_USAGE,
				    "%s: no time", argv[0]);
	if (!read_intro(deadline, &total, why))
		return false;
	if (total > DROP_ENTRY_MAX)
		return outcome_fail_status(why, STAGE_LOCAL, EX_DATAERR,
					   "5.3.4", "larger than the queue "
					   "takes");
	if (!qdir_begin(s, NULL, &w, why))
		return false;
	text_name(name, w.id, next, held);
	return take_room(&w, total, why) && copy(&w, deadline, total, why) &&
	       check(s, &w, name, why) && tell_id(&w, why) &&
	       qdir_commit(&w, name, why);
}

/* --- list --- */

static bool print_range(int fd, int64_t offset, int64_t n)
{
	char block[16 * 1024];
	size_t part;

	for (; n > 0; n -= (int64_t)part, offset += (int64_t)part) {
		part = n < (int64_t)sizeof(block) ? (size_t)n : sizeof(block);
		if (!qdir_read(fd, offset, block, part) ||
		    fwrite(block, 1, part, stdout) != part)
			return false;
	}
	return true;
}

/* Only what can be read whole is begun to be printed; lines that are added
 * meanwhile are not part of it. */
static bool list_one(struct qdir *s, const char *name, struct outcome *why)
{
	struct outcome ignored;
	struct entry e;
	struct stat st;
	int64_t torn, journal;
	uid_t whose;
	int fd;
	bool good = true;

	if (!qdir_look(s, name, &fd, &st, &ignored))
		return true;
	if (entry_whose(s, fd, &st, &whose) && whose == getuid() &&
	    entry_read(s, name, fd, &st, false, &e, &torn, &ignored)) {
		journal = st.st_size - torn - e.file->journal;
		printf("%s %" PRId64 " %" PRId64 "\n", name, e.file->header,
		       journal);
		good = print_range(fd, 0, e.file->header) &&
		       print_range(fd, e.file->journal, journal);
		free(e.file);
		text_release(&e);
	}
	close(fd);
	return good || outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "cannot print the list");
}

static bool do_list(struct qdir *s, char **argv, struct outcome *why)
{
	struct list names = { 0 };
	bool good = qdir_names(s, &names, why);
	size_t i;

	(void)argv;
	for (i = 0; good && i < names.n; i++)
		good = list_one(s, names.item[i], why);
	list_release(&names);
	return good;
}

/* --- orders --- */

static bool do_order(struct qdir *s, enum queue_order order, char **argv,
		     struct outcome *why)
{
	if (!strcmp(argv[0], "ALL"))
		return qdir_order_all(s, order, getuid(), argv[1], why);
	return qdir_order(s, order, argv[0], getuid(), argv[1], why);
}

static bool do_hold(struct qdir *s, char **argv, struct outcome *why)
{
	return do_order(s, QUEUE_HOLD, argv, why);
}

static bool do_release(struct qdir *s, char **argv, struct outcome *why)
{
	return do_order(s, QUEUE_RELEASE, argv, why);
}

static bool do_withdraw(struct qdir *s, char **argv, struct outcome *why)
{
	return do_order(s, QUEUE_REMOVE, argv, why);
}

static bool do_retry(struct qdir *s, char **argv, struct outcome *why)
{
	return do_order(s, QUEUE_RETRY, argv, why);
}

static const struct order {
	const char *name;
	int least, most;     /* arguments */
	bool (*run)(struct qdir *s, char **argv, struct outcome *why);
} orders[] = {
	{ "write", 1, 1, do_write },
	{ "list", 0, 0, do_list },
	{ "hold", 1, 1, do_hold },
	{ "release", 1, 1, do_release },
	{ "withdraw", 1, 1, do_withdraw },
	{ "retry", 1, 2, do_retry },
};

static const struct order *find_order(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc > 1 && i < sizeof(orders) / sizeof(*orders); i++)
		if (!strcmp(argv[1], orders[i].name) &&
		    argc - 2 >= orders[i].least &&
		    argc - 2 <= orders[i].most)
			return &orders[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct order *order;
	struct outcome why;
	struct qdir dir;
	bool good;

	if (!clean())
		return EX_OSERR;
	order = find_order(argc, argv);
	if (!order) {
		fprintf(stderr, "posthaste-drop is run by posthaste\n");
		return EX_USAGE;
	}
	good = qdir_open(QUEUE_DIRECTORY, false, &dir, &why);
	if (!good && why.exit == EX_NOPERM)
		outcome_prefix(&why, "posthaste-drop lacks the queue's group "
			       "(it is not set-group-id, or whoever runs it "
			       "may gain no privileges)");
	good = good && order->run(&dir, argv + 2, &why);
	if (fflush(stdout) != 0 && good)
		good = outcome_fail(&why, STAGE_LOCAL, EX_IOERR,
				    "cannot print: %s", strerror(errno));
	if (!good)
		fprintf(stderr, "%s\n", why.text);
	return good ? EX_OK : why.exit;
}
