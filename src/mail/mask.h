/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a peer must not make us repeat. Servers quote the command that they
 * did not understand, and what they quote ends up in logs, reports and on
 * terminals; so every reply passes here before anybody sees its words.
 */
#ifndef MAIL_MASK_H
#define MAIL_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"

/* Empty: {0}. Everything in it is wiped when it is released. */
struct mask {
	struct list needle;     /* folded: see mask.c */
	uint64_t *piece;        /* a hash set of their parts */
	size_t size, used;
};

/* A password or token: in clear, in base64 however it is aligned, in hex, with
 * the percent signs of a URL. NULL and "" are passed over. */
void mask_add_secret(struct mask *m, const char *secret);
/* A response in base64 as it was sent, and the proof that it holds. */
void mask_add_response(struct mask *m, const char *base64, size_t n);
/* text, lines joined by LF, with "********" in place of everything that was
 * added, whole or in part (six characters in a row; four that stand alone,
 * as at the edge of a line that was cut), also where it goes on in the next
 * line. The number of lines stays. Time grows with the text alone. */
void mask_apply(const struct mask *m, const char *text, size_t n,
		struct buf *out);
void mask_release(struct mask *m);

#endif
