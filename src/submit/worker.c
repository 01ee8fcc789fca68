/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A process that serves a share of a destination: the straight line stays
 * straight, and a crash stays small. Outcomes come back by a line, a fixed
 * record for recipients that have the same; successes, and what is wrong with
 * a transport, at once. The other way goes one byte, which asks it to stop
 * after the message in hand.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "submit/confine.h"
#include "submit/serve.h"
#include "submit/worker.h"

enum news {
	NEWS_ANSWER,           /* to recipients i to i + n - 1 of a part */
	NEWS_UNTRIED,          /* a part is handed back; the rest is empty */
	NEWS_FAULT,            /* of a transport, which is to be logged */
	NEWS_REFUSED           /* its login was, by all of its hosts */
};

struct report {
	enum news kind;
	size_t part, i, n;
	size_t way;            /* the transport, by its place there */
	struct outcome outcome;
};

/* On the line it is a length, what comes before the two strings that an
 * outcome ends with, and those, each with its NUL. */
enum {
	REPORT_FIXED = offsetof(struct report, outcome) +
		       offsetof(struct outcome, host),
	REPORT_MOST = sizeof(uint16_t) + sizeof(struct report),
	CHANNEL_ROOM = 32 * 1024
};

_Static_assert(offsetof(struct outcome, text) > offsetof(struct outcome, host),
	       "the strings come last");

/* --- the child's side --- */

struct channel {
	int fd;
	const struct destination *d;
	struct buf out;        /* reports that were not sent yet */
};

static void channel_flush(struct channel *c)
{
	const char *p = c->out.data;
	size_t left = c->out.len;
	ssize_t n;

	while (left) {
		n = send(c->fd, p, left, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0) {
			p += n;
			left -= (size_t)n;
		}
	}
	buf_reset(&c->out);
}

static void channel_add(struct channel *c, const struct report *r)
{
	const size_t host = strlen(r->outcome.host) + 1;
	const size_t text = strlen(r->outcome.text) + 1;
	const uint16_t length = (uint16_t)(REPORT_FIXED + host + text);

	if (c->out.max - c->out.len <= REPORT_MOST)
		channel_flush(c);
	buf_add(&c->out, &length, sizeof(length));
	buf_add(&c->out, r, REPORT_FIXED);
	buf_add(&c->out, r->outcome.host, host);
	buf_add(&c->out, r->outcome.text, text);
}

/* What was not told of a part: of what is recorded, or all of it. */
static void tell_part(struct channel *c, size_t part, bool recorded)
{
	const struct part *p = &c->d->part[part];
	struct report r;
	size_t i;

	memset(&r, 0, sizeof(r));
	r.part = part;
	for (i = 0; i < p->n; i++) {
		struct attempt *a = &p->to[i];

		if (a->told || (recorded && !a->recorded))
			continue;
		a->told = true;
		if (r.n && r.i + r.n == i &&
		    !memcmp(&r.outcome, &a->rcpt->last, sizeof(r.outcome))) {
			r.n++;
			continue;
		}
		if (r.n)
			channel_add(c, &r);
		r.i = i;
		r.n = 1;
		r.outcome = a->rcpt->last;
	}
	if (r.n)
		channel_add(c, &r);
}

static void tell_success(void *context, size_t part)
{
	tell_part(context, part, true);
	channel_flush(context);
}

static void tell_of_way(struct channel *c, enum news kind, size_t way,
			const struct outcome *o)
{
	struct report r;

	memset(&r, 0, sizeof(r));
	r.kind = kind;
	r.way = way;
	r.outcome = *o;
	channel_add(c, &r);
	channel_flush(c);
}

static void tell_fault(void *context, size_t way, const struct outcome *o)
{
	tell_of_way(context, NEWS_FAULT, way, o);
}

static void tell_refused(void *context, size_t way, const struct outcome *o)
{
	tell_of_way(context, NEWS_REFUSED, way, o);
}

static bool is_asked(void *context)
{
	const struct channel *c = context;
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	char byte;

	return poll(&p, 1, 0) > 0 && p.revents & POLLIN &&
	       recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static _Noreturn void work(struct run *run, struct destination *d, int fd)
{
	struct channel channel = {
		fd, d, BUF(CHANNEL_ROOM),
	};
	const struct witness witness = {
		.success = tell_success, .enough = is_asked,
		.fault = tell_fault, .refused = tell_refused,
		.context = &channel,
	};
	struct share all = { d, 0, d->n };
	bool recorded = true;
	struct report untried;
	sigset_t none;
	size_t i;

	/* whoever supervises us keeps signals for later; we go at once */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* questions of the parent's resolver channel are not ours */
	run->dns = NULL;
	confine(run, d, fd);
	parts_open(d);
	serve(run, &all, &witness);
	memset(&untried, 0, sizeof(untried));
	untried.kind = NEWS_UNTRIED;
	for (i = 0; i < d->n; i++) {
		const struct part *p = &d->part[i];

		untried.part = i;
		if (!p->touched)
			channel_add(&channel, &untried);
		else
			tell_part(&channel, i, false);
		if (p->job->entry && p->job->entry->broken)
			recorded = false;
	}
	channel_flush(&channel);
	secrets_free(run->secrets);
	/* whether all that belongs into journals is there, and synced */
	process_leave(recorded ? EX_OK : EX_IOERR);
}

/* --- the parent's side --- */

bool worker_start(struct worker *w, struct run *run, struct outcome *why)
{
	struct attempt *a;
	struct part *p;
	int fds[2];

	for (p = w->d.part; p < w->d.part + w->d.n; p++) {
		p->untried = false;
		for (a = p->to; a < p->to + p->n; a++) {
			a->before = a->rcpt->attempts;
			if (p->job->entry)
				continue;
			serve_doubt();
			/* what stands where it ends without a word */
			outcome_fail(&a->rcpt->last, STAGE_LOCAL, EX_TEMPFAIL,
				     "the process that delivered it ended "
				     "early");
			a->rcpt->last.in_doubt = true;
		}
	}
	w->in = BUF(CHANNEL_ROOM);
	/* so much at once makes glibc's malloc put its free pieces in order, in
	 * this process once instead of in every one that is forked */
	buf_room(&w->in, w->in.max - 1);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return outcome_fail(why, STAGE_LOCAL, EX_OSERR,
				    "no worker could be made: socketpair: %s",
				    strerror(errno));
	confine_prepare(run, &w->d);
	w->pid = fork();
	if (w->pid == 0) {
		close(fds[0]);
		work(run, &w->d, fds[1]);
	}
	if (w->pid < 0) {
		outcome_fail(why, STAGE_LOCAL, EX_OSERR, "no worker could be "
			     "made: fork: %s", strerror(errno));
		close(fds[0]);
		close(fds[1]);
		return false;
	}
	close(fds[1]);
	w->fd = fds[0];
	w->since = clock_now();
	return true;
}

/* Takes one out of what was read; gives its length, 0 where it is not whole
 * yet. */
static size_t report_read(const char *data, size_t n, struct report *r)
{
	const char *end, *host, *text;
	uint16_t length;

	if (n < sizeof(length))
		return 0;
	memcpy(&length, data, sizeof(length));
	data += sizeof(length);
	if (n < sizeof(length) + length)
		return 0;
	*r = (struct report){ 0 };
	end = data + length;
	host = data + REPORT_FIXED;
	text = length > REPORT_FIXED ?
	       memchr(host, '\0', (size_t)(end - host)) : NULL;
	if (text && end[-1] == '\0') {
		memcpy(r, data, REPORT_FIXED);
		r->outcome.status[sizeof(r->outcome.status) - 1] = '\0';
		snprintf(r->outcome.host, sizeof(r->outcome.host), "%s", host);
		snprintf(r->outcome.text, sizeof(r->outcome.text), "%s",
			 text + 1 < end ? text + 1 : "");
	}
	return sizeof(length) + length;
}

/* About one of its own transports, whatever it says. */
static void take_news(const struct worker *w, struct run *run,
		      const struct report *r)
{
	const struct transport *const *way = w->d.way;
	size_t i = 0;

	while (way[i] && i < r->way)
		i++;
	if (!way[i])
		return;
	if (r->kind == NEWS_FAULT)
		log_fault_once(run, way[i], &r->outcome);
	else
		secrets_refuse(run->secrets, way[i], &r->outcome);
}

static void take_report(struct worker *w, struct run *run,
			const struct report *r)
{
	struct part *p;
	size_t i;

	if (r->kind == NEWS_FAULT || r->kind == NEWS_REFUSED) {
		take_news(w, run, r);
		return;
	}
	if (r->part >= w->d.n)
		return;
	p = &w->d.part[r->part];
	if (r->kind == NEWS_UNTRIED)
		p->untried = true;
	for (i = r->i; i < p->n && i - r->i < r->n; i++) {
		struct attempt *a = &p->to[i];

		if (p->job->entry)
			entry_note(p->job->entry, place_of(p, a), &r->outcome,
				   policy_verdict(&r->outcome, run->queue),
				   a->before +
				   (policy_is_attempt(&r->outcome) ? 1 : 0));
		else
			a->rcpt->last = r->outcome;
	}
}

/* The recipients of a part that a dead worker left as they were, as a part of
 * their own. */
static void find_unrecorded(const struct part *p, struct part *left)
{
	const struct attempt *a;

	*left = (struct part){ .job = p->job };
	left->to = mem_alloc(p->n * sizeof(*left->to));
	for (a = p->to; a < p->to + p->n; a++)
		if (a->rcpt->state == RCPT_PENDING &&
		    a->rcpt->attempts <= a->before &&
		    policy_is_attempt(&a->rcpt->last))
			left->to[left->n++] = *a;
}

/* Their attempt failed, lest an entry that kills its worker do so for ever.
 * Where we ended it and it had got somewhere, what it had not begun is handed
 * back; where it had not, all of it has had its time. */
static void fail_unrecorded(const struct worker *w, const struct run *run,
			    int status)
{
	struct outcome why;
	struct part left;
	bool moved = false;
	size_t i;

	for (i = 0; i < w->d.n; i++) {
		find_unrecorded(&w->d.part[i], &left);
		moved = moved || left.n < w->d.part[i].n;
		part_release(&left);
	}
	if (w->ended)
		outcome_fail(&why, STAGE_CONNECT, EX_TEMPFAIL, "cut off after "
			     "%lld s, without which other mail would wait",
			     (long long)(clock_now() - w->since) / 1000);
	else
		outcome_fail(&why, STAGE_LOCAL, EX_OSERR, "the worker that "
			     "was to deliver it ended early (%s %d)",
			     WIFSIGNALED(status) ? "signal" : "status",
			     WIFSIGNALED(status) ? WTERMSIG(status) :
			     WEXITSTATUS(status));
	for (i = 0; i < w->d.n; i++) {
		struct part *p = &w->d.part[i];

		find_unrecorded(p, &left);
		if (w->ended && moved && left.n == p->n)
			p->untried = true;
		else if (left.n && p->job->entry && !p->untried)
			part_fail(run, &left, &why);
		part_release(&left);
	}
}

/* It has ended: what it recorded stands in the journal, synced if it ended
 * well. Else the journal is read again, and made up for here and now, lest
 * another worker that has the same entry and ends well vouch for both. */
static void take_journal(struct part *p, int status)
{
	struct entry *e = p->job->entry;
	struct outcome why;
	size_t *place;

	if (status == 0) {
		entry_synced(e);
		return;
	}
	place = part_places(p);
	if (!entry_reload(e, &why) || !entry_end(e, place, p->n, &why) ||
	    !entry_sync(e, &why))
		log_say(LOG_AT_ERROR, "%s: %s", p->job->id, why.text);
	free(place);
}

static void worker_over(struct worker *w, const struct run *run)
{
	const struct attempt *a;
	struct part *p;
	int status = -1;

	close(w->fd);
	w->fd = -1;
	buf_release(&w->in);
	/* one that ends has an end already; one that hangs up and stays, or
	 * says what is no report, is not what it was */
	kill(w->pid, SIGKILL);
	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	for (p = w->d.part; p < w->d.part + w->d.n; p++) {
		if (p->untried)
			continue;
		if (p->job->entry) {
			take_journal(p, status);
			continue;
		}
		/* without a journal nobody but us can tell that a dead worker
		 * may have delivered */
		for (a = p->to; a < p->to + p->n; a++)
			if (a->rcpt->last.in_doubt &&
			    a->rcpt->last.stage == STAGE_LOCAL)
				log_attempt(run, p, a);
	}
	if (status)
		fail_unrecorded(w, run, status);
}

bool worker_hear(struct worker *w, struct run *run)
{
	size_t want = w->in.max - 1 - w->in.len, at = 0, length;
	char *room = buf_room(&w->in, want);
	struct report r;
	ssize_t n = recv(w->fd, room, want, MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0) {
		worker_over(w, run);
		return false;
	}
	w->in.len += (size_t)n;
	while ((length = report_read(w->in.data + at, w->in.len - at, &r))) {
		take_report(w, run, &r);
		at += length;
	}
	buf_shift(&w->in, at);
	return true;
}

void worker_ask(struct worker *w)
{
	if (!w->asked && send(w->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
	w->asked = true;
}

void worker_end(struct worker *w)
{
	kill(w->pid, w->ended ? SIGKILL : SIGTERM);
	w->ended = true;
}
