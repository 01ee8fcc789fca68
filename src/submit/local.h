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

/* Writes it to a file: lines end in LF, Return-Path comes first, and
 * Delivered-To where that is wanted. False: errno; EIO too where the message
 * could not be read. */
bool local_text_write(const struct local *l, bool delivered_to, int fd)
	MUST_CHECK;

#endif
