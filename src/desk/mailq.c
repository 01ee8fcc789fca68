/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -bp, mailq: the queue in the shape that Postfix gave it, which monitoring
 * programs read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "desk/desk.h"

enum { OUTPUT_MAX = 256 * 1024 * 1024 };

struct listing {
	struct buf out;
	struct json json;
	int64_t bytes;
	size_t entries;
};

static void stamp(int64_t t, char out[32])
{
	struct tm tm = { 0 };
	time_t when = (time_t)t;

	localtime_r(&when, &tm);
	strftime(out, 32, "%a %b %e %H:%M:%S", &tm);
}

static const char *state_name(const struct recipient *r)
{
	return r->state == RCPT_SENT ? "sent" :
	       r->state == RCPT_FAILED ? "failed" :
	       r->attempts ? "deferred" : "queued";
}

static void recipient_json(struct json *j, const struct recipient *r)
{
	json_object(j, NULL);
	json_string(j, "address", r->address);
	json_string(j, "status", state_name(r));
	json_int(j, "code", r->last.code);
	json_string(j, "dsn", r->last.status);
	json_string(j, "host", r->last.host);
	json_string(j, "text", r->last.text);
	json_end(j);
}

static bool entry_json(const struct entry *e, void *context)
{
	struct listing *l = context;
	struct json *j = &l->json;
	size_t i;

	json_object(j, NULL);
	json_string(j, "id", e->id);
	json_string(j, "sender", e->envelope.sender);
	json_int(j, "size", e->size);
	json_int(j, "queued", e->queued);
	json_int(j, "attempts", e->attempts);
	json_int(j, "next", e->next);
	json_bool(j, "held", e->held);
	json_string(j, "account", e->envelope.account);
	json_array(j, "recipients");
	for (i = 0; i < e->envelope.n; i++)
		recipient_json(j, &e->envelope.rcpt[i]);
	json_end(j);
	json_end(j);
	return true;
}

static void when_words(const struct entry *e, char *out, size_t size)
{
	char next[32];

	if (e->held) {
		snprintf(out, size, "held");
	} else if (!e->next || e->next <= (int64_t)time(NULL)) {
		snprintf(out, size, "due");
	} else {
		stamp(e->next, next);
		snprintf(out, size, "next %s", next);
	}
}

static bool entry_text(const struct entry *e, void *context)
{
	struct listing *l = context;
	char arrival[32], when[64], words[1200];
	size_t i;

	stamp(e->queued, arrival);
	when_words(e, when, sizeof(when));
	buf_addf(&l->out, "%s%s %8lld %s  %s\n", e->id, e->held ? "!" : " ",
		 (long long)e->size, arrival,
		 *e->envelope.sender ? e->envelope.sender : "MAILER-DAEMON");
	buf_addf(&l->out, "%8s(%u attempt%s, %s)\n", "", e->attempts,
		 e->attempts == 1 ? "" : "s", when);
	for (i = 0; i < e->envelope.n; i++) {
		const struct recipient *r = &e->envelope.rcpt[i];

		if (r->state != RCPT_PENDING)
			continue;
		outcome_words(&r->last, words, sizeof(words));
		if (*words)
			buf_addf(&l->out, "%8s(%s)\n", "", words);
		buf_addf(&l->out, "%41s%s\n", "", r->address);
	}
	buf_addc(&l->out, '\n');
	l->bytes += e->size;
	l->entries++;
	return true;
}

static bool list_text(struct queue *q, struct listing *l, struct outcome *why)
{
	static const char head[] = "-Queue ID-  --Size-- ----Arrival Time---- "
				   "-Sender/Recipient-------\n";

	buf_adds(&l->out, head);
	if (q && !queue_list(q, entry_text, l, why))
		return false;
	if (!l->entries) {
		buf_reset(&l->out);
		buf_adds(&l->out, "Mail queue is empty\n");
		return true;
	}
	buf_addf(&l->out, "-- %lld Kbytes in %zu Request%s.\n",
		 (long long)(l->bytes + 1023) / 1024, l->entries,
		 l->entries == 1 ? "" : "s");
	return true;
}

static bool list_json(struct queue *q, struct listing *l, struct outcome *why)
{
	l->json = JSON_INTO(&l->out);
	json_array(&l->json, NULL);
	if (q && !queue_list(q, entry_json, l, why))
		return false;
	json_end(&l->json);
	buf_addc(&l->out, '\n');
	return true;
}

static bool is_missing(const char *directory)
{
	char *path = mem_printf("%s/mess", directory);
	bool missing = access(path, F_OK) < 0 && errno == ENOENT;

	free(path);
	return missing;
}

/* Where nobody made a queue, or the caller has none, there is none to list
 * and *q is NULL. False: there is one that cannot be looked at. */
static bool open_to_look(const struct desk *d, struct queue **q,
			 struct outcome *why)
{
	const struct config *c = d->config;

	*q = NULL;
	if (c->queue.queue == QUEUE_NEVER || !c->queue.directory ||
	    desk_open_queue(d, false, q, why))
		return true;
	*q = NULL;
	if ((c->queue.queue != QUEUE_ON_FAILURE &&
	     c->queue.queue != QUEUE_ALWAYS) ||
	    is_missing(c->queue.directory))
		return true;
	/* one whose making was interrupted, or nothing to be mended */
	if (desk_open_queue(d, true, q, why))
		return true;
	*q = NULL;
	return false;
}

int desk_list(const struct desk *d)
{
	struct listing l = { .out = BUF(OUTPUT_MAX) };
	struct outcome why;
	struct queue *q;
	bool done;

	done = open_to_look(d, &q, &why) &&
	       (d->options->json ? list_json : list_text)(q, &l, &why);
	if (done)
		desk_clean(&l.out);
	if (done && !desk_print(&l.out))
		done = outcome_fail(&why, STAGE_LOCAL, EX_IOERR, l.out.full ?
				    "the list is too long to be shown" :
				    "cannot write to standard output");
	if (q)
		queue_close(q);
	buf_release(&l.out);
	return done ? EX_OK : desk_fail(d, &why);
}
