/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --show, --hold, --release, --remove, --retry: queue administration by id,
 * or ALL. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "desk/desk.h"

static void add_fact(struct buf *b, const char *name, const char *value)
{
	if (value)
		buf_addf(b, "%s: %s\n", name, value);
}

static bool show_envelope(const struct entry *e)
{
	struct buf out = BUF(256 * 1024 * 1024);
	char words[1200], stamp[DESK_STAMP], when[DESK_WHEN];
	bool shown;
	size_t i;

	desk_stamp(e->queued, stamp);
	desk_when(e, when);
	buf_addf(&out, "id: %s\nsender: <%s>\nqueued: %s\nsize: %lld\n"
		 "attempts: %u\nnext: %s\n", e->id, e->envelope.sender,
		 stamp, (long long)e->size, e->attempts,
		 strncmp(when, "next ", 5) ? when : when + 5);
	if (e->held)
		add_fact(&out, "held", "yes");
	add_fact(&out, "account", e->envelope.account);
	add_fact(&out, "transport", e->transport ? e->transport :
		 e->envelope.transport);
	add_fact(&out, "report on", e->cause);
	for (i = 0; i < e->envelope.n; i++) {
		const struct recipient *r = &e->envelope.rcpt[i];

		outcome_words(&r->last, words, sizeof(words));
		buf_addf(&out, "recipient: <%s>%s%s\n", r->address,
			 *words ? " " : r->state == RCPT_SENT ? " sent" : "",
			 words);
	}
	buf_addc(&out, '\n');
	shown = desk_show(&out);
	buf_release(&out);
	return shown;
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

struct search {
	const char *id;
	bool found, shown;
};

static bool show_if(const struct entry *e, void *context)
{
	struct search *s = context;

	s->found = !strcmp(s->id, e->id);
	s->shown = s->found && show_envelope(e);
	return !s->found;
}

static bool show_entry(struct queue *q, const char *id, struct outcome *why)
{
	struct search s = { .id = id };
	struct entry *e;
	bool done;

	/* what posthaste-drop tells a user about an entry of his */
	if (queue_is_remote(q)) {
		if (!queue_list(q, show_if, &s, why))
			return false;
		if (!s.found)
			return outcome_fail(why, STAGE_LOCAL, EX_NOINPUT,
					    "%s: no such entry", id);
		return s.shown ||
		       outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "cannot write to standard output");
	}
	if (!queue_look(q, id, &e, why))
		return false;
	done = show_envelope(e) ? show_message(e, why) :
	       outcome_fail(why, STAGE_LOCAL, EX_IOERR,
			    "cannot write to standard output");
	entry_release(e);
	return done;
}

static bool show_each(const struct entry *e, void *context)
{
	(void)context;
	return show_envelope(e);
}

static bool collect(const struct entry *e, void *context)
{
	list_add(context, e->name);
	return true;
}

static int show_all(const struct desk *d, struct queue *q)
{
	struct list ids = { 0 };
	struct outcome why;
	int status = EX_OK;
	size_t i;

	if (queue_is_remote(q))
		return queue_list(q, show_each, NULL, &why) ? EX_OK :
		       desk_fail(d, &why);
	if (!queue_list(q, collect, &ids, &why))
		status = desk_fail(d, &why);
	for (i = 0; i < ids.n; i++)
		if (!show_entry(q, ids.item[i], &why))
			status = desk_fail(d, &why);
	list_release(&ids);
	return status;
}

int desk_administer(const struct desk *d)
{
	static const enum order orders[] = {
		[COMMAND_HOLD] = ORDER_HOLD, [COMMAND_RELEASE] = ORDER_RELEASE,
		[COMMAND_REMOVE] = ORDER_REMOVE, [COMMAND_RETRY] = ORDER_RETRY,
	};
	const struct options *o = d->options;
	const bool all = !strcmp(o->argument, "ALL");
	const char *directory = d->config->queue.directory;
	struct outcome why;
	struct queue *q;
	int status;

	if (!directory || !desk_open_queue(d, false, &q, &why)) {
		if (directory && !access(directory, F_OK))
			return desk_fail(d, &why);
		if (all)
			return EX_OK;
		outcome_fail(&why, STAGE_LOCAL, EX_NOINPUT,
			     "no such entry: there is no queue%s%s",
			     directory ? " in " : " (the configuration names "
			     "no directory)", directory ? directory : "");
		return desk_fail(d, &why);
	}
	if (o->command == COMMAND_SHOW && all)
		status = show_all(d, q);
	else if (o->command == COMMAND_SHOW)
		status = show_entry(q, o->argument, &why) ? EX_OK :
			 desk_fail(d, &why);
	else if (all)
		status = queue_order_all(q, orders[o->command], o->transport,
					 &why) ? EX_OK : desk_fail(d, &why);
	else
		status = queue_order(q, orders[o->command], o->argument,
				     o->transport, &why) ? EX_OK :
			 desk_fail(d, &why);
	queue_close(q);
	return status;
}
