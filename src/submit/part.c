/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "mail/log_mail.h"
#include "policy/policy.h"

void parts_open(struct destination *d)
{
	const struct outcome untried = {
		.exit = EX_TEMPFAIL, .text = "nothing was tried",
	};
	size_t i, j;

	for (i = 0; i < d->n; i++)
		for (j = 0; j < d->part[i].n; j++)
			d->part[i].to[j].rcpt->last = untried;
}

void part_release(struct part *p)
{
	free(p->to);
	free(p->prefix);
	free(p->message_id);
}

size_t *part_places(const struct part *p)
{
	size_t *place = mem_alloc(p->n * sizeof(*place)), i;

	for (i = 0; i < p->n; i++)
		place[i] = place_of(p, &p->to[i]);
	return place;
}

void log_attempt(const struct run *run, struct part *p,
		 const struct attempt *a)
{
	static const struct trace nowhere = { 0 };
	static const char *const words[] = {
		[RCPT_PENDING] = "deferred", [RCPT_SENT] = "sent",
		[RCPT_FAILED] = "failed",
	};
	const struct job *job = p->job;
	const struct outcome *o = &a->rcpt->last;
	const struct trace *t = a->trace ? a->trace : &nowhere;
	const char *status = o->in_doubt ? "duplicate_possible" :
			     words[policy_verdict(o, run->queue)];
	struct mail_event event = {
		.id = job->id ? job->id : "-", .uid = job->uid,
		.from = job->envelope->sender, .to = a->rcpt->address,
		.account = job->envelope->account,
		.transport = t->transport, .ip = t->ip, .tls = t->tls,
		.auth = t->auth,
		.attempt = a->rcpt->attempts +
			   (job->entry && policy_is_attempt(o) ? 0 : 1),
		.delay = job->queued ? (int64_t)time(NULL) - job->queued : 0,
		.waited = true,
	};

	if (job->message) {
		/* looked up once, however many recipients there are */
		if (!p->message_id)
			p->message_id = message_id(job->message);
		event.message_id = p->message_id;
		event.size = message_size(job->message);
	}
	if (run->watch && run->watch->attempt)
		run->watch->attempt(run->watch->context, job->id,
				    a->rcpt->address, o);
	/* that a server wants to be asked again is the course of things where
	 * somebody will */
	log_mail(o->exit == EX_OK ||
		 (run->queue && !strcmp(status, "deferred")) ?
		 LOG_AT_INFO : LOG_AT_ERROR, &event, o, status);
}

void fault_words(const struct transport *t, const struct outcome *o, char *out,
		 size_t size)
{
	char words[sizeof(o->host) + sizeof(o->text) + 64];

	outcome_words(o, words, sizeof(words));
	/* a secret that cannot be had names its transport itself */
	if (!strncmp(o->text, "transport ", 10))
		snprintf(out, size, "%s", o->text);
	else
		snprintf(out, size, "transport %.60s: %s", t->name, words);
}

void log_fault_once(struct run *run, const struct transport *t,
		    const struct outcome *o)
{
	char words[sizeof(o->host) + sizeof(o->text) + 144];

	if (list_has(&run->mend, t->name))
		return;
	list_add(&run->mend, t->name);
	fault_words(t, o, words, sizeof(words));
	log_say(LOG_AT_ERROR, "%s", words);
}

void part_fail(const struct run *run, struct part *p,
	       const struct outcome *why)
{
	const unsigned one = policy_is_attempt(why) ? 1 : 0;
	struct entry *e = p->job->entry;
	struct outcome ignored;
	struct attempt *a;
	size_t *place;

	if (e && e->broken)
		return;
	for (a = p->to; a < p->to + p->n; a++)
		if (e)
			entry_note(e, place_of(p, a), why,
				   policy_verdict(why, run->queue),
				   a->before + one);
		else
			a->rcpt->last = *why;
	place = part_places(p);
	log_hold();
	if (!e || entry_write(e, place, p->n, &ignored))
		for (a = p->to; a < p->to + p->n; a++)
			log_attempt(run, p, a);
	log_release();
	free(place);
	/* where nothing was tried there is nothing to lose */
	if (e && one && !entry_sync(e, &ignored))
		log_say(LOG_AT_ERROR, "the journal of %s cannot be synced",
			p->job->id);
}

void part_pass_over(const struct run *run, struct part *p,
		    const struct outcome *why)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		struct recipient *r = p->to[i].rcpt;

		r->last = *why;
		if (run->watch && run->watch->attempt)
			run->watch->attempt(run->watch->context, p->job->id,
					    r->address, why);
	}
}
