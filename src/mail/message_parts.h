/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What message*.c and complete.c share, and nobody else sees. */
#ifndef MAIL_MESSAGE_PARTS_H
#define MAIL_MESSAGE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "mail/address.h"
#include "mail/message.h"
#include "mail/spool.h"

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
	int64_t authors;      /* bytes of From fields to be parsed so far */
	int64_t addresses;    /* the same of other address fields */
	struct buf copy;      /* of a field that lies in pieces */
	bool failed;
};
/* The next field; false at the end of the header, or failed. */
bool field_next(struct field_walk *w, struct field *f);
void field_walk_release(struct field_walk *w);
/* Whether the value is nothing but white space. */
bool field_is_blank(const struct field *f);
/* Whether a From field has an address. One that is a name alone has none:
 * *name is then that name, freed by the caller; NULL: none. */
bool field_has_author(const struct field *f, char **name);
/* Whether a mailbox of a From field is one of these. What stands where an
 * address should be is a name if it looks like one, or is quoted and has no
 * name beside it. */
bool mailbox_is_author(const struct mailbox *b);
/* An address field longer than the first is not parsed, since its mailboxes
 * would take many times its room in memory, nor one with which all together
 * were longer than the second, for the time: it is left as it is. From is no
 * part of the sum: all of these together may be as long as the first. */
enum {
	ADDRESS_FIELD_MAX = 1024 * 1024,
	ADDRESS_FIELDS_MAX = 4 * ADDRESS_FIELD_MAX
};
/* The value unfolded, blanks at its ends removed. The caller frees. */
char *field_unfold(const struct field *f);
/* The value with CR and LF as blanks, so that offsets stay. The caller
 * frees. */
char *field_flatten(const struct field *f);

#endif
