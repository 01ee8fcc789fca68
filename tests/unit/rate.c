/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The file of a rate: as text, where it lies, and who may stand in its way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "submit/rate.h"

static char directory[] = "/tmp/rate-test-XXXXXX";

static void test_text(void **state)
{
	struct rate_state s = { .pace = { 1234, 500 } }, again;
	struct buf text = BUF(64 * 1024);
	size_t u, i;

	(void)state;
	for (u = 0; u < RATE_UNITS; u++)
		for (i = 0; i < RATE_SLOTS; i++) {
			s.row[u].slot[i] = (int64_t)(1000000000000 + 7 * i);
			s.row[u].n[i] = 1000000000 - (int64_t)i;
			s.row[u].used++;
		}
	rate_write(&s, &text);
	/* what an older, longer one left */
	buf_adds(&text, "s 1 1\nnonsense");
	assert_true(rate_read(text.data, text.len, &again));
	assert_memory_equal(&s, &again, sizeof(s));
	for (i = 0; i < text.len - 20; i++)
		if (rate_read(text.data, i, &again))
			assert_true(i > text.len - 20);
	buf_release(&text);
}

static void test_damage(void **state)
{
	static const char *const row[] = {
		"", "\n", "posthaste-rate 2\nend\n", "posthaste-rate 1\n",
		"posthaste-rate 1\ns 1\nend\n",
		"posthaste-rate 1\ns 1 -1\nend\n",
		"posthaste-rate 1\ns 1 1000000001\nend\n",
		"posthaste-rate 1\ns 2 1\ns 1 1\nend\n",
		"posthaste-rate 1\nx 1 1\nend\n",
		"posthaste-rate 1\nend 1 1\n",
		"posthaste-rate 1\npace 1\nend\n",
		"posthaste-rate 1\ns 99999999999999999999 1\nend\n",
	};
	static const struct rate_state none;
	struct rate_state s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		memset(&s, 1, sizeof(s));
		if (rate_read(row[i], strlen(row[i]), &s))
			fail_msg("row %zu", i);
		assert_memory_equal(&s, &none, sizeof(s));
	}
	assert_false(rate_read("posthaste-rate 1\ns 1 1\0\nend\n", 28, &s));
}

/* In a queue that is ours, else among our own state. */
static void test_place(void **state)
{
	static char name[] = "a/b", item[] = "3/h", *items[] = { item };
	struct config c = { 0 };
	struct transport t = {
		.name = name, .rate = { .item = items, .n = 1 },
	};
	struct run run = { .config = &c };
	struct rate_ticket taken;
	struct stat st;
	char path[256];

	(void)state;
	c.queue.directory = directory;
	assert_int_equal(rate_wait(&run, &t), 0);
	assert_int_equal(rate_take(&run, &t, 2, &taken), 0);
	assert_int_equal(taken.n, 2);
	snprintf(path, sizeof(path), "%s/rate/a%%2Fb", directory);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	rate_done(&run, &t, &taken, true, false);
	assert_int_equal(rate_take(&run, &t, 1, &taken), 0);
	assert_in_range(rate_take(&run, &t, 1, &taken), 3500 * 1000,
			3700 * 1000);
	assert_in_range(rate_wait(&run, &t), 3500 * 1000, 3700 * 1000);
	/* another one begins anew */
	c.queue.directory = NULL;
	assert_int_equal(rate_wait(&run, &t), 0);
	/* more than it knows: as many as it does */
	assert_int_equal(rate_take(&run, &t, 100, &taken), 0);
	assert_int_equal(taken.n, 3);
	assert_true(rate_take(&run, &t, 100, &taken) > 0);
	snprintf(path, sizeof(path), "%s/state/posthaste/rate/a%%2Fb",
		 directory);
	assert_int_equal(access(path, F_OK), 0);
	/* and nothing is touched where there is none */
	t.rate.n = 0;
	assert_int_equal(rate_take(&run, &t, 100, &taken), 0);
	assert_int_equal(taken.n, 100);
	assert_false(run.rate_told);
}

/* What is not ours, or no plain file, is left as it is, and mail goes. */
static void test_in_the_way(void **state)
{
	static char name[] = "x", item[] = "1/d", *items[] = { item };
	struct config c = { 0 };
	struct transport t = {
		.name = name, .rate = { .item = items, .n = 1 },
	};
	struct rate_ticket taken;
	char path[256], other[256];
	size_t i, j;

	(void)state;
	c.queue.directory = directory;
	snprintf(path, sizeof(path), "%s/rate/x", directory);
	snprintf(other, sizeof(other), "%s/other", directory);
	for (i = 0; i < 4; i++) {
		struct run run = { .config = &c };

		fclose(fopen(other, "w"));
		assert_int_equal(i == 0 ? symlink(other, path) :
				 i == 1 ? link(other, path) :
				 i == 2 ? mkdir(path, 0700) :
				 mkfifo(path, 0600), 0);
		for (j = 0; j < 3; j++)
			assert_int_equal(rate_take(&run, &t, 1, &taken), 0);
		assert_true(run.rate_told);
		assert_int_equal(remove(path), 0);
		assert_int_equal(remove(other), 0);
	}
}

static int set_up(void **state)
{
	char path[256];

	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/state", directory);
	return setenv("XDG_STATE_HOME", path, 1);
}

static int tear_down(void **state)
{
	char command[256];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

/* Root makes none below a home that is another user's. */
static void test_anothers_way(void **state)
{
	char folder[] = "/tmp/rate-XXXXXX", path[64];

	(void)state;
	if (geteuid())
		return;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a/b", folder);
	assert_int_equal(close(rate_open_directory(path)), 0);
	snprintf(path, sizeof(path), "%s/a", folder);
	assert_int_equal(chown(path, 54321, 54321), 0);
	snprintf(path, sizeof(path), "%s/a/b", folder);
	assert_int_equal(rate_open_directory(path), -1);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rate_open_directory(path), -1);
	assert_int_equal(access(path, F_OK), -1);
	*strrchr(path, '/') = '\0';
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_in_the_way),
		cmocka_unit_test(test_anothers_way),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
