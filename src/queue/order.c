/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "queue/order.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "queue/format.h"

/* An entry locked for an order. */
struct target {
	char name[QUEUE_NAME_SIZE];
	int64_t next;
	bool held;
	int fd;
};

static bool no_entry(const char *id, struct outcome *why)
{
	return outcome_fail(why, STAGE_LOCAL, EX_NOINPUT, "%s: no such entry",
			    id);
}

static bool target_open(struct qdir *s, const char *id, uid_t uid,
			struct target *t, struct outcome *why)
{
	char found[QUEUE_ID_SIZE];
	struct stat st;

	if (!text_id_ok(id) || !qdir_find(s, id, t->name) ||
	    !text_read_name(t->name, found, &t->next, &t->held))
		return no_entry(id, why);
	/* whose it is comes first: a stranger must not even wait for it */
	if (uid != QDIR_ANY &&
	    (fstatat(s->mess, t->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	     st.st_uid != uid))
		return no_entry(id, why);
	if (!qdir_lock(s, t->name, &t->fd, &st, why))
		return false;
	if (uid != QDIR_ANY && st.st_uid != uid) {
		close(t->fd);
		return no_entry(id, why);
	}
	return true;
}

static bool rename_target(struct qdir *s, struct target *t, const char *id,
			  int64_t next, bool held, struct outcome *why)
{
	char to[QUEUE_NAME_SIZE];

	text_name(to, id, next, held);
	return qdir_rename(s, t->name, to, true, why);
}

bool qdir_hold(struct qdir *s, const char *id, uid_t uid,
		struct outcome *why)
{
	struct target t;
	bool good;

	if (!target_open(s, id, uid, &t, why))
		return false;
	good = rename_target(s, &t, id, 0, true, why);
	close(t.fd);
	return good;
}

bool qdir_unhold(struct qdir *s, const char *id, uid_t uid,
		   struct outcome *why)
{
	struct target t;
	bool good;

	if (!target_open(s, id, uid, &t, why))
		return false;
	good = !t.held || rename_target(s, &t, id, 0, false, why);
	close(t.fd);
	return good;
}

bool qdir_withdraw(struct qdir *s, const char *id, uid_t uid,
		    struct outcome *why)
{
	struct target t;
	bool good;

	if (!target_open(s, id, uid, &t, why))
		return false;
	good = qdir_unlink(s, t.name, true, why);
	close(t.fd);
	return good;
}

static bool write_transport(int fd, const char *transport,
			    struct outcome *why)
{
	struct buf line = BUF(TEXT_LINE_MAX);
	bool good;

	if (!qdir_cut_torn(fd))
		return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "queue: cannot write the journal");
	text_transport(&line, time(NULL), transport);
	good = qdir_append(fd, buf_text(&line), line.len, why);
	buf_release(&line);
	if (good && fdatasync(fd) < 0)
		return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "queue: cannot sync the journal: %s",
				    strerror(errno));
	return good;
}

bool qdir_retry(struct qdir *s, const char *id, uid_t uid,
		 const char *transport, struct outcome *why)
{
	struct target t;
	bool good;

	if (!target_open(s, id, uid, &t, why))
		return false;
	good = (!transport || write_transport(t.fd, transport, why)) &&
	       rename_target(s, &t, id, 0, t.held, why);
	close(t.fd);
	return good;
}
