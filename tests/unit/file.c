/* SPDX-License-Identifier: GPL-3.0-or-later */
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static char directory[] = "/tmp/file-test-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	umask(022);
	return mkdtemp(directory) && !chmod(directory, 0755) &&
	       !chdir(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return chdir("/") || rmdir(directory);
}

static void put(const char *name, const char *text, mode_t mode)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(name, mode), 0);
}

static void says(const struct outcome *why, const char *words)
{
	if (!strstr(why->text, words))
		fail_msg("\"%s\" does not say \"%s\"", why->text, words);
}

static void rights(void **state)
{
	static const struct {
		mode_t mode;
		unsigned how;
		const char *words;      /* NULL: it is read */
	} cases[] = {
		{ 0644, 0, NULL }, { 0666, 0, NULL }, { 0646, FILE_PRIVATE,
		  "chmod o-r" },
		{ 0644, FILE_PRIVATE, "chmod o-r" },
		{ 0640, FILE_PRIVATE, NULL }, { 0660, FILE_PRIVATE |
		  FILE_TRUSTED, NULL },
		{ 0600, FILE_PRIVATE | FILE_TRUSTED, NULL },
		{ 0602, FILE_TRUSTED, "chmod o-w" },
		{ 0666, FILE_TRUSTED, "chmod o-w" },
		{ 0644, FILE_TRUSTED, NULL },
	};
	struct file_facts facts;
	struct outcome why;
	struct buf b = BUF(100);
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		put("f", "text", cases[i].mode);
		buf_reset(&b);
		if (file_read("f", cases[i].how, &b, &facts, &why) !=
		    !cases[i].words)
			fail_msg("case %zu", i);
		assert_true(facts.there);
		assert_int_equal(facts.mode, cases[i].mode);
		assert_int_equal(facts.owner, geteuid());
		assert_false(facts.exposed);
		assert_string_equal(buf_text(&b), cases[i].words ? "" :
				    "text");
		if (cases[i].words) {
			says(&why, cases[i].words);
			says(&why, "f: ");
			assert_int_equal(why.exit, EX_CONFIG);
		}
	}
	buf_release(&b);
	unlink("f");
}

/* Of users 1 and 2, and root; the owner is judged on what was opened. */
static void owners(void **state)
{
	struct buf b = BUF(100);
	struct outcome why;
	pid_t pid;
	int status;

	(void)state;
	if (geteuid())
		skip();
	put("root", "r", 0644);
	put("mine", "m", 0644);
	put("other", "o", 0644);
	put("closed", "c", 0600);
	assert_false(chown("mine", 1, 1) || chown("other", 2, 2));
	assert_int_equal(symlink("other", "link"), 0);
	assert_false(file_read("other", FILE_TRUSTED, &b, NULL, &why));
	says(&why, "other: belongs to ");
	assert_false(file_read("link", FILE_TRUSTED, &b, NULL, &why));
	assert_true(file_read("root", FILE_TRUSTED, &b, NULL, &why));
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (setgid(1) || setuid(1))
			_exit(10);
		if (!file_read("root", FILE_TRUSTED, &b, NULL, &why) ||
		    !file_read("mine", FILE_TRUSTED, &b, NULL, &why))
			_exit(11);
		if (file_read("other", FILE_TRUSTED, &b, NULL, &why))
			_exit(12);
		/* who could not read it, and whose it is */
		if (file_read("closed", 0, &b, NULL, &why) ||
		    !strstr(why.text, "Permission denied (read as ") ||
		    !strstr(why.text, "it belongs to the user root"))
			_exit(13);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	buf_release(&b);
	unlink("root");
	unlink("mine");
	unlink("other");
	unlink("closed");
	unlink("link");
}

static void no_files(void **state)
{
	struct buf b = BUF(100);
	struct file_facts facts;
	struct outcome why;

	(void)state;
	assert_false(file_read("absent", 0, &b, &facts, &why));
	assert_int_equal(errno, ENOENT);
	says(&why, "absent: No such file");
	assert_true(file_read("absent", FILE_OPTIONAL, &b, &facts, &why));
	assert_false(facts.there);
	put("f", "", 0644);
	assert_true(file_read("f/below", FILE_OPTIONAL, &b, &facts, &why));
	assert_true(file_read("f", 0, &b, &facts, &why));
	assert_true(facts.there);
	/* one that could be there and cannot be reached */
	assert_int_equal(symlink("nowhere", "dangling"), 0);
	assert_false(file_read("dangling", FILE_OPTIONAL, &b, &facts, &why));
	says(&why, "dangling: ");
	assert_int_equal(symlink("loop", "loop"), 0);
	assert_false(file_read("loop", FILE_OPTIONAL, &b, &facts, &why));
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_false(file_read("fifo", FILE_OPTIONAL, &b, &facts, &why));
	says(&why, "not a regular file");
	assert_false(file_read(".", 0, &b, &facts, &why));
	assert_false(file_read("/dev/zero", 0, &b, &facts, &why));
	assert_true(file_read("/dev/null", FILE_TRUSTED, &b, &facts, &why));
	assert_int_equal(b.len, 0);
	buf_release(&b);
	unlink("f");
	unlink("dangling");
	unlink("loop");
	unlink("fifo");
}

static void bounds(void **state)
{
	struct buf b = BUF(3);
	struct outcome why;

	(void)state;
	put("f", "1234", 0600);
	assert_false(file_read("f", 0, &b, NULL, &why));
	says(&why, "longer than 3 bytes");
	buf_release(&b);
	b = BUF(4);
	assert_true(file_read("f", 0, &b, NULL, &why));
	assert_string_equal(buf_text(&b), "1234");
	buf_release(&b);
	unlink("f");
}

static size_t names_here(void)
{
	DIR *d = opendir(".");
	size_t n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void replacing(void **state)
{
	struct buf b = BUF(100), read = BUF(100);
	struct outcome why;
	struct stat st;
	int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	buf_adds(&b, "new");
	put("target", "untouched", 0644);
	assert_int_equal(symlink("target", "f"), 0);
	umask(077);
	assert_true(file_replace(dir, "f", 0640, &b));
	umask(022);
	assert_int_equal(lstat("f", &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_true(file_read("target", 0, &read, NULL, &why));
	assert_string_equal(buf_text(&read), "untouched");
	buf_reset(&b);
	/* nothing at all is a file, too */
	assert_true(file_replace_path("./f", 0600, &b, &why));
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(st.st_size, 0);
	/* what cannot be replaced is left, and no piece beside it */
	assert_int_equal(mkdir("d", 0700), 0);
	assert_false(file_replace_path("d", 0600, &b, &why));
	assert_int_equal(why.exit, EX_CANTCREAT);
	says(&why, "d: cannot be written");
	assert_false(file_replace_path("absent/x", 0600, &b, &why));
	assert_int_equal(names_here(), 3);
	close(dir);
	buf_release(&b);
	buf_release(&read);
	rmdir("d");
	unlink("f");
	unlink("target");
}

static void directories(void **state)
{
	struct stat st;

	(void)state;
	assert_true(file_directories_possible("./a/b/c"));
	assert_int_equal(file_directories_possible("/of-no-such-name/b"),
			 !access("/", W_OK | X_OK));
	assert_true(file_make_directories("a/b/c"));
	assert_true(file_make_directories("a/b/c"));
	assert_int_equal(stat("a/b", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	put("a/f", "", 0600);
	assert_false(file_make_directories("a/f/g"));
	assert_false(file_directories_possible("a/f/g"));
	unlink("a/f");
	rmdir("a/b/c");
	rmdir("a/b");
	rmdir("a");
}

/* Made by a way that nobody else has a say in; ours are followed. */
static void directories_opened(void **state)
{
	static const struct {
		const char *path;
		int error;
	} rows[] = {
		{ "a/b/c", 0 }, { "a/b/c", 0 }, { "a//b", 0 },
		{ "a/b//c//", 0 }, { "a/s/t/", 0 }, { "own/", 0 },
		{ "own/d/e", 0 }, { "f", ENOTDIR }, { "f/g", ENOTDIR },
		{ "nowhere", 0 }, { "", EISDIR },
		{ "theirs/d", EPERM }, { "theirs", EPERM },
		{ "link/d", EPERM }, { "link", EPERM },
		{ "link/", EPERM },
	};
	bool root = !geteuid();
	struct buf b = BUF(16);
	struct outcome why;
	struct stat st;
	size_t i;
	int fd;

	(void)state;
	put("f", "", 0600);
	assert_int_equal(mkdir("target", 0700), 0);
	assert_int_equal(mkdir("theirs", 0777), 0);
	assert_int_equal(symlink("target", "own"), 0);
	assert_int_equal(symlink("target", "link"), 0);
	assert_int_equal(symlink("none", "nowhere"), 0);
	if (root) {
		assert_int_equal(chown("theirs", 54321, 54321), 0);
		assert_int_equal(lchown("link", 54321, 54321), 0);
	}
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].error == EPERM && !root)
			continue;
		fd = file_open_made(rows[i].path, false);
		if ((fd < 0 ? errno : 0) != rows[i].error)
			fail_msg("%s: %s", rows[i].path, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	assert_int_equal(stat("a/b/c", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	fd = file_open_made("a/x//", false);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(rmdir("a/x"), 0);
	assert_int_equal(rmdir("a/s/t"), 0);
	assert_int_equal(rmdir("a/s"), 0);
	/* root writes nothing where others lead him */
	buf_adds(&b, "x");
	assert_true(file_replace_path("own/x", 0600, &b, &why));
	assert_int_equal(unlink("target/x"), 0);
	if (root) {
		assert_false(file_replace_path("link/x", 0600, &b, &why));
		assert_false(file_replace_path("theirs/x", 0600, &b, &why));
		assert_int_equal(why.exit, EX_CANTCREAT);
		assert_int_equal(file_open_made("theirs/x", true), -1);
		assert_int_equal(file_open_made("link", true), -1);
	}
	buf_release(&b);
	assert_int_equal(stat("target/d/e", &st), 0);
	assert_int_equal(rmdir("target/d/e"), 0);
	assert_int_equal(rmdir("target/d"), 0);
	/* nothing beside it, and nothing below theirs */
	assert_int_equal(rmdir("target"), 0);
	assert_int_equal(rmdir("theirs"), 0);
	rmdir("a/b/c");
	rmdir("a/b");
	rmdir("a");
	rmdir("none");
	unlink("own");
	unlink("link");
	unlink("nowhere");
	unlink("f");
}

static void temporary_files(void **state)
{
	const char *place;
	char c = 0;
	int fd;

	(void)state;
	setenv("TMPDIR", "/nonexistent", 1);
	fd = file_temporary(&place);
	assert_true(fd > 2);
	assert_string_equal(place, "/tmp");
	close(fd);
	setenv("TMPDIR", directory, 1);
	fd = file_temporary(&place);
	assert_true(fd > 2);
	assert_string_equal(place, directory);
	assert_int_equal(names_here(), 0);
	assert_true(file_write_all(fd, "xy", 2));
	assert_true(file_read_at(fd, 1, &c, 1));
	assert_int_equal(c, 'y');
	assert_false(file_read_at(fd, 1, &c, 2));
	assert_int_equal(errno, 0);
	close(fd);
	fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_false(file_write_all(fd, "x", 1));
	assert_int_equal(errno, ENOSPC);
	close(fd);
	unsetenv("TMPDIR");
}

static void standard_descriptors(void **state)
{
	pid_t pid = fork();
	char c = 0;
	int i, fd, status;

	(void)state;
	assert_true(pid >= 0);
	if (!pid) {
		for (i = 0; i <= 2; i++)
			close(i);
		file_reserve_standard();
		for (i = 0; i <= 2; i++)
			if (fcntl(i, F_GETFD) < 0)
				_exit(3);
		fd = open("/dev/null", O_RDWR);
		if (fd != 3 && fd <= 2)
			_exit(4);
		/* they still fail as closed ones do */
		if (read(0, &c, 1) >= 0 || write(1, &c, 1) >= 0 ||
		    write(2, &c, 1) >= 0)
			_exit(5);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rights),
		cmocka_unit_test(owners),
		cmocka_unit_test(no_files),
		cmocka_unit_test(bounds),
		cmocka_unit_test(replacing),
		cmocka_unit_test(directories),
		cmocka_unit_test(directories_opened),
		cmocka_unit_test(temporary_files),
		cmocka_unit_test(standard_descriptors),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
