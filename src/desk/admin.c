/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --show, --hold, --release, --remove, --retry: queue administration by id,
 * or ALL. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "desk/desk.h"

static bool hold(struct queue *q, const char *id, const char *transport,
		 struct outcome *why)
{
	(void)transport;
	return queue_hold(q, id, why);
}

static bool release(struct queue *q, const char *id, const char *transport,
		    struct outcome *why)
{
	(void)transport;
	return queue_release(q, id, why);
}

static bool delete(struct queue *q, const char *id, const char *transport,
		   struct outcome *why)
{
	(void)transport;
	return queue_remove(q, id, why);
}

static void show_envelope(const struct entry *e)
{
	struct buf out = BUF(256 * 1024 * 1024);
	char words[1200];
	size_t i;

	buf_addf(&out, "id: %s\nsender: <%s>\nattempts: %u%s\n", e->id,
		 e->envelope.sender, e->attempts, e->held ? "\nheld: yes" : "");
	for (i = 0; i < e->envelope.n; i++) {
		outcome_words(&e->envelope.rcpt[i].last, words, sizeof(words));
		buf_addf(&out, "recipient: <%s>%s%s\n",
			 e->envelope.rcpt[i].address, *words ? " " : "",
			 words);
	}
	buf_addc(&out, '\n');
	desk_report(&out);
	buf_release(&out);
}

static bool show_message(struct entry *e, struct outcome *why)
{
	const struct message_limits none = { 0 };
	struct buf out = BUF(4 * 1024 * 1024);
	struct message *m;
	const char *data;
	bool shown = true;
	int64_t at = 0;
	long n;

	if (!entry_message(e, &none, &m, why))
		return false;
	while ((n = message_bytes(m, at, &data)) > 0) {
		buf_reset(&out);
		desk_add_lines(&out, data, (size_t)n);
		shown = shown && desk_print(&out);
		at += n;
	}
	buf_release(&out);
	message_free(m);
	if (n < 0 || !shown)
		return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "the message cannot be shown");
	return true;
}

static bool show(struct queue *q, const char *id, const char *transport,
		 struct outcome *why)
{
	struct entry *e;
	bool done;

	(void)transport;
	if (!queue_look(q, id, &e, why))
		return false;
	show_envelope(e);
	done = show_message(e, why);
	entry_release(e);
	return done;
}

typedef bool deed(struct queue *q, const char *id, const char *transport,
		  struct outcome *why);

static deed *deed_of(enum command command)
{
	switch (command) {
	case COMMAND_HOLD:
		return hold;
	case COMMAND_RELEASE:
		return release;
	case COMMAND_REMOVE:
		return delete;
	case COMMAND_RETRY:
		return queue_retry;
	default:
		return show;
	}
}

static bool collect(const struct entry *e, void *context)
{
	list_add(context, e->id);
	return true;
}

static int for_all(const struct desk *d, struct queue *q,
		   const struct list *ids)
{
	deed *act = deed_of(d->options->command);
	struct outcome why;
	int status = EX_OK;
	size_t i;

	for (i = 0; i < ids->n; i++)
		if (!act(q, ids->item[i], d->options->transport, &why))
			status = desk_fail(d, &why);
	return status;
}

int desk_administer(const struct desk *d)
{
	const bool all = !strcmp(d->options->argument, "ALL");
	struct list ids = { 0 };
	struct outcome why;
	struct queue *q;
	const char *directory = d->config->queue.directory;
	int status;

	if (!directory || access(directory, F_OK)) {
		if (all)
			return EX_OK;
		outcome_fail(&why, STAGE_LOCAL, EX_NOINPUT,
			     "no such entry: there is no queue%s%s",
			     directory ? " in " : " (no directory is set)",
			     directory ? directory : "");
		return desk_fail(d, &why);
	}
	if (!desk_open_queue(d, false, &q, &why))
		return desk_fail(d, &why);
	if (!all)
		list_add(&ids, d->options->argument);
	else if (!queue_list(q, collect, &ids, &why)) {
		queue_close(q);
		return desk_fail(d, &why);
	}
	status = for_all(d, q, &ids);
	list_release(&ids);
	queue_close(q);
	return status;
}
