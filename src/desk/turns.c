/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "desk/turns.h"
#include "policy/policy.h"

/* How much memory entries take. */
enum {
	MEGABYTE = 1024 * 1024,
	MEMORY_ENTRY = 16 * 1024,           /* of one, beside what it holds */
	MEMORY_RECIPIENT = sizeof(struct recipient) + 160,
	MEMORY_MESSAGE = MEGABYTE           /* of one that is parsed anew */
};

/* Entries by their size in memory, so that none ever waits for a larger one.
 * Those of a class may take so much together; one may in any case, which is
 * why a class alone has no bound but that of an entry. */
enum { CLASSES = 3, LINES_KEPT = 64 };

static const struct {
	size_t largest, together;
} classes[CLASSES] = {
	{ 3 * MEGABYTE / 2, 16 * MEGABYTE },
	{ 6 * MEGABYTE, 12 * MEGABYTE },
	{ SIZE_MAX, 64 * MEGABYTE },
};

/* A user's entries of a class that are due, first due first. */
struct line {
	uid_t uid;
	unsigned class;
	char **name;
	size_t n, at;
	size_t need;              /* memory for the next; 0: not known */
	int64_t pause;            /* until then, monotonic ms; 0: none */
	size_t memory;            /* of those in hand */
	size_t jobs;
};

/* Names of entries, as hashes. */
struct names {
	uint64_t *hash;
	size_t n;
};

struct turns {
	struct queue *q;
	size_t most;              /* entries in hand */
	size_t jobs;              /* are in hand, */
	size_t memory[CLASSES];   /* and take so much */
	struct line *line;
	size_t lines, turn;
	size_t now;               /* the line whose turn it is */
	struct names tried;
	struct names busy;        /* of those, what somebody else had */
	struct names admitted;    /* ids */
};

struct turns *turns_new(struct queue *q, size_t most)
{
	struct turns *t = mem_alloc(sizeof(*t));

	t->q = q;
	t->most = most;
	return t;
}

/* --- what was tried --- */

static void names_add(struct names *n, const char *name)
{
	n->hash = mem_grow(n->hash, n->n, sizeof(*n->hash));
	n->hash[n->n++] = mem_hash(name);
}

static int by_hash(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void names_sort(struct names *n)
{
	if (n->n)
		qsort(n->hash, n->n, sizeof(*n->hash), by_hash);
}

/* They are sorted. */
static bool names_have(const struct names *n, uint64_t hash)
{
	return n->n && bsearch(&hash, n->hash, n->n, sizeof(hash), by_hash);
}

void turns_tried(struct turns *t, const char *name)
{
	names_add(&t->tried, name);
}

/* A writer leaves the sign that something is due once it has let go of its
 * entry; what it had in hand when this run came by was not tried. */
void turns_forget_busy(struct turns *t)
{
	size_t i, kept = 0;

	names_sort(&t->busy);
	for (i = 0; i < t->tried.n; i++)
		if (!names_have(&t->busy, t->tried.hash[i]))
			t->tried.hash[kept++] = t->tried.hash[i];
	t->tried.n = kept;
	t->busy.n = 0;
}

/* --- looking --- */

static struct line *line_of(struct turns *t, uid_t uid, unsigned class)
{
	size_t i;

	for (i = 0; i < t->lines; i++)
		if (t->line[i].uid == uid && t->line[i].class == class)
			return &t->line[i];
	t->line = mem_resize(t->line, t->lines + 1, sizeof(*t->line));
	t->line[t->lines] = (struct line){ .uid = uid, .class = class };
	return &t->line[t->lines++];
}

static void lines_empty(struct turns *t)
{
	struct line *l;
	size_t i;

	for (i = 0; i < t->lines; i++) {
		l = &t->line[i];
		while (l->at < l->n)
			free(l->name[l->at++]);
		free(l->name);
		l->name = NULL;
		l->n = l->at = l->need = 0;
	}
	/* users of whom nothing is left; not their places in the order */
	for (i = t->lines; i-- && t->lines > LINES_KEPT;)
		if (!t->line[i].jobs)
			t->line[i] = t->line[--t->lines];
}

void turns_free(struct turns *t)
{
	lines_empty(t);
	free(t->line);
	free(t->tried.hash);
	free(t->busy.hash);
	free(t->admitted.hash);
	free(t);
}

/* text: the bytes of its strings; message: those of a message to be parsed. */
static size_t memory_for(size_t recipients, size_t text, int64_t message)
{
	return MEMORY_ENTRY + recipients * MEMORY_RECIPIENT + text +
	       (message < MEMORY_MESSAGE ? (size_t)message : MEMORY_MESSAGE);
}

static size_t memory_seen(const struct glance *g)
{
	/* of one with more no more is read */
	return memory_for(g->recipients < RECIPIENTS_MAX ? g->recipients :
			  RECIPIENTS_MAX, g->header, 0);
}

void turns_admit(struct turns *t, const char *id)
{
	names_add(&t->admitted, id);
}

static bool is_admitted(const struct turns *t, const char *name)
{
	char id[QUEUE_ID_SIZE];

	snprintf(id, sizeof(id), "%.*s", (int)strcspn(name, ","), name);
	return names_have(&t->admitted, mem_hash(id));
}

/* Into its user's line, unless it was tried. */
static void line_up(struct turns *t, const char *name)
{
	unsigned class = 0;
	struct glance g;
	struct line *l;

	if (names_have(&t->tried, mem_hash(name)) ||
	    !queue_glance(t->q, name, &g))
		return;
	while (memory_seen(&g) > classes[class].largest)
		class++;
	l = line_of(t, g.uid, class);
	l->name = mem_grow(l->name, l->n, sizeof(*l->name));
	l->name[l->n++] = mem_string(name);
}

bool turns_look(struct turns *t, const struct selection *s,
		int64_t longest_wait, struct outcome *why)
{
	struct list due = { 0 }, all = { 0 };
	bool done;
	size_t i;

	lines_empty(t);
	names_sort(&t->tried);
	names_sort(&t->admitted);
	done = queue_select(t->q, s, longest_wait, &due, why) &&
	       (!t->admitted.n ||
		queue_select(t->q, NULL, longest_wait, &all, why));
	for (i = 0; done && i < due.n; i++)
		line_up(t, due.item[i]);
	for (i = 0; done && i < all.n; i++)
		if (is_admitted(t, all.item[i]) &&
		    !list_has(&due, all.item[i]))
			line_up(t, all.item[i]);
	list_release(&due);
	list_release(&all);
	return done;
}

bool turns_left(const struct turns *t)
{
	size_t i;

	for (i = 0; i < t->lines; i++)
		if (t->line[i].at < t->line[i].n)
			return true;
	return false;
}

/* --- in turn --- */

static bool has_room(const struct turns *t, const struct line *l, size_t more)
{
	const struct room room = {
		.most = t->most, .jobs = t->jobs, .own_jobs = l->jobs,
		.together = classes[l->class].together,
		.memory = t->memory[l->class], .own_memory = l->memory,
	};

	return policy_has_room(&room, more);
}

static bool pauses(const struct turns *t, const struct line *l)
{
	return l->pause && t->jobs && clock_left(l->pause);
}

/* What may be large is not even read when there is no room for it. */
static bool may_begin(const struct turns *t, struct line *l)
{
	struct glance g;

	if (l->at == l->n || pauses(t, l) ||
	    !has_room(t, l, l->need ? l->need : MEMORY_ENTRY))
		return false;
	if (!l->class || l->need || !queue_glance(t->q, l->name[l->at], &g))
		return true;
	l->need = memory_seen(&g);
	return has_room(t, l, l->need);
}

const char *turns_next(struct turns *t)
{
	size_t i;

	for (i = 0; i < t->lines; i++) {
		t->now = t->turn++ % t->lines;
		if (may_begin(t, &t->line[t->now]))
			return t->line[t->now].name[t->line[t->now].at];
	}
	return NULL;
}

void turns_begin(struct turns *t)
{
	struct line *l = &t->line[t->now];

	turns_tried(t, l->name[l->at]);
	free(l->name[l->at++]);
	l->need = 0;
}

void turns_pass(struct turns *t, bool busy)
{
	struct line *l = &t->line[t->now];

	if (busy)
		names_add(&t->busy, l->name[l->at]);
	turns_begin(t);
}

static size_t memory_of(const struct entry *e)
{
	size_t text = 0, i;

	for (i = 0; i < e->envelope.n; i++) {
		const struct recipient *rcpt = &e->envelope.rcpt[i];

		text += strlen(rcpt->address) +
			(rcpt->orcpt ? strlen(rcpt->orcpt) : 0);
	}
	return memory_for(e->envelope.n, text, e->foreign ? e->size : 0);
}

bool turns_hold(struct turns *t, const struct entry *e, struct turn *turn)
{
	struct line *l = &t->line[t->now];

	l->need = memory_of(e);
	if (!has_room(t, l, l->need))
		return false;
	*turn = (struct turn){ .uid = l->uid, .class = l->class,
			       .memory = l->need };
	l->memory += turn->memory;
	l->jobs++;
	t->memory[l->class] += turn->memory;
	t->jobs++;
	return true;
}

void turns_end(struct turns *t, const struct turn *turn)
{
	struct line *l = line_of(t, turn->uid, turn->class);

	l->memory -= turn->memory;
	l->jobs--;
	t->memory[turn->class] -= turn->memory;
	t->jobs--;
}

void turns_put_off(struct turns *t, int64_t ms)
{
	struct line *l = &t->line[t->now];
	char *name = l->name[l->at];

	memmove(&l->name[l->at], &l->name[l->at + 1],
		(l->n - l->at - 1) * sizeof(*l->name));
	l->name[l->n - 1] = name;
	l->need = 0;
	l->pause = clock_in(ms);
}
