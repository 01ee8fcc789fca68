/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A run of the queue: take what is due, deliver all of it by the one verb,
 * then settle each entry in the order that loses nothing: outcomes are in
 * the journal, reports are queued and synced, and only then an entry goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "desk/adopt.h"
#include "desk/desk.h"
#include "policy/policy.h"
#include "queue/report.h"
#include "submit/deliver.h"

/* Entries that are worked on together, at most: each holds a descriptor. */
enum { BATCH_MAX = 4096, DESCRIPTORS_SPARE = 64 };

struct runner {
	const struct desk *d;
	struct run run;
	struct queue *q;
	struct entry **entry;
	struct job *job;
	size_t n;
	size_t room;
	bool reported;           /* a report was queued: there is more to do */
};

/* --- taking --- */

static size_t descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 256;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < 2 * DESCRIPTORS_SPARE)
		return (size_t)limit.rlim_cur / 4 + 1;
	return limit.rlim_cur - DESCRIPTORS_SPARE > BATCH_MAX ? BATCH_MAX :
	       (size_t)limit.rlim_cur - DESCRIPTORS_SPARE;
}

/* An entry's own account, as far as it still exists. What another user
 * wrote gets his account and is parsed anew. */
static bool make_job(struct runner *r, struct entry *e, struct job *job,
		     struct outcome *why)
{
	/* its size was judged when it was accepted */
	const struct message_limits limits = { 0 };

	*job = (struct job){
		.id = e->id, .envelope = &e->envelope, .entry = e,
		.queued = e->queued, .uid = e->uid,
	};
	if (!entry_message(e, &limits, &job->message, why))
		return false;
	if (e->foreign)
		return adopt(r->d->config, e, &job->message, &job->account,
			     why);
	if (e->envelope.account)
		job->account = config_account(r->d->config,
					      e->envelope.account);
	return true;
}

static bool report_all(struct runner *r, struct entry *e,
		       const struct job *job, struct outcome *why);

/* Whatever a run before us was to report and did not is reported before the
 * next attempt, which would change what the report says and is called. */
static bool catch_up(struct runner *r, struct entry *e,
		     const struct job *job, struct outcome *why)
{
	return e->cause || report_all(r, e, job, why);
}

static void settle(struct runner *r, struct entry *e, const struct job *job);

/* What can be read and not be sent was accepted all the same: its recipients
 * fail, or wait, like any others, and its sender is told. */
static void refuse(struct runner *r, struct entry *e, const struct job *job,
		   const struct outcome *why)
{
	bool final = !outcome_is_temporary(why) && why->exit != EX_CONFIG;
	struct recipient *rcpt = e->envelope.rcpt;
	struct outcome ignored;
	size_t i;

	for (i = 0; i < e->envelope.n; i++) {
		if (rcpt[i].state != RCPT_PENDING)
			continue;
		if (!entry_record(e, i, why, final ? RCPT_FAILED :
				  RCPT_PENDING, rcpt[i].attempts + 1,
				  &ignored))
			break;
		entry_log(e, i, final ? "failed" : "deferred", why->status);
	}
	if (e->foreign)
		adopt_sender(r->d->config, e);
	settle(r, e, job);
}

static void take(struct runner *r, const char *name)
{
	struct entry *e;
	struct job *job = &r->job[r->n];
	struct outcome why;

	if (!queue_take(r->q, name, &e, &why))
		return;
	if (make_job(r, e, job, &why)) {
		if (catch_up(r, e, job, &why)) {
			r->entry[r->n++] = e;
			return;
		}
		log_say(LOG_AT_ERROR, "%s: %s", e->id, why.text);
	} else {
		refuse(r, e, job, &why);
	}
	message_free(job->message);
	entry_release(e);
}

/* --- settling --- */

static void release(struct runner *r)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		message_free(r->job[i].message);
		entry_release(r->entry[i]);
	}
	r->n = 0;
}

static void work_off(struct runner *r)
{
	size_t i;

	if (!r->n)
		return;
	deliver(&r->run, r->job, r->n);
	for (i = 0; i < r->n; i++)
		settle(r, r->entry[i], &r->job[i]);
	release(r);
}

/* Time is up: what is pending is refused by us. A server's last words and
 * numbers stay as they are, for the report. */
static void expire(struct runner *r, struct entry *e)
{
	int64_t age = ((int64_t)time(NULL) - e->queued) * 1000;
	struct outcome last, why;
	size_t i;

	if (!policy_expired(r->d->config, e->attempts, age > 0 ? age : 0))
		return;
	for (i = 0; i < e->envelope.n; i++) {
		struct recipient *rcpt = &e->envelope.rcpt[i];

		if (rcpt->state != RCPT_PENDING)
			continue;
		last = rcpt->last;
		last.exit = EX_UNAVAILABLE;
		if (!last.code)
			snprintf(last.status, sizeof(last.status), "4.4.7");
		if (!entry_record(e, i, &last, RCPT_FAILED, rcpt->attempts,
				  &why))
			return;
		entry_log(e, i, "failed", "4.4.7");
	}
}

static void place_of(const struct runner *r, const struct entry *e,
		     struct report_place *place)
{
	const struct config *c = r->d->config;

	*place = (struct report_place){
		.hostname = c->general.hostname,
		.from = c->queue.postmaster,
		.now = (int64_t)time(NULL),
		.retry_until = e->queued + c->queue.lifetime / 1000,
	};
}

/* A report is on disk before its cause may go. */
static bool queue_report(struct runner *r, struct entry *e,
			 const struct job *job, enum report_kind kind,
			 const size_t *rcpt, size_t n, struct outcome *why)
{
	struct envelope envelope = { 0 };
	struct report_place place;
	struct message *m = NULL;
	char id[QUEUE_ID_SIZE];
	struct queue_item item = {
		.id = id, .cause = e->id, .envelope = &envelope,
		.uid = e->uid,
	};
	bool done;

	place_of(r, e, &place);
	done = report_make(e, job->message, &place, kind, rcpt, n, id, &m,
			   &envelope, why);
	item.message = m;
	done = done && queue_add(r->q, &item, id, why);
	r->reported = r->reported || done;
	message_free(m);
	envelope_release(&envelope);
	return done;
}

/* Tells the sender about the recipients that he wants to hear of, and notes
 * for all that this is done. */
static bool report_kind_of(struct runner *r, struct entry *e,
			   const struct job *job, enum report_kind kind,
			   struct outcome *why)
{
	size_t *rcpt = mem_alloc(e->envelope.n * sizeof(*rcpt));
	size_t *wanted = mem_alloc(e->envelope.n * sizeof(*wanted));
	size_t n = entry_unreported(e, kind, rcpt), many, at = 0, part;
	bool done = true;

	many = report_wanted(e, kind, rcpt, n, wanted);
	for (; done && at < many; at += part) {
		part = many - at > REPORT_RECIPIENTS ? REPORT_RECIPIENTS :
		       many - at;
		done = queue_report(r, e, job, kind, wanted + at, part, why);
	}
	if (done && n)
		done = entry_reported(e, kind, rcpt, n, why);
	free(wanted);
	free(rcpt);
	return done;
}

static bool report_all(struct runner *r, struct entry *e,
		       const struct job *job, struct outcome *why)
{
	unsigned after = (unsigned)r->d->config->queue.delay_report_after;

	if (!report_kind_of(r, e, job, REPORT_FAILURE, why))
		return false;
	return !after || e->attempts < after ||
	       report_kind_of(r, e, job, REPORT_DELAY, why);
}

static bool any_pending(const struct entry *e)
{
	size_t i;

	for (i = 0; i < e->envelope.n; i++)
		if (e->envelope.rcpt[i].state == RCPT_PENDING)
			return true;
	return false;
}

static bool any_failed(const struct entry *e)
{
	size_t i;

	for (i = 0; i < e->envelope.n; i++)
		if (e->envelope.rcpt[i].state == RCPT_FAILED)
			return true;
	return false;
}

static bool reschedule(struct runner *r, struct entry *e, struct outcome *why)
{
	uint32_t random = 0;
	int64_t wait;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint32_t)clock();
	/* without any network nothing was tried: soon again */
	wait = (policy_delay(r->d->config, e->attempts ? e->attempts : 1,
			     random) + 500) / 1000;
	return entry_schedule(e, (int64_t)time(NULL) + wait, why);
}

/* A report that cannot be delivered has nobody left who would read it. */
static bool finish(struct entry *e, struct outcome *why)
{
	if (e->cause && any_failed(e)) {
		entry_quarantine(e, "a report that cannot be delivered");
		return true;
	}
	return entry_finish(e, why);
}

static bool settle_entry(struct runner *r, struct entry *e,
			 const struct job *job, struct outcome *why)
{
	expire(r, e);
	if (e->broken)
		return reschedule(r, e, why);
	if (!e->cause && !report_all(r, e, job, why))
		return false;
	if (any_pending(e))
		return reschedule(r, e, why);
	return finish(e, why);
}

static void settle(struct runner *r, struct entry *e, const struct job *job)
{
	struct outcome why;

	if (!settle_entry(r, e, job, &why))
		log_say(LOG_AT_ERROR, "%s: %s", e->id, why.text);
}

/* --- the run --- */

static int64_t longest_wait(const struct config *c)
{
	int64_t most = 0;
	size_t i;

	for (i = 0; i < c->queue.steps; i++)
		if (c->queue.step[i] > most)
			most = c->queue.step[i];
	return most / 1000 + most / 1000 / 10 + 60;
}

static bool run_once(struct runner *r, const struct selection *s,
		     struct outcome *why)
{
	struct list names = { 0 };
	size_t i;

	r->reported = false;
	if (!queue_select(r->q, s, longest_wait(r->d->config), &names, why))
		return false;
	for (i = 0; i < names.n; i++) {
		take(r, names.item[i]);
		if (r->n == r->room || i + 1 == names.n)
			work_off(r);
	}
	work_off(r);
	list_release(&names);
	return true;
}

static bool run_queue(struct runner *r, const struct selection *s,
		      struct outcome *why)
{
	bool done;

	r->room = descriptors();
	r->entry = mem_alloc(r->room * sizeof(*r->entry));
	r->job = mem_alloc(r->room * sizeof(*r->job));
	queue_sweep(r->q);
	done = run_once(r, s, why);
	/* reports are due at once */
	while (done && r->reported)
		done = run_once(r, NULL, why);
	free(r->entry);
	free(r->job);
	return done;
}

/* tends: this is the -q that the queue lives by. A run that a sender starts
 * on the side is none: it comes only as long as somebody sends. */
static int run_selected(const struct desk *d, const struct selection *s,
			bool tends)
{
	struct runner r = { .d = d };
	struct outcome why;
	bool done;

	if (!desk_queue(d, true, &r.q, &why))
		return desk_fail(d, &why);
	if (!r.q)
		return EX_OK;
	if (queue_is_remote(r.q)) {
		queue_close(r.q);
		outcome_fail(&why, STAGE_LOCAL, EX_NOPERM, "only the queue's "
			     "owner may run it: %s",
			     d->config->queue.directory);
		return desk_fail(d, &why);
	}
	if (tends)
		queue_mark_run(r.q);
	desk_run_init(d, &r.run);
	r.run.queue = r.q;
	r.run.many = true;
	/* a sender's --transport is for his message, not for all that is due */
	if (!tends)
		r.run.transport = NULL;
	if (!r.run.watch && isatty(STDERR_FILENO))
		r.run.watch = &desk_watch_queue;
	done = run_queue(&r, s, &why);
	desk_run_release(&r.run);
	return done ? EX_OK : desk_fail(d, &why);
}

int desk_run(const struct desk *d)
{
	return run_selected(d, &d->options->selection, true);
}

/* --- a run of its own --- */

/* Nothing of the caller's: he may wait for the end of his pipes. */
static void let_go(void)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0)
		process_leave(EX_OSERR);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	closefrom(STDERR_FILENO + 1);
	if (chdir("/"))
		process_leave(EX_OSERR);
}

void runner_detach(const struct desk *d)
{
	const struct log_settings settings = {
		.to = d->config->log.to,
		.json = d->config->log.format == LOG_JSON,
		.level = (enum log_level)d->config->log.level,
	};
	pid_t pid = fork();

	if (pid > 0)
		waitpid(pid, NULL, 0);
	if (pid)
		return;
	if (setsid() < 0 || fork())
		process_leave(EX_OK);
	let_go();
	log_open(&settings);
	process_leave(run_selected(d, NULL, false));
}
