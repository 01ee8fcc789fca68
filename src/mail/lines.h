/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The small state machines that stand between a caller's bytes and the wire:
 * normalise first, stuff after; unstuff what a client of ours stuffed. None
 * cares where buffers end.
 */
#ifndef MAIL_LINES_H
#define MAIL_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* The longest line of a message, CRLF not counted (RFC 5322 2.1.1). */
enum { LINE_LONGEST = 998 };

/*
 * The normaliser: a caller's bytes in, a message out whose lines all end in
 * CRLF and whose header, possibly empty, is ended by an empty line.
 *
 * A run of CRs before an LF, or before the end of the input, belongs to the
 * line end. Another CR becomes a blank in the header and a line end in the
 * body. A byte order mark before the header and leading "From " and ">From "
 * lines are dropped. A line that is not a field ends the header, an empty line
 * put before it. With dot_ends, a line of the input (not one that a bare CR
 * made) with a lone dot ends it all. A NUL in a field ends it, too, for good;
 * one in the body goes on and is noted.
 */
enum { FIELD_NAME_MAX = LINE_LONGEST };

struct normaliser {
	/* set by the caller; put gets the output and returns false to stop */
	bool (*put)(void *context, const char *data, size_t n);
	void *context;
	bool dot_ends;

	/* to be read by the caller */
	int64_t size;         /* bytes put so far */
	int64_t header_size;  /* up to and with the empty line; 0: not yet */
	bool ended;           /* by a lone dot: the rest is not looked at */
	bool nul;             /* a NUL in the header: no message */
	bool stopped;         /* put said so */
	bool body_nul;        /* the body has a NUL */
	bool body_wide;       /* the body has a byte outside ASCII */
	bool body_long;       /* and a line over LINE_LONGEST */

	/* its own */
	enum {
		NORMAL_BOL, NORMAL_DOT, NORMAL_MARK, NORMAL_NAME, NORMAL_TEXT,
		NORMAL_SKIP
	} state;
	bool fields;          /* a field was there */
	bool blanks;          /* after the name that is held */
	bool look_wide;       /* this buffer has bytes outside ASCII */
	bool look_nul;        /* or NULs */
	bool crlf;            /* the last line came with CRLF */
	size_t crs;           /* CRs whose meaning is still open */
	size_t line;          /* length of the body's line so far */
	size_t held;
	char name[FIELD_NAME_MAX + 2]; /* start of a line not yet judged */
};

/* Takes n bytes. False: nul or stopped, and nothing more is taken. */
bool normalise(struct normaliser *s, const char *in, size_t n);
/* The input is at its end. False: stopped. */
bool normalise_end(struct normaliser *s);

/* White space within a line (RFC 5234's WSP). */
static inline bool is_wsp(char c)
{
	return c == ' ' || c == '\t';
}
/* Whether a field's name may hold this character (RFC 5322 3.6.8). */
bool is_ftext(char c);
/* Whether a line has a control character that is not a tab. */
bool line_has_controls(const char *s, size_t n);
/* Whether any byte is outside ASCII. */
bool bytes_wide(const char *p, size_t n);

/* Whether any line of a text whose lines end in LF could pass for an SMTP
 * command that changes a session's state: blanks before it and case do not
 * matter, nor where a server with a short buffer would cut a long line. */
bool text_has_command(const char *text, size_t n);

/*
 * Dot-stuffing (RFC 5321 4.5.2) of text whose every line ends in CRLF. {0}
 * is a machine at the beginning of a line.
 */
struct stuffer {
	enum { STUFF_BOL, STUFF_TEXT } state;
};

/* The most bytes that n bytes of input can become. */
#define STUFFED_MAX(n) (2 * (n))
/* Writes the stuffed form of in to out (room for STUFFED_MAX(n)); gives its
 * length. */
size_t stuff(struct stuffer *s, const char *in, size_t n, char *out);

/*
 * The other direction, for a server (RFC 5321 4.5.2): the bytes after a DATA
 * command in, a message's bytes out, the dots that stuffing put before a dot
 * taken away. With crlf a line is what ends in CRLF and only CRLF.CRLF is the
 * end; without it a line ends in LF and only LF.LF is the end. {.crlf = ...}
 * is a machine at the beginning of a line.
 */
struct unstuffer {
	bool crlf;
	bool ended;        /* the end came: the rest is not looked at */
	enum { UNSTUFF_BOL, UNSTUFF_DOT, UNSTUFF_DOT_CR, UNSTUFF_TEXT,
	       UNSTUFF_CR } state;
};

/* The most bytes that n bytes of input can become. */
#define UNSTUFFED_MAX(n) ((n) + 1)
/* Writes to out (room for UNSTUFFED_MAX(n)) and sets *len; gives how many
 * bytes of in were used: all, or up to and with the end. */
size_t unstuff(struct unstuffer *u, const char *in, size_t n, char *out,
	       size_t *len);

#endif
