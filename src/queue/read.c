/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From an entry's file to its facts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "queue/queue_parts.h"
#include "queue/format.h"

enum { FIRST_READ = 8 * 1024 };

static bool unreadable(struct outcome *why)
{
	return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
			    "queue: cannot read an entry: %s",
			    strerror(errno));
}

static bool damaged(struct outcome *why, const char *what)
{
	return outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
			    "damaged queue entry: %s", what);
}

/* Reads on until the header's end is there. */
static bool read_header(int fd, int64_t size, struct buf *text,
			size_t *length, struct outcome *why)
{
	size_t want = FIRST_READ;
	char *room;

	for (;;) {
		if ((int64_t)want > size)
			want = (size_t)size;
		room = buf_room(text, want - text->len);
		if (!room)
			return damaged(why, "an endless envelope");
		if (!qdir_read(fd, (int64_t)text->len, room,
				want - text->len))
			return unreadable(why);
		text->len = want;
		if (text_header_length(buf_text(text), text->len, length))
			return true;
		if ((int64_t)want == size || want >= TEXT_HEADER_MAX)
			return damaged(why, "no end of the envelope");
		want *= 4;
	}
}

static bool check_sum(int fd, int64_t length, struct outcome *why)
{
	char line[TEXT_CHECKSUM_SIZE];
	uint64_t sum;

	if (!qdir_sum(fd, length, &sum) ||
	    !qdir_read(fd, length, line, sizeof(line)))
		return unreadable(why);
	return text_is_checksum(line, sum) || damaged(why, "checksum");
}

bool entry_read_journal(struct entry *e, int64_t size, int64_t *torn,
			struct outcome *why)
{
	int64_t length = size - e->file->journal;
	struct buf text = BUF(TEXT_JOURNAL_MAX);
	size_t whole = 0;
	char *room;
	bool good;

	if (length < 0)
		return damaged(why, "it is cut short");
	room = length > TEXT_JOURNAL_MAX ? NULL :
	       buf_room(&text, (size_t)length);
	if (!room) {
		buf_release(&text);
		return damaged(why, "an endless journal");
	}
	if (qdir_read(e->file->fd, e->file->journal, room, (size_t)length))
		good = text_read_journal(room, (size_t)length, e, &whole, why);
	else
		good = unreadable(why);
	*torn = length - (int64_t)whole;
	buf_release(&text);
	return good;
}

static bool read_facts(struct entry *e, int64_t size, bool whole,
		       int64_t *torn, struct outcome *why)
{
	struct buf text = BUF(TEXT_HEADER_MAX);
	struct entry_file *file = e->file;
	size_t length = 0;
	bool good;

	good = read_header(file->fd, size, &text, &length, why) &&
	       text_read_header(text.data, length, e, why);
	buf_release(&text);
	if (!good)
		return false;
	file->header = (int64_t)length;
	if (e->size > size - file->header - TEXT_CHECKSUM_SIZE)
		return damaged(why, "it is cut short");
	file->journal = file->header + e->size + TEXT_CHECKSUM_SIZE;
	return (!whole || check_sum(file->fd, file->header + e->size, why)) &&
	       entry_read_journal(e, size, torn, why);
}

bool entry_read(struct qdir *s, const char *name, int fd,
		const struct stat *st, bool whole, struct entry *e,
		int64_t *torn, struct outcome *why)
{
	*e = (struct entry){ .file = mem_alloc(sizeof(*e->file)) };
	*e->file = (struct entry_file){ .dir = s, .fd = fd };
	if (!text_read_name(name, e->id, &e->next, &e->held)) {
		damaged(why, "its name");
	} else if (read_facts(e, st->st_size, whole, torn, why)) {
		snprintf(e->name, sizeof(e->name), "%s", name);
		e->foreign = st->st_uid != s->owner;
		if (!e->foreign)
			return true;
		/* what a stranger says of itself does not count */
		e->uid = st->st_uid;
		free(e->cause);
		e->cause = NULL;
		return true;
	}
	free(e->file);
	text_release(e);
	return false;
}
