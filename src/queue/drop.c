/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "queue/drop.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "base/kernel.h"
#include "base/scan.h"
#include "queue/format.h"
#include "queue/queue_parts.h"
#include "queue/serve.h"

enum { WORDS_MAX = 4096, LIST_MAX = 256 * 1024 * 1024, BLOCK = 64 * 1024 };

/* The other side's status and words, which may be none. */
static bool drop_refused(int64_t status, const struct scan *words,
			 struct outcome *why)
{
	const bool known = status >= EX_USAGE && status <= EX_CONFIG;
	/* up to a NUL, if they have one */
	char *said = scan_copy(words);

	outcome_fail(why, STAGE_LOCAL, known ? (int)status : EX_CANTCREAT,
		     "%s", *said ? said : "posthaste-drop failed");
	free(said);
	return false;
}

/* Runs the helper to its end; output is the caller's to release. What the
 * helper calls its status is ours, with the first line of its words. */
static bool helper_run(const char *const argv[], child_source *more,
		       void *context, struct buf *output, struct outcome *why)
{
	static const char *const nothing[] = { NULL };
	struct buf words = BUF(WORDS_MAX);
	const struct child c = {
		.argv = argv, .environment = nothing, .more = more,
		.context = context, .output = output, .words = &words,
		.deadline = CLOCK_NEVER, .may_gain_rights = true,
	};
	struct scan text, line = { 0 };
	int status = EX_OK;
	bool good = child_run(&c, &status, why);

	if (!good) {
		outcome_prefix(why, "posthaste-drop");
		why->exit = why->exit == EX_OSERR ? EX_OSERR : EX_CANTCREAT;
	} else if (status == 126 || status == 127) {
		good = outcome_fail(why, STAGE_LOCAL, EX_OSERR, "%s cannot be "
				    "run", argv[0]);
	} else if (status != EX_OK) {
		text = scan_bytes(buf_text(&words), words.len);
		(void)scan_line(&text, &line);
		good = drop_refused(status, &line, why);
	}
	buf_release(&words);
	return good;
}

/* --- the socket --- */

enum { REPLY_MS = 300 * 1000, BUSY_MS = 60 * 1000, BUSY_STEP_MS = 100 };

static bool socket_lost(const char *what, struct outcome *why)
{
	return outcome_fail(why, STAGE_LOCAL, EX_CANTCREAT,
			    "the queue's socket: %s", what);
}

static bool socket_read(int fd, char *data, size_t *n)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t got;
	int ready;

	/* poll(2) at its end leaves errno as it was */
	do {
		ready = kernel_poll(&p, 1, REPLY_MS);
		got = ready > 0 ? read(fd, data, *n) : -1;
	} while (ready && got < 0 && errno == EINTR);
	*n = got > 0 ? (size_t)got : 0;
	return got >= 0;
}

/* A short line, without its end, and nothing after it. */
static bool socket_line(int fd, char *line, size_t size)
{
	size_t at = 0, n = 1;

	while (at < size - 1 && socket_read(fd, &line[at], &n) && n) {
		if (line[at] == '\n') {
			at -= at && line[at - 1] == '\r';
			line[at] = '\0';
			return true;
		}
		at++;
	}
	return false;
}

/* A server that greets us; one that has too many sessions of ours is asked
 * again for a while. -1: none. */
static int socket_dial(const char *path, struct outcome *why)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	const int64_t deadline = clock_in(BUSY_MS);
	char line[512] = "";
	int fd;

	if (strlen(path) >= sizeof(name.sun_path)) {
		socket_lost("its path is too long", why);
		return -1;
	}
	memcpy(name.sun_path, path, strlen(path) + 1);
	for (;;) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&name,
				      sizeof(name)) < 0)
			socket_lost(strerror(errno), why);
		else if (!socket_line(fd, line, sizeof(line)))
			socket_lost("it says nothing", why);
		else if (!strncmp(line, "220 ", 4))
			return fd;
		else
			socket_lost(line, why);
		if (fd >= 0)
			close(fd);
		if (strncmp(line, "421 ", 4) != 0 || !clock_left(deadline))
			return -1;
		poll(NULL, 0, BUSY_STEP_MS);
	}
}

/* Says what is wanted; who we are there is the answer. */
static bool socket_ask(int fd, const char *const argv[], uid_t *uid,
		       struct outcome *why)
{
	struct buf line = BUF(WORDS_MAX);
	char answer[512];
	struct scan s;
	int64_t number = 0;
	bool good;

	buf_adds(&line, "posthaste-drop 1");
	for (; *argv && !(*argv)[strcspn(*argv, " \t\r\n")]; argv++)
		buf_addf(&line, " %s", *argv);
	if (*argv) {
		buf_release(&line);
		return outcome_fail(why, STAGE_LOCAL, EX_NOINPUT,
				    "%s: no such entry", *argv);
	}
	buf_adds(&line, "\r\n");
	good = !line.full && file_write_all(fd, line.data, line.len) &&
	       socket_line(fd, answer, sizeof(answer));
	buf_release(&line);
	if (!good)
		return socket_lost("it does not answer", why);
	s = scan_text(answer);
	if (!scan_skip(&s, "posthaste-drop 1 ") ||
	    !scan_number(&s, UINT32_MAX, &number))
		return socket_lost(answer, why);
	*uid = (uid_t)number;
	return true;
}

/* Splits off the last line: status, and words. */
static bool socket_result(struct buf *output, struct outcome *why)
{
	size_t at = output->len;
	struct scan s, status;
	int64_t exit = 0;

	if (output->full || !at || output->data[at - 1] != '\n')
		return socket_lost("its answer was cut short", why);
	for (at--; at && output->data[at - 1] != '\n'; )
		at--;
	s = scan_bytes(output->data + at, output->len - at);
	output->len = at;
	scan_trim(&s);
	if (!scan_skip(&s, "posthaste-drop ") ||
	    !scan_until(&s, ' ', &status) || !scan_number(&status, 255, &exit))
		return socket_lost("its answer was cut short", why);
	return exit == EX_OK || drop_refused(exit, &s, why);
}

/* What a caller sends: the pieces of what more gives, once uid is known. */
struct drop_call {
	const char *const *argv;        /* after the program's name */
	child_source *more;             /* NULL: nothing */
	void *context;
	/* The server knows this number of ours; NULL: no matter. */
	void (*known)(void *context, uid_t uid);
};

static bool socket_run(const char *path, const struct drop_call *call,
		       struct buf *output, struct outcome *why)
{
	int fd = socket_dial(path, why);
	const char *data;
	uid_t uid = 0;
	char *block;
	size_t n;
	bool good;
	long piece = 0;

	if (fd < 0)
		return false;
	good = socket_ask(fd, call->argv, &uid, why);
	if (good && call->known)
		call->known(call->context, uid);
	/* where it stops listening it has said why */
	while (good && call->more &&
	       (piece = call->more(call->context, &data)) > 0 &&
	       file_write_all(fd, data, (size_t)piece))
		;
	if (good && piece < 0)
		good = outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "cannot read the message");
	if (good) {
		shutdown(fd, SHUT_WR);
		block = mem_resize(NULL, BLOCK, 1);
		for (n = BLOCK; socket_read(fd, block, &n) && n; n = BLOCK)
			buf_add(output, block, n);
		free(block);
		good = socket_result(output, why);
	}
	close(fd);
	return good;
}

/* By the helper; by the socket where that gains no rights. */
static bool drop_run(const struct queue *q, const struct drop_call *call,
		     struct buf *output, struct outcome *why)
{
	const char *argv[5] = { q->helper };
	size_t i;

	for (i = 0; i < 3 && call->argv[i]; i++)
		argv[i + 1] = call->argv[i];
	if (q->helper && helper_run(argv, call->more, call->context, output,
				    why))
		return true;
	if (!q->socket || (q->helper && why->exit != EX_NOPERM))
		return false;
	return socket_run(q->socket, call, output, why);
}

/* --- write --- */

/* The next one to be sent. */
enum { PIECE_INTRO, PIECE_HEADER, PIECE_MESSAGE, PIECE_JOURNAL, PIECE_END };

struct pieces {
	struct buf joined;       /* small ones are one write */
	const char *rest;        /* what of a piece did not fit in there */
	size_t left;
	int piece;
	struct buf intro, sum_line, header;
	const struct buf *journal;
	struct message *message;
	int64_t offset;          /* in the message */
	uint64_t sum;
};

static long next_piece(void *context, const char **data)
{
	struct pieces *p = context;
	long n;

	switch (p->piece) {
	case PIECE_INTRO:
		p->piece++;
		*data = p->intro.data;
		return (long)p->intro.len;
	case PIECE_HEADER:
		p->piece++;
		p->sum = text_sum(0, p->header.data, p->header.len);
		*data = p->header.data;
		return (long)p->header.len;
	case PIECE_MESSAGE:
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
	case PIECE_JOURNAL:
		p->piece = PIECE_END;
		*data = p->journal->data;
		return (long)p->journal->len;
	default:
		return 0;
	}
}

static long next_joined(void *context, const char **data)
{
	struct pieces *p = context;
	size_t n;
	long got;

	buf_reset(&p->joined);
	while (p->joined.len < BLOCK) {
		if (!p->left) {
			got = next_piece(p, &p->rest);
			if (got < 0)
				return -1;
			if (!got)
				break;
			p->left = (size_t)got;
		}
		n = BLOCK - p->joined.len < p->left ? BLOCK - p->joined.len :
		    p->left;
		buf_add(&p->joined, p->rest, n);
		p->rest += n;
		p->left -= n;
	}
	*data = p->joined.data;
	return (long)p->joined.len;
}

static bool drop_id(const struct buf *output, char id[QUEUE_ID_SIZE],
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

static void begin_intro(struct pieces *p)
{
	buf_reset(&p->intro);
	buf_addf(&p->intro, "posthaste-drop 1 %" PRId64 "\n",
		 (int64_t)(p->header.len + p->journal->len) +
		 TEXT_CHECKSUM_SIZE + message_size(p->message));
}

/* Puts in the number by which the other side knows us (in a container's user
 * namespace we have another one), and that we wrote it. */
static void write_known(void *context, uid_t uid)
{
	struct pieces *p = context;
	struct buf header = BUF(TEXT_HEADER_MAX);
	const char *text = buf_text(&p->header), *line, *end;

	/* the helper may have had some of it */
	p->piece = PIECE_INTRO;
	p->offset = 0;
	p->left = 0;
	buf_reset(&p->sum_line);
	line = strstr(text, "\nuid ");
	end = line ? strchr(line + 1, '\n') : NULL;
	if (!end)
		return;
	buf_add(&header, text, (size_t)(line - text));
	buf_addf(&header, "\nuid %lu\nforeign", (unsigned long)uid);
	buf_add(&header, end, p->header.len - (size_t)(end - text));
	buf_release(&p->header);
	p->header = header;
	begin_intro(p);
}

bool drop_write(const struct queue *q, const struct queue_item *item,
		const struct buf *header, const struct buf *journal,
		char id[QUEUE_ID_SIZE], struct outcome *why)
{
	struct pieces p = {
		.joined = BUF(BLOCK), .intro = BUF(128),
		.sum_line = BUF(TEXT_CHECKSUM_SIZE),
		.header = BUF(TEXT_HEADER_MAX), .journal = journal,
		.message = item->message,
	};
	char name[QUEUE_NAME_SIZE];
	const char *argv[] = { "write", name, NULL };
	const struct drop_call call = { argv, next_joined, &p, write_known };
	struct buf output = BUF(WORDS_MAX);
	bool good;

	/* an entry's name, of which only the part after the id counts */
	text_name(name, "x", item->next, item->held);
	argv[1] = name + 2;
	buf_add(&p.header, header->data, header->len);
	begin_intro(&p);
	good = drop_run(q, &call, &output, why) &&
	       drop_id(&output, id, why);
	/* whatever kept it from that, the queue could not be written */
	if (!good && (why->exit == EX_NOPERM || why->exit == EX_USAGE))
		why->exit = EX_CANTCREAT;
	buf_release(&output);
	buf_release(&p.joined);
	buf_release(&p.intro);
	buf_release(&p.header);
	buf_release(&p.sum_line);
	return good;
}

/* --- list --- */

/* One entry of the list; one that cannot be read is passed over. */
static bool read_listed(struct scan *s, entry_visit *visit, void *context,
			bool *more)
{
	struct entry e = { 0 };
	int64_t header, journal;
	struct outcome ignored;
	char name[QUEUE_NAME_SIZE];
	struct scan line, word;
	size_t whole;

	if (!scan_until(s, '\n', &line) || !scan_until(&line, ' ', &word) ||
	    word.end - word.p >= QUEUE_NAME_SIZE)
		return false;
	memcpy(name, word.p, (size_t)(word.end - word.p));
	name[word.end - word.p] = '\0';
	if (!scan_until(&line, ' ', &word) ||
	    !scan_number(&word, s->end - s->p, &header) ||
	    !scan_number(&line, s->end - s->p - header, &journal))
		return false;
	if (text_read_header(s->p, (size_t)header, &e, &ignored) &&
	    text_read_journal(s->p + header, (size_t)journal, &e, &whole,
			      &ignored) &&
	    text_read_name(name, e.id, &e.next, &e.held)) {
		memcpy(e.name, name, sizeof(e.name));
		e.uid = getuid();
		*more = visit(&e, context);
	}
	text_release(&e);
	s->p += header + journal;
	return true;
}

bool drop_list(const struct queue *q, entry_visit *visit, void *context,
	       struct outcome *why)
{
	const char *const argv[] = { "list", NULL };
	const struct drop_call call = { .argv = argv };
	struct buf output = BUF(LIST_MAX);
	bool good, more = true;
	struct scan s;

	good = drop_run(q, &call, &output, why);
	s = scan_bytes(buf_text(&output), output.len);
	while (good && more && s.p < s.end)
		good = read_listed(&s, visit, context, &more) ||
		       outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "posthaste-drop gave no list");
	buf_release(&output);
	return good;
}

/* --- the rest --- */

bool drop_order(const struct queue *q, enum order order, const char *id,
		const char *transport, struct outcome *why)
{
	const char *const argv[] = { drop_verb(order), id ? id : "ALL",
				     transport, NULL };
	const struct drop_call call = { .argv = argv };
	struct buf output = BUF(WORDS_MAX);
	bool good = drop_run(q, &call, &output, why);

	buf_release(&output);
	return good;
}
