/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "desk/settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "desk/desk.h"
#include "policy/policy.h"
#include "submit/foreign.h"
#include "submit/report.h"

/* Whether a recipient's own time has not come, whatever its entry was taken
 * for. */
static bool waits_on(const struct config *c, const struct entry *e, size_t i)
{
	return policy_regular(c, (int64_t)time(NULL), e->progress[i].wait);
}

/* The attempts that a recipient would have had by now. */
static unsigned counted(const struct entry *e, size_t i)
{
	return e->envelope.rcpt[i].attempts + e->progress[i].missed;
}

void settle_refused(struct settler *s, struct entry *e,
		    const struct outcome *why)
{
	const bool final = !policy_refused_for_now(why);
	struct recipient *rcpt = e->envelope.rcpt;
	struct outcome ignored;
	size_t i;

	if (e->foreign)
		foreign_sender(s->config, e);
	for (i = 0; i < e->envelope.n; i++) {
		if (rcpt[i].state != RCPT_PENDING ||
		    (!final && waits_on(s->config, e, i)))
			continue;
		if (!entry_record(e, i, why, final ? RCPT_FAILED :
				  RCPT_PENDING, rcpt[i].attempts + 1,
				  &ignored))
			break;
		entry_log(e, i, why, final ? "failed" : "deferred");
	}
}

/* Time is up: what is pending is refused by us. A server's last words and
 * numbers stay as they are, for the report. */
static void expire(const struct config *c, struct entry *e)
{
	int64_t age = ((int64_t)time(NULL) - e->queued) * 1000;
	struct outcome last, why;
	size_t i;

	for (i = 0; i < e->envelope.n; i++) {
		struct recipient *rcpt = &e->envelope.rcpt[i];

		if (rcpt->state != RCPT_PENDING || waits_on(c, e, i) ||
		    !policy_expired(c, counted(e, i), age > 0 ? age : 0))
			continue;
		last = rcpt->last;
		last.exit = EX_UNAVAILABLE;
		last.not_before = 0;
		if (!last.code)
			snprintf(last.status, sizeof(last.status), "4.4.7");
		if (!entry_record(e, i, &last, RCPT_FAILED, rcpt->attempts,
				  &why))
			return;
		snprintf(last.status, sizeof(last.status), "4.4.7");
		entry_log(e, i, &last, "failed");
	}
}

/* Runs on_failure, which is told of these recipients. What becomes of it
 * changes nothing, and it may be told twice after a crash; as long as it runs,
 * the run waits. */
static void tell_failure(struct settler *s, const struct entry *e,
			 const size_t *rcpt, size_t n)
{
	enum { PATIENCE = 10 * 1000 };
	const char *argv[] = {
		"/bin/sh", "-c", s->config->queue.on_failure, NULL
	};
	struct buf input = BUF(64 * 1024 * 1024), words = BUF(1024);
	struct json json = JSON_INTO(&input);
	struct child child = {
		.argv = argv, .input = &input, .output = &words,
		.words = &words, .deadline = clock_in(PATIENCE),
	};
	struct outcome why;
	int status;

	if (!argv[2] || !n)
		return;
	if (s->hook_hangs) {
		log_say(LOG_AT_ERROR, "on_failure was not told of %s: it did "
			"not end in time before", e->id);
		return;
	}
	desk_json_entry(&json, e, rcpt, n);
	buf_addc(&input, '\n');
	if (!child_run(&child, &status, &why)) {
		s->hook_hangs = !clock_left(child.deadline);
		log_say(LOG_AT_ERROR, "on_failure: %s", why.text);
	} else if (status) {
		child_failed(status, &words, &why);
		log_say(LOG_AT_ERROR, "on_failure: %s", why.text);
	}
	buf_release(&words);
	buf_release(&input);
}

/* A report is on disk before its cause may go. */
static bool queue_report(struct settler *s, struct entry *e,
			 const struct job *job, enum report_kind kind,
			 const size_t *rcpt, size_t n, struct outcome *why)
{
	const struct config *c = s->config;
	const struct report_place place = {
		.hostname = c->general.hostname,
		.from = c->queue.postmaster,
		.now = (int64_t)time(NULL),
		.retry_until = e->queued + c->queue.lifetime / 1000,
	};
	struct envelope envelope = { 0 };
	struct message *m = NULL;
	char id[QUEUE_ID_SIZE];
	struct queue_item item = {
		.id = id, .cause = e->id, .envelope = &envelope,
		.uid = e->uid,
	};
	bool done;

	done = report_make(e, job->message, &place, kind, rcpt, n, id, &m,
			   &envelope, why);
	item.message = m;
	done = done && queue_add(s->queue, &item, id, why);
	s->reported = s->reported || done;
	if (done)
		list_add(&s->reports, id);
	message_free(m);
	envelope_release(&envelope);
	return done;
}

/* Tells the sender about the recipients that he wants to hear of, and notes
 * for all that this is done. */
static bool report_kind_of(struct settler *s, struct entry *e,
			   const struct job *job, enum report_kind kind,
			   struct outcome *why)
{
	const int64_t waited = ((int64_t)time(NULL) - e->queued) * 1000;
	size_t *rcpt = mem_alloc(e->envelope.n * sizeof(*rcpt));
	size_t *wanted = mem_alloc(e->envelope.n * sizeof(*wanted));
	size_t n = entry_unreported(e, kind, rcpt), many, at = 0, part, i, k;
	bool done = true;

	for (i = k = 0; kind == REPORT_DELAY && i < n; i++)
		if (policy_delayed(s->config, counted(e, rcpt[i]), waited))
			rcpt[k++] = rcpt[i];
	if (kind == REPORT_DELAY)
		n = k;
	/* which attempts were missed makes part of the report's id */
	done = !n || entry_sync(e, why);
	many = report_wanted(e, kind, rcpt, n, wanted);
	for (; done && at < many; at += part) {
		part = report_holds(e, wanted + at, many - at);
		done = queue_report(s, e, job, kind, wanted + at, part, why);
	}
	/* as long as they cannot be queued, all of this comes again */
	if (done && kind == REPORT_FAILURE)
		tell_failure(s, e, rcpt, n);
	if (done && n)
		done = entry_reported(e, kind, rcpt, n, why);
	free(wanted);
	free(rcpt);
	return done;
}

bool settle_reports(struct settler *s, struct entry *e,
		    const struct job *job, struct outcome *why)
{
	return report_kind_of(s, e, job, REPORT_FAILURE, why) &&
	       report_kind_of(s, e, job, REPORT_DELAY, why);
}

bool settle_tells(const struct settler *s, const struct entry *e)
{
	return s->config->queue.on_failure && !s->hook_hangs &&
	       entry_owes_report(e);
}

/* Who was due and was not tried, nor had this machine no network at all: his
 * time goes by all the same. */
static void note_missed(const struct config *c, struct entry *e, int64_t now)
{
	unsigned *more = mem_alloc(e->envelope.n * sizeof(*more));
	const struct progress *p = e->progress;
	struct outcome why;
	size_t i;

	for (i = 0; i < e->envelope.n; i++)
		if (e->envelope.rcpt[i].state == RCPT_PENDING &&
		    !waits_on(c, e, i))
			more[i] = policy_missed(c, counted(e, i), now -
						(p[i].since ? p[i].since :
						 e->queued));
	if (!entry_missed(e, more, &why))
		log_say(LOG_AT_ERROR, "%s: %s", e->id, why.text);
	free(more);
}

/* Each recipient has his own time, and the entry that of the first. turn: the
 * first that comes by a rate; 0: none does. */
static int64_t next_times(const struct config *c, struct entry *e,
			  int64_t regular, int64_t now, int64_t *turn)
{
	int64_t *at = mem_alloc(e->envelope.n * sizeof(*at)), next = 0;
	const uint32_t chance = (uint32_t)clock_chance();
	const struct recipient *r = e->envelope.rcpt;
	struct outcome why;
	size_t i;

	*turn = 0;
	for (i = 0; i < e->envelope.n; i++) {
		const struct retry_facts f = {
			.attempts = counted(e, i),
			.turn = r[i].last.not_before,
			.wait = e->progress[i].wait, .regular = regular,
		};

		if (r[i].state != RCPT_PENDING)
			continue;
		at[i] = policy_retry(c, &f, now, chance);
		if (!next || at[i] < next)
			next = at[i];
		if (f.turn && (!*turn || f.turn < *turn))
			*turn = f.turn;
	}
	for (i = 0; i < e->envelope.n; i++)
		if (at[i] == next || at[i] == e->progress[i].wait)
			at[i] = 0;
	/* else they are tried too early */
	if (!entry_wait(e, at, &why))
		log_say(LOG_AT_ERROR, "%s: %s", e->id, why.text);
	free(at);
	return next;
}

static void note_still(struct settler *s, const struct entry *e)
{
	struct still_facts f = {
		.report = e->cause, .pending = e->pending, .queued = e->queued,
	};
	int64_t from;
	size_t i;

	for (i = 0; i < e->envelope.n; i++)
		f.limited += e->envelope.rcpt[i].state == RCPT_PENDING &&
			     e->envelope.rcpt[i].last.not_before;
	from = policy_still_from(s->config, &f);
	if (from && (!s->still_from || from < s->still_from))
		s->still_from = from;
}

bool settle_entry(struct settler *s, struct entry *e, const struct job *job,
		  int64_t regular, bool *soon, struct outcome *why)
{
	enum { SOON = 60 };
	const int64_t now = (int64_t)time(NULL);
	int64_t next, turn;
	size_t i;

	if (!e->broken)
		note_missed(s->config, e, now);
	expire(s->config, e);
	if (!e->broken && !e->cause && !settle_reports(s, e, job, why))
		return false;
	if (e->broken || e->pending) {
		note_still(s, e);
		/* an attempt that somebody asked for by hand leaves the next
		 * regular one where it was */
		next = next_times(s->config, e, regular > now ? regular :
				  e->regular, now, &turn);
		/* however the wall clock is set while the run waits for it */
		if (turn && turn - now < SETTLE_NEAR &&
		    clock_in((turn - now) * 1000) > s->put_off)
			s->put_off = clock_in((turn - now) * 1000);
		*soon = next - now < SOON && (!turn || next < turn);
		return entry_schedule(e, next, why);
	}
	/* a report that cannot be delivered has nobody left who would read
	 * it */
	for (i = 0; e->cause && i < e->envelope.n; i++) {
		if (e->envelope.rcpt[i].state != RCPT_FAILED)
			continue;
		tell_failure(s, e, &i, 1);
		entry_quarantine(e, "a report that cannot be delivered");
		return true;
	}
	return entry_finish(e, why);
}
