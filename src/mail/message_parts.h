/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files message*.c share, and nobody else: where a message's bytes
 * lie, and the walk over its fields.
 */
#ifndef MAIL_MESSAGE_PARTS_H
#define MAIL_MESSAGE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "mail/lines.h"
#include "mail/message.h"

/* --- store: bytes, the first in memory, the rest in a file --- */

enum {
	STORE_MEMORY = 1024 * 1024,
	STORE_WRITE = 256 * 1024,   /* written at once */
	STORE_WINDOW = 64 * 1024    /* read at once */
};

struct spool {
	char *mem;          /* its first bytes */
	size_t mem_len, mem_size;
	int fd;             /* the rest; -1: none yet */
	bool own;           /* fd is ours */
	int64_t base;       /* where in the file the rest begins */
	int64_t size;       /* bytes in all */
	char *out;          /* the last of them, not yet written */
	size_t out_len;
	char *window;       /* what was read last */
	int64_t window_at;
	size_t window_len;
	int error;          /* errno of what failed; 0: all is well */
	char *directory;    /* of the file; NULL: none was needed */
};

struct spool *spool_new(void);
/* Over size bytes at an offset of a file that stays the caller's. */
struct spool *spool_over(int fd, int64_t offset, int64_t size);
void spool_free(struct spool *s);
/* False: no room or no file; error tells. */
bool spool_add(struct spool *s, const void *data, size_t n);
/* Must be called between the last spool_add and the first spool_bytes. */
bool spool_flush(struct spool *s);
/* Points *data at bytes from offset (< size) on, as many as lie there in one
 * piece, good until the next call; -1: error tells. */
long spool_bytes(struct spool *s, int64_t offset, const char **data);

/* --- message --- */

struct part {
	struct spool *store;
	int64_t at, size;
};

/* What the body's bytes are, as the header has it. */
enum encoding { ENCODING_IDENTITY, ENCODING_BASE64, ENCODING_OTHER };

/* What the header says, found by the one walk of message_survey. A field that
 * is blank does not count. */
struct present {
	bool date, message_id, reply_to, mime_version;
	bool from;            /* with an address */
	bool content_type;
	bool several_types;   /* more than one Content-Type: nobody knows */
	bool text;            /* text, or without a type */
	bool single;          /* neither multipart nor a message */
	bool signature;       /* over the body's bytes */
	bool encoding_set;
	enum encoding encoding;
};

/* Both parts may lie in one store. */
struct message {
	struct part header;   /* the empty line included */
	struct part body;
	bool body_wide;       /* a byte outside ASCII */
	bool body_long;       /* a line over LINE_LONGEST */
	bool body_nul;        /* a NUL */
	struct present has;
	struct message_facts facts;
};

/* As spool_bytes, within the part; 0 at its end. */
long part_bytes(const struct part *p, int64_t offset, const char **data);
/* Fills in the facts about the header and those that sum up. False:
 * EX_IOERR, or EX_UNAVAILABLE for too many Received. */
bool message_survey(struct message *m, struct outcome *why) MUST_CHECK;
/* Sets the three facts about the body. False: it cannot be read. */
bool body_survey(struct message *m) MUST_CHECK;
bool message_unreadable(const struct spool *s, struct outcome *why);
bool message_unwritable(const struct spool *s, struct outcome *why);

/* --- the walk over the header --- */

struct field_walk {
	struct message *m;
	int64_t at;           /* where the next field begins */
	int64_t start;        /* where this one did */
	struct buf copy;      /* of a field that lies in pieces */
	bool failed;
};
/* The next field; false at the end of the header, or failed. */
bool field_next(struct field_walk *w, struct field *f);
void field_walk_release(struct field_walk *w);
/* The value unfolded, blanks at its ends removed. The caller frees. */
char *field_unfold(const struct field *f);
/* Whether the value is nothing but white space. */
bool field_is_blank(const struct field *f);
/* Whether a From field has an address. One that is a name alone has none:
 * *name is then that name, freed by the caller; NULL: none. */
bool field_has_author(const struct field *f, char **name);
/* An address field longer than this is not parsed: its mailboxes would take
 * many times its room in memory. It is left as it is. */
enum { ADDRESS_FIELD_MAX = 1024 * 1024 };
/* Whether it is one of the fields whose mailboxes are completed. */
bool field_has_addresses(const struct field *f);
/* The same text with CR and LF as blanks, so that offsets stay. The caller
 * frees. */
char *field_flatten(const struct field *f);

/* --- filters: put gets the output --- */

/* A refolded header field (RFC 5322 2.2.3): lines over LINE_LONGEST are
 * broken before white space so that none is over width, where words permit.
 * Nothing but CRLFs is added. */
struct refolder {
	struct spool *out;
	size_t width;
	bool colon;           /* the field's name is past */
	size_t line;          /* length of the line so far */
	bool solid;           /* it holds more than white space */
	bool name_only;       /* and nothing but the field's name */
	bool word;            /* what is held does, too */
	size_t held;          /* white space and a word, not yet written */
	char text[LINE_LONGEST];
};
void refold(struct refolder *r, const char *data, size_t n);
void refold_end(struct refolder *r);
/* A whole field: lines that are short enough stay as they are. */
void refold_field(struct spool *out, const char *data, size_t n);

/* Quoted-printable (RFC 2045 6.7) of text whose lines end in CRLF. */
struct qp {
	struct spool *out;
	size_t line;
	char blank;           /* a blank or tab whose place is still open */
	char text[80];
};
void qp_encode(struct qp *q, const char *data, size_t n);
void qp_end(struct qp *q);

/* Base64 (RFC 2045 6.8) on lines of their proper length: only white space and
 * NULs, which no decoder counts, are changed. */
struct wrapper {
	struct spool *out;
	size_t line;
	char text[80];
};
void wrap(struct wrapper *w, const char *data, size_t n);
void wrap_end(struct wrapper *w);

#endif
