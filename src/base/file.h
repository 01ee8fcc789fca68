/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files, whole: read to their end, written so that a crash leaves the old one
 * or the new one, temporary ones without a name. Rights are judged on the
 * open descriptor, since a name may be another file's by then.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/outcome.h"

enum file_how {
	/* No such file is an empty one; a link that leads nowhere is not. */
	FILE_OPTIONAL = 1,
	/* Refused where others may read it; on a file system that is mounted
	 * read-only, where nobody can mend that, facts say so instead. */
	FILE_PRIVATE = 2,
	/* Refused where others may write to it, or where it belongs to
	 * neither root nor the caller (the effective user). */
	FILE_TRUSTED = 4
};

struct file_facts {
	bool there;             /* it was opened */
	bool exposed;           /* FILE_PRIVATE: others may read it, and that
				 * was let pass */
	mode_t mode;
	uid_t owner;
};

/* Adds what a regular file (or /dev/null) holds to out, within out's bound.
 * False: EX_CONFIG, and the words are "PATH: why"; the caller changes the
 * status where it is another. errno is ENOENT where there is no such file.
 * facts may be NULL. */
bool file_read(const char *path, unsigned how, struct buf *out,
	       struct file_facts *facts, struct outcome *why) MUST_CHECK;
/* Whether an open file is what how asks for; fills facts (not NULL). False:
 * EX_CONFIG or EX_OSERR, as above. */
bool file_judge(int fd, const char *path, unsigned how,
		struct file_facts *facts, struct outcome *why) MUST_CHECK;
/* Reads an open descriptor, which stays open, and judges it first; path is
 * for the words. */
bool file_read_fd(int fd, const char *path, unsigned how, struct buf *out,
		  struct file_facts *facts, struct outcome *why) MUST_CHECK;
/* Opens as file_read does and judges the same: for a library that reads by
 * itself. -1: *why says why (or there is none, and FILE_OPTIONAL). */
int file_open(const char *path, unsigned how, struct file_facts *facts,
	      struct outcome *why) MUST_CHECK;

/* The status for what could not be read: EX_CONFIG, or EX_OSERR where
 * descriptors or memory lack, which says nothing about the file. */
int file_exit(int error);

/* The words of a failure with this path, without the path. */
const char *file_reason(const struct outcome *why, const char *path);
/* Adds "(read as the user alice); it belongs to the user posthaste" to words
 * about a file that may not be read, as far as that can be found out. */
void file_add_reader(struct outcome *why, const char *path);

/* Opens the directory that a path leads to, step by step: none of those on the
 * way, and no link, may be another user's than root's or the effective one's
 * (root_only: than root's); what others put into a directory of everybody's is
 * theirs, and so refused.
 * name is what is left of the path, which is not a link at that moment and is
 * to be opened in *directory with O_NOFOLLOW. False: errno, EPERM where
 * somebody else's rights are in the way. */
bool file_walk(const char *path, bool root_only, int *directory,
	       char name[NAME_MAX + 1]) MUST_CHECK;
/* The same to a directory, whose path may end in slashes. */
bool file_walk_directory(const char *path, bool root_only, int *directory,
			 char name[NAME_MAX + 1]) MUST_CHECK;

/* All n bytes, whatever a call takes of them. False: errno. */
bool file_write_all(int fd, const void *data, size_t n) MUST_CHECK;
/* n bytes from there, whatever a call gives. False: errno, or 0 at the file's
 * end. */
bool file_read_at(int fd, off_t offset, void *data, size_t n) MUST_CHECK;
/* Whether a file of that size ends with these bytes; not where it cannot be
 * read. */
bool file_ends_with(int fd, off_t size, const char *data, size_t n);
/* The file of this name in an open directory becomes these bytes: a new file
 * is written and synced beside it, renamed, and the directory synced. A link
 * of that name is replaced, not followed. False: errno, and the old file is as
 * it was (but for a directory that could not be synced). */
bool file_replace(int directory, const char *name, mode_t mode,
		  const struct buf *b) MUST_CHECK;
/* The same, and it is another's from the start; (uid_t)-1 and (gid_t)-1:
 * ours. */
bool file_replace_for(int directory, const char *name, mode_t mode, uid_t owner,
		      gid_t group, const struct buf *b) MUST_CHECK;
/* As file_replace, of a path whose directory is there: for root by the way of
 * file_walk, so that nobody else leads him elsewhere. EX_CANTCREAT. */
bool file_replace_path(const char *path, mode_t mode, const struct buf *b,
		       struct outcome *why) MUST_CHECK;
/* The directory and those above it, as far as they are missing, for their
 * owner alone. False: errno. */
bool file_make_directories(const char *path) MUST_CHECK;
/* Whether that is likely to succeed, or it is there: it can be written to. */
bool file_directories_possible(const char *path);
/* The same by the way of file_walk, and opened for reading: it, too, is root's
 * or the effective user's. -1: errno, EPERM as there. */
int file_open_made(const char *path, bool root_only) MUST_CHECK;
/* A file without a name in TMPDIR, else /tmp. *place is the directory it is in,
 * or the one that was wanted. -1: errno. */
int file_temporary(const char **place) MUST_CHECK;

/* Descriptors 0 to 2 that are closed become ones that neither a socket nor a
 * file can land on; reading 0 and writing 1 and 2 still fail with EBADF. To
 * be called once, before anything is opened. */
void file_reserve_standard(void);

#endif
