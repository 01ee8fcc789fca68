/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A message handed in by a command line or a -bs transaction: composed, then
 * delivered or queued. */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "desk/desk.h"
#include "mail/log_mail.h"
#include "policy/policy.h"
#include "submit/deliver.h"
#include "submit/secret.h"
#include "submit/sign.h"
#include "submit/link.h"

/* When each of them is to be tried again, where that is later than the first,
 * which is what it gives. */
static int64_t first_waits(const struct desk *d, const struct envelope *e,
			   int64_t *wait)
{
	const int64_t now = (int64_t)time(NULL);
	const uint32_t chance = (uint32_t)clock_chance();
	struct retry_facts f;
	bool tried = false;
	int64_t next = 0;
	size_t i;

	for (i = 0; i < e->n; i++) {
		/* without any network here no attempt was counted */
		tried = tried || e->rcpt[i].last.exit != EX_OK;
		f = (struct retry_facts){
			.attempts = e->rcpt[i].attempts,
			.turn = e->rcpt[i].last.not_before,
		};
		wait[i] = policy_retry(d->config, &f, now, chance);
		if (!i || wait[i] < next)
			next = wait[i];
	}
	for (i = 0; i < e->n; i++)
		if (!tried || wait[i] == next)
			wait[i] = 0;
	return tried ? next : 0;
}

/* That this caller may not write the queue is no different to him from one
 * that nobody can. */
static void note_unheld(struct acceptance *a, bool held)
{
	a->unheld = !held;
	if (a->unheld && a->why.exit == EX_NOPERM)
		a->why.exit = EX_CANTCREAT;
}

/* What somebody has must not be handed in again where memory ends now. The
 * client of a session goes by answers, and has none then. */
static void note_safe(const struct desk *d, const struct acceptance *a)
{
	size_t sent = 0, lacking = 0, i;
	bool doubt = false;

	for (i = 0; i < a->envelope.n; i++) {
		const struct recipient *r = &a->envelope.rcpt[i];

		sent += r->state == RCPT_SENT;
		lacking += r->state == RCPT_FAILED ||
			   (r->state == RCPT_PENDING && !a->held);
		doubt = doubt || r->last.in_doubt;
	}
	if (d->options->command == COMMAND_SMTPD)
		return;
	if (!lacking)
		mem_exhaustion_means(EX_OK, ", but the message is sent or "
				     "queued");
	else if (sent || a->held)
		mem_exhaustion_means(EX_UNAVAILABLE, ": only some of the "
				     "recipients get the message");
	else if (!doubt)
		mem_exhaustion_means(EX_OSERR, "");
}

/* Puts what is pending on disk, and says so in the log. Recipients with a
 * final answer stay out of the entry: the caller gets to know of them here
 * and now. */
static void hold(const struct desk *d, struct queue *q, struct acceptance *a,
		 struct message *m)
{
	const struct envelope *e = &a->envelope;
	struct envelope pending = *e;
	int64_t *wait = mem_alloc(e->n * sizeof(*wait));
	struct queue_item item = {
		.envelope = &pending, .message = m, .uid = d->caller->uid,
		.wait = wait,
	};
	struct mail_event event = {
		.id = a->id, .uid = d->caller->uid, .from = e->sender,
		.account = e->account, .size = message_size(m),
	};
	const struct recipient *r;
	char *id;

	pending.rcpt = mem_alloc(e->n * sizeof(*pending.rcpt));
	pending.n = 0;
	for (r = e->rcpt; r < e->rcpt + e->n; r++)
		if (r->state == RCPT_PENDING)
			pending.rcpt[pending.n++] = *r;
	item.next = first_waits(d, &pending, wait);
	a->held = queue_add(q, &item, a->id, &a->why);
	note_safe(d, a);
	note_unheld(a, a->held);
	event.message_id = id = a->held ? message_id(m) : NULL;
	for (r = pending.rcpt; a->held && r < pending.rcpt + pending.n; r++) {
		event.to = r->address;
		log_mail(LOG_AT_INFO, &event,
			 r->last.text[0] ? &r->last : NULL, "queued");
	}
	free(pending.rcpt);
	free(wait);
	free(id);
}

static void deliver_first(const struct desk *d, struct queue *q,
			  struct acceptance *a, struct message *m)
{
	struct run run;
	struct job job = {
		.account = a->account, .envelope = &a->envelope,
		.message = m, .uid = d->caller->uid,
	};
	struct tally t = { 0 };
	const struct recipient *r;

	desk_run_init(d, &run);
	run.queue = q;
	deliver(&run, &job);
	note_safe(d, a);
	if (!envelope_pending(&a->envelope))
		a->unheld = false;
	else if (q)
		hold(d, q, a, m);
	if (a->unheld)
		t.unheld = a->why.exit;
	for (r = a->envelope.rcpt; r < a->envelope.rcpt + a->envelope.n; r++)
		tally_add(&t, &r->last, a->held && r->state == RCPT_PENDING);
	a->status = tally_exit(&t);
	run.queue = NULL;
	desk_run_release(&run);
}

bool desk_is_for_owner(const struct desk *d, const struct queue *q,
		       const struct account *account, const struct envelope *e,
		       struct message *m)
{
	const struct transport *const *way;
	bool denied;
	size_t i;

	if (!q || !queue_is_remote(q) || !queue_tended(q))
		return false;
	denied = sign_is_denied(d->config, m);
	for (i = 0; i < e->n && !denied; i++) {
		way = policy_transports(d->config, d->transport, account,
					e->sender, e->rcpt[i].address, 0, NULL);
		for (; *way && !denied; way++)
			denied = secret_is_denied(d->config, *way);
	}
	return denied;
}

static void refuse_unheld(struct acceptance *a)
{
	a->unheld = false;
	a->refused = true;
	a->status = a->why.exit;
}

void desk_accept(const struct desk *d, const struct request *request,
		 struct message **m, struct acceptance *a)
{
	const enum delivery_mode mode = d->options->mode;
	bool first = policy_queues_first(d->config, mode);
	struct list due = { 0 };
	struct outcome ignored;
	struct queue *q;

	*a = (struct acceptance){ 0 };
	mem_exhaustion_means(EX_OSERR, "");
	if (!compose(d->config, request, m, &a->envelope, &a->account,
		     &a->why)) {
		a->refused = true;
		a->status = a->why.exit;
		return;
	}
	/* it holds for this message, as long as it is kept */
	a->envelope.transport = mem_string(d->options->transport);
	/* aliases discard it for all: that is what somebody asked for */
	if (!a->envelope.n)
		return;
	/* a queue that cannot be used does not stop what can go now, where
	 * queueing was only wished for */
	note_unheld(a, desk_queue(d, first, &q, &a->why));
	if (a->unheld && first && mode == MODE_UNSET) {
		refuse_unheld(a);
		return;
	}
	first = first || desk_is_for_owner(d, q, a->account, &a->envelope, *m);
	if (!q || !first) {
		deliver_first(d, q, a, *m);
		/* what is due and has nobody to send it goes along with us */
		if (q && !queue_is_remote(q) &&
		    queue_select(q, NULL, 0, &due, &ignored) && due.n)
			runner_detach(d);
		list_release(&due);
	} else {
		hold(d, q, a, *m);
		if (a->unheld)
			refuse_unheld(a);
		else if (mode != MODE_QUEUE && !queue_is_remote(q))
			runner_detach(d);
	}
	if (q)
		queue_close(q);
}

void acceptance_release(struct acceptance *a)
{
	envelope_release(&a->envelope);
	*a = (struct acceptance){ 0 };
}
