/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The queue's files: directories, names, locks, and the order of writes and
 * syncs by which nothing accepted is lost. libc alone: posthaste-drop uses it,
 * too.
 */
#ifndef QUEUE_QDIR_H
#define QUEUE_QDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/outcome.h"
#include "queue/queue.h"

struct qdir {
	int root, tmp, mess, corrupt;  /* directories; -1: not open */
	uid_t owner;                   /* of the directory */
	mode_t mode;                   /* of new entries: 0600 or 0660 */
};

/* False: EX_CANTCREAT, EX_NOPERM. root may be open even so (-1: no). */
bool qdir_open(const char *directory, bool create, struct qdir *s,
		struct outcome *why) MUST_CHECK;
void qdir_close(struct qdir *s);

/* --- an entry that is being written: qdir_write.c --- */

/* What is reserved after it for its journal: some attempts for a few
 * recipients. */
enum { QDIR_JOURNAL_ROOM = 4096 };

struct qdir_writer {
	struct qdir *dir;
	char id[QUEUE_ID_SIZE];
	int fd;
	uint64_t sum;      /* text_sum of all that was added */
	int64_t size;      /* and its bytes */
	bool reserved;     /* room for it and its journal was taken before */
	struct buf pending; /* what of them is not in the file yet */
};

/* Each: EX_CANTCREAT, EX_IOERR; the writer is then abandoned and its file
 * gone. */
bool qdir_begin(struct qdir *s, const char *id, struct qdir_writer *w,
		 struct outcome *why) MUST_CHECK;
bool qdir_add(struct qdir_writer *w, const char *data, size_t n,
	       struct outcome *why) MUST_CHECK;
/* All that was added is in the file, though not on disk. */
bool qdir_flush(struct qdir_writer *w, struct outcome *why) MUST_CHECK;
/* Durable acceptance under this name in mess. The writer is closed. */
bool qdir_commit(struct qdir_writer *w, const char *name,
		  struct outcome *why) MUST_CHECK;
/* Takes the place of the entry of that name, which the caller has locked. The
 * writer's file, locked as well, stays open: it is the entry's now; the old
 * one may come back until qdir_sync. */
bool qdir_replace(struct qdir_writer *w, const char *name,
		  struct outcome *why) MUST_CHECK;
/* The names in the queue are on disk, and the directory's own. */
bool qdir_sync(struct qdir *s, struct outcome *why) MUST_CHECK;
void qdir_abandon(struct qdir_writer *w);

/* --- accepted entries --- */

/* Adds every name in mess that has the form of one. */
bool qdir_names(struct qdir *s, struct list *names,
		 struct outcome *why) MUST_CHECK;
/* The name of an entry by its id. */
bool qdir_find(struct qdir *s, const char *id, char name[QUEUE_NAME_SIZE]);
/* Whether there is an entry of this name. */
bool qdir_has(struct qdir *s, const char *name);
bool qdir_is_corrupt(struct qdir *s, const char *id);
/* How many files are in corrupt. */
size_t qdir_damaged(struct qdir *s);
/* Opens an entry to read it, without a lock. False: EX_NOINPUT (not there),
 * EX_NOPERM (also: not a plain file with one link), EX_IOERR, EX_OSERR. */
bool qdir_look(struct qdir *s, const char *name, int *fd, struct stat *st,
		struct outcome *why) MUST_CHECK;
/* The same to change it, locked. False also: EX_TEMPFAIL (somebody else has
 * the lock). */
bool qdir_lock(struct qdir *s, const char *name, int *fd, struct stat *st,
		struct outcome *why) MUST_CHECK;
/* Of a locked entry. sync: the new name is durable when this is true. */
bool qdir_rename(struct qdir *s, const char *from, const char *to,
		  bool sync, struct outcome *why) MUST_CHECK;
bool qdir_unlink(struct qdir *s, const char *name, bool sync,
		  struct outcome *why) MUST_CHECK;
bool qdir_quarantine(struct qdir *s, const char *name, const char *id);

/* --- the bytes of one, by its descriptor: qdir_file.c --- */

/* All n bytes at offset. */
bool qdir_read(int fd, int64_t offset, void *data, size_t n);
/* The checksum of the first n bytes. */
bool qdir_sum(int fd, int64_t n, uint64_t *sum);
/* Appends whole or not at all. */
bool qdir_append(int fd, const char *data, size_t n, struct outcome *why)
	MUST_CHECK;
/* Removes what a write that was cut short left at the end, which must not
 * stand before the next line; every whole line has its line end. Not while
 * anybody may be writing. */
bool qdir_cut_torn(int fd);
/* Reserves room for n bytes behind the end; a file system that cannot is
 * fine, a full one is not. */
bool qdir_reserve(int fd, size_t n, struct outcome *why) MUST_CHECK;

/* --- besides --- */

/* The sign that something is due, for a path unit to see: a file in a folder
 * of the system's queue. It does not matter if it cannot be made, or is there
 * already. */
#define QDIR_WAKE "wake/due"
void qdir_waken(struct qdir *s);

/* Removes what dead writers left in tmp. */
void qdir_sweep(struct qdir *s);

#endif
