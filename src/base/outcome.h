/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one result. It is made where the thing happened and carried unchanged
 * to the exit status, the log line, the queue file and the report.
 *
 * A function that can fail returns bool, takes struct outcome *why last and
 * fills it before it returns false, most shortly with
 * "return outcome_fail(why, ...)".
 */
#ifndef BASE_OUTCOME_H
#define BASE_OUTCOME_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sysexits.h>

#define MUST_CHECK __attribute__((warn_unused_result))

/* How far it came. From MAIL on, what a server says concerns the message. */
enum stage {
	STAGE_LOCAL,   /* before any network: message, configuration, limits */
	STAGE_DNS,
	STAGE_CONNECT, /* includes a proxy's part */
	STAGE_TLS,
	STAGE_HELLO,   /* greeting, EHLO, STARTTLS command */
	STAGE_AUTH,
	STAGE_MAIL,
	STAGE_RCPT,
	STAGE_DATA,    /* DATA or BDAT, and the message's bytes */
	STAGE_DOT      /* the answer to the final dot or BDAT LAST */
};

struct outcome {
	enum stage stage;
	int exit;         /* sysexits(3); EX_OK is success */
	int code;         /* the server's three digits; 0: no server spoke */
	bool in_doubt;    /* the final dot went out and no answer came back */
	bool no_network;  /* this host has no way out at all */
	bool no_route;    /* no address of the host was in reach from here */
	int64_t not_before; /* nobody was asked, and it is no use before then
			   * (wall clock, seconds); 0: it does not say */
	bool unasked;     /* nobody was asked, for what others heard before */
	bool lacking;     /* of one host: it lacks what the message needs */
	char status[12];  /* RFC 3463, "5.1.1"; "" unknown */
	char host[256];   /* who said it; "" this program */
	char text[512];   /* one printable line */
};

/* Sets *why to a failure with these words (made printable) and is false; with
 * an enhanced status code (RFC 3463). That it is false is written here, where
 * a compiler and an analyzer see it in every caller. */
#define outcome_fail(...) outcome_false(outcome_set(__VA_ARGS__))
#define outcome_fail_status(...) \
	outcome_false(outcome_set_status(__VA_ARGS__))
const struct outcome *outcome_set(struct outcome *why, enum stage stage,
				  int exit, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
const struct outcome *outcome_set_status(struct outcome *why, enum stage stage,
					 int exit, const char *status,
					 const char *format, ...)
	__attribute__((format(printf, 5, 6)));
static inline bool outcome_false(const struct outcome *why)
{
	(void)why;
	return false;
}
/* Puts words and ": " before the text that is there. */
void outcome_prefix(struct outcome *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Adds words after the text that is there, which gives way to them. */
void outcome_append(struct outcome *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Whether trying again can help whoever keeps the message (EX_TEMPFAIL,
 * EX_OSERR, EX_CANTCREAT, EX_IOERR). */
bool outcome_is_temporary(const struct outcome *o);
/* The words a person gets about one recipient, without name and address:
 * "refused by mx1.example.org: 550 5.1.1 no such user". out is always
 * terminated. */
void outcome_words(const struct outcome *o, char *out, size_t size);
/* The stage's name in lower case, for logs and queue files, and back;
 * an unknown name is STAGE_LOCAL. */
const char *stage_name(enum stage stage);
enum stage stage_named(const char *name);

/* Copies text of unknown origin so that no byte of it can move a cursor,
 * end a line or hide (control characters, C1, bidirectional marks, bytes
 * that are no UTF-8 become "?"); cut at size at a character's edge. */
void text_printable(char *out, size_t size, const char *in, size_t n);

/* The same as a string of its own, which the caller frees. */
char *text_clean(const char *in);

#endif
