/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the queue's files share; nobody else includes it. */
#ifndef QUEUE_QUEUE_PARTS_H
#define QUEUE_QUEUE_PARTS_H

#include "queue/queue.h"
#include "queue/qdir.h"

struct queue {
	struct qdir dir;
	/* By these it is used if it is not ours; else both are NULL. */
	char *helper;      /* posthaste-drop */
	char *socket;      /* the owner's */
	bool selected;     /* queue_select has looked */
	struct list names; /* all of them, sorted: read when first needed
			    * after that look */
	bool listed;       /* and that they were */
	size_t unread;     /* entries that queue_list could not read */
	int turn;          /* the descriptor of queue_wait_turn, and one */
};

struct entry_file {
	struct qdir *dir;
	int fd;
	int64_t header;    /* the message begins here */
	int64_t journal;   /* and its journal here */
	bool torn;         /* a line at its end was cut short */
	bool synced;       /* nothing was appended since the last sync */
	bool sync_failed;  /* never tried again */
	char *message_id;  /* for the log, once it was needed */
};

/* The name of an entry by its id. After a queue_select the directory is read
 * once for all of these questions, and one that came later does not count. */
bool queue_find(struct queue *q, const char *id, char name[QUEUE_NAME_SIZE]);
/* Reads the entry behind fd, called name, into an empty *e, which gets
 * e->file (with fd, which it closes) where this is true; else fd stays open.
 * whole: the message's checksum is held against it. torn gets the length of
 * what was cut short at the journal's end. False: EX_DATAERR, EX_IOERR. */
bool entry_read(struct qdir *s, const char *name, int fd,
		const struct stat *st, bool whole, struct entry *e,
		int64_t *torn, struct outcome *why) MUST_CHECK;
/* Whose it is: the file's owner, or in a file of the queue's owner whoever it
 * names. False: that cannot be read. */
bool entry_whose(const struct qdir *s, int fd, const struct stat *st,
		 uid_t *uid) MUST_CHECK;
/* How long its envelope is and how many recipients it names: at most what
 * fits into a file of so few bytes (false: they are not so few), or
 * counted. */
bool entry_is_small(int64_t size, struct glance *g) MUST_CHECK;
void entry_weigh(int fd, int64_t size, struct glance *g);
/* The journal alone, again. */
bool entry_read_journal(struct entry *e, int64_t size, int64_t *torn,
			struct outcome *why) MUST_CHECK;

/* A journal that holds far more than a line a recipient is written anew. Where
 * that cannot be done the old one goes on growing; no length of it is wrong. */
bool entry_compact(struct entry *e, struct outcome *why) MUST_CHECK;
/* Whatever its journal is: a new file, which is ours, takes the place of the
 * old one, under the lock. Not synced as to its name. */
bool entry_rewrite(struct entry *e, struct outcome *why) MUST_CHECK;

#endif
