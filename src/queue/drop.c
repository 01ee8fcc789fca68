/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "queue/drop.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/scan.h"
#include "queue/format.h"

enum { WORDS_MAX = 4096, LIST_MAX = 256 * 1024 * 1024 };

/* What goes to the helper, piece by piece; 0 at the end, -1: broken. */
typedef long source(void *context, const char **data);

struct child {
	pid_t pid;
	int in, out, err;        /* our ends; -1: closed */
	struct buf output, words;
	const char *data;        /* what is left of the piece at hand */
	size_t left;
};

/* --- the process --- */

static bool system_failed(struct outcome *why, const char *what)
{
	return outcome_fail(why, STAGE_LOCAL, EX_OSERR, "%s: %s", what,
			    strerror(errno));
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool spawn(struct child *c, const char *const argv[], int ours[3],
		  struct outcome *why)
{
	char *const none[] = { NULL };
	posix_spawn_file_actions_t actions;
	char *copy[5] = { NULL };
	int error, i;

	/* posix_spawn wants strings that it may write to, and does not */
	for (i = 0; argv[i]; i++)
		copy[i] = mem_string(argv[i]);
	error = posix_spawn_file_actions_init(&actions);
	for (i = 0; i < 3 && !error; i++)
		error = posix_spawn_file_actions_adddup2(&actions, ours[i], i);
	if (!error)
		error = posix_spawn(&c->pid, argv[0], &actions, NULL, copy,
				    none);
	posix_spawn_file_actions_destroy(&actions);
	for (i = 0; copy[i]; i++)
		free(copy[i]);
	errno = error;
	return !error || system_failed(why, argv[0]);
}

static bool child_start(struct child *c, const char *const argv[],
			struct outcome *why)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };
	int theirs[3];
	bool good;

	*c = (struct child){ .pid = -1, .in = -1, .out = -1, .err = -1,
			     .output = BUF(LIST_MAX), .words = BUF(WORDS_MAX) };
	good = !pipe2(in, O_CLOEXEC) && !pipe2(out, O_CLOEXEC) &&
	       !pipe2(err, O_CLOEXEC) &&
	       fcntl(in[1], F_SETFL, O_NONBLOCK) == 0;
	if (!good)
		system_failed(why, "pipe");
	theirs[0] = in[0];
	theirs[1] = out[1];
	theirs[2] = err[1];
	good = good && spawn(c, argv, theirs, why);
	shut(&in[0]);
	shut(&out[1]);
	shut(&err[1]);
	c->in = in[1];
	c->out = out[0];
	c->err = err[0];
	return good;
}

static void child_release(struct child *c)
{
	shut(&c->in);
	shut(&c->out);
	shut(&c->err);
	buf_release(&c->output);
	buf_release(&c->words);
}

/* --- talking to it --- */

/* What it says beyond the bound is read and dropped. */
static void take(int *fd, struct buf *into)
{
	char block[16 * 1024];
	ssize_t n = read(*fd, block, sizeof(block));

	if (n > 0)
		buf_add(into, block, (size_t)n);
	else if (n == 0 || errno != EINTR)
		shut(fd);
}

static void feed(struct child *c, source *more, void *context)
{
	ssize_t done;
	long n;

	if (!c->left) {
		n = more ? more(context, &c->data) : 0;
		if (n <= 0) {
			/* if that came too early, the helper knows by the
			 * length it was told */
			shut(&c->in);
			return;
		}
		c->left = (size_t)n;
	}
	done = write(c->in, c->data, c->left);
	if (done > 0) {
		c->data += done;
		c->left -= (size_t)done;
	} else if (done < 0 && errno != EAGAIN && errno != EINTR) {
		shut(&c->in);
	}
}

static void talk(struct child *c, source *more, void *context)
{
	struct pollfd p[3];

	while (c->in >= 0 || c->out >= 0 || c->err >= 0) {
		p[0] = (struct pollfd){ .fd = c->in, .events = POLLOUT };
		p[1] = (struct pollfd){ .fd = c->out, .events = POLLIN };
		p[2] = (struct pollfd){ .fd = c->err, .events = POLLIN };
		if (poll(p, 3, -1) < 0)
			continue;
		if (p[1].revents)
			take(&c->out, &c->output);
		if (p[2].revents)
			take(&c->err, &c->words);
		if (p[0].revents)
			feed(c, more, context);
	}
}

static bool child_end(struct child *c, struct outcome *why)
{
	int status;
	size_t n;

	while (waitpid(c->pid, &status, 0) < 0)
		if (errno != EINTR)
			return system_failed(why, "posthaste-drop");
	if (WIFEXITED(status) && WEXITSTATUS(status) == EX_OK)
		return true;
	if (!WIFEXITED(status))
		return outcome_fail(why, STAGE_LOCAL, EX_CANTCREAT,
				    "posthaste-drop was killed");
	n = strcspn(buf_text(&c->words), "\n");
	return outcome_fail(why, STAGE_LOCAL, WEXITSTATUS(status), "%.*s",
			    n ? (int)n : 21, n ? c->words.data :
			    "posthaste-drop failed");
}

static bool run(struct child *c, const char *const argv[], source *more,
		void *context, struct outcome *why)
{
	if (!child_start(c, argv, why))
		return false;
	talk(c, more, context);
	return child_end(c, why);
}

/* --- write --- */

enum { PIECE_INTRO, PIECE_HEADER, PIECE_MESSAGE, PIECE_SUM, PIECE_JOURNAL,
       PIECE_END };

struct pieces {
	int piece;
	struct buf intro, sum_line;
	const struct buf *header, *journal;
	struct message *message;
	int64_t offset;          /* in the message */
	uint64_t sum;
};

static long piece_message(struct pieces *p, const char **data)
{
	long n;

	if (p->offset == message_size(p->message)) {
		p->piece++;
		text_checksum(&p->sum_line, p->sum);
		*data = p->sum_line.data;
		return (long)p->sum_line.len;
	}
	n = message_bytes(p->message, p->offset, data);
	if (n > 0) {
		p->sum = text_sum(p->sum, *data, (size_t)n);
		p->offset += n;
	}
	return n > 0 ? n : -1;
}

static long next_piece(void *context, const char **data)
{
	struct pieces *p = context;

	switch (p->piece) {
	case PIECE_INTRO:
		p->piece++;
		*data = p->intro.data;
		return (long)p->intro.len;
	case PIECE_HEADER:
		p->piece++;
		p->sum = text_sum(0, p->header->data, p->header->len);
		*data = p->header->data;
		return (long)p->header->len;
	case PIECE_MESSAGE:
		return piece_message(p, data);
	case PIECE_SUM:
		p->piece = PIECE_END;
		*data = p->journal->data;
		return (long)p->journal->len;
	default:
		return 0;
	}
}

static bool read_id(const struct buf *output, char id[QUEUE_ID_SIZE],
		    struct outcome *why)
{
	size_t n = strcspn(buf_text(output), "\n");

	if (n < QUEUE_ID_SIZE) {
		memcpy(id, buf_text(output), n);
		id[n] = '\0';
		if (text_id_ok(id))
			return true;
	}
	return outcome_fail(why, STAGE_LOCAL, EX_CANTCREAT,
			    "posthaste-drop gave no id");
}

bool drop_write(const char *helper, const struct queue_item *item,
		const struct buf *header, const struct buf *journal,
		char id[QUEUE_ID_SIZE], struct outcome *why)
{
	struct pieces p = {
		.intro = BUF(128), .sum_line = BUF(TEXT_CHECKSUM_SIZE),
		.header = header, .journal = journal,
		.message = item->message,
	};
	char name[QUEUE_NAME_SIZE];
	const char *argv[] = { helper, "write", name, NULL };
	struct child c;
	bool good;

	/* an entry's name, of which only the part behind the id counts */
	text_name(name, "x", item->next, item->held);
	argv[2] = name + 2;
	buf_addf(&p.intro, "posthaste-drop 1 %" PRId64 "\n",
		 (int64_t)(header->len + journal->len) + TEXT_CHECKSUM_SIZE +
		 message_size(item->message));
	good = run(&c, argv, next_piece, &p, why) &&
	       read_id(&c.output, id, why);
	/* whatever kept the helper from it, the queue could not be written */
	if (!good && (why->exit == EX_NOPERM || why->exit == EX_USAGE))
		why->exit = EX_CANTCREAT;
	child_release(&c);
	buf_release(&p.intro);
	buf_release(&p.sum_line);
	return good;
}

/* --- list --- */

static bool read_lengths(struct scan *s, char name[QUEUE_NAME_SIZE],
			 size_t *header, size_t *journal)
{
	struct scan line, word;
	int64_t h, j;

	if (!scan_until(s, '\n', &line) || !scan_until(&line, ' ', &word) ||
	    word.end - word.p >= QUEUE_NAME_SIZE)
		return false;
	memcpy(name, word.p, (size_t)(word.end - word.p));
	name[word.end - word.p] = '\0';
	if (!scan_until(&line, ' ', &word) ||
	    !scan_number(&word, s->end - s->p, &h) ||
	    !scan_number(&line, s->end - s->p - h, &j))
		return false;
	*header = (size_t)h;
	*journal = (size_t)j;
	return true;
}

/* One entry of the list; one that cannot be read is passed over. */
static bool read_listed(struct scan *s, entry_visit *visit, void *context,
			bool *more)
{
	struct entry e = { 0 };
	size_t header, journal, whole;
	struct outcome ignored;
	char name[QUEUE_NAME_SIZE];

	if (!read_lengths(s, name, &header, &journal))
		return false;
	if (text_read_header(s->p, header, &e, &ignored) &&
	    text_read_journal(s->p + header, journal, &e, &whole, &ignored) &&
	    text_read_name(name, e.id, &e.next, &e.held)) {
		memcpy(e.name, name, sizeof(e.name));
		e.uid = getuid();
		*more = visit(&e, context);
	}
	text_release(&e);
	s->p += header + journal;
	return true;
}

bool drop_list(const char *helper, entry_visit *visit, void *context,
	       struct outcome *why)
{
	const char *argv[] = { helper, "list", NULL };
	struct child c;
	struct scan s;
	bool good, more = true;

	good = run(&c, argv, NULL, NULL, why);
	s = (struct scan){ buf_text(&c.output),
			   buf_text(&c.output) + c.output.len };
	while (good && more && s.p < s.end)
		good = read_listed(&s, visit, context, &more) ||
		       outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "posthaste-drop gave no list");
	child_release(&c);
	return good;
}

/* --- the rest --- */

bool drop_order(const char *helper, const char *order, const char *id,
		const char *transport, struct outcome *why)
{
	const char *argv[] = { helper, order, id, transport, NULL };
	struct child c;
	bool good = run(&c, argv, NULL, NULL, why);

	child_release(&c);
	return good;
}
