/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A message. Whatever the caller wrote, what is kept here has lines that end
 * in CRLF, no bare CR or LF, a header that is one (possibly empty) and without
 * NUL, an empty line and a body, which has no NUL once the message is
 * completed: the bytes as they go by BDAT, not yet dot-stuffed. The first MiB
 * lies in memory, the rest in an unlinked temporary file (or in a queue
 * entry's file); memory grows neither with the message nor with the number of
 * its fields.
 */
#ifndef MAIL_MESSAGE_H
#define MAIL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/outcome.h"

struct message;

struct message_limits {
	bool dot_ends;      /* a line with a lone dot ends the message */
	int64_t max_size;   /* bytes as kept here; 0: no limit */
};

/* Reads all of fd. False: EX_DATAERR (NUL in the header; 5.3.4 too large;
 * 5.6.0 more than 100000 fields), EX_UNAVAILABLE (5.4.6, more than 50
 * Received), EX_NOINPUT (not readable at the first read), EX_IOERR. After
 * EX_DATAERR the rest of fd is not read: drain it; after a dot that ended the
 * message, this drains what comes without a pause of a second. */
bool message_read(int fd, const struct message_limits *limits,
		  struct message **out, struct outcome *why) MUST_CHECK;
/* The same in pieces, for a caller that finds the end itself. Feeding gives
 * false once more of it changes nothing: a NUL or a full disk, which the end
 * reports, or a dot that ended the message. message_end and message_abandon
 * free the reader. */
struct message_reader;
struct message_reader *message_begin(const struct message_limits *limits);
bool message_feed(struct message_reader *r, const char *data, size_t n);
bool message_end(struct message_reader *r, struct message **out,
		 struct outcome *why) MUST_CHECK;
void message_abandon(struct message_reader *r);
/* Reads on and throws away, so that a writer gets no SIGPIPE: at most 64 MiB
 * and 10 s, nothing from a terminal. */
void message_drain(int fd);
/* As message_read, from size bytes at an offset of a file, parsed again (a
 * queue entry of another owner). */
bool message_parse(int fd, int64_t offset, int64_t size,
		   const struct message_limits *limits, struct message **out,
		   struct outcome *why) MUST_CHECK;
/* A message over size bytes at an offset of a file, which must be bytes that
 * message_write once wrote. fd is not closed by message_free. */
bool message_open(int fd, int64_t offset, int64_t size, struct message **out,
		  struct outcome *why) MUST_CHECK;
/* The same from memory, copied (reports). The text may have LF line ends. */
bool message_from_text(const char *text, size_t n, struct message **out,
		       struct outcome *why) MUST_CHECK;
void message_free(struct message *m);

/* Bytes in all, and up to and with the empty line that ends the header. */
int64_t message_size(const struct message *m);
/* Of the files that its bytes are in; -1: in memory. NULL has none. */
void message_descriptors(const struct message *m, int fd[2]);
int64_t message_header_size(const struct message *m);
/* Points *data at bytes from offset on, in memory or in a window that the
 * next call replaces; gives how many (at most 64 KiB), 0 at the end, -1 when
 * the file cannot be read. */
long message_bytes(struct message *m, int64_t offset, const char **data);

struct field {
	const char *name;   /* not terminated */
	size_t name_len;    /* without blanks before the colon */
	const char *value;  /* after the colon, folding kept, last CRLF not */
	size_t value_len;
	const char *raw;    /* the whole, last CRLF included */
	size_t raw_len;
	int64_t at;         /* its offset in the message */
	bool cut;           /* longer than FIELD_MAX: the rest is not here */
	bool addresses;     /* mailboxes, and not too long to be parsed */
};
enum { FIELD_MAX = 4 * 1024 * 1024 };

/* Whether the field's name is this, without case. */
bool field_is(const struct field *f, const char *name);
/* Calls visit for each field in order until it returns false. False
 * (EX_IOERR) when the file cannot be read. */
typedef bool field_visit(const struct field *f, void *context);
bool message_fields(struct message *m, field_visit *visit, void *context,
		    struct outcome *why) MUST_CHECK;
/* The same for the one field at an offset that a walk gave. */
bool message_field_at(struct message *m, int64_t at, field_visit *visit,
		      void *context, struct outcome *why) MUST_CHECK;
/* The value of the first field of that name, unfolded, blanks at its ends
 * removed; NULL: none. The caller frees. */
char *message_field(struct message *m, const char *name);
/* The Message-ID without its angle brackets, as a log shows it (500 octets at
 * most); NULL: none. The caller frees. */
char *message_id(struct message *m);

struct message_facts {
	bool eight_bit;        /* any byte outside ASCII */
	bool utf8_address;     /* a non-ASCII local part in an address field */
	bool tls_required_no;  /* TLS-Required: No (RFC 8689 5) */
	bool long_lines;       /* a line over 998 octets is still there */
	bool from;             /* a From field with an address */
	bool resent;           /* a field whose name begins with Resent- */
	bool signature;        /* a DKIM or ARC signature over the body */
	int64_t size;
};
const struct message_facts *message_facts(const struct message *m);
/* The address of the first mailbox of From, "" without one. The caller
 * frees. */
char *message_from(struct message *m);

#endif
