/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which files can still be read within walls; where the kernel has none, all
 * that is looked at is that nothing is left open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/process.h"
#include "base/sandbox.h"

static char *top;       /* the tests' own folder, as realpath(3) gives it */

static char *in_top(const char *name)
{
	return mem_printf("%s/%s", top, name);
}

static void make(const char *name)
{
	char *path = in_top(name), *slash = strrchr(path, '/');
	int fd;

	*slash = '\0';
	assert_true(file_make_directories(path));
	*slash = '/';
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	free(path);
}

static void make_link(const char *to, const char *name)
{
	char *path = in_top(name);

	assert_int_equal(symlink(to, path), 0);
	free(path);
}

static void add(struct list *l, const char *name)
{
	char *path = in_top(name);

	list_add(l, path);
	free(path);
}

static int build(const struct sandbox *s)
{
	const int version = sandbox_version();
	struct outcome why;
	int fd = version ? sandbox_build(s, version, &why) : -1;

	assert_int_equal(fd >= 0, version > 0);
	return fd;
}

/* 0, or errno of a process within walls that opens it for reading. */
static int opened(int walls, const char *name)
{
	char *path = in_top(name);
	struct outcome why;
	int status = -1, fd;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (!sandbox_enter(walls, &why))
			process_leave(255);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		process_leave(fd < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	free(path);
	return WEXITSTATUS(status);
}

static void test_narrowed(void **state)
{
	static const char *const files[] = {
		"beside", "hidden", "etc/hosts", "etc/ld.so.cache",
		"etc/shadow", "etc/ssl/certs/ca", "etc/ssl/private/key",
		"etc/ssl/private/certificate", "etc/resolvconf/run",
		"etc/resolvconf/other", "etc/own/ca", "etc/own/other",
	};
	static const char *const names[] = {
		"hosts", "ld.so.*", "ssl", "resolv.conf", "timezone", "static",
		"localtime", NULL
	};
	static const struct { const char *name; int error; } row[] = {
		{ "beside", 0 },
		{ "hidden", EACCES },
		{ "etc/hosts", 0 },
		{ "etc/ld.so.cache", 0 },
		{ "etc/shadow", EACCES },
		{ "etc/ssl/certs/ca", 0 },
		{ "etc/ssl/private/key", EACCES },
		{ "etc/ssl/private/certificate", 0 },
		/* a link is what it leads to */
		{ "etc/resolv.conf", 0 },
		{ "etc/resolvconf/other", EACCES },
		{ "etc/timezone", EACCES },
		{ "etc/static/shadow", EACCES },
		{ "etc/static/hosts", 0 },
		{ "etc/localtime", ENOENT },
		/* what is shown is so in any case */
		{ "etc/own/ca", 0 },
		{ "etc/own/other", EACCES },
	};
	struct sandbox s = { .names = names };
	char *narrowed = in_top("etc");
	size_t i;
	int walls;

	(void)state;
	for (i = 0; i < sizeof(files) / sizeof(*files); i++)
		make(files[i]);
	make_link("resolvconf/run", "etc/resolv.conf");
	make_link("../hidden", "etc/timezone");
	make_link(".", "etc/static");
	make_link("nowhere", "etc/localtime");
	s.narrowed = narrowed;
	add(&s.hidden, "hidden");
	add(&s.hidden, "etc/ssl/private/key");
	add(&s.shown, "etc/own/ca");
	walls = build(&s);
	for (i = 0; walls >= 0 && i < sizeof(row) / sizeof(*row); i++)
		if (opened(walls, row[i].name) != row[i].error)
			fail_msg("%s", row[i].name);
	if (walls >= 0)
		close(walls);
	/* nor does the link to itself open it where nothing in it is hidden */
	sandbox_release(&s);
	add(&s.hidden, "hidden");
	walls = build(&s);
	if (walls >= 0) {
		assert_int_equal(opened(walls, "etc/shadow"), EACCES);
		assert_int_equal(opened(walls, "etc/ssl/private/key"), 0);
		close(walls);
	}
	sandbox_release(&s);
	free(narrowed);
}

static size_t descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(directory);
	while (readdir(directory))
		n++;
	closedir(directory);
	return n;
}

/* More places than are closed at once, among descriptors of others. */
static void test_closed(void **state)
{
	enum { FILES = 100, OTHERS = 9 };
	struct sandbox s = { 0 };
	int other[OTHERS], walls;
	char name[32];
	size_t before;
	int i;

	(void)state;
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "full/%d", i);
		make(name);
	}
	add(&s.hidden, "full/7");
	for (i = 0; i < OTHERS; i++) {
		other[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		assert_true(other[i] >= 0);
	}
	for (i = 0; i < OTHERS; i += 3)
		close(other[i]);
	before = descriptors();
	walls = build(&s);
	for (i = 0; i < OTHERS; i++)
		if (i % 3)
			assert_int_equal(close(other[i]), 0);
	if (walls >= 0) {
		assert_int_equal(opened(walls, "full/7"), EACCES);
		assert_int_equal(opened(walls, "full/99"), 0);
		close(walls);
	}
	assert_int_equal(descriptors(), before - OTHERS + OTHERS / 3);
	sandbox_release(&s);
}

static void test_same(void **state)
{
	struct sandbox a = { .read_only = true }, b = { .read_only = true };
	struct list *const list[] = { &b.hidden, &b.shown, &b.kept };
	size_t i;

	(void)state;
	list_add(&a.hidden, "/etc/x");
	assert_false(sandbox_same(&a, &b));
	list_add(&b.hidden, "/etc/x");
	assert_true(sandbox_same(&a, &b));
	for (i = 0; i < sizeof(list) / sizeof(*list); i++) {
		list_add(list[i], "/etc/y");
		assert_false(sandbox_same(&a, &b));
		list_remove(list[i], "/etc/y");
		assert_true(sandbox_same(&a, &b));
	}
	b.read_only = false;
	assert_false(sandbox_same(&a, &b));
	sandbox_release(&a);
	sandbox_release(&b);
}

static int set_up(void **state)
{
	char template[] = "/tmp/sandbox-test-XXXXXX";

	(void)state;
	top = mkdtemp(template) ? realpath(template, NULL) : NULL;
	return top ? 0 : -1;
}

static int tear_down(void **state)
{
	char *command = mem_printf("rm -rf %s", top);
	const int status = system(command);

	(void)state;
	free(command);
	free(top);
	return status;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_narrowed),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_same),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
