/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A worker process per destination (several where one has many messages):
 * the straight line stays straight, and a crash stays small. Outcomes come
 * back by a pipe, a fixed record each; successes at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"
#include "submit/deliver_parts.h"

/* Messages that justify a connection of their own. */
enum { MESSAGES_A_CONNECTION = 50 };

struct report {
	size_t part, i;
	struct outcome outcome;
};

struct worker {
	struct share share;
	pid_t pid;
	int fd;                /* its pipe; -1: not running */
	struct buf in;         /* of a report not yet whole */
};

struct pool {
	struct run *run;
	struct destination *d;
	size_t destinations;
	size_t *load;          /* workers that run for each of them */
	size_t busy;           /* destinations with any */
	size_t running;        /* workers */
	struct worker *w;
	size_t n;
};

/* --- the child's side --- */

static void tell(int fd, size_t part, size_t i, const struct outcome *o)
{
	struct report r;
	const char *p = (const char *)&r;
	size_t left = sizeof(r);
	ssize_t n;

	memset(&r, 0, sizeof(r));
	r.part = part;
	r.i = i;
	r.outcome = *o;
	while (left) {
		n = write(fd, p, left);
		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			p += n;
			left -= (size_t)n;
		}
	}
}

struct channel {
	int fd;
	struct share *share;
};

static void tell_success(void *context, size_t part, size_t i)
{
	const struct channel *c = context;

	tell(c->fd, part, i, &c->share->d->part[part].outcome[i]);
}

/* Whether all that was recorded in journals is there, and synced. */
static bool all_recorded(const struct share *share)
{
	size_t i;

	for (i = share->first; i < share->last; i++) {
		const struct entry *e = share->d->part[i].job->entry;

		if (e && e->broken)
			return false;
	}
	return true;
}

static _Noreturn void work(struct run *run, struct share *share, int fd)
{
	struct channel channel = { fd, share };
	const struct witness witness = { tell_success, &channel };
	const struct destination *d = share->d;
	size_t i, j;

	/* questions of the parent's resolver channel are not ours */
	run->dns = NULL;
	serve(run, share, &witness);
	for (i = share->first; i < share->last; i++)
		for (j = 0; j < d->part[i].n; j++)
			if (!d->part[i].settled[j])
				tell(fd, i, j, &d->part[i].outcome[j]);
	process_leave(all_recorded(share) ? EX_OK : EX_IOERR);
}

/* --- the parent's side --- */

static void count(struct pool *pool, const struct worker *w, int change)
{
	size_t *load = &pool->load[w->share.d - pool->d];

	pool->busy -= *load > 0;
	*load += (size_t)change;
	pool->busy += *load > 0;
	pool->running += (size_t)change;
}

/* What stands where a worker ends without a word. */
static void presume(struct share *share)
{
	size_t i, j;

	for (i = share->first; i < share->last; i++) {
		struct part *p = &share->d->part[i];

		for (j = 0; j < p->n; j++) {
			outcome_fail(&p->outcome[j], STAGE_LOCAL, EX_TEMPFAIL,
				     "the process that delivered it ended "
				     "early");
			p->outcome[j].in_doubt = true;
		}
	}
}

static void start(struct pool *pool, struct worker *w)
{
	struct outcome why;
	int fds[2];
	size_t i, j;

	presume(&w->share);
	w->in = BUF(sizeof(struct report));
	if (pipe2(fds, O_CLOEXEC)) {
		outcome_fail(&why, STAGE_LOCAL, EX_OSERR, "pipe: %s",
			     strerror(errno));
	} else {
		w->pid = fork();
		if (w->pid == 0) {
			close(fds[0]);
			work(pool->run, &w->share, fds[1]);
		}
		close(fds[1]);
		if (w->pid > 0) {
			w->fd = fds[0];
			count(pool, w, 1);
			return;
		}
		close(fds[0]);
		outcome_fail(&why, STAGE_LOCAL, EX_OSERR, "fork: %s",
			     strerror(errno));
	}
	for (i = w->share.first; i < w->share.last; i++)
		for (j = 0; j < w->share.d->part[i].n; j++)
			w->share.d->part[i].outcome[j] = why;
}

static void take_report(struct worker *w)
{
	struct report r;
	struct part *p;

	memcpy(&r, w->in.data, sizeof(r));
	buf_reset(&w->in);
	if (r.part < w->share.first || r.part >= w->share.last)
		return;
	p = &w->share.d->part[r.part];
	if (r.i < p->n)
		p->outcome[r.i] = r.outcome;
}

/* The worker has ended: what it recorded stands in the journal, synced if it
 * ended well. Else that is made up for here and now, lest another worker
 * that has the same entry and ends well vouch for both. */
static bool take_over(struct part *p, bool well, struct outcome *why)
{
	struct entry *e = p->job->entry;

	if (!entry_reload(e, why))
		return false;
	if (well)
		entry_synced(e);
	return entry_end(e, p->rcpt, p->n, why) && entry_sync(e, why);
}

/* Without a journal nobody but us can tell that a dead worker may have
 * delivered. */
static void log_presumed(const struct pool *pool, const struct part *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->outcome[i].in_doubt &&
		    p->outcome[i].stage == STAGE_LOCAL)
			log_attempt(pool->run, p, i);
}

static void finish(struct pool *pool, struct worker *w)
{
	struct outcome why;
	size_t i;
	int status = -1;

	count(pool, w, -1);
	close(w->fd);
	w->fd = -1;
	buf_release(&w->in);
	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	for (i = w->share.first; i < w->share.last; i++) {
		struct part *p = &w->share.d->part[i];

		if (!p->job->entry)
			log_presumed(pool, p);
		else if (!take_over(p, status == 0, &why))
			log_say(LOG_AT_ERROR, "%s: %s", p->job->id, why.text);
	}
}

static void hear(struct pool *pool, struct worker *w)
{
	size_t want = sizeof(struct report) - w->in.len;
	char *room = buf_room(&w->in, want);
	ssize_t n = read(w->fd, room, want);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		finish(pool, w);
		return;
	}
	w->in.len += (size_t)n;
	if (w->in.len == sizeof(struct report))
		take_report(w);
}

/* Only those that run: poll(2) takes no more than there may be descriptors,
 * and there may be far more destinations. */
static void await(struct pool *pool)
{
	struct pollfd *fds = mem_alloc(pool->running * sizeof(*fds));
	struct worker **w = mem_alloc(pool->running * sizeof(*w));
	size_t i, n = 0;

	for (i = 0; i < pool->n; i++) {
		if (pool->w[i].fd < 0)
			continue;
		fds[n] = (struct pollfd){ .fd = pool->w[i].fd,
					  .events = POLLIN };
		w[n++] = &pool->w[i];
	}
	if (poll(fds, n, -1) > 0)
		for (i = 0; i < n; i++)
			if (fds[i].revents)
				hear(pool, w[i]);
	free(w);
	free(fds);
}

static size_t shares_of(const struct run *run, const struct destination *d)
{
	size_t most = (size_t)run->config->queue.connections;
	size_t n = (d->n + MESSAGES_A_CONNECTION - 1) / MESSAGES_A_CONNECTION;

	return n > most ? most : n ? n : 1;
}

/* Cuts every destination into as many equal shares as it gets workers. */
static void plan_workers(struct pool *pool)
{
	size_t i, j, k;

	for (i = 0; i < pool->destinations; i++)
		pool->n += shares_of(pool->run, &pool->d[i]);
	pool->w = mem_alloc(pool->n * sizeof(*pool->w));
	for (i = 0, k = 0; i < pool->destinations; i++) {
		struct destination *d = &pool->d[i];
		size_t shares = shares_of(pool->run, d);

		for (j = 0; j < shares; j++, k++) {
			pool->w[k].share = (struct share){
				d, d->n * j / shares, d->n * (j + 1) / shares,
			};
			pool->w[k].fd = -1;
		}
	}
}

void serve_in_workers(struct run *run, struct destination *d, size_t n)
{
	struct pool pool = { .run = run, .d = d, .destinations = n };
	size_t most = (size_t)run->config->queue.concurrency;
	size_t next = 0;

	pool.load = mem_alloc(n * sizeof(*pool.load));
	plan_workers(&pool);
	while (next < pool.n || pool.running) {
		while (next < pool.n && (pool.busy < most ||
					 pool.load[pool.w[next].share.d - d]))
			start(&pool, &pool.w[next++]);
		if (pool.running)
			await(&pool);
	}
	free(pool.load);
	free(pool.w);
}
