/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A run of the queue: take what is due, deliver all of it by the one verb,
 * then settle each entry.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/kernel.h"
#include "base/log.h"
#include "base/process.h"
#include "desk/alarm.h"
#include "desk/desk.h"
#include "desk/settle.h"
#include "desk/turns.h"
#include "policy/policy.h"
#include "submit/deliver.h"
#include "submit/foreign.h"

/* Entries that are worked on together, at most: each holds a descriptor. */
enum { BATCH_MAX = 4096, DESCRIPTORS_SPARE = 128 };

enum {
	LOOK_MS = 1000,                     /* for new mail, in a run */
	TURN_MS = 5 * 1000,                 /* and for what a rate put off */
	TURNLESS_MS = 4 * 60 * 1000,        /* as long as any comes */
	LONGEST_MS = 50 * 60 * 1000,        /* of a run, then another one */
	GRACE_MS = 45 * 1000                /* of workers when a run ends */
};

/* How far an entry is. */
struct stand {
	size_t pending, attempts;
};

/* An entry that is being worked on. */
struct work {
	struct job job;           /* first: jobs come back by it */
	struct entry *entry;
	struct turn turn;
	int64_t regular;          /* its next time if it was not due */
	struct stand before;      /* when it was taken */
};

struct runner {
	const struct desk *d;
	struct run run;
	struct queue *q;
	struct dispatcher *x;
	struct turns *turns;
	const struct selection *selection;
	int64_t taken;            /* the last entry, monotonic ms */
	int signals;              /* a descriptor; -1 */
	struct settler settler;
	bool ending;
	bool looked;              /* for what stands still, after all else */
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

/* What another user wrote gets his account, is parsed anew, and goes where
 * his account's mail may go. */
static bool make_job(struct runner *r, struct entry *e, struct job *job,
		     struct outcome *why)
{
	/* its size was judged when it was accepted */
	const struct message_limits limits = { 0 };

	*job = (struct job){
		.id = e->id, .envelope = &e->envelope, .entry = e,
		.queued = e->queued, .uid = e->uid, .late = e->interrupted,
		.by_hand = !e->next || (r->selection && r->selection->field),
	};
	if (!entry_message(e, &limits, &job->message, why))
		return false;
	if (e->foreign)
		return foreign_compose(r->d->config, e, &job->message,
				       &job->account, why);
	if (e->envelope.account)
		job->account = config_account(r->d->config,
					      e->envelope.account);
	/* what its user ordered goes where his account's mail may go, too */
	if (e->transport && !e->by_owner && e->uid != geteuid() &&
	    !policy_reaches(r->d->config, job->account, e->transport)) {
		free(e->transport);
		e->transport = NULL;
	}
	return true;
}

static struct stand stand_of(const struct entry *e)
{
	struct stand s = { 0 };
	size_t i;

	for (i = 0; i < e->envelope.n; i++) {
		s.pending += e->envelope.rcpt[i].state == RCPT_PENDING;
		s.attempts += e->envelope.rcpt[i].attempts;
	}
	return s;
}

static void let_work_go(struct runner *r, struct work *w)
{
	turns_end(r->turns, &w->turn);
	message_free(w->job.message);
	entry_release(w->entry);
	free(w);
}

static void settle(struct runner *r, struct work *w)
{
	const struct stand now = stand_of(w->entry);
	struct outcome why;
	bool soon = false;

	/* what a run that ends has not begun stays as it is, to be taken by
	 * the next; and so does whatever takes long to tell */
	if ((!r->ending || ((now.pending != w->before.pending ||
			     now.attempts != w->before.attempts) &&
			    !settle_tells(&r->settler, w->entry))) &&
	    !settle_entry(&r->settler, w->entry, &w->job, w->regular, &soon,
			  &why))
		log_say(LOG_AT_ERROR, "%s: %s", w->entry->id, why.text);
	/* a schedule may be so short that it would be due again at once */
	if (soon)
		turns_tried(r->turns, w->entry->name);
	let_work_go(r, w);
}

/* Reports, and on_failure above all, take their time: whatever else there is to
 * do gets its turn in between. What is left is waited for by nobody. */
static void settle_all(struct runner *r)
{
	const int64_t until = clock_in(LOOK_MS);
	struct job *job;

	do {
		job = dispatcher_done(r->x);
		if (job)
			settle(r, (struct work *)job);
	} while (job && clock_left(until));
}

static void take(struct runner *r, const char *name)
{
	struct work *w;
	struct entry *e;
	struct outcome why;
	bool made;

	if (!queue_take(r->q, name, &e, &why)) {
		turns_pass(r->turns, why.exit == EX_TEMPFAIL);
		if (why.exit != EX_TEMPFAIL && why.exit != EX_NOINPUT &&
		    why.exit != EX_DATAERR)
			log_say(LOG_AT_ERROR, "%s", why.text);
		return;
	}
	w = mem_alloc(sizeof(*w));
	w->entry = e;
	if (!turns_hold(r->turns, e, &w->turn)) {
		entry_release(e);
		free(w);
		return;
	}
	w->before = stand_of(e);
	w->regular = e->next > (int64_t)time(NULL) ? e->next : 0;
	made = make_job(r, e, &w->job, &why);
	/* what is in hand may have taken the room for its file, which is
	 * written as seldom as one looks for new mail; those after it may
	 * need none */
	if (!made && why.exit == EX_IOERR && dispatcher_jobs(r->x)) {
		turns_put_off(r->turns, LOOK_MS);
		let_work_go(r, w);
		return;
	}
	turns_begin(r->turns);
	r->taken = clock_now();
	if (!made) {
		settle_refused(&r->settler, e, &why);
		settle(r, w);
	} else if (!e->cause &&
		   !settle_reports(&r->settler, e, &w->job, &why)) {
		/* what a run before us was to report and did not is reported
		 * before the next attempt, which would change what the report
		 * says and is called */
		log_say(LOG_AT_ERROR, "%s: %s", e->id, why.text);
		let_work_go(r, w);
	} else {
		dispatcher_add(r->x, &w->job);
	}
}

/* Gives whether more may be left: what an earlier run left to be told is told
 * here, which takes its time as in settle_all. */
static bool take_all(struct runner *r)
{
	const int64_t until = clock_in(LOOK_MS);
	const char *name;

	while (!r->ending && (name = turns_next(r->turns))) {
		if (!clock_left(until))
			return true;
		take(r, name);
	}
	return false;
}

/* --- the run --- */

/* Looks for new mail where the directory has changed; as seldom as it takes
 * for the looking to stay a small part of the work. */
struct watchman {
	struct queue_state state;
	int64_t next;             /* monotonic ms */
	int64_t turn;             /* when what was put off is looked for */
};

/* Selected by hand: those, and besides them their reports alone. */
static bool is_selective(const struct runner *r)
{
	return r->selection && r->selection->field;
}

/* Whether a rate put mail off for so short a time that this run is still there
 * to send it: else a rate would be used only when somebody starts one. Where
 * every caller has a run of his own, one of them stays for all. */
static bool waits_for_turn(struct runner *r)
{
	const int64_t now = clock_now(), left = r->settler.put_off - now;
	int64_t until, others;

	if (r->ending || is_selective(r) ||
	    !r->settler.put_off || left + 2 * TURN_MS <= 0 ||
	    now - r->taken >= TURNLESS_MS)
		return false;
	until = (int64_t)time(NULL) + left / 1000;
	if (!queue_wait_turn(r->q, &until))
		return false;
	others = (until - (int64_t)time(NULL)) * 1000;
	if (others > left && others < SETTLE_NEAR * 1000)
		r->settler.put_off = now + others;
	return true;
}

static bool look_for_due(struct runner *r, struct outcome *why)
{
	size_t i;

	for (i = 0; is_selective(r) && i < r->settler.reports.n; i++)
		turns_admit(r->turns, r->settler.reports.item[i]);
	list_release(&r->settler.reports);
	return turns_look(r->turns, r->selection,
			  policy_longest_wait(r->d->config), why);
}

static bool look_again(struct runner *r, struct watchman *w, bool at_once,
		       struct outcome *why)
{
	int64_t begun = clock_now();
	struct queue_state now;

	if (!at_once && begun < w->next)
		return true;
	now = queue_state(r->q);
	w->next = begun + LOOK_MS / 2;
	/* what becomes due changes nothing there */
	if (begun >= w->turn && waits_for_turn(r)) {
		w->state = (struct queue_state){ 0 };
		w->turn = begun + TURN_MS;
	}
	if (!r->settler.reported && now.seconds == w->state.seconds &&
	    now.nanoseconds == w->state.nanoseconds)
		return true;
	w->state = now;
	r->settler.reported = false;
	if (queue_waken(r->q, false))
		turns_forget_busy(r->turns);
	if (!look_for_due(r, why))
		return false;
	w->next = clock_now() + LOOK_MS / 2 + 20 * (clock_now() - begun);
	/* what came in the same tick of the file system's clock */
	if (time(NULL) - now.seconds < 2)
		w->state = (struct queue_state){ 0 };
	return true;
}

static void run_end(struct runner *r)
{
	if (r->ending)
		return;
	r->ending = true;
	dispatcher_stop(r->x, GRACE_MS);
}

static bool runs_on(const struct runner *r)
{
	return !is_selective(r) || r->settler.reported;
}

/* After all was tried. What the postmaster is told goes out in this run. */
static bool tells_more(struct runner *r)
{
	if (r->ending || r->looked)
		return false;
	r->looked = true;
	if (!alarm_raise(r->d, r->q, r->settler.still_from))
		return false;
	r->settler.reported = true;
	return true;
}

static bool work_off(struct runner *r, struct outcome *why)
{
	int64_t longest = clock_in(LONGEST_MS);
	struct watchman w = { 0 };
	struct signalfd_siginfo info;
	bool told, more, done = look_for_due(r, why);

	while (done) {
		more = take_all(r);
		/* with nothing under way there is nothing to wait for */
		dispatcher_wait(r->x, r->signals, !more &&
				(dispatcher_jobs(r->x) || waits_for_turn(r)) ?
				LOOK_MS : 0);
		settle_all(r);
		/* somebody wants us to end */
		told = r->signals >= 0 && read(r->signals, &info,
					       sizeof(info)) == sizeof(info);
		if (told || clock_now() > longest)
			run_end(r);
		if (!r->ending && runs_on(r))
			done = look_again(r, &w, !dispatcher_jobs(r->x) &&
					  !turns_left(r->turns), why);
		if (!dispatcher_jobs(r->x) && !waits_for_turn(r) &&
		    (r->ending || !turns_left(r->turns)) && !tells_more(r))
			break;
	}
	/* whatever went wrong, what is under way is settled */
	if (!done)
		run_end(r);
	if (r->ending && done)
		queue_waken(r->q, true);
	while (dispatcher_jobs(r->x)) {
		dispatcher_wait(r->x, -1, LOOK_MS);
		settle_all(r);
	}
	return done;
}

/* From here on an end is asked for, not forced. */
static int catch_signals(void)
{
	sigset_t set, before;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, &before))
		return -1;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	/* nobody would ever read of them */
	if (fd < 0)
		sigprocmask(SIG_SETMASK, &before, NULL);
	return fd;
}

static bool run_queue(struct runner *r, const struct selection *s,
		      struct outcome *why)
{
	bool done;

	r->selection = s;
	r->turns = turns_new(r->q, descriptors());
	r->signals = catch_signals();
	r->x = dispatcher_new(&r->run);
	queue_sweep(r->q);
	done = work_off(r, why);
	if (done && dispatcher_lacked(r->x))
		done = outcome_fail(why, STAGE_LOCAL, EX_OSERR,
				    "a worker could not be made");
	dispatcher_free(r->x);
	turns_free(r->turns);
	if (r->signals >= 0)
		close(r->signals);
	return done;
}

/* tends: this is the -q that the queue lives by. A run that a sender starts
 * on the side is none: it comes only as long as somebody sends. */
static int run_selected(const struct desk *d, const struct selection *s,
			bool tends)
{
	struct runner r = { .d = d, .looked = !tends || (s && s->field) };
	struct outcome why = { .exit = EX_OK };
	bool done;

	if (!desk_queue(d, true, &r.q, &why))
		return desk_fail(d, &why);
	if (!r.q)
		return why.exit != EX_OK &&
		       queue_presence(d->config->queue.directory) ==
		       QUEUE_OURS ? desk_fail(d, &why) : EX_OK;
	if (queue_is_remote(r.q)) {
		queue_close(r.q);
		outcome_fail(&why, STAGE_LOCAL, EX_NOPERM, "only the queue's "
			     "owner may run it: %s",
			     d->config->queue.directory);
		return desk_fail(d, &why);
	}
	/* one that was to send a few entries tends nothing */
	if (tends && !(s && s->field && (*s->substring || s->negated)))
		queue_mark_run(r.q);
	desk_run_init(d, &r.run);
	r.run.queue = r.q;
	/* a sender's --transport and -v are for his message, not for all that
	 * is due */
	if (!tends) {
		r.run.transport[0] = NULL;
		r.run.watch = NULL;
	} else if (r.run.watch) {
		r.run.watch = &desk_watch_queue_lines;
	} else if (isatty(STDERR_FILENO)) {
		r.run.watch = &desk_watch_queue;
	}
	r.settler = (struct settler){ .config = d->config, .queue = r.q };
	done = run_queue(&r, s, &why);
	list_release(&r.settler.reports);
	desk_run_release(&r.run);
	return done ? EX_OK : desk_fail(d, &why);
}

int desk_run(const struct desk *d)
{
	return run_selected(d, &d->options->selection, true);
}

/* --- a run of its own --- */

void runner_detach(const struct desk *d)
{
	/* his streams are not kept; what an engine collects is nobody's */
	const bool collected = log_stderr_is_collected();
	const struct log_settings settings = {
		.to = log_is_stream(d->config->log.to) ? "syslog" :
		      d->config->log.to,
		.json = d->config->log.format == LOG_JSON,
		.level = (enum log_level)d->config->log.level,
	};
	pid_t pid = fork();
	int null, in = -1, out = -1, err = -1;

	if (pid > 0)
		waitpid(pid, NULL, 0);
	if (pid)
		return;
	if (setsid() < 0)
		process_leave(EX_OSERR);
	/* nothing of the caller's: he may wait for the end of his pipes */
	null = kernel_open(AT_FDCWD, "/dev/null", O_RDWR, 0);
	if (null >= 0) {
		in = kernel_duplicate(null, STDIN_FILENO);
		out = kernel_duplicate(null, STDOUT_FILENO);
		err = collected ? STDERR_FILENO :
		      kernel_duplicate(null, STDERR_FILENO);
	}
	if (in < 0 || out < 0 || err < 0)
		process_leave(EX_OSERR);
	log_forget();
	kernel_close_from(STDERR_FILENO + 1);
	if (chdir("/"))
		process_leave(EX_OSERR);
	/* from here on he does not wait */
	if (fork())
		process_leave(EX_OK);
	log_open(&settings);
	process_leave(run_selected(d, NULL, false));
}
