/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mail that goes to no other host: what the kinds of WAY_LOCAL do with a
 * message, for one recipient at a time.
 */
#ifndef SUBMIT_LOCAL_H
#define SUBMIT_LOCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/outcome.h"
#include "config/config.h"
#include "mail/message.h"

struct local {
	const struct transport *transport;
	const char *sender;         /* "" null */
	const char *recipient;
	struct message *message;
	const char *prefix;         /* fields before it (DKIM); NULL: none */
	int64_t timeout;            /* ms */
};

/* How it ended, success too, is *o. */
typedef void local_deed(const struct local *l, struct outcome *o);

struct local_kind {
	local_deed *deed;
	bool keeps;                 /* the message comes to be somewhere: it
				     * is signed, and done twice is a harm */
	const char *words;          /* what is done, for --explain ... */
	size_t subject;             /* ... and with what: a string of struct
				     * transport; 0: none */
};

/* The row of a kind; NULL: mail goes to hosts. */
const struct local_kind *local_kind(int kind);
/* "into the maildir /var/mail/root", "nothing is connected to". */
void local_describe(const struct transport *t, char *out, size_t size);

/* One a kind of LOCAL_KINDS: local_maildir and the like. Those that take more
 * than a few lines to do have a file of their own. */
#define LOCAL_KIND(constant, name, ...) \
	extern const struct local_kind local_##name;
LOCAL_KINDS(LOCAL_KIND)
#undef LOCAL_KIND

/* --- local_text.c: the message as files and programs have it --- */

/* Lines end in LF; Return-Path comes first, and Delivered-To where that is
 * wanted. local_text_next is a child_source. */
struct local_text {
	const struct local *l;
	struct buf piece;
	int64_t at;                 /* in the message; -1: before it */
	bool delivered_to;
	bool failed;                /* the message could not be read */
};
long local_text_next(void *context, const char **data);
void local_text_release(struct local_text *t);

#endif
