/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The text of a queue entry: no I/O, and of mail/ no more than words and
 * envelope, since posthaste-drop is linked with it.
 *
 *   posthaste-queue 1
 *   queued 1764060317
 *   uid 1000
 *   account work              left out: none
 *   transport relay           left out: by the routes
 *   cause ID                  only in reports
 *   foreign                   what follows is what the user of that number
 *                             wrote: hostile input. (A file of another user
 *                             than the queue's owner is that in any case, and
 *                             then its uid and cause do not count.)
 *   sender a@example.org      alone: the null reverse-path
 *   return full|hdrs
 *   envid ENVID
 *   body 8bit|7bit
 *   smtputf8, requiretls, tls-optional
 *   rcpt b@example.net notify=failure,delay orcpt=rfc822;b@example.net
 *   size 1234                 always last
 *   (an empty line, 1234 bytes of message)
 *   checksum 0123456789abcdef over everything before this line
 *   (journal lines: LENGTH CHECKSUM TIME EVENT ...)
 *
 * Values are percent-encoded where they hold controls, blanks or "%".
 * Events: "begin 0 2 5", "dot 0 2 5", "sent|deferred|failed 0 attempts=... ...
 * text=...", "delay-reported 0 1", "failure-reported 0", "transport NAME",
 * "owner-transport NAME" (the queue's owner ordered it, which counts in a file
 * of his alone), "regular TIME" (made due by hand before that regular
 * time), "wait TIME 0 2 5" (not due before that, even where the entry is),
 * "missed NUMBER 0 2 5" (so many attempts of the schedule more were not made
 * until the line's time).
 */
#ifndef QUEUE_FORMAT_H
#define QUEUE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/outcome.h"
#include "queue/queue.h"

enum {
	/* the same for who accepts, for posthaste-drop and for the runner */
	TEXT_HEADER_MAX = 32 * 1024 * 1024,
	TEXT_HEADER_LINE_MAX = 64 * 1024,
	TEXT_JOURNAL_MAX = 128 * 1024 * 1024,  /* of one in memory; a file's
						* may be longer */
	TEXT_LINE_MAX = 8 * 1024,    /* of a journal line that is written */
	TEXT_LINE_READ_MAX = 100 * 1000,       /* and of one that is read */
	TEXT_CHECKSUM_SIZE = 26      /* of the checksum line */
};

/* CRC-64 (the reflected ECMA-182 polynomial) of n more bytes; the first sum
 * is 0. */
uint64_t text_sum(uint64_t sum, const void *data, size_t n);

/* Adds a value, percent-encoded. */
void text_value(struct buf *b, const char *s);
/* Adds the header with its empty line. */
void text_header(struct buf *b, const struct entry *e);
/* The same in pieces: what comes before the recipients, one of them, what
 * comes after. */
void text_header_begin(struct buf *b, const struct entry *e);
void text_header_rcpt(struct buf *b, const struct recipient *r);
void text_header_end(struct buf *b, const struct entry *e);
/* Reads a whole header into an empty *e (release it in either case). False:
 * EX_DATAERR, also for more than RECIPIENTS_MAX recipients. */
bool text_read_header(const char *text, size_t n, struct entry *e,
		      struct outcome *why) MUST_CHECK;
/* The same a line at a time, each without its line end; *s begins as {0},
 * and ended is set by the last one, the empty line. */
struct text_header_state {
	bool begun, sized, ended;
};
bool text_read_header_line(struct text_header_state *s, const char *line,
			   size_t n, struct entry *e,
			   struct outcome *why) MUST_CHECK;
/* Adds the checksum line, or tells whether TEXT_CHECKSUM_SIZE bytes are that
 * of this sum. */
void text_checksum(struct buf *b, uint64_t sum);
bool text_is_checksum(const char *text, uint64_t sum);

/* Add a journal line each. */
void text_begin(struct buf *b, int64_t now, const size_t *rcpt, size_t n);
void text_dot(struct buf *b, int64_t now, const size_t *rcpt, size_t n);
void text_result(struct buf *b, int64_t now, size_t rcpt,
		 const struct recipient *r);
void text_reported(struct buf *b, int64_t now, enum report_kind kind,
		   const size_t *rcpt, size_t n);
/* by_owner: the queue's owner ordered it. */
void text_transport(struct buf *b, int64_t now, const char *name,
		    bool by_owner);
void text_regular(struct buf *b, int64_t now, int64_t regular);
void text_wait(struct buf *b, int64_t now, int64_t until, const size_t *rcpt,
	       size_t n);
void text_missed(struct buf *b, int64_t now, unsigned more,
		 const size_t *rcpt, size_t n);
/* Applies a journal to the recipients (which are reset first). *whole gets
 * the length of the lines that are whole; what follows is the beginning of
 * one whose writing was cut short. False: EX_DATAERR, it is damaged. */
bool text_read_journal(const char *text, size_t n, struct entry *e,
		       size_t *whole, struct outcome *why) MUST_CHECK;
/* The same in pieces. text_journal_begin resets the recipients; text_journal
 * _lines applies the sound lines that n bytes begin with and gives their
 * length; text_journal_torn tells whether what is left at the end is one whose
 * writing was cut short; text_journal_end adds up. */
void text_journal_begin(struct entry *e);
bool text_journal_lines(const char *text, size_t n, struct entry *e,
			size_t *whole, struct outcome *why) MUST_CHECK;
bool text_journal_torn(const char *text, size_t n);
void text_journal_end(struct entry *e);

/* False, and EX_DATAERR: what of an entry's file is not as it was written. */
bool text_damaged(struct outcome *why, const char *what);
/* Frees what an entry's facts hold and empties them. */
void text_release(struct entry *e);

/* An id's and a name's form. Names: "ID,NEXT" or "ID,h". */
bool text_id_ok(const char *id);
void text_name(char name[QUEUE_NAME_SIZE], const char *id, int64_t next,
	       bool held);
bool text_read_name(const char *name, char id[QUEUE_ID_SIZE], int64_t *next,
		    bool *held);

#endif
