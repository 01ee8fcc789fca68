/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The queue as a whole: opening, accepting, looking, administering. */
#include "queue/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "queue/drop.h"
#include "queue/drop_limits.h"
#include "queue/queue_parts.h"
#include "queue/format.h"
#include "queue/serve.h"

/* --- the directory --- */

enum queue_presence queue_presence(const char *directory)
{
	char *mess = mem_printf("%s/mess", directory ? directory : "");
	struct stat st;
	int error = directory && !lstat(mess, &st) ? 0 : errno;

	free(mess);
	if (!directory || error == ENOENT)
		return QUEUE_ABSENT;
	/* one that is closed to us does not show what it holds */
	return (!error || error == EACCES) && !stat(directory, &st) &&
	       st.st_uid == geteuid() ? QUEUE_OURS : QUEUE_PRESENT;
}

/* Nobody makes a queue where the machine's is at the end of a socket. */
bool queue_open(const char *directory, bool create, const char *helper,
		const char *socket, struct queue **out, struct outcome *why)
{
	struct queue *q = mem_alloc(sizeof(*q));
	struct outcome unmade;
	bool missing;

	*out = q;
	if (qdir_open(directory, false, &q->dir, why))
		return true;
	/* the helper makes none, and would only say so in its words */
	missing = access(directory, F_OK) < 0 && errno == ENOENT;
	if (socket && access(socket, W_OK) == 0) {
		q->socket = mem_string(socket);
	} else if (create && why->exit != EX_NOPERM) {
		qdir_close(&q->dir);
		if (qdir_open(directory, true, &q->dir, &unmade))
			return true;
		if (!missing || unmade.exit != EX_NOPERM)
			*why = unmade;
	}
	if (why->exit == EX_NOPERM && !missing && helper &&
	    access(helper, X_OK) == 0)
		q->helper = mem_string(helper);
	if (queue_is_remote(q))
		return true;
	queue_close(q);
	*out = NULL;
	return false;
}

void queue_close(struct queue *q)
{
	if (!q)
		return;
	qdir_close(&q->dir);
	if (q->turn)
		close(q->turn - 1);
	list_release(&q->names);
	free(q->helper);
	free(q->socket);
	free(q);
}

bool queue_is_remote(const struct queue *q)
{
	return q->helper || q->socket;
}

void queue_sweep(struct queue *q)
{
	if (!queue_is_remote(q))
		qdir_sweep(&q->dir);
}

static bool not_permitted(struct outcome *why)
{
	return outcome_fail(why, STAGE_LOCAL, EX_NOPERM,
			    "the queue's directory is not ours to read");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

bool queue_find(struct queue *q, const char *id, char name[QUEUE_NAME_SIZE])
{
	size_t n = strlen(id), low = 0, high, middle;
	struct outcome ignored;
	int order;

	if (q->selected && !q->listed) {
		list_release(&q->names);
		q->listed = qdir_names(&q->dir, &q->names, &ignored);
		if (q->names.n)
			qsort(q->names.item, q->names.n,
			      sizeof(*q->names.item), by_name);
	}
	if (!q->selected || !q->listed)
		return qdir_find(&q->dir, id, name);
	/* where "ID," would be; ids have no comma */
	high = q->names.n;
	while (low < high) {
		middle = low + (high - low) / 2;
		order = strncmp(q->names.item[middle], id, n);
		if (order < 0 || (!order && q->names.item[middle][n] < ','))
			low = middle + 1;
		else
			high = middle;
	}
	if (low == q->names.n || strncmp(q->names.item[low], id, n) != 0 ||
	    q->names.item[low][n] != ',')
		return false;
	snprintf(name, QUEUE_NAME_SIZE, "%s", q->names.item[low]);
	/* renamed since then, or gone */
	return qdir_has(&q->dir, name) || qdir_find(&q->dir, id, name);
}

/* Whether the report of this id is there. One whose cause is not settled is
 * not taken, so it still has the name that it got, or is held. */
static bool has_report(struct queue *q, const char *id)
{
	char name[QUEUE_NAME_SIZE];

	text_name(name, id, 0, false);
	if (qdir_has(&q->dir, name) || qdir_is_corrupt(&q->dir, id))
		return true;
	text_name(name, id, 0, true);
	return qdir_has(&q->dir, name) || queue_find(q, id, name);
}

/* --- accepting --- */

/* The text before and after the message. */
struct parts {
	struct buf header, journal;
};

static void parts_release(struct parts *p)
{
	buf_release(&p->header);
	buf_release(&p->journal);
}

/* What is written must be what can be read again; whoever hands over
 * something else has to know now. */
static bool parts_make(struct parts *p, const struct queue_item *item,
		       struct outcome *why)
{
	struct entry e = {
		.envelope = *item->envelope, .uid = item->uid,
		.queued = item->queued ? item->queued : time(NULL),
		.size = message_size(item->message),
	};
	const struct envelope *v = item->envelope;
	struct entry again = { 0 };
	size_t whole, i;
	bool good;

	e.cause = mem_string(item->cause);
	p->header = BUF(TEXT_HEADER_MAX);
	p->journal = BUF(TEXT_JOURNAL_MAX);
	text_header(&p->header, &e);
	for (i = 0; i < v->n; i++) {
		if (item->wait && item->wait[i])
			text_wait(&p->journal, time(NULL), item->wait[i], &i,
				  1);
		if (!v->rcpt[i].attempts && !v->rcpt[i].last.not_before &&
		    v->rcpt[i].state == RCPT_PENDING)
			continue;
		text_result(&p->journal, time(NULL), i, &v->rcpt[i]);
		if (v->rcpt[i].state == RCPT_FAILED)
			text_reported(&p->journal, time(NULL), REPORT_FAILURE,
				      &i, 1);
	}
	free(e.cause);
	good = !p->header.full && !p->journal.full &&
	       text_read_header(p->header.data, p->header.len, &again, why) &&
	       text_read_journal(buf_text(&p->journal), p->journal.len,
				 &again, &whole, why);
	text_release(&again);
	if (good)
		return true;
	parts_release(p);
	return outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
			    "the envelope cannot be queued");
}

static bool queue_add_local(struct queue *q, const struct queue_item *item,
			    const struct parts *p, char id[QUEUE_ID_SIZE],
			    struct outcome *why)
{
	const int64_t size = message_size(item->message);
	const int64_t total = size + TEXT_CHECKSUM_SIZE +
			      (int64_t)(p->header.len + p->journal.len);
	/* what another user hands to us by the socket has posthaste-drop's
	 * bounds */
	const bool bounded = !item->cause && item->uid &&
			     item->uid != q->dir.owner;
	struct buf sum = BUF(TEXT_CHECKSUM_SIZE);
	char name[QUEUE_NAME_SIZE];
	struct qdir_writer w;
	const char *data;
	int64_t offset;
	bool good;
	long n;

	if (bounded && total > DROP_ENTRY_MAX)
		return outcome_fail_status(why, STAGE_LOCAL, EX_DATAERR,
					   "5.3.4", "larger than the queue "
					   "takes");
	if (!qdir_begin(&q->dir, item->id, &w, why))
		return false;
	text_name(name, w.id, item->next, item->held);
	good = !bounded || drop_take_room(&w, total, why);
	good = good && qdir_add(&w, p->header.data, p->header.len, why);
	for (offset = 0; good && offset < size; offset += n) {
		n = message_bytes(item->message, offset, &data);
		if (n > 0) {
			good = qdir_add(&w, data, (size_t)n, why);
		} else {
			qdir_abandon(&w);
			good = outcome_fail(why, STAGE_LOCAL, EX_IOERR,
					    "cannot read the message");
		}
	}
	if (good) {
		text_checksum(&sum, w.sum);
		good = qdir_add(&w, sum.data, sum.len, why) &&
		       qdir_add(&w, buf_text(&p->journal), p->journal.len,
				 why) &&
		       qdir_commit(&w, name, why);
	}
	buf_release(&sum);
	memcpy(id, w.id, QUEUE_ID_SIZE);
	return good;
}

bool queue_add(struct queue *q, const struct queue_item *item,
	       char id[QUEUE_ID_SIZE], struct outcome *why)
{
	struct parts p;
	bool good;

	if (item->id && queue_is_remote(q))
		return not_permitted(why);
	if (item->id && has_report(q, item->id)) {
		if (id != item->id)
			snprintf(id, QUEUE_ID_SIZE, "%s", item->id);
		/* whoever put it there may not have got so far */
		return qdir_sync(&q->dir, why);
	}
	if (!parts_make(&p, item, why))
		return false;
	if (queue_is_remote(q))
		good = drop_write(q, item, &p.header, &p.journal, id,
				  why);
	else
		good = queue_add_local(q, item, &p, id, why);
	parts_release(&p);
	return good;
}

/* --- looking --- */

/* Reads an entry without a lock and keeps its file open. */
static bool look_at(struct queue *q, const char *name, struct entry *e,
		    struct outcome *why)
{
	struct stat st;
	int64_t torn;
	int fd;

	if (!qdir_look(&q->dir, name, &fd, &st, why))
		return false;
	if (entry_read(&q->dir, name, fd, &st, false, e, &torn, why))
		return true;
	close(fd);
	return false;
}

static void look_end(struct entry *e)
{
	if (e->file) {
		close(e->file->fd);
		free(e->file->message_id);
	}
	free(e->file);
	text_release(e);
}

bool queue_look(struct queue *q, const char *id, struct entry **out,
		struct outcome *why)
{
	char name[QUEUE_NAME_SIZE], found[QUEUE_ID_SIZE];
	struct entry *e;
	int64_t next;
	bool held;

	*out = NULL;
	if (queue_is_remote(q))
		return not_permitted(why);
	if (text_read_name(id, found, &next, &held))
		snprintf(name, sizeof(name), "%s", id);
	else if (!qdir_find(&q->dir, id, name))
		return outcome_fail(why, STAGE_LOCAL, EX_NOINPUT,
				    "%s: no such entry", id);
	e = mem_alloc(sizeof(*e));
	if (!look_at(q, name, e, why)) {
		free(e);
		return false;
	}
	*out = e;
	return true;
}

static bool is_selected(struct queue *q, const char *name, const char *id,
			const struct selection *s)
{
	struct outcome ignored;
	struct entry e;
	bool match;
	size_t i;

	if (s->field == 'I' || !*s->substring)
		return !strstr(id, s->substring) == s->negated;
	if (!look_at(q, name, &e, &ignored))
		return false;
	/* without case, as sendmail does it: domains have none */
	match = s->field == 'S' &&
		strcasestr(e.envelope.sender, s->substring);
	for (i = 0; s->field != 'S' && !match && i < e.envelope.n; i++)
		match = strcasestr(e.envelope.rcpt[i].address, s->substring);
	look_end(&e);
	return match != s->negated;
}

struct candidate {
	int64_t next;
	char *name;
};

static int by_time(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->next != y->next)
		return x->next < y->next ? -1 : 1;
	return strcmp(x->name, y->name);
}

bool queue_select(struct queue *q, const struct selection *s,
		  int64_t longest_wait, struct list *names,
		  struct outcome *why)
{
	int64_t now = time(NULL), next;
	struct list all = { 0 };
	struct candidate *c;
	char id[QUEUE_ID_SIZE];
	size_t i, n = 0;
	bool held;

	if (queue_is_remote(q))
		return not_permitted(why);
	list_release(&q->names);
	q->listed = false;
	q->selected = true;
	if (!qdir_names(&q->dir, &all, why)) {
		list_release(&all);
		return false;
	}
	c = mem_alloc((all.n + 1) * sizeof(*c));
	for (i = 0; i < all.n; i++) {
		if (!text_read_name(all.item[i], id, &next, &held) || held)
			continue;
		if (s && s->field ? !is_selected(q, all.item[i], id, s) :
		    next > now && (!longest_wait ||
				   next <= now + longest_wait))
			continue;
		c[n++] = (struct candidate){ next, all.item[i] };
		all.item[i] = NULL;
	}
	if (n)
		qsort(c, n, sizeof(*c), by_time);
	/* the list has room for all that were found; the names move */
	for (i = 0; i < all.n; i++)
		free(all.item[i]);
	for (i = 0; i < n; i++)
		all.item[i] = c[i].name;
	free(c);
	all.n = n;
	list_release(names);
	*names = all;
	return true;
}

bool queue_list(struct queue *q, entry_visit *visit, void *context,
		struct outcome *why)
{
	char id[QUEUE_ID_SIZE], now[QUEUE_NAME_SIZE];
	struct list names = { 0 };
	struct outcome why_not;
	struct entry e;
	bool held, more = true;
	int64_t next;
	size_t i;

	if (queue_is_remote(q))
		return drop_list(q, visit, context, why);
	if (!qdir_names(&q->dir, &names, why)) {
		list_release(&names);
		return false;
	}
	if (names.n)
		qsort(names.item, names.n, sizeof(*names.item), by_name);
	q->unread = 0;
	for (i = 0; i < names.n && more; i++) {
		/* it may have another name by now; one that is there and is
		 * no entry is not looked for among all the others */
		if (!look_at(q, names.item[i], &e, &why_not) &&
		    (why_not.exit != EX_NOINPUT ||
		     qdir_has(&q->dir, names.item[i]) ||
		     !text_read_name(names.item[i], id, &next, &held) ||
		     !qdir_find(&q->dir, id, now) ||
		     !look_at(q, now, &e, &why_not))) {
			q->unread += qdir_has(&q->dir, names.item[i]);
			continue;
		}
		close(e.file->fd);
		free(e.file);
		e.file = NULL;
		more = visit(&e, context);
		look_end(&e);
	}
	list_release(&names);
	return true;
}

bool queue_glance(struct queue *q, const char *name, struct glance *g)
{
	struct outcome ignored;
	struct stat st;
	bool ask;
	int fd;

	if (fstatat(q->dir.mess, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	*g = (struct glance){ .uid = st.st_uid };
	ask = st.st_uid == q->dir.owner && q->dir.mode & S_IRGRP;
	if (!ask && entry_is_small(st.st_size, g))
		return true;
	/* what cannot be read whoever takes it says */
	if (!qdir_look(&q->dir, name, &fd, &st, &ignored))
		return true;
	if (ask && !entry_whose(&q->dir, fd, &st, &g->uid))
		g->uid = st.st_uid;
	if (!entry_is_small(st.st_size, g))
		entry_weigh(fd, st.st_size, g);
	close(fd);
	return true;
}

/* --- administration --- */

bool queue_serve(struct queue *q, struct drop_caller *c, int argc,
		 char **argv, struct outcome *why)
{
	if (queue_is_remote(q) || geteuid() != q->dir.owner)
		return not_permitted(why);
	c->by_owner = true;
	return drop_serve(&q->dir, c, argc, argv, why);
}
