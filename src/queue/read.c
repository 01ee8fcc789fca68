/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From an entry's file to its facts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/kernel.h"
#include "queue/queue_parts.h"
#include "queue/format.h"

/* A file as it passes by: enough of it at once for the longest line. */
struct window {
	int fd;
	int64_t at, end;     /* of the file: where data begins, where to stop */
	size_t len;
	char data[128 * 1024];
};

_Static_assert(sizeof(((struct window *)0)->data) >
	       (size_t)TEXT_LINE_READ_MAX &&
	       sizeof(((struct window *)0)->data) >
	       (size_t)TEXT_HEADER_LINE_MAX, "a line must fit");

/* Its data is not cleared: of a small entry that would be most of the work. */
static struct window *window_new(int fd, int64_t at, int64_t end)
{
	struct window *w = mem_resize(NULL, 1, sizeof(*w));

	w->fd = fd;
	w->at = at;
	w->end = end;
	w->len = 0;
	return w;
}

static bool unreadable(struct outcome *why)
{
	return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
			    "queue: cannot read an entry: %s",
			    strerror(errno));
}

/* Drops the first n bytes and fills up. */
static bool window_pass(struct window *w, size_t n, struct outcome *why)
{
	int64_t left;
	size_t room;

	w->len -= n;
	w->at += (int64_t)n;
	memmove(w->data, w->data + n, w->len);
	left = w->end - w->at - (int64_t)w->len;
	room = sizeof(w->data) - w->len;
	if ((int64_t)room > left)
		room = left > 0 ? (size_t)left : 0;
	if (room && !qdir_read(w->fd, w->at + (int64_t)w->len,
			       w->data + w->len, room))
		return unreadable(why);
	w->len += room;
	return true;
}

static bool read_header(int fd, int64_t size, struct entry *e,
			int64_t *length, struct outcome *why)
{
	const int64_t most = TEXT_HEADER_MAX;
	struct window *w = window_new(fd, 0, size < most ? size : most);
	struct text_header_state state = { 0 };
	const char *end;
	bool good;
	size_t used;

	good = window_pass(w, 0, why);
	while (good && !state.ended) {
		/* all the lines that are here, before the next read */
		for (used = 0; good && !state.ended; ) {
			end = memchr(w->data + used, '\n', w->len - used);
			if (!end)
				break;
			good = text_read_header_line(&state, w->data + used,
				(size_t)(end - w->data) - used, e, why);
			used = (size_t)(end - w->data) + 1;
		}
		if (good && !used)
			good = text_damaged(why, "no end of the envelope");
		good = good && (state.ended || window_pass(w, used, why));
		*length = w->at + (state.ended ? (int64_t)used : 0);
	}
	free(w);
	return good;
}

/* Whether nothing but blocks that never were filled lies behind. */
static bool only_zeros(struct window *w)
{
	char block[4096];
	int64_t at = w->at + (int64_t)w->len;
	size_t n, i;

	for (; at < w->end; at += (int64_t)n) {
		n = w->end - at < (int64_t)sizeof(block) ?
		    (size_t)(w->end - at) : sizeof(block);
		if (!qdir_read(w->fd, at, block, n))
			return false;
		for (i = 0; i < n; i++)
			if (block[i])
				return false;
	}
	return true;
}

bool entry_read_journal(struct entry *e, int64_t size, int64_t *torn,
			struct outcome *why)
{
	struct window *w;
	bool good;
	size_t whole;

	*torn = 0;
	if (size < e->file->journal)
		return text_damaged(why, "it is cut short");
	w = window_new(e->file->fd, e->file->journal, size);
	text_journal_begin(e);
	good = window_pass(w, 0, why);
	while (good && w->len) {
		good = text_journal_lines(w->data, w->len, e, &whole, why);
		if (good && !whole)
			break;
		good = good && window_pass(w, whole, why);
	}
	text_journal_end(e);
	if (good && w->len) {
		*torn = w->end - w->at;
		good = (text_journal_torn(w->data, w->len) && only_zeros(w)) ||
		       text_damaged(why, "its journal");
	}
	free(w);
	return good;
}

static bool read_facts(struct entry *e, int64_t size, bool whole,
		       int64_t *torn, struct outcome *why)
{
	struct entry_file *file = e->file;
	char line[TEXT_CHECKSUM_SIZE];
	uint64_t sum = 0;
	int64_t end;

	if (!read_header(file->fd, size, e, &file->header, why))
		return false;
	if (e->size > size - file->header - TEXT_CHECKSUM_SIZE)
		return text_damaged(why, "it is cut short");
	end = file->header + e->size;
	file->journal = end + TEXT_CHECKSUM_SIZE;
	if (whole && (!qdir_sum(file->fd, end, &sum) ||
		      !qdir_read(file->fd, end, line, sizeof(line))))
		return unreadable(why);
	if (whole && !text_is_checksum(line, sum))
		return text_damaged(why, "checksum");
	return entry_read_journal(e, size, torn, why);
}

bool entry_read(struct qdir *s, const char *name, int fd,
		const struct stat *st, bool whole, struct entry *e,
		int64_t *torn, struct outcome *why)
{
	*e = (struct entry){ .file = mem_alloc(sizeof(*e->file)) };
	*e->file = (struct entry_file){ .dir = s, .fd = fd };
	if (!text_read_name(name, e->id, &e->next, &e->held)) {
		text_damaged(why, "its name");
	} else if (read_facts(e, st->st_size, whole, torn, why)) {
		snprintf(e->name, sizeof(e->name), "%s", name);
		if (st->st_uid == s->owner)
			return true;
		/* what a stranger says of itself does not count */
		e->foreign = true;
		e->by_owner = false;
		e->uid = st->st_uid;
		free(e->cause);
		e->cause = NULL;
		return true;
	}
	free(e->file);
	text_release(e);
	return false;
}

bool entry_is_small(int64_t size, struct glance *g)
{
	enum { FEW_BYTES = 4096, SHORTEST = sizeof("rcpt a\n") - 1 };

	g->header = size > 0 ? (size_t)size : 0;
	g->recipients = g->header / SHORTEST;
	return size <= FEW_BYTES;
}

/* To the empty line, or to where it is more than any entry may have. */
void entry_weigh(int fd, int64_t size, struct glance *g)
{
	const int64_t most = size < TEXT_HEADER_MAX ? size : TEXT_HEADER_MAX;
	char block[16 * 1024], last = '\n';
	bool ended = false;
	int64_t at = 0;
	size_t n, i;

	g->recipients = 0;
	while (!ended && at < most && g->recipients <= RECIPIENTS_MAX) {
		n = most - at < (int64_t)sizeof(block) ?
		    (size_t)(most - at) : sizeof(block);
		if (!qdir_read(fd, at, block, n))
			break;
		for (i = 0; i < n && !ended; i++) {
			ended = block[i] == '\n' && last == '\n';
			g->recipients += block[i] == '\n';
			last = block[i];
		}
		at += (int64_t)i;
	}
	g->header = (size_t)at;
}

bool entry_whose(const struct qdir *s, int fd, const struct stat *st,
		 uid_t *uid)
{
	struct text_header_state state = { 0 };
	char text[512], *line = text, *end;
	struct entry e = { 0 };
	struct outcome why;
	bool found = false;
	ssize_t n;

	*uid = st->st_uid;
	if (st->st_uid != s->owner)
		return true;
	n = kernel_read_at(fd, text, sizeof(text), 0);
	while (!found && !state.ended && n > line - text) {
		end = memchr(line, '\n', (size_t)(text + n - line));
		if (!end || !text_read_header_line(&state, line,
						   (size_t)(end - line), &e,
						   &why))
			break;
		found = !strncmp(line, "uid ", 4);
		line = end + 1;
	}
	*uid = e.uid;
	text_release(&e);
	return found;
}
