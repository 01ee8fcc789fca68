/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "queue/drop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/scan.h"
#include "queue/format.h"

enum { WORDS_MAX = 4096, LIST_MAX = 256 * 1024 * 1024 };

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
	char *said;
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
		if (scan_line(&text, &line) && scan_left(&line))
			said = scan_copy(&line);
		else
			said = mem_string("posthaste-drop failed");
		good = outcome_fail(why, STAGE_LOCAL, status, "%s", said);
		free(said);
	}
	buf_release(&words);
	return good;
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
	struct buf output = BUF(LIST_MAX);
	bool good;

	/* an entry's name, of which only the part behind the id counts */
	text_name(name, "x", item->next, item->held);
	argv[2] = name + 2;
	buf_addf(&p.intro, "posthaste-drop 1 %" PRId64 "\n",
		 (int64_t)(header->len + journal->len) + TEXT_CHECKSUM_SIZE +
		 message_size(item->message));
	good = helper_run(argv, next_piece, &p, &output, why) &&
	       read_id(&output, id, why);
	/* whatever kept the helper from it, the queue could not be written */
	if (!good && (why->exit == EX_NOPERM || why->exit == EX_USAGE))
		why->exit = EX_CANTCREAT;
	buf_release(&output);
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
	struct buf output = BUF(LIST_MAX);
	bool good, more = true;
	struct scan s;

	good = helper_run(argv, NULL, NULL, &output, why);
	s = scan_bytes(buf_text(&output), output.len);
	while (good && more && s.p < s.end)
		good = read_listed(&s, visit, context, &more) ||
		       outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "posthaste-drop gave no list");
	buf_release(&output);
	return good;
}

/* --- the rest --- */

bool drop_order(const char *helper, enum queue_order order, const char *id,
		const char *transport, struct outcome *why)
{
	static const char *const names[] = {
		[QUEUE_HOLD] = "hold", [QUEUE_RELEASE] = "release",
		[QUEUE_REMOVE] = "withdraw", [QUEUE_RETRY] = "retry",
	};
	const char *argv[] = { helper, names[order], id ? id : "ALL",
			       transport, NULL };
	struct buf output = BUF(WORDS_MAX);
	bool good = helper_run(argv, NULL, NULL, &output, why);

	buf_release(&output);
	return good;
}
