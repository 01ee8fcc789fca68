/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bodies encoded for the wire, part by part, into a spool. A machine begins
 * as { .out = SPOOL } and is fed what may be cut anywhere.
 */
#ifndef MAIL_ENCODE_H
#define MAIL_ENCODE_H

#include "mail/spool.h"

/* Quoted-printable (RFC 2045 6.7) of text whose lines end in CRLF. */
struct qp {
	struct spool *out;
	size_t line;
	char blank;           /* a blank or tab whose place is still open */
	char text[80];
};
void qp_add(struct qp *q, const char *data, size_t n);
void qp_end(struct qp *q);

/* Base64 (RFC 2045 6.8) on lines of their proper length: only white space and
 * NULs, which no decoder counts, are changed. */
struct base64_lines {
	struct spool *out;
	size_t line;
	char text[80];
};
void base64_lines_add(struct base64_lines *w, const char *data, size_t n);
void base64_lines_end(struct base64_lines *w);

#endif
