/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What grows in a queue, and how far. */
#include "queue_room.h"

static off_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

/* Takes it as often as it is tried, as runs of the queue do. */
static void defer(struct room *r, const char *id, unsigned times)
{
	struct outcome o = { .stage = STAGE_RCPT, .code = 450,
			     .exit = EX_TEMPFAIL, .status = "4.2.1",
			     .host = "mx.example.net" }, why;
	const size_t all[] = { 0, 1, 2 };
	struct entry *e;
	unsigned i;
	size_t j;

	memset(o.text, 'w', 400);
	for (i = 0; i < times; i++) {
		e = take(r, id);
		assert_true(entry_begin(e, all, 3, &why));
		for (j = 0; j < 3; j++)
			assert_true(entry_record(e, j, &o, RCPT_PENDING,
						 e->envelope.rcpt[j].attempts
						 + 1, &why));
		assert_true(entry_sync(e, &why));
		entry_release(e);
	}
}

static void journal_is_a_line_a_recipient(void **state)
{
	struct room *r = *state;
	struct queue_item item = { .uid = 4711, .queued = 1000 };
	struct message_limits limits = { 0 };
	const int64_t until[3] = { 0, time(NULL) + 5000, 0 };
	const unsigned missed[3] = { 0, 3, 0 };
	size_t delayed[3];
	struct outcome why;
	struct message *m;
	struct entry *e;
	struct stat before, after;
	char id[QUEUE_ID_SIZE], *path;
	const char *data;
	int i, held;

	add(r, &item, id);
	e = take(r, id);
	path = path_of(r, "mess", e->name);
	record(e, 2, RCPT_SENT);
	assert_int_equal(entry_unreported(e, REPORT_DELAY, delayed), 2);
	assert_true(entry_reported(e, REPORT_DELAY, delayed, 1, &why));
	assert_true(entry_wait(e, until, &why));
	assert_true(entry_missed(e, missed, &why));
	assert_true(entry_missed(e, missed, &why));
	entry_release(e);
	assert_true(queue_order(r->q, ORDER_RETRY, id, "other", &why));
	/* its number is nobody else's as long as it is open */
	held = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(held, &before), 0);
	for (i = 0; i < 20; i++) {
		defer(r, id, 50);
		assert_true(size_of(path) < 160 * 1024);
	}
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_ino != after.st_ino);
	close(held);
	assert_int_equal(before.st_mode, after.st_mode);
	e = take(r, id);
	/* still locked, by whichever name */
	take_fails(r, id, EX_TEMPFAIL);
	assert_int_equal(e->uid, 4711);
	assert_int_equal(e->queued, 1000);
	assert_false(e->foreign || e->interrupted);
	assert_int_equal(e->attempts, 1001);
	assert_int_equal(e->envelope.rcpt[0].attempts, 1000);
	assert_string_equal(e->envelope.rcpt[1].last.status, "4.2.1");
	assert_int_equal(strlen(e->envelope.rcpt[1].last.text), 400);
	assert_true(e->progress[0].delay_reported);
	assert_false(e->progress[1].delay_reported);
	assert_int_equal(e->progress[0].missed, 0);
	assert_int_equal(e->progress[1].missed, 6);
	assert_int_equal(e->progress[1].wait, until[1]);
	assert_true(entry_message(e, &limits, &m, &why));
	assert_int_equal(message_bytes(m, 0, &data), strlen(text));
	assert_memory_equal(data, text, strlen(text));
	message_free(m);
	entry_release(e);
	assert_int_equal(files_in(r, "tmp"), 0);
	assert_int_equal(files_in(r, "mess"), 1);
	assert_int_equal(files_in(r, "corrupt"), 0);
	free(path);
}

/* What was asked for by hand is not forgotten by it. */
static void orders_outlive_it(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	struct outcome why;
	struct entry *e;
	struct stat before, after;
	char id[QUEUE_ID_SIZE], *path;

	add(r, &item, id);
	e = take(r, id);
	path = path_of(r, "mess", e->name);
	entry_release(e);
	defer(r, id, 1);
	for (;;) {
		if (size_of(path) > 128 * 1024)
			break;
		e = take(r, id);
		record(e, 0, RCPT_PENDING);
		entry_release(e);
		assert_true(queue_order(r->q, ORDER_RETRY, id, "first", &why));
		assert_true(queue_order(r->q, ORDER_RETRY, id, "other", &why));
		if (size_of(path) > 60 * 1024)
			break;
	}
	assert_int_equal(stat(path, &before), 0);
	do {
		e = take(r, id);
		record(e, 1, RCPT_PENDING);
		entry_release(e);
		assert_int_equal(stat(path, &after), 0);
	} while (before.st_ino == after.st_ino);
	e = take(r, id);
	assert_string_equal(e->transport, "other");
	entry_release(e);
	free(path);
}

/* Written anew it is the owner's file, and no more to be believed. */
static void a_stranger_stays_one(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	struct entry *e;
	struct stat st;
	char id[QUEUE_ID_SIZE], *path;

	if (geteuid())
		skip();
	add(r, &item, id);
	e = take(r, id);
	path = path_of(r, "mess", e->name);
	entry_release(e);
	assert_int_equal(chown(path, 4711, 4711), 0);
	defer(r, id, 30);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 4711);
	defer(r, id, 130);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, geteuid());
	e = take(r, id);
	assert_true(e->foreign);
	assert_int_equal(e->uid, 4711);
	assert_int_equal(e->attempts, 160);
	entry_release(e);
	free(path);
}

/* An entry of so many recipients, written without the queue's own checks. */
static char *planted(struct room *r, size_t n)
{
	char *path = path_of(r, "mess", "planted,0");
	FILE *f = fopen(path, "w");
	size_t i;

	assert_non_null(f);
	fputs("posthaste-queue 1\nqueued 1\nuid 1\nsender a@b.example\n", f);
	for (i = 0; i < n; i++)
		fputs("rcpt a\n", f);
	fputs("size 0\n\nchecksum 0000000000000000\n", f);
	assert_int_equal(fclose(f), 0);
	return path;
}

static void recipients_are_bounded(void **state)
{
	struct room *r = *state;
	struct outcome why;
	struct entry *e;
	char *path = planted(r, 65536);

	assert_true(queue_look(r->q, "planted", &e, &why));
	assert_int_equal(e->envelope.n, 65536);
	entry_release(e);
	free(path);
	path = planted(r, 65537);
	assert_false(queue_look(r->q, "planted", &e, &why));
	assert_int_equal(why.exit, EX_DATAERR);
	assert_non_null(strstr(why.text, "recipients"));
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROOM_TEST(journal_is_a_line_a_recipient),
		ROOM_TEST(orders_outlive_it),
		ROOM_TEST(a_stranger_stays_one),
		ROOM_TEST(recipients_are_bounded),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
