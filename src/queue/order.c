/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "queue/order.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/kernel.h"
#include "base/list.h"
#include "queue/format.h"
#include "queue/queue_parts.h"

/* An entry locked for an order. */
struct target {
	char name[QUEUE_NAME_SIZE];
	char id[QUEUE_ID_SIZE];
	int64_t next;
	bool held;
	int fd;
};

static bool no_entry(const char *id, struct outcome *why)
{
	return outcome_fail(why, STAGE_LOCAL, EX_NOINPUT, "%s: no such entry",
			    id);
}

/* Whose it is comes first: a stranger must not even wait for it. */
static bool is_of(struct qdir *s, const char *name, uid_t uid)
{
	struct outcome ignored;
	struct stat st;
	uid_t whose;
	bool found;
	int fd;

	if (uid == QDIR_ANY)
		return true;
	if (!qdir_look(s, name, &fd, &st, &ignored))
		return false;
	found = entry_whose(s, fd, &st, &whose) && whose == uid;
	close(fd);
	return found;
}

static bool target_rename(struct qdir *s, struct target *t, int64_t next,
			  bool held, struct outcome *why)
{
	char to[QUEUE_NAME_SIZE];

	text_name(to, t->id, next, held);
	return qdir_rename(s, t->name, to, false, why);
}

/* Due at once; when it would have been due is noted, and the way to go. */
static bool target_retry(struct qdir *s, struct target *t, bool by_owner,
			 const char *transport, struct outcome *why)
{
	struct buf lines = BUF(2 * TEXT_LINE_MAX);
	int64_t now = time(NULL);
	bool good = true;

	if (transport)
		text_transport(&lines, now, transport, by_owner);
	if (!t->held && t->next > now)
		text_regular(&lines, now, t->next);
	if (lines.len && !qdir_cut_torn(t->fd))
		good = outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "queue: cannot write the journal");
	else if (lines.len)
		good = qdir_append(t->fd, lines.data, lines.len, why);
	buf_release(&lines);
	if (good && transport && kernel_sync_data(t->fd) < 0)
		good = outcome_fail(why, STAGE_LOCAL, EX_IOERR, "queue: cannot "
				    "sync the journal: %s", strerror(errno));
	return good && target_rename(s, t, 0, t->held, why);
}

/* Not synced. */
static bool order_one(struct qdir *s, enum order order,
		      const char *name, uid_t uid, const char *transport,
		      struct outcome *why)
{
	struct target t = { .fd = -1 };
	bool good = false;
	struct stat st;

	if (!text_read_name(name, t.id, &t.next, &t.held) ||
	    !is_of(s, name, uid))
		return no_entry(t.id, why);
	snprintf(t.name, sizeof(t.name), "%s", name);
	if (!qdir_lock(s, name, &t.fd, &st, why))
		return false;
	switch (order) {
	case ORDER_HOLD:
		good = target_rename(s, &t, 0, true, why);
		break;
	case ORDER_RELEASE:
		good = !t.held || target_rename(s, &t, 0, false, why);
		break;
	case ORDER_REMOVE:
		good = qdir_unlink(s, t.name, false, why);
		break;
	case ORDER_RETRY:
		good = target_retry(s, &t, uid == QDIR_ANY, transport, why);
		break;
	}
	close(t.fd);
	return good;
}

static bool order_sync(struct qdir *s, enum order order,
		       struct outcome *why)
{
	if (!qdir_sync(s, why))
		return false;
	if (order == ORDER_RELEASE || order == ORDER_RETRY)
		qdir_waken(s);
	return true;
}

bool qdir_order(struct qdir *s, enum order order, const char *id,
		uid_t uid, const char *transport, struct outcome *why)
{
	enum { TRIES = 5 };
	char name[QUEUE_NAME_SIZE];
	bool good = false;
	int i;

	/* a runner may give it another name between the two */
	for (i = 0; i < TRIES && !good; i++) {
		if (!text_id_ok(id) || !qdir_find(s, id, name))
			return no_entry(id, why);
		good = order_one(s, order, name, uid, transport, why);
		if (!good && why->exit != EX_NOINPUT)
			return false;
	}
	return good ? order_sync(s, order, why) : no_entry(id, why);
}

/* What an order for all has no need to do with an entry that is being
 * delivered: it is tried right now, and it is not held. Another way to go it
 * would have to be told. */
static bool passes_over(enum order order, const char *transport)
{
	return order == ORDER_RELEASE || (order == ORDER_RETRY && !transport);
}

bool qdir_order_all(struct qdir *s, enum order order, uid_t uid,
		    const char *transport, struct outcome *why)
{
	struct list names = { 0 };
	struct outcome first = { .exit = EX_OK }, synced;
	size_t i, failed = 0;

	if (!qdir_names(s, &names, why)) {
		list_release(&names);
		return false;
	}
	for (i = 0; i < names.n; i++) {
		if (order_one(s, order, names.item[i], uid, transport, why) ||
		    why->exit == EX_NOINPUT ||
		    (why->exit == EX_TEMPFAIL && passes_over(order, transport)))
			continue;
		if (!failed++)
			first = *why;
	}
	list_release(&names);
	if (!order_sync(s, order, &synced)) {
		*why = synced;
		return false;
	}
	if (failed > 1)
		outcome_prefix(&first, "%zu entries, the first", failed);
	*why = first;
	return !failed;
}
