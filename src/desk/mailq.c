/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -bp, mailq: the queue in the shape that Postfix gave it, which monitoring
 * programs read. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "desk/desk.h"
#include "desk/login.h"
#include "policy/policy.h"

/* An entry in words is printed before the next one is read. */
enum { ENTRY_MAX = 256 * 1024 * 1024, PIECE = 64 * 1024 };

struct listing {
	struct buf out;
	struct json json;
	int64_t bytes;
	size_t entries;
	bool failed;             /* standard output does not take it */
};

/* One whose recipients are all done is about to go. */
static bool is_waiting(const struct entry *e)
{
	size_t i;

	for (i = 0; i < e->envelope.n; i++)
		if (e->envelope.rcpt[i].state != RCPT_SENT)
			return true;
	return false;
}

/* Prints what was gathered, once it is a piece. */
static bool listing_out(struct listing *l, size_t least,
			bool in_words)
{
	if (l->out.len < least && !l->out.full)
		return true;
	l->failed = !(in_words ? desk_show(&l->out) : desk_print(&l->out));
	buf_reset(&l->out);
	return !l->failed;
}

static bool entry_json(const struct entry *e, void *context)
{
	struct listing *l = context;

	if (!is_waiting(e))
		return true;
	desk_json_entry(&l->json, e, NULL, e->envelope.n);
	return listing_out(l, PIECE, false);
}

static bool entry_text(const struct entry *e, void *context)
{
	struct listing *l = context;
	char arrival[DESK_STAMP], when[DESK_WHEN], words[1200];
	char id[QUEUE_ID_SIZE + 1];
	bool active = false;
	size_t i;

	if (!is_waiting(e))
		return true;
	desk_stamp(e->queued, arrival);
	desk_when(e, when);
	for (i = 0; i < e->envelope.n; i++)
		active = active || e->progress[i].begun;
	/* as Postfix marks them: held, being worked on */
	snprintf(id, sizeof(id), "%s%s", e->id, e->held ? "!" :
		 active ? "*" : "");
	buf_addf(&l->out, "%-17s %8lld %s  %s\n", id, (long long)e->size,
		 arrival, *e->envelope.sender ? e->envelope.sender :
		 "MAILER-DAEMON");
	buf_addf(&l->out, "%8s(%u attempt%s, %s)\n", "", e->attempts,
		 e->attempts == 1 ? "" : "s", when);
	for (i = 0; i < e->envelope.n; i++) {
		const struct recipient *r = &e->envelope.rcpt[i];

		if (r->state == RCPT_SENT)
			continue;
		outcome_words(&r->last, words, sizeof(words));
		if (*words)
			buf_addf(&l->out, "%8s(%s)\n", "", words);
		buf_addf(&l->out, "%41s%s\n", "", r->address);
	}
	buf_addc(&l->out, '\n');
	l->bytes += e->size;
	l->entries++;
	return listing_out(l, PIECE, true);
}

static bool queue_text(struct queue *q, struct listing *l, struct outcome *why)
{
	static const char head[] = "-Queue ID-  --Size-- ----Arrival Time---- "
				   "-Sender/Recipient-------\n";

	buf_adds(&l->out, head);
	if (q && !queue_list(q, entry_text, l, why))
		return false;
	if (!l->entries) {
		buf_reset(&l->out);
		buf_adds(&l->out, "Mail queue is empty\n");
	} else {
		buf_addf(&l->out, "-- %lld Kbytes in %zu Request%s.\n",
			 (long long)(l->bytes + 1023) / 1024, l->entries,
			 l->entries == 1 ? "" : "s");
	}
	if (!l->failed)
		listing_out(l, 0, true);
	if (q && queue_is_remote(q) && isatty(STDOUT_FILENO))
		desk_complain("only your own mail is listed");
	return true;
}

/* Where nobody made a queue, or the caller has none, there is none to list
 * and *q is NULL. False: there is one that cannot be looked at. */
static bool open_to_look(const struct desk *d, struct queue **q,
			 struct outcome *why)
{
	const enum queue_use use = policy_queue_use(d->config, false);
	enum queue_presence there;

	*q = NULL;
	if (use == USE_NONE || desk_open_queue(d, false, q, why))
		return true;
	*q = NULL;
	there = queue_presence(d->config->queue.directory);
	if (there == QUEUE_ABSENT ||
	    (use != USE_PROMISED && there != QUEUE_OURS))
		return true;
	if (use != USE_PROMISED)
		return false;
	/* one whose making was interrupted, or nothing to be mended */
	if (desk_open_queue(d, true, q, why))
		return true;
	*q = NULL;
	return false;
}

int desk_list(const struct desk *d)
{
	struct listing l = { .out = BUF(ENTRY_MAX) };
	struct outcome why;
	struct queue *q;
	bool done;

	done = open_to_look(d, &q, &why);
	if (done && !d->options->json) {
		done = queue_text(q, &l, &why);
	} else if (done) {
		l.json = JSON_INTO(&l.out);
		json_add_array(&l.json, NULL);
		done = !q || queue_list(q, entry_json, &l, &why);
		json_end(&l.json);
		buf_addc(&l.out, '\n');
		if (done && !l.failed)
			listing_out(&l, 0, false);
	}
	if (done && l.failed)
		done = outcome_fail(&why, STAGE_LOCAL, EX_IOERR,
				    "cannot write to standard output");
	if (q)
		queue_close(q);
	buf_release(&l.out);
	login_complain(d->config, NULL);
	return done ? EX_OK : desk_fail(d, &why);
}
