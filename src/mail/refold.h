/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Folding of header fields (RFC 5322 2.2.3). */
#ifndef MAIL_REFOLD_H
#define MAIL_REFOLD_H

#include <stdbool.h>
#include <stddef.h>

#include "mail/lines.h"
#include "mail/spool.h"

/* Lines over LINE_LONGEST are broken before white space so that none is over
 * width, where words permit. Nothing but CRLFs is added. */
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

/* A field in pieces, {.out, .width}; what is held is written after the last. */
void refold(struct refolder *r, const char *data, size_t n);
void refold_held(struct refolder *r);
/* A whole field: lines that are short enough stay as they are. */
void refold_field(struct spool *out, const char *data, size_t n);

#endif
