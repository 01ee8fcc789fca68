/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A message handed in by a command line or a -bs transaction: composed, then
 * delivered or queued. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "desk/desk.h"
#include "mail/log_mail.h"
#include "policy/policy.h"
#include "submit/deliver.h"
#include "submit/secret.h"
#include "submit/transport.h"

/* --- queueing --- */

static void log_queued(const struct desk *d, const struct acceptance *a,
		       struct message *m)
{
	char *id = message_id(m);
	struct mail_event event = {
		.id = a->id, .message_id = id, .uid = d->caller->uid,
		.from = a->envelope.sender, .account = a->envelope.account,
		.size = message_size(m),
	};
	const struct recipient *r = a->envelope.rcpt;

	for (; r < a->envelope.rcpt + a->envelope.n; r++) {
		event.to = r->address;
		if (r->state == RCPT_PENDING)
			log_mail(LOG_AT_INFO, &event,
				 r->last.text[0] ? &r->last : NULL, "queued");
	}
	free(id);
}

/* The earliest time at which anything pending is to be tried again. */
static int64_t next_time(const struct desk *d, const struct envelope *e)
{
	uint32_t random = 0;
	unsigned most = 0;
	bool tried = false;
	size_t i;

	for (i = 0; i < e->n; i++) {
		if (e->rcpt[i].state != RCPT_PENDING)
			continue;
		/* without any network here no attempt was counted */
		tried = tried || e->rcpt[i].last.exit != EX_OK;
		if (e->rcpt[i].attempts > most)
			most = e->rcpt[i].attempts;
	}
	if (!tried)
		return 0;
	if (!most)
		most = 1;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint32_t)getpid();
	return (int64_t)time(NULL) +
	       (policy_delay(d->config, most, random) + 500) / 1000;
}

/* Puts what is pending on disk. Recipients with a final answer stay out of
 * the entry: the caller gets to know of them here and now. */
static bool hold(const struct desk *d, struct queue *q, struct acceptance *a,
		 struct message *m, struct outcome *why)
{
	struct envelope pending = a->envelope;
	struct queue_item item = {
		.envelope = &pending, .message = m, .uid = d->caller->uid,
		.next = next_time(d, &a->envelope),
	};
	size_t i;

	pending.rcpt = mem_alloc(a->envelope.n * sizeof(*pending.rcpt));
	for (i = pending.n = 0; i < a->envelope.n; i++)
		if (a->envelope.rcpt[i].state == RCPT_PENDING)
			pending.rcpt[pending.n++] = a->envelope.rcpt[i];
	a->held = queue_add(q, &item, a->id, why);
	free(pending.rcpt);
	if (a->held)
		log_queued(d, a, m);
	return a->held;
}

/* --- the two orders --- */

/* That this caller may not write the queue is no different to him from one
 * that nobody can. */
static bool unheld(struct acceptance *a, bool held)
{
	if (!held && a->why.exit == EX_NOPERM)
		a->why.exit = EX_CANTCREAT;
	return !held;
}

static void refuse_unheld(struct acceptance *a)
{
	a->unheld = false;
	a->refused = true;
	a->status = a->why.exit;
}

static void queue_first(const struct desk *d, struct queue *q,
			struct acceptance *a, struct message *m, bool run)
{
	if (unheld(a, hold(d, q, a, m, &a->why))) {
		refuse_unheld(a);
		return;
	}
	a->status = EX_OK;
	if (run && !queue_is_remote(q))
		runner_detach(d);
}

static bool any_pending(const struct envelope *e)
{
	size_t i;

	for (i = 0; i < e->n; i++)
		if (e->rcpt[i].state == RCPT_PENDING)
			return true;
	return false;
}

/* If the queue fails us after a delivery that failed for now, that is what
 * the caller must know, unless somebody has the message already. */
static void judge(struct acceptance *a)
{
	struct tally t = { 0 };
	size_t i;

	for (i = 0; i < a->envelope.n; i++)
		tally_add(&t, &a->envelope.rcpt[i].last,
			  a->held && a->envelope.rcpt[i].state ==
				     RCPT_PENDING);
	a->status = tally_exit(&t);
	if (a->unheld && a->status == EX_TEMPFAIL)
		a->status = a->why.exit;
}

static void deliver_first(const struct desk *d, struct queue *q,
			  struct acceptance *a, struct message *m)
{
	struct run run;
	struct job job = {
		.account = a->account, .envelope = &a->envelope,
		.message = m, .uid = d->caller->uid,
	};

	desk_run_init(d, &run);
	run.queue = q;
	deliver(&run, &job);
	if (!any_pending(&a->envelope))
		a->unheld = false;
	else if (q)
		a->unheld = unheld(a, hold(d, q, a, m, &a->why));
	judge(a);
	run.queue = NULL;
	desk_run_release(&run);
}

static bool queues_first(const struct desk *d)
{
	switch (d->options->mode) {
	case MODE_NOW:
		return false;
	case MODE_BACKGROUND:
	case MODE_QUEUE:
		return true;
	case MODE_UNSET:
		break;
	}
	return d->config->queue.queue == QUEUE_ALWAYS;
}

/* Whether only the queue's owner can make this attempt: he reads a secret that
 * the caller may not, and his runs come by. Then it is his from the start, and
 * nothing has failed. */
static bool is_for_owner(const struct desk *d, const struct queue *q,
			 const struct acceptance *a)
{
	const struct envelope *e = &a->envelope;
	const struct transport *const *way;
	bool denied = false;
	size_t i;

	if (!q || !queue_is_remote(q) || !queue_tended(q))
		return false;
	for (i = 0; i < e->n && !denied; i++) {
		way = policy_transports(d->config, d->transport, a->account,
					e->sender, e->rcpt[i].address, 0, NULL);
		for (; *way && !denied; way++)
			denied = secret_is_denied(*way);
	}
	return denied;
}

/* What is due and has nobody to send it goes along with us. */
static void tend(const struct desk *d, struct queue *q)
{
	struct list due = { 0 };
	struct outcome ignored;

	if (!queue_is_remote(q) &&
	    queue_select(q, NULL, 0, &due, &ignored) && due.n)
		runner_detach(d);
	list_release(&due);
}

static bool composed(const struct desk *d, const struct request *request,
		     struct message **m, struct acceptance *a)
{
	a->refused = !compose(d->config, request, m, &a->envelope,
			      &a->account, &a->why);
	a->status = a->refused ? a->why.exit : EX_OK;
	/* it holds for this message, as long as it is kept */
	if (!a->refused)
		a->envelope.transport = mem_string(d->options->transport);
	return !a->refused;
}

void desk_accept(const struct desk *d, const struct request *request,
		 struct message **m, struct acceptance *a)
{
	bool first = queues_first(d);
	struct queue *q;

	*a = (struct acceptance){ 0 };
	if (!composed(d, request, m, a))
		return;
	/* aliases discard it for all: that is what somebody asked for */
	if (!a->envelope.n)
		return;
	/* a queue that cannot be used does not stop what can go now, where
	 * queueing was only wished for */
	a->unheld = unheld(a, desk_queue(d, first, &q, &a->why));
	if (a->unheld && first && d->options->mode == MODE_UNSET) {
		refuse_unheld(a);
		return;
	}
	first = first || (d->options->mode == MODE_UNSET &&
			  is_for_owner(d, q, a));
	if (q && first)
		queue_first(d, q, a, *m, d->options->mode != MODE_QUEUE);
	else
		deliver_first(d, q, a, *m);
	if (q && !first)
		tend(d, q);
	if (q)
		queue_close(q);
}

void acceptance_release(struct acceptance *a)
{
	envelope_release(&a->envelope);
	*a = (struct acceptance){ 0 };
}
