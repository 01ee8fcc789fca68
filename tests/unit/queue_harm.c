/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What damage, strangers and dead writers do to a queue. */
#include "queue_room.h"

static void torn_journal_goes_on(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	struct outcome why;
	char id[QUEUE_ID_SIZE], *path;
	struct entry *e;
	struct stat st;
	off_t whole;

	add(r, &item, id);
	e = take(r, id);
	record(e, 0, RCPT_SENT);
	path = path_of(r, "mess", e->name);
	assert_int_equal(stat(path, &st), 0);
	whole = st.st_size;
	record(e, 1, RCPT_SENT);
	assert_int_equal(stat(path, &st), 0);
	entry_release(e);
	while (--st.st_size > whole) {
		assert_int_equal(truncate(path, st.st_size), 0);
		e = take(r, id);
		assert_int_equal(e->envelope.rcpt[0].state, RCPT_SENT);
		assert_int_equal(e->envelope.rcpt[1].state, RCPT_PENDING);
		record(e, 1, RCPT_SENT);
		entry_release(e);
		e = take(r, id);
		assert_int_equal(e->envelope.rcpt[1].state, RCPT_SENT);
		entry_release(e);
	}
	/* blocks that the disk never got */
	assert_int_equal(truncate(path, whole + 30), 0);
	assert_int_equal(truncate(path, whole + 900), 0);
	e = take(r, id);
	assert_int_equal(e->envelope.rcpt[1].state, RCPT_PENDING);
	record(e, 1, RCPT_SENT);
	entry_release(e);
	/* an order, too, must not write behind half a line */
	assert_int_equal(truncate(path, whole + 9), 0);
	free(path);
	assert_true(queue_order(r->q, ORDER_RETRY, id, "x", &why));
	e = take(r, id);
	assert_string_equal(e->transport, "x");
	entry_release(e);
}

static char *slurp(const char *path, size_t *n)
{
	struct stat st;
	char *data;
	int fd = open(path, O_RDONLY);

	assert_int_equal(fstat(fd, &st), 0);
	*n = (size_t)st.st_size;
	data = mem_alloc(*n + 1);
	assert_int_equal(read(fd, data, *n), *n);
	close(fd);
	return data;
}

static void spill(const char *path, const char *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, data, n), n);
	close(fd);
}

/* Every cut before the journal and every flipped bit anywhere is noticed. */
static void every_harm_is_noticed(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	char id[QUEUE_ID_SIZE], *path, *corrupt, *data;
	struct entry *e;
	size_t n, i;

	add(r, &item, id);
	e = take(r, id);
	record(e, 0, RCPT_SENT);
	record(e, 1, RCPT_PENDING);
	path = path_of(r, "mess", e->name);
	corrupt = path_of(r, "corrupt", id);
	entry_release(e);
	data = slurp(path, &n);
	for (i = 0; i < n; i++) {
		data[i] = (char)(data[i] ^ (1 << (i % 8)));
		spill(path, data, n);
		take_fails(r, id, EX_DATAERR);
		assert_int_equal(unlink(corrupt), 0);
		data[i] = (char)(data[i] ^ (1 << (i % 8)));
	}
	n = (size_t)(strstr(data, "checksum ") - data) + 26;
	for (i = 0; i < n; i++) {
		spill(path, data, i);
		take_fails(r, id, EX_DATAERR);
		assert_int_equal(unlink(corrupt), 0);
	}
	spill(path, data, n);
	entry_release(take(r, id));
	free(data);
	free(path);
	free(corrupt);
}

static void strange_files_are_passed_over(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	struct outcome why;
	char id[QUEUE_ID_SIZE], *path, *to;
	struct entry *e;
	int n = 0;

	add(r, &item, id);
	e = take(r, id);
	to = path_of(r, "mess", e->name);
	entry_release(e);
	path = path_of(r, "mess", "fifo,0");
	assert_int_equal(mkfifo(path, 0600), 0);
	free(path);
	path = path_of(r, "mess", "dir,0");
	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
	path = path_of(r, "mess", "link,0");
	assert_int_equal(symlink(to, path), 0);
	free(path);
	path = path_of(r, "mess", "empty,0");
	spill(path, "", 0);
	free(path);
	path = path_of(r, "tmp", "fifo");
	assert_int_equal(mkfifo(path, 0600), 0);
	free(path);
	take_fails(r, "fifo", EX_NOPERM);
	take_fails(r, "dir", EX_NOPERM);
	take_fails(r, "link", EX_NOPERM);
	take_fails(r, "empty", EX_DATAERR);
	queue_sweep(r->q);
	assert_true(queue_list(r->q, count_entry, &n, &why));
	assert_int_equal(n, 1);
	path = path_of(r, "mess", "second,0");
	assert_int_equal(link(to, path), 0);
	take_fails(r, id, EX_NOPERM);
	n = 0;
	assert_true(queue_list(r->q, count_entry, &n, &why));
	assert_int_equal(n, 0);
	free(path);
	free(to);
}

static void sweep_spares_the_living(void **state)
{
	struct room *r = *state;
	char *dead = path_of(r, "tmp", "dead"),
	     *alive = path_of(r, "tmp", "alive");
	struct stat st;
	int fd;

	spill(dead, "x", 1);
	spill(alive, "x", 1);
	fd = open(alive, O_RDWR);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	queue_sweep(r->q);
	assert_int_equal(stat(dead, &st), -1);
	assert_int_equal(stat(alive, &st), 0);
	close(fd);
	queue_sweep(r->q);
	assert_int_equal(stat(alive, &st), -1);
	free(dead);
	free(alive);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROOM_TEST(torn_journal_goes_on),
		ROOM_TEST(every_harm_is_noticed),
		ROOM_TEST(strange_files_are_passed_over),
		ROOM_TEST(sweep_spares_the_living),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
