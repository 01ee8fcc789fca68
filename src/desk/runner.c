/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A run of the queue: take what is due, deliver all of it by the one verb,
 * then settle each entry.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#include "policy/policy.h"
#include "submit/deliver.h"
#include "submit/foreign.h"

/* Entries that are worked on together, at most: each holds a descriptor. */
enum { BATCH_MAX = 4096, DESCRIPTORS_SPARE = 128 };

/* How much memory entries take. */
enum {
	MEGABYTE = 1024 * 1024,
	MEMORY_ENTRY = 16 * 1024,           /* of one, beside what it holds */
	MEMORY_RECIPIENT = sizeof(struct recipient) + 160,
	MEMORY_MESSAGE = MEGABYTE           /* of one that is parsed anew */
};

/* Entries by their size in memory, so that none ever waits for a larger one.
 * Those of a class may take so much together; one may in any case, which is
 * why a class alone has no bound but that of an entry. */
enum { CLASSES = 3 };

static const struct {
	size_t largest, together;
} classes[CLASSES] = {
	{ 3 * MEGABYTE / 2, 16 * MEGABYTE },
	{ 6 * MEGABYTE, 12 * MEGABYTE },
	{ SIZE_MAX, 64 * MEGABYTE },
};

enum {
	LOOK_MS = 1000,                     /* for new mail, in a run */
	TURN_MS = 5 * 1000,                 /* and for what a rate put off */
	TURNLESS_MS = 4 * 60 * 1000,        /* as long as any comes */
	LONGEST_MS = 50 * 60 * 1000,        /* of a run, then another one */
	GRACE_MS = 45 * 1000,               /* of workers when a run ends */
	LINE_EMPTY = 64
};

/* How far an entry is. */
struct stand {
	size_t pending, attempts;
};

/* An entry that is being worked on. */
struct work {
	struct job job;           /* first: jobs come back by it */
	struct entry *entry;
	int64_t regular;          /* its next time if it was not due */
	uid_t uid;                /* whose turn it was, */
	unsigned class;           /* and in which class */
	size_t memory;
	struct stand before;      /* when it was taken */
};

/* A user's entries of a class that are due, first due first. */
struct line {
	uid_t uid;
	unsigned class;
	char **name;
	size_t n, at;
	size_t need;              /* memory for the next; 0: not known */
	int64_t pause;            /* the next lacked room on disk: monotonic
				   * ms */
	size_t memory;            /* of those in hand */
	size_t jobs;
};

struct runner {
	const struct desk *d;
	struct run run;
	struct queue *q;
	struct dispatcher *x;
	const struct selection *selection;
	struct line *line;
	size_t lines, turn;
	size_t memory[CLASSES];   /* of all that is in hand */
	size_t room;              /* entries in hand, at most */
	uint64_t *seen;           /* what this run had in hand: hashes of */
	size_t seens;             /* names */
	uint64_t *busy;           /* of those, what somebody else had, who */
	size_t busies;            /* may have been its writer */
	int64_t taken;            /* the last of them, monotonic ms */
	int signals;              /* a descriptor; -1 */
	struct settler settler;
	bool ending;
	bool looked;              /* for what stands still, after all else */
};

/* --- what this run had in hand --- */

static void note_seen(struct runner *r, const char *name)
{
	r->seen = mem_grow(r->seen, r->seens, sizeof(*r->seen));
	r->seen[r->seens++] = mem_hash(name);
}

static void note_busy(struct runner *r, const char *name)
{
	r->busy = mem_grow(r->busy, r->busies, sizeof(*r->busy));
	r->busy[r->busies++] = mem_hash(name);
}

static int by_hash(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* --- looking --- */

static struct line *line_of(struct runner *r, uid_t uid, unsigned class)
{
	size_t i;

	for (i = 0; i < r->lines; i++)
		if (r->line[i].uid == uid && r->line[i].class == class)
			return &r->line[i];
	r->line = mem_resize(r->line, r->lines + 1, sizeof(*r->line));
	r->line[r->lines] = (struct line){ .uid = uid, .class = class };
	return &r->line[r->lines++];
}

static void lines_empty(struct runner *r)
{
	struct line *l;
	size_t i;

	for (i = 0; i < r->lines; i++) {
		l = &r->line[i];
		while (l->at < l->n)
			free(l->name[l->at++]);
		free(l->name);
		l->name = NULL;
		l->n = l->at = l->need = 0;
	}
	/* users of whom nothing is left; not their places in the order */
	for (i = r->lines; i-- && r->lines > LINE_EMPTY;)
		if (!r->line[i].jobs)
			r->line[i] = r->line[--r->lines];
}

/* text: the bytes of its strings; message: those of a message to be parsed. */
static size_t memory_for(size_t recipients, size_t text, int64_t message)
{
	return MEMORY_ENTRY + recipients * MEMORY_RECIPIENT + text +
	       (message < MEMORY_MESSAGE ? (size_t)message : MEMORY_MESSAGE);
}

static size_t memory_seen(const struct glance *g)
{
	/* of one with more no more is read */
	return memory_for(g->recipients < RECIPIENTS_MAX ? g->recipients :
			  RECIPIENTS_MAX, g->header, 0);
}

/* A writer leaves the sign that something is due once it has let go of its
 * entry; what it had in hand when this run came by was not tried. */
static void forget_busy(struct runner *r)
{
	size_t i, kept = 0;

	if (!r->busies)
		return;
	qsort(r->busy, r->busies, sizeof(*r->busy), by_hash);
	for (i = 0; i < r->seens; i++)
		if (!bsearch(&r->seen[i], r->busy, r->busies, sizeof(*r->busy),
			     by_hash))
			r->seen[kept++] = r->seen[i];
	r->seens = kept;
	r->busies = 0;
}

/* What is due and was not tried by this run, user by user. */
static bool look_for_due(struct runner *r, struct outcome *why)
{
	struct list names = { 0 };
	struct glance g;
	struct line *l;
	uint64_t hash;
	unsigned class;
	size_t i, memory;

	lines_empty(r);
	if (r->seens)
		qsort(r->seen, r->seens, sizeof(*r->seen), by_hash);
	if (!queue_select(r->q, r->selection, policy_longest_wait(r->d->config),
			  &names, why))
		return false;
	for (i = 0; i < names.n; i++) {
		hash = mem_hash(names.item[i]);
		if (r->seens && bsearch(&hash, r->seen, r->seens, sizeof(hash),
					by_hash))
			continue;
		if (!queue_glance(r->q, names.item[i], &g))
			continue;
		memory = memory_seen(&g);
		for (class = 0; memory > classes[class].largest; class++)
			;
		l = line_of(r, g.uid, class);
		l->name = mem_grow(l->name, l->n, sizeof(*l->name));
		l->name[l->n++] = names.item[i];
		names.item[i] = NULL;
	}
	list_release(&names);
	return true;
}

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

static size_t memory_of(const struct entry *e)
{
	size_t text = 0, i;

	for (i = 0; i < e->envelope.n; i++) {
		const struct recipient *rcpt = &e->envelope.rcpt[i];

		text += strlen(rcpt->address) +
			(rcpt->orcpt ? strlen(rcpt->orcpt) : 0);
	}
	return memory_for(e->envelope.n, text, e->foreign ? e->size : 0);
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
	struct line *l = line_of(r, w->uid, w->class);

	l->jobs--;
	l->memory -= w->memory;
	r->memory[w->class] -= w->memory;
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
		note_seen(r, w->entry->name);
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

/* Two thirds of what the others leave is the most that one user gets, so that
 * there is always some for the next one. */
static bool has_room(const struct runner *r, const struct line *l, size_t more)
{
	const size_t most = classes[l->class].together;
	const size_t held = r->memory[l->class], others = held - l->memory;
	const size_t jobs = dispatcher_jobs(r->x);

	if (!jobs)
		return true;
	if (jobs >= r->room ||
	    (l->jobs && l->jobs >= (r->room - (jobs - l->jobs)) / 3 * 2))
		return false;
	if (!held)
		return true;
	if (others >= most)
		return false;
	return l->memory + more <= (most - others) / 3 * 2 ||
	       (!l->jobs && held + more <= most);
}

/* The next of a line comes last in it. */
static void line_turn(struct line *l)
{
	char *name = l->name[l->at];

	memmove(&l->name[l->at], &l->name[l->at + 1],
		(l->n - l->at - 1) * sizeof(*l->name));
	l->name[l->n - 1] = name;
}

/* False: there is no room for it now. What may be large is not even read
 * then. */
static bool take(struct runner *r, struct line *l, const char *name)
{
	struct work *w;
	struct entry *e;
	struct outcome why;
	struct glance g;
	bool made;

	if (l->class && !l->need && queue_glance(r->q, name, &g)) {
		l->need = memory_seen(&g);
		if (!has_room(r, l, l->need))
			return false;
	}
	if (!queue_take(r->q, name, &e, &why)) {
		note_seen(r, name);
		if (why.exit == EX_TEMPFAIL)
			note_busy(r, name);
		else if (why.exit != EX_NOINPUT && why.exit != EX_DATAERR)
			log_say(LOG_AT_ERROR, "%s", why.text);
		return true;
	}
	if (!has_room(r, l, memory_of(e))) {
		l->need = memory_of(e);
		entry_release(e);
		return false;
	}
	w = mem_alloc(sizeof(*w));
	w->entry = e;
	w->uid = l->uid;
	w->class = l->class;
	w->memory = memory_of(e);
	w->before = stand_of(e);
	w->regular = e->next > (int64_t)time(NULL) ? e->next : 0;
	l->memory += w->memory;
	l->jobs++;
	r->memory[l->class] += w->memory;
	made = make_job(r, e, &w->job, &why);
	/* what is in hand may have taken the room for its file, which is
	 * written as seldom as one looks for new mail; those behind it may
	 * need none */
	if (!made && why.exit == EX_IOERR && dispatcher_jobs(r->x)) {
		let_work_go(r, w);
		line_turn(l);
		l->need = 0;
		l->pause = clock_in(LOOK_MS);
		return false;
	}
	note_seen(r, name);
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
	return true;
}

static bool line_pauses(const struct runner *r, const struct line *l)
{
	return l->pause && dispatcher_jobs(r->x) && clock_left(l->pause);
}

/* Users in turn, each his next one; a user whose next one has no room now
 * waits for his own to end. What an earlier run left to be told is told here,
 * which takes its time as in settle_all. Gives whether more may be left. */
static bool take_all(struct runner *r)
{
	const int64_t until = clock_in(LOOK_MS);
	size_t idle = 0;
	struct line *l;

	while (idle < r->lines && !r->ending) {
		if (!clock_left(until))
			return true;
		l = &r->line[r->turn++ % r->lines];
		if (l->at == l->n || line_pauses(r, l) ||
		    !has_room(r, l, l->need ? l->need : MEMORY_ENTRY) ||
		    !take(r, l, l->name[l->at])) {
			idle++;
			continue;
		}
		free(l->name[l->at++]);
		l->need = 0;
		idle = 0;
	}
	return false;
}

/* --- the run --- */

static bool anything_due(const struct runner *r)
{
	size_t i;

	for (i = 0; i < r->lines; i++)
		if (r->line[i].at < r->line[i].n)
			return true;
	return false;
}

/* Looks for new mail where the directory has changed; as seldom as it takes
 * for the looking to stay a small part of the work. */
struct watchman {
	struct queue_state state;
	int64_t next;             /* monotonic ms */
	int64_t turn;             /* when what was put off is looked for */
};

/* Whether a rate put mail off for so short a time that this run is still there
 * to send it: else a rate would be used only when somebody starts one. Where
 * every caller has a run of his own, one of them stays for all. */
static bool waits_for_turn(struct runner *r)
{
	const int64_t now = clock_now(), left = r->settler.put_off - now;
	int64_t until, others;

	if (r->ending || (r->selection && r->selection->field) ||
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
		forget_busy(r);
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

/* Selected by hand: those, and then reports alone. */
static bool runs_on(struct runner *r)
{
	if (!r->selection || !r->selection->field)
		return true;
	if (!r->settler.reported)
		return false;
	r->selection = NULL;
	return true;
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
					  !anything_due(r), why);
		if (!dispatcher_jobs(r->x) && !waits_for_turn(r) &&
		    (r->ending || !anything_due(r)) && !tells_more(r))
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
	r->room = descriptors();
	r->signals = catch_signals();
	r->x = dispatcher_new(&r->run);
	queue_sweep(r->q);
	done = work_off(r, why);
	if (done && dispatcher_lacked(r->x))
		done = outcome_fail(why, STAGE_LOCAL, EX_OSERR,
				    "a worker could not be made");
	dispatcher_free(r->x);
	lines_empty(r);
	free(r->line);
	free(r->seen);
	free(r->busy);
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
	/* a sender's --transport is for his message, not for all that is due */
	if (!tends)
		r.run.transport[0] = NULL;
	if (r.run.watch)
		r.run.watch = &desk_watch_queue_lines;
	else if (isatty(STDERR_FILENO))
		r.run.watch = &desk_watch_queue;
	r.settler = (struct settler){ .config = d->config, .queue = r.q };
	done = run_queue(&r, s, &why);
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
	const struct log_settings settings = {
		.to = d->config->log.to,
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
		err = kernel_duplicate(null, STDERR_FILENO);
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
