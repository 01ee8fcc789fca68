/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whose turn it is in a run of the queue: what is due and was not tried by it,
 * user by user and apart by size, so that nobody's mail waits for the mail of
 * somebody else; and how much of it is in hand.
 */
#ifndef DESK_TURNS_H
#define DESK_TURNS_H

#include "mail/selection.h"
#include "queue/queue.h"

struct turns;

/* An entry in hand: what it counts for. */
struct turn {
	uid_t uid;
	unsigned class;
	size_t memory;
};

/* most: entries in hand. Freed by turns_free(). */
struct turns *turns_new(struct queue *q, size_t most);
void turns_free(struct turns *t);

/* The entry of this id is looked for, too, whatever is selected. */
void turns_admit(struct turns *t, const char *id);
/* Looks for what is due; longest_wait as for queue_select(). False: the queue
 * could not be read. */
bool turns_look(struct turns *t, const struct selection *s,
		int64_t longest_wait, struct outcome *why) MUST_CHECK;
/* Whether any of that is left. */
bool turns_left(const struct turns *t);
/* The name of the next one for which there is room, as far as can be told
 * without reading it; NULL: there is none now. The users come in turn. The
 * name lives until one of turns_pass(), turns_begin() and
 * turns_look() is called. */
const char *turns_next(struct turns *t);

/* The next one is not to be had. busy: somebody else has it in hand, who may
 * have been its writer. */
void turns_pass(struct turns *t, bool busy);
/* The next one was read: it is in hand until turns_end(). False: there is no
 * room for it, and its user waits for what he has in hand to end. */
bool turns_hold(struct turns *t, const struct entry *e, struct turn *turn)
	MUST_CHECK;
/* The next one is begun; or cannot be begun now: it comes last of its user's,
 * who pauses for ms (not if nothing is in hand). */
void turns_begin(struct turns *t);
void turns_put_off(struct turns *t, int64_t ms);
void turns_end(struct turns *t, const struct turn *turn);

/* It does not come again in this run, although it may be due again. */
void turns_tried(struct turns *t, const char *name);
/* What somebody else had in hand comes again. */
void turns_forget_busy(struct turns *t);

#endif
