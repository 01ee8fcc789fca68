/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "queue/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/kernel.h"
#include "base/scan.h"
#include "base/utf8.h"
#include "queue/drop_limits.h"
#include "queue/format.h"
#include "queue/order.h"
#include "queue/queue_parts.h"

enum { BLOCK = 64 * 1024 };

/* --- write --- */

static bool read_number(const char *text, int64_t most, int64_t *value)
{
	struct scan s = { text, text + strlen(text) };

	return scan_number(&s, most, value);
}

static ssize_t drop_read(const struct drop_caller *c, void *data, size_t n)
{
	return c->read ? c->read(c->context, data, n) :
			 read(STDIN_FILENO, data, n);
}

/* What the caller has to give now; 0 or less: nothing more comes. */
static ssize_t drop_input(struct drop_caller *c, char *data, size_t n,
			  int64_t deadline)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	ssize_t got;
	int wait, ready;

	if (c->n) {
		n = n < c->n ? n : c->n;
		memcpy(data, c->input, n);
		c->input += n;
		c->n -= n;
		return (ssize_t)n;
	}
	do {
		wait = clock_left(deadline);
		ready = kernel_poll(&p, 1, wait < c->some_ms ? wait :
				    c->some_ms);
		got = ready > 0 ? drop_read(c, data, n) : -1;
	} while ((ready < 0 || got < 0) && errno == EINTR && ready != 0);
	return got;
}

/* The line before the entry. What was read beyond it lies in ahead, and is the
 * next that c gives. */
static bool read_intro(struct drop_caller *c, char ahead[BLOCK],
		       int64_t deadline, int64_t *total, struct outcome *why)
{
	static const char intro[] = "posthaste-drop 1 ";
	char line[64];
	ssize_t got;
	size_t n = 0;
	bool whole = false;

	while (!whole && n < sizeof(line)) {
		if (!c->n) {
			got = drop_input(c, ahead, BLOCK, deadline);
			if (got <= 0)
				break;
			c->input = ahead;
			c->n = (size_t)got;
		}
		line[n] = *c->input++;
		c->n--;
		whole = line[n++] == '\n';
	}
	if (whole)
		line[n - 1] = '\0';
	if (!whole || strncmp(line, intro, sizeof(intro) - 1) != 0 ||
	    !read_number(line + sizeof(intro) - 1, INT64_MAX / 2, total))
		return outcome_fail(why, STAGE_LOCAL, EX_USAGE,
				    "standard input is not a queue entry");
	return true;
}

/* The room is taken before anybody looks how much is left, so that of any
 * number of callers at once each sees what the others took. */
bool drop_take_room(struct qdir_writer *w, int64_t total, struct outcome *why)
{
	const int64_t all = total + QDIR_JOURNAL_ROOM;
	struct statvfs v;
	bool taken = kernel_reserve(w->fd, 0, all) == 0;

	w->reserved = taken;
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

static bool copy(struct drop_caller *c, struct qdir_writer *w,
		 int64_t deadline, int64_t total, struct outcome *why)
{
	char block[BLOCK];
	ssize_t n;

	while (total > 0) {
		n = drop_input(c, block, total < BLOCK ? (size_t)total :
			       BLOCK, deadline);
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
static bool check(struct qdir *s, const struct drop_caller *c,
		  struct qdir_writer *w, const char *name,
		  struct outcome *why)
{
	struct stat st;
	struct entry e;
	int64_t torn = 0;
	uid_t whose;
	bool good;

	if (!qdir_flush(w, why))
		return false;
	if (fstat(w->fd, &st) < 0)
		good = outcome_fail(why, STAGE_LOCAL, EX_IOERR, "queue: %s",
				    strerror(errno));
	else if ((good = entry_read(s, name, w->fd, &st, true, &e, &torn,
				    why))) {
		/* in a file of the queue's owner its own words count, so
		 * they have to be true */
		if (c->by_owner &&
		    (!entry_whose(s, w->fd, &st, &whose) || whose != c->uid ||
		     e.uid != c->uid || !e.foreign || e.cause || e.by_owner))
			good = outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
					    "the entry does not say that it "
					    "is yours");
		else
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
	char line[QUEUE_ID_SIZE + 1];
	int n = snprintf(line, sizeof(line), "%s\n", w->id);

	if (file_write_all(STDOUT_FILENO, line, (size_t)n))
		return true;
	outcome_fail(why, STAGE_LOCAL, EX_IOERR, "cannot print: %s",
		     strerror(errno));
	qdir_abandon(w);
	return false;
}

static bool do_write(struct qdir *s, struct drop_caller *c, char **argv,
		     struct outcome *why)
{
	const int64_t deadline = clock_in(c->all_ms);
	char name[QUEUE_NAME_SIZE], ahead[BLOCK];
	struct qdir_writer w;
	bool held = !strcmp(argv[0], "h"), good;
	int64_t next = 0, total;

	if (!held && !read_number(argv[0], INT64_MAX, &next))
		return outcome_fail(why, STAGE_LOCAL, EX_USAGE,
				    "%s: no time", argv[0]);
	if (!read_intro(c, ahead, deadline, &total, why))
		return false;
	if (total > DROP_ENTRY_MAX)
		return outcome_fail_status(why, STAGE_LOCAL, EX_DATAERR,
					   "5.3.4", "larger than the queue "
					   "takes");
	if (!qdir_begin(s, NULL, &w, why))
		return false;
	text_name(name, w.id, next, held);
	good = drop_take_room(&w, total, why) &&
	       copy(c, &w, deadline, total, why) &&
	       check(s, c, &w, name, why) && tell_id(&w, why) &&
	       qdir_commit(&w, name, why);
	/* nothing is read after an entry */
	c->n = 0;
	return good;
}

/* --- list --- */

static bool print_range(int fd, int64_t offset, int64_t n)
{
	char block[16 * 1024];
	size_t part;

	for (; n > 0; n -= (int64_t)part, offset += (int64_t)part) {
		part = n < (int64_t)sizeof(block) ? (size_t)n : sizeof(block);
		if (!qdir_read(fd, offset, block, part) ||
		    !file_write_all(STDOUT_FILENO, block, part))
			return false;
	}
	return true;
}

/* Only what can be read whole is begun to be printed; lines that are added
 * meanwhile are not part of it. What cannot be opened for want of something is
 * no entry less. */
static bool list_one(struct qdir *s, const struct drop_caller *c,
		     const char *name, struct outcome *why)
{
	struct outcome ignored;
	struct entry e;
	struct stat st;
	int64_t torn, journal;
	char line[QUEUE_NAME_SIZE + 48];
	uid_t whose;
	int fd, n;
	bool good = true;

	if (!qdir_look(s, name, &fd, &st, &ignored)) {
		if (ignored.exit == EX_OSERR)
			*why = ignored;
		return ignored.exit != EX_OSERR;
	}
	if (entry_whose(s, fd, &st, &whose) && whose == c->uid &&
	    entry_read(s, name, fd, &st, false, &e, &torn, &ignored)) {
		journal = st.st_size - torn - e.file->journal;
		n = snprintf(line, sizeof(line), "%s %" PRId64 " %" PRId64
			     "\n", name, e.file->header, journal);
		good = file_write_all(STDOUT_FILENO, line, (size_t)n) &&
		       print_range(fd, 0, e.file->header) &&
		       print_range(fd, e.file->journal, journal);
		free(e.file);
		text_release(&e);
	}
	close(fd);
	return good || outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "cannot print the list");
}

static bool do_list(struct qdir *s, struct drop_caller *c, char **argv,
		    struct outcome *why)
{
	struct list names = { 0 };
	bool good = qdir_names(s, &names, why);
	size_t i;

	(void)argv;
	for (i = 0; good && i < names.n; i++)
		good = list_one(s, c, names.item[i], why);
	list_release(&names);
	return good;
}

/* --- the verbs --- */

static const struct drop_verb {
	const char *name;
	int least, most;       /* arguments */
	/* NULL: order */
	bool (*run)(struct qdir *s, struct drop_caller *c, char **argv,
		    struct outcome *why);
	enum order order;
} drop_verbs[] = {
	{ "write", 1, 1, do_write, 0 },
	{ "list", 0, 0, do_list, 0 },
	{ "hold", 1, 1, NULL, ORDER_HOLD },
	{ "release", 1, 1, NULL, ORDER_RELEASE },
	{ "withdraw", 1, 1, NULL, ORDER_REMOVE },
	{ "retry", 1, 2, NULL, ORDER_RETRY },
};

static const struct drop_verb *find_verb(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc && i < sizeof(drop_verbs) / sizeof(*drop_verbs); i++)
		if (!strcmp(argv[0], drop_verbs[i].name) &&
		    argc - 1 >= drop_verbs[i].least &&
		    argc - 1 <= drop_verbs[i].most)
			return &drop_verbs[i];
	return NULL;
}

const char *drop_verb(enum order order)
{
	size_t i;

	for (i = 0; i < sizeof(drop_verbs) / sizeof(*drop_verbs); i++)
		if (!drop_verbs[i].run && drop_verbs[i].order == order)
			return drop_verbs[i].name;
	return NULL;
}

bool drop_serves(int argc, char **argv)
{
	return find_verb(argc, argv);
}

bool drop_serve(struct qdir *s, struct drop_caller *c, int argc, char **argv,
		struct outcome *why)
{
	const struct drop_verb *verb = find_verb(argc, argv);

	if (!verb)
		return outcome_fail(why, STAGE_LOCAL, EX_USAGE,
				    "nothing that posthaste-drop does");
	if (verb->run)
		return verb->run(s, c, argv + 1, why);
	if (!strcmp(argv[1], "ALL"))
		return qdir_order_all(s, verb->order, c->uid, argv[2], why);
	return qdir_order(s, verb->order, argv[1], c->uid, argv[2], why);
}
