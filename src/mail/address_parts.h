/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of address share; nobody else includes this. */
#ifndef MAIL_ADDRESS_PARTS_H
#define MAIL_ADDRESS_PARTS_H

#include "base/buf.h"
#include "mail/address.h"

/* A walk over a list of addresses. */
struct address_scan {
	const char *text;
	size_t n;
	size_t pos;
	size_t start;      /* of the element at hand, for the words */
	bool in_group;
	bool slips;        /* those after an address are passed over */
	bool loose;        /* the element is not what the RFC wants */
	size_t torn;       /* offset after a ">" whose "<" stands in an
			    * element before; 0: none is known */
	unsigned char *unclosed; /* a bit a byte of the text: a "(" that
			    * nothing closes; NULL: none is known */
	struct mailbox box; /* of the element at hand; no address: none */
	struct outcome *why; /* NULL: nobody reads it */
};

/* What is a phrase or a local part, depending on what follows it. */
struct address_words {
	struct buf phrase; /* words with the blanks between them */
	struct buf local;  /* words and dots alone, unquoted */
	size_t end;        /* offset after the last of them */
	size_t count;
	bool after_word;
	bool adjacent;     /* two words without a dot between: no local part */
	bool spaced;       /* white space or a comment among them */
	bool quoted;       /* one is */
	bool encoded;      /* the last is an encoded word (RFC 2047) */
};

/* "bad address ...": false, EX_DATAERR. */
bool address_fault(struct address_scan *s, const char *what);
/* The byte at hand; -1 at the end. */
int address_peek(const struct address_scan *s);

/* --- address_words.c --- */

/* Each moves past what it reads; false: a fault, which was told. What has no
 * end was not moved past then, for it may be read as something else; a quoted
 * string is nothing else. */

/* For a scan: each "(" that nothing closes, lest the rest of the text is
 * walked over in vain for one after another. The caller frees. */
unsigned char *address_unclosed(const char *text, size_t n);
/* A comment, whose parenthesis is at hand. */
bool address_skip_comment(struct address_scan *s);
/* Comments and folding white space (RFC 5322 3.2.2), if there are any. */
bool address_skip_cfws(struct address_scan *s);
/* Words, dots and what may stand between them, up to anything else.
 * address_words_release in either case. */
bool address_read_words(struct address_scan *s, struct address_words *w);
void address_words_release(struct address_words *w);
/* The display name that a phrase is; NULL: none. The caller frees. */
char *address_words_name(struct address_words *w);
/* The domain after an "@" or a literal, with the blanks and comments of
 * RFC 5322 4.4, added to a buffer of s->n bytes. */
bool address_read_domain(struct address_scan *s, struct buf *domain);

#endif
