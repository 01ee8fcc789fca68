/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The queue: one directory, one file an entry, which a person
 * can read. An entry's file holds, one after the other, the envelope as text
 * (a format version in its first line), the message's bytes, a checksum over
 * both, and the journal: a line per event, each with its own length and
 * checksum, only ever appended. So an entry appears by one rename and goes
 * by one unlink, and no crash can part a message from its progress.
 *
 *   tmp/ID        being written; locked by its writer as long as that lives
 *   mess/ID,NEXT  accepted; NEXT is the time before which it is not tried,
 *                 in seconds (0: at once), or "h": held. What is due can be
 *                 told from the names alone.
 *   corrupt/      damaged entries, and reports that could not be delivered
 *   wake/         "due" in it: something came since the last look (only in the
 *                 system's queue, for a path unit)
 *   last-run      touched by every -q: the queue is tended
 *   last-alarm    when the postmaster was told of mail that stands still
 *   turn          locked by the run that waits for what a rate put off; its
 *                 time is until when the others would have waited
 *
 * Order. Accepting: write tmp/ID, sync it, rename it into mess, sync mess,
 * success. An attempt: a line before it, a line before the final dot, synced,
 * a line an outcome, a sync before the next message's final dot. Removal: sync
 * the journal, unlink; if a power cut undoes the unlink, the journal comes back
 * with the message and says that all is done. Room for the journal is
 * reserved when an entry is written and when an attempt begins, so that a
 * full disk stops an attempt before it is made, not the record of its end.
 *
 * Locks are flock(2) on the entry's file, taken before anything is changed
 * (its name too): they die with the process (and its forked workers, which
 * share them).
 *
 * Rights. A user's own queue: directories 0700, files 0600. The system's:
 * the directory itself 0755; tmp, mess, corrupt and wake 2770, all of it owned
 * by posthaste:posthaste. Nobody is in that group; posthaste-drop gets it by
 * its set-group-id bit. Where mess is group-writable, files are 0660: an
 * entry that came through posthaste-drop belongs to the user who called it
 * (which is how the runner knows whose it is) and is read and appended to by
 * the runner by way of the group, while its user, to whom the directories
 * are shut, cannot reach it again. What such a file holds is hostile input.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/outcome.h"
#include "mail/envelope.h"
#include "mail/message.h"
#include "mail/selection.h"

enum {
	QUEUE_ID_SIZE = 72,    /* letters, digits, '-' and '.' */
	QUEUE_NAME_SIZE = 96   /* a file's name: ID,NEXT */
};

struct queue;

/* --- the directory --- */

/* Opens it; create: makes it and what is in it where that is missing (0700).
 * helper and socket, where directory is the compiled-in one, are the paths of
 * posthaste-drop and of the owner's socket, else NULL. If we may not write in
 * the directory (or it is not there, but the socket is) the queue is used
 * through the helper, or where that gains no rights through the socket:
 * queue_add, queue_list, queue_order and _order_all work as ever on the
 * caller's own entries; everything else fails with EX_NOPERM.
 * False: EX_CANTCREAT (not there, not a queue), EX_NOPERM (no right to
 * write, and neither of the two). */
bool queue_open(const char *directory, bool create, const char *helper,
		const char *socket, struct queue **out,
		struct outcome *why) MUST_CHECK;
/* What is at a directory, whether it can be used or not: no queue that anybody
 * made, one, or one that belongs to us. NULL: there is none. */
enum queue_presence { QUEUE_ABSENT, QUEUE_PRESENT, QUEUE_OURS };
enum queue_presence queue_presence(const char *directory);
void queue_close(struct queue *q);
/* Whether it is used through posthaste-drop or the owner's socket. */
bool queue_is_remote(const struct queue *q);
/* Whether a -q ran within the last week; works for a remote one too. */
bool queue_tended(const struct queue *q);
/* Serves a user who is not the queue's owner, as posthaste-drop would, where
 * we are: standard input and output are his (queue/serve.h). False also:
 * EX_NOPERM, it is not ours. */
struct drop_caller;
bool queue_serve(struct queue *q, struct drop_caller *c, int argc,
		 char **argv, struct outcome *why) MUST_CHECK;
/* What can be told of it without looking at any entry. */
struct queue_vitals {
	int64_t last_run;      /* of -q, wall clock, seconds; 0: none */
	size_t damaged;        /* files in corrupt/; 0 for a remote one */
	size_t unread;         /* entries that the last queue_list passed
				* over */
	unsigned free_percent; /* of its file system's space or of its
				* inodes, whichever is less; 100: not known */
	int64_t free_bytes;    /* -1: not known */
};
void queue_vitals(struct queue *q, struct queue_vitals *v);
/* A -q runs now. Failure is logged. */
void queue_mark_run(struct queue *q);
/* When the last alarm was raised (wall clock, seconds; 0: never, or nobody
 * knows), and whether it is in the queue: noted before it is put there under
 * an id made of that time, and once more afterwards, so that after a crash
 * it is neither lost nor made twice. Locked until queue_end_alarm. create:
 * makes the file where it is missing. False: it is missing, another run is at
 * it, or EX_CANTCREAT. */
struct last_alarm {
	int fd;
	int64_t when;
	bool queued;
	int64_t look;          /* when it is worth a look whether there is
				* anything to tell; 0: never */
};
bool queue_last_alarm(struct queue *q, bool create, struct last_alarm *a,
		      struct outcome *why) MUST_CHECK;
bool queue_note_alarm(const struct last_alarm *a, struct outcome *why)
	MUST_CHECK;
void queue_end_alarm(struct last_alarm *a);
/* Removes what dead writers left in tmp. Never blocks, never fails. */
void queue_sweep(struct queue *q);

/* --- accepting --- */

struct queue_item {
	const char *id;        /* NULL: a fresh one is made */
	const char *cause;     /* a report's cause, an id; NULL: no report */
	const struct envelope *envelope; /* with states, attempts, outcomes */
	struct message *message;
	uid_t uid;             /* who calls */
	int64_t queued;        /* wall clock, seconds; 0: now */
	int64_t next;          /* not before this time; 0: at once */
	const int64_t *wait;   /* a recipient's, as in struct progress, one
				* each; NULL: all are due with the entry */
	bool held;
};

/* True: it is on disk, synced. id gets its id (and may be item->id itself).
 * Recipients that have failed already count as reported: whoever called was
 * told. With item->id of an entry that is there already (also in corrupt/):
 * true without doing anything.
 * False: EX_CANTCREAT or EX_IOERR, and nothing is left behind. */
bool queue_add(struct queue *q, const struct queue_item *item,
	       char id[QUEUE_ID_SIZE], struct outcome *why) MUST_CHECK;

/* --- looking --- */

/* What is known of a recipient beside the envelope. */
struct progress {
	bool begun;             /* an attempt is under way */
	bool dot;               /* and its final dot may have gone out */
	bool delay_reported;
	bool failure_reported;
	int64_t wait;           /* it is not due before then (wall clock,
				 * seconds), even where the entry is; 0: it
				 * is due with the entry */
	int64_t since;          /* since when it waits, wall clock; 0: since
				 * the entry was queued */
	unsigned missed;        /* attempts that its schedule had and that
				 * were not made: something else kept it */
};

struct entry_file;

/* An entry: facts that anyone may read; only the functions here change
 * them (but the strings of a foreign envelope may be replaced in place;
 * recipients keep their places). */
struct entry {
	char id[QUEUE_ID_SIZE];
	char name[QUEUE_NAME_SIZE];
	struct envelope envelope;   /* states and outcomes by the journal */
	struct progress *progress;  /* one a recipient */
	unsigned attempts;          /* the most of any recipient */
	size_t pending;             /* recipients in that state */
	char *cause;                /* of a report, an id; NULL: no report */
	char *transport;            /* --retry --transport: for the next
				     * attempt; NULL: none */
	bool by_owner;              /* which the queue's owner ordered: it
				     * needs no route */
	uid_t uid;                  /* whose it is */
	bool foreign;               /* another user wrote it: hostile
				     * input */
	bool held;
	bool interrupted;           /* its last attempt was cut short */
	bool broken;                /* an outcome could not be recorded: not
				     * to be tried again in this run, no
				     * report */
	int64_t queued;             /* wall clock, seconds */
	int64_t next;               /* 0: at once */
	int64_t regular;            /* when it would have been due, had nobody
				     * made it due by hand; 0: not known */
	int64_t size;               /* the message's bytes */
	struct entry_file *file;    /* NULL: facts alone, as for queue_list */
};

/* The names of entries to visit, first due first, in place of what was in
 * names: those due (not held, and their time has come, or lies more than
 * longest_wait seconds ahead, which only a changed clock explains; 0: no such
 * limit) for s NULL or s->field 0; else those that s selects, due or not, but
 * none held. Opens no file unless s wants recipients or senders.
 * False: EX_IOERR, EX_NOPERM. */
bool queue_select(struct queue *q, const struct selection *s,
		  int64_t longest_wait, struct list *names,
		  struct outcome *why) MUST_CHECK;
/* What is known of an entry before it is read. */
struct glance {
	uid_t uid;             /* whose it is */
	size_t header;         /* the bytes of its envelope, at most */
	size_t recipients;     /* and how many it names, at most */
};
/* By its name and without a lock. False: it is gone. */
bool queue_glance(struct queue *q, const char *name, struct glance *g);
/* A point in the directory's life: as long as two of them are the same,
 * nothing came and nothing went between. */
struct queue_state {
	int64_t seconds, nanoseconds;
};
struct queue_state queue_state(struct queue *q);
/* Counts a session of a user, as long as this process lives: false where he
 * has that many already. True where it cannot be counted. */
bool queue_session(struct queue *q, uid_t uid, unsigned most);
/* One run at a time waits for mail whose turn comes by a rate: true if it is
 * this process, as long as it lives, or if nobody can tell. until is the turn
 * for which it would wait (wall clock, seconds); one that need not leaves that
 * for the one that does, which gets the latest. */
bool queue_wait_turn(struct queue *q, int64_t *until);
/* Leaves or takes away the sign that something is due, by which a path unit
 * starts a run. Taken away before the look at the queue; false: there was
 * none. */
bool queue_waken(struct queue *q, bool due);
/* Visits all entries of which the caller may know (of a remote queue, the
 * caller's own), in order of arrival; message and locks untouched. An entry
 * that cannot be read is passed over. */
typedef bool entry_visit(const struct entry *e, void *context);
bool queue_list(struct queue *q, entry_visit *visit, void *context,
		struct outcome *why) MUST_CHECK;
/* One entry by id or name, unlocked, for --show (entry_message works on it).
 * entry_release frees it. False: EX_NOINPUT (no such entry), EX_DATAERR,
 * EX_IOERR, EX_NOPERM. */
bool queue_look(struct queue *q, const char *id, struct entry **out,
		struct outcome *why) MUST_CHECK;

/* --- working on one entry --- */

/* Locks and reads it. name is an id, or a name from queue_select, which is
 * "gone" if it is called otherwise by now (another runner was faster). An
 * attempt that was cut short is recorded as a deferred one here; if its
 * final dot may have gone out, that is logged as duplicate_possible.
 * False: EX_TEMPFAIL busy (or a report whose cause is not settled),
 * EX_NOINPUT gone, EX_DATAERR damaged (it is in corrupt/ now, logged),
 * EX_NOPERM, EX_IOERR, EX_OSERR. */
bool queue_take(struct queue *q, const char *name, struct entry **out,
		struct outcome *why) MUST_CHECK;
/* Unlocks, for the forked workers that share the lock as well, and frees: it
 * is the parent's to call. */
void entry_release(struct entry *e);
/* Of its file. */
int entry_descriptor(const struct entry *e);
/* Its message, which reads from the entry's file (keep the entry) unless the
 * entry is foreign and so parsed anew by limits. The caller frees. */
bool entry_message(struct entry *e, const struct message_limits *limits,
		   struct message **out, struct outcome *why) MUST_CHECK;

/* An attempt for these recipients (indices) is about to be made. False: it
 * cannot be recorded, so must not be made (EX_IOERR, EX_CANTCREAT). */
bool entry_begin(struct entry *e, const size_t *rcpt, size_t n,
		 struct outcome *why) MUST_CHECK;
/* The final dot, or BDAT LAST, is about to be sent for the recipients begun.
 * A write and a sync, so that even after a power cut the doubt is known. */
void entry_dot(struct entry *e);
/* The outcome of an attempt for one recipient; attempts are those made now.
 * Sets the recipient's state, attempts and last outcome. Not synced. False:
 * logged loudly, e->broken is set. */
bool entry_record(struct entry *e, size_t rcpt, const struct outcome *o,
		  enum rcpt_state state, unsigned attempts,
		  struct outcome *why) MUST_CHECK;
/* The same for several whose facts entry_note has set, in one write: whatever
 * a transaction had for an answer. */
bool entry_write(struct entry *e, const size_t *rcpt, size_t n,
		 struct outcome *why) MUST_CHECK;
/* A line in the log about a recipient that no session was tried for. */
void entry_log(const struct entry *e, size_t rcpt, const struct outcome *o,
	       const char *status);
/* Sets the facts alone: for entry_write, or of what another process has
 * recorded. */
void entry_note(struct entry *e, size_t rcpt, const struct outcome *o,
		enum rcpt_state state, unsigned attempts);
/* All that was recorded is on disk. False as for entry_record. Never tried
 * again for the same entry. */
bool entry_sync(struct entry *e, struct outcome *why) MUST_CHECK;
/* What workers recorded so far, read again. Recipients keep their places and
 * strings; transport is freed. */
bool entry_reload(struct entry *e, struct outcome *why) MUST_CHECK;
/* After entry_reload: the worker that tried these recipients is gone. What
 * it left open is ended as queue_take does it, and e->interrupted is set.
 * (Only for those: other workers may still have the entry in hand. Left out,
 * the next queue_take does it.) */
bool entry_end(struct entry *e, const size_t *rcpt, size_t n,
	       struct outcome *why) MUST_CHECK;

/* After entry_reload: the workers ended well, having synced all that they
 * recorded, so that entry_finish need not do it again. */
void entry_synced(struct entry *e);

/* Report ids: never the same for two reports, always the same for one. */
enum report_kind { REPORT_FAILURE, REPORT_DELAY };
/* The recipients that a report of this kind is due for: failed and not yet
 * reported, or pending and never reported as delayed. Fills rcpt (room for
 * all recipients), gives their number. */
size_t entry_unreported(const struct entry *e, enum report_kind kind,
			size_t *rcpt);
/* Whether a failure of it is not reported yet. */
bool entry_owes_report(const struct entry *e);
void entry_report_id(const struct entry *e, enum report_kind kind,
		     size_t first_rcpt, char id[QUEUE_ID_SIZE]);
/* Their report is in the queue, synced (or none is wanted). Synced. No
 * worker may have the entry in hand any more. */
bool entry_reported(struct entry *e, enum report_kind kind,
		    const size_t *rcpt, size_t n,
		    struct outcome *why) MUST_CHECK;

/* Recipients (all of them have a place in the array) that are not due before
 * these times, though the entry is; 0: as it was. Not synced. */
bool entry_wait(struct entry *e, const int64_t *until,
		struct outcome *why) MUST_CHECK;
/* So many attempts more were missed until now. Not synced. */
bool entry_missed(struct entry *e, const unsigned *more,
		  struct outcome *why) MUST_CHECK;

/* Not to be tried before this time (seconds; 0: at once). */
bool entry_schedule(struct entry *e, int64_t next,
		    struct outcome *why) MUST_CHECK;
/* Syncs the journal and removes it. False: EX_SOFTWARE where a recipient is
 * pending, or failed and not marked by entry_reported; EX_IOERR. */
bool entry_finish(struct entry *e, struct outcome *why) MUST_CHECK;
/* Moves it to corrupt/ and logs these words. */
void entry_quarantine(struct entry *e, const char *words);

/* --- administration; synced when true --- */

/* False: EX_NOINPUT (no such entry), EX_TEMPFAIL (it is being delivered),
 * EX_NOPERM, EX_IOERR. */
bool queue_order(struct queue *q, enum order order, const char *id,
		 const char *transport, struct outcome *why) MUST_CHECK;
/* Every entry of which the caller may know. False: one was refused, which
 * stops no other; *why is the first. An entry that is being delivered is
 * refused but where the order asks for nothing else: ORDER_RELEASE, and
 * ORDER_RETRY without a transport. */
bool queue_order_all(struct queue *q, enum order order,
		     const char *transport, struct outcome *why) MUST_CHECK;

#endif
