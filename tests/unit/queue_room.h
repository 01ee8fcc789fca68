/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of the queue share: a queue in a directory of its own. */
#ifndef TESTS_QUEUE_ROOM_H
#define TESTS_QUEUE_ROOM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "queue/queue.h"

/* A queue in a directory of its own, and a message. */
struct room {
	char base[64];
	char dir[128];
	struct queue *q;
	struct message *m;
	struct envelope v;
	struct recipient rcpt[3];
};

static const char text[] =
	"From: a@example.org\r\nTo: b@example.net\r\n\r\nhello\r\n";

static inline int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline int setup(void **state)
{
	struct room *r = calloc(1, sizeof(*r));
	const char *tmp = getenv("TMPDIR");
	struct log_settings quiet = { .to = "none" };
	struct outcome why;

	log_open(&quiet);
	snprintf(r->base, sizeof(r->base), "%.40s/queue-XXXXXX",
		 tmp ? tmp : "/tmp");
	if (!mkdtemp(r->base))
		return -1;
	snprintf(r->dir, sizeof(r->dir), "%s/state/queue", r->base);
	if (!queue_open(r->dir, true, NULL, NULL, &r->q, &why) ||
	    !message_from_text(text, strlen(text), &r->m, &why))
		return -1;
	r->rcpt[0].address = (char *)(uintptr_t)"b@example.net";
	r->rcpt[1].address = (char *)(uintptr_t)"\"a %b\"@example.net";
	r->rcpt[2].address = (char *)(uintptr_t)"d\xc3\xa9@example.com";
	r->v.sender = (char *)(uintptr_t)"a@example.org";
	r->v.rcpt = r->rcpt;
	r->v.n = 3;
	*state = r;
	return 0;
}

static inline int teardown(void **state)
{
	struct room *r = *state;

	queue_close(r->q);
	message_free(r->m);
	nftw(r->base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(r);
	return 0;
}

static inline void add(struct room *r, struct queue_item *item, char *id)
{
	struct outcome why;

	item->envelope = &r->v;
	item->message = r->m;
	assert_true(queue_add(r->q, item, id, &why));
}

static inline struct entry *take(struct room *r, const char *name)
{
	struct entry *e;
	struct outcome why;

	assert_true(queue_take(r->q, name, &e, &why));
	return e;
}

static inline void take_fails(struct room *r, const char *name, int exit)
{
	struct entry *e;
	struct outcome why;

	assert_false(queue_take(r->q, name, &e, &why));
	assert_int_equal(why.exit, exit);
}

static inline char *path_of(struct room *r, const char *part, const char *name)
{
	return mem_printf("%s/%s/%s", r->dir, part, name);
}

static inline size_t due(struct room *r)
{
	struct list names = { 0 };
	struct outcome why;
	size_t n;

	assert_true(queue_select(r->q, NULL, 0, &names, &why));
	n = names.n;
	list_release(&names);
	return n;
}

static inline size_t files_in(struct room *r, const char *part)
{
	struct list names = { 0 };
	char *command = mem_printf("ls -1 %s/%s | wc -l", r->dir, part);
	FILE *f = popen(command, "r");
	int n = -1;

	assert_int_equal(fscanf(f, "%d", &n), 1);
	pclose(f);
	free(command);
	list_release(&names);
	return (size_t)n;
}

static inline void record(struct entry *e, size_t i, enum rcpt_state verdict)
{
	struct outcome o = { .stage = STAGE_DOT, .code = 250, .text = "ok" };
	struct outcome why;

	if (verdict != RCPT_SENT)
		o = (struct outcome){ .stage = STAGE_RCPT, .code = 450,
				      .exit = EX_TEMPFAIL, .text = "later" };
	assert_true(entry_record(e, i, &o, verdict,
				 e->envelope.rcpt[i].attempts + 1, &why));
}

static inline bool count_entry(const struct entry *e, void *context)
{
	int *n = context;

	assert_null(e->file);
	assert_int_equal(e->envelope.n, 3);
	return ++*n < 2;
}

#define ROOM_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
