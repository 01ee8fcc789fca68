/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "desk/alarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/user.h"
#include "mail/address.h"
#include "policy/policy.h"

/* What an alarm has in place of a report's cause; no entry's id is so short. */
static const char alarm_cause[] = "alarm";

enum {
	PLACES_MOST = 50,         /* that are named in a message */
	DAY = 24 * 60 * 60,
	LOOK_AGAIN = 15 * 60,     /* s: all entries are opened */
	MESSAGE_MOST = 256 * 1024
};

/* Where mail stands still: a way, and for direct ones a domain. */
struct standstill {
	char *name;
	size_t messages, recipients;
	int64_t since;            /* of the oldest, wall clock */
	char words[1024];         /* of it */
	bool counted;             /* the entry at hand */
};

struct alarm_look {
	const struct config *config;
	int64_t now;
	struct standstill *place;
	size_t n;
	const struct transport **still; /* NULL ends them */
	size_t ways;
	size_t messages, more;    /* of places that are not named */
	int64_t since;
	int64_t next;             /* when one more stands still; 0: none */
	bool told;                /* an alarm is still on its way */
};

/* --- looking --- */

static const struct account *account_of(const struct config *c,
					const struct entry *e)
{
	const struct account *a;
	struct outcome ignored;
	struct user user;

	if (!e->foreign)
		return e->envelope.account ?
		       config_account(c, e->envelope.account) : NULL;
	if (!user_find(e->uid, &user, &ignored))
		return NULL;
	a = policy_account(c, user.name ? user.name : "", e->envelope.sender);
	user_release(&user);
	return a;
}

static void note_way(struct alarm_look *l, const struct transport *t)
{
	size_t i;

	for (i = 0; i < l->ways; i++)
		if (l->still[i] == t)
			return;
	l->still = mem_resize(l->still, l->ways + 2, sizeof(*l->still));
	l->still[l->ways++] = t;
	l->still[l->ways] = NULL;
}

/* The way that its last attempt took. */
static char *way_name(struct alarm_look *l, const struct entry *e,
		      const struct account *account,
		      const struct recipient *r)
{
	const struct transport *own[2] = { e->envelope.transport ?
		config_transport(l->config, e->envelope.transport) : NULL };
	const struct transport *const *way = policy_transports(
		l->config, own, account, e->envelope.sender, r->address,
		r->attempts ? r->attempts - 1 : 0, NULL);
	struct buf name = BUF(4096);
	bool direct = false;

	for (; *way; way++) {
		note_way(l, *way);
		direct = direct || transport_is_direct(*way);
		buf_addf(&name, "%s%s", name.len ? ", " : "", (*way)->name);
	}
	if (direct)
		buf_addf(&name, " to %s", address_domain(r->address));
	return buf_take(&name);
}

static void note_recipient(struct alarm_look *l, const struct entry *e,
			   const struct account *account,
			   const struct recipient *r)
{
	char *name = way_name(l, e, account, r);
	struct standstill *p;

	for (p = l->place; p < l->place + l->n; p++)
		if (!strcmp(p->name, name))
			break;
	if (p == l->place + l->n && l->n == PLACES_MOST) {
		l->more++;
		free(name);
		return;
	}
	if (p == l->place + l->n) {
		l->place = mem_grow(l->place, l->n, sizeof(*l->place));
		p = &l->place[l->n++];
		*p = (struct standstill){ .name = name, .since = INT64_MAX };
		name = NULL;
	}
	free(name);
	/* ids tell the order of arrival, but not where a clock was set */
	if (e->queued < p->since) {
		p->since = e->queued;
		outcome_words(&r->last, p->words, sizeof(p->words));
	}
	p->recipients++;
	p->messages += !p->counted;
	p->counted = true;
}

static bool look_at_entry(const struct entry *e, void *context)
{
	struct alarm_look *l = context;
	struct still_facts f = {
		.held = e->held, .report = e->cause, .pending = e->pending,
		.queued = e->queued,
	};
	const struct recipient *r = e->envelope.rcpt;
	const struct account *account;
	int64_t from;
	bool limited;
	size_t i;

	if (e->cause && !strcmp(e->cause, alarm_cause) && e->pending)
		l->told = true;
	for (i = 0; i < e->envelope.n; i++)
		f.limited += r[i].state == RCPT_PENDING && r[i].last.not_before;
	from = policy_still_from(l->config, &f);
	if (from > l->now && (!l->next || from < l->next))
		l->next = from;
	if (!from || from > l->now)
		return true;
	l->messages++;
	if (!l->since || e->queued < l->since)
		l->since = e->queued;
	account = account_of(l->config, e);
	for (i = 0; i < l->n; i++)
		l->place[i].counted = false;
	f.pending = f.limited;
	from = policy_still_from(l->config, &f);
	limited = from && from <= l->now;
	for (i = 0; i < e->envelope.n; i++)
		if (r[i].state == RCPT_PENDING &&
		    (limited || !r[i].last.not_before))
			note_recipient(l, e, account, &r[i]);
	return true;
}

static void look_release(struct alarm_look *l)
{
	while (l->n)
		free(l->place[--l->n].name);
	free(l->place);
	free(l->still);
}

/* --- saying it --- */

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void add_places(struct buf *out, const struct alarm_look *l)
{
	char date[CLOCK_DATE_SIZE], *words;
	const struct standstill *p;

	for (p = l->place; p < l->place + l->n; p++) {
		clock_date((time_t)p->since, date);
		words = text_clean(p->name);
		buf_addf(out, "By %s: %zu message%s to %zu recipient%s, the "
			 "oldest since\n%s:\n", words, p->messages,
			 plural(p->messages), p->recipients,
			 plural(p->recipients), date);
		free(words);
		words = text_clean(p->words[0] ? p->words :
				   "nothing is known of an attempt");
		desk_wrap(out, "    ", words);
		buf_addc(out, '\n');
		free(words);
	}
	if (l->more)
		buf_addf(out, "And %zu recipient%s more, elsewhere.\n\n",
			 l->more, plural(l->more));
}

static void add_text(struct buf *out, const struct alarm_look *l,
		     const char *id)
{
	const struct config *c = l->config;
	const long long hours = (l->now - l->since) / 3600;
	char date[CLOCK_DATE_SIZE];

	clock_date((time_t)l->now, date);
	buf_addf(out, "From: Mail Delivery System <%s>\nTo: <%s>\n"
		 "Subject: Mail stands still on %s: %zu message%s\n"
		 "Date: %s\nMessage-ID: <%s@%s>\n"
		 "Auto-Submitted: auto-generated\nMIME-Version: 1.0\n"
		 "Content-Type: text/plain; charset=utf-8\n"
		 "Content-Transfer-Encoding: 8bit\n\n",
		 c->queue.postmaster, c->queue.postmaster,
		 c->general.hostname, l->messages, plural(l->messages), date,
		 id, c->general.hostname);
	buf_addf(out, "%zu message%s in the queue of %s (%s)\n"
		 "%s waited for too long, the oldest for ", l->messages,
		 plural(l->messages), c->general.hostname, c->queue.directory,
		 l->messages == 1 ? "has" : "have");
	if (hours)
		buf_addf(out, "%lld hour%s.\n\n", hours,
			 plural((size_t)hours));
	else
		buf_addf(out, "%lld seconds.\n\n",
			 (long long)(l->now - l->since));
	add_places(out, l);
	buf_adds(out, "What waits:               mailq\n"
		 "Whether all else is well: posthaste --health\n"
		 "One message:              posthaste --show ID\n"
		 "Once the cause is mended: posthaste --retry ALL; "
		 "posthaste -q\n"
		 "Not to be sent:           posthaste --hold ID, or "
		 "--remove ID\n\n"
		 "The mail is still being tried. You are told of it once a day "
		 "at most;\nalarm_after in [queue] says after how long, 0 for "
		 "never.\n");
}

/* One way for all of them, else the routes'. */
static void alarm_way(const struct alarm_look *l,
		      const struct account *account, struct envelope *e)
{
	static const struct transport *const none[1];
	const struct transport *t = NULL, *other;
	size_t i;

	for (i = 0; i < e->n; i++) {
		other = policy_alarm_way(l->config, account,
					 e->rcpt[i].address,
					 l->still ? l->still : none);
		if (i && other != t)
			return;
		t = other;
	}
	if (t)
		e->transport = mem_string(t->name);
}

static bool queue_it(const struct desk *d, struct queue *q,
		     const struct alarm_look *l, int64_t when, bool *queued,
		     struct outcome *why)
{
	char id[QUEUE_ID_SIZE], *operand[1] = { d->config->queue.postmaster };
	struct caller caller = { .uid = d->caller->uid };
	struct request request = {
		.caller = &caller, .sender = "<>", .operand = operand,
		.operands = 1, .notify = NOTIFY_NEVER,
	};
	struct envelope e = { 0 };
	struct queue_item item = {
		.id = id, .cause = alarm_cause, .envelope = &e,
		.uid = caller.uid,
	};
	struct buf text = BUF(MESSAGE_MOST);
	const struct account *account;
	bool done;

	snprintf(id, sizeof(id), "alarm-%lld", (long long)when);
	add_text(&text, l, id);
	done = message_from_text(buf_text(&text), text.len, &item.message,
				 why) &&
	       compose(d->config, &request, &item.message, &e, &account, why);
	/* aliases may discard it, which is somebody's wish */
	*queued = done && e.n;
	if (*queued) {
		/* whatever force_from says, nobody answers it */
		free(e.sender);
		e.sender = mem_string("");
		alarm_way(l, account, &e);
		done = queue_add(q, &item, id, why);
	}
	message_free(item.message);
	envelope_release(&e);
	caller_release(&caller);
	buf_release(&text);
	return done;
}

/* What a crash came between is made again as it was. */
static bool tell_postmaster(const struct desk *d, struct queue *q,
			    const struct alarm_look *l,
			    struct last_alarm *last, bool *queued,
			    struct outcome *why)
{
	if (last->queued || policy_alarm_due(d->config, last->when, l->now))
		last->when = l->now;
	last->queued = false;
	if (!queue_note_alarm(last, why) ||
	    !queue_it(d, q, l, last->when, queued, why))
		return false;
	last->queued = true;
	log_say(LOG_AT_ERROR, "mail stands still: %zu message%s, the oldest "
		"for %lld s; the postmaster is %stold", l->messages,
		plural(l->messages), (long long)(l->now - l->since),
		*queued ? "" : "not ");
	return queue_note_alarm(last, why);
}

bool alarm_raise(const struct desk *d, struct queue *q, int64_t from)
{
	struct alarm_look l = {
		.config = d->config, .now = (int64_t)time(NULL),
	};
	struct last_alarm last;
	struct outcome why;
	bool done = true, queued = false;
	int64_t look;

	/* none yet and none to note; or another run is at it */
	if (!d->config->queue.alarm_after ||
	    !queue_last_alarm(q, from, &last, &why))
		return false;
	look = last.look && (!from || last.look < from) ? last.look : from;
	if (last.queued && !policy_alarm_due(d->config, last.when, l.now)) {
		/* whatever there is, it is told tomorrow */
		if (look && look < last.when + DAY)
			look = last.when + DAY;
	} else if (look && look <= l.now) {
		done = queue_list(q, look_at_entry, &l, &why);
		/* one that is on its way says it */
		if (done && l.told)
			last = (struct last_alarm){ last.fd, l.now, true, 0 };
		else if (done && l.messages)
			done = tell_postmaster(d, q, &l, &last, &queued, &why);
		look = l.messages ? l.now + DAY : l.next;
		if (look && look < l.now + LOOK_AGAIN)
			look = l.now + LOOK_AGAIN;
	}
	if (done && look != last.look) {
		last.look = look;
		done = queue_note_alarm(&last, &why);
	}
	if (!done)
		log_say(LOG_AT_ERROR, "mail stands still, and the postmaster "
			"cannot be told: %s", why.text);
	queue_end_alarm(&last);
	look_release(&l);
	return queued;
}
