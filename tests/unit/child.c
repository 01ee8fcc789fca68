/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/child.h"

#define SHELL(script) ((const char *const[]){ "/bin/sh", "-c", script, NULL })

enum { LONG = 30 * 1000 };

static void says(const struct outcome *why, const char *words)
{
	if (!strstr(why->text, words))
		fail_msg("\"%s\" does not say \"%s\"", why->text, words);
}

static void streams(void **state)
{
	static const char *const environment[] = { "A=b", NULL };
	struct buf in = BUF(100), out = BUF(100), words = BUF(100);
	struct child c = {
		.argv = SHELL("cat; echo $A:$HOME; echo wrong >&2; exit 3"),
		.input = &in, .output = &out, .words = &words,
		.environment = environment, .deadline = clock_in(LONG),
	};
	struct outcome why;
	int status;

	(void)state;
	setenv("HOME", "/nowhere", 1);
	buf_adds(&in, "input\n");
	assert_true(child_run(&c, &status, &why));
	assert_int_equal(status, 3);
	assert_string_equal(buf_text(&out), "input\nb:\n");
	assert_string_equal(buf_text(&words), "wrong\n");
	assert_false(child_failed(status, &words, &why));
	says(&why, "failed with status 3: wrong");
	assert_int_equal(why.exit, EX_TEMPFAIL);
	/* ours, when nothing else is said, and /dev/null for input */
	buf_reset(&out);
	c = (struct child){ .argv = SHELL("cat; echo $HOME"), .output = &out,
			    .deadline = CLOCK_NEVER };
	assert_true(child_run(&c, &status, &why));
	assert_int_equal(status, 0);
	assert_string_equal(buf_text(&out), "/nowhere\n");
	buf_release(&in);
	buf_release(&out);
	buf_release(&words);
}

static long endless(void *context, const char **data)
{
	static const char block[8192];

	*data = block;
	return --*(int *)context ? (long)sizeof(block) : 0;
}

/* More than any pipe holds, both ways at once, and to one that does not
 * read. */
static void big_streams(void **state)
{
	int pieces = 400, status;
	struct buf out = BUF(8 * 1024 * 1024);
	struct child c = { .argv = SHELL("cat"), .more = endless,
			   .context = &pieces, .output = &out,
			   .deadline = clock_in(LONG) };
	struct outcome why;

	(void)state;
	assert_true(child_run(&c, &status, &why));
	assert_int_equal(status, 0);
	assert_int_equal(out.len, 399 * 8192);
	pieces = 400;
	c.argv = SHELL("exec true");
	assert_true(child_run(&c, &status, &why));
	assert_int_equal(status, 0);
	buf_release(&out);
}

/* What cannot be read to its end is not taken for the whole. */
static long breaks(void *context, const char **data)
{
	*data = "begun\n";
	return ++*(int *)context == 1 ? 6 : -1;
}

static void broken_input(void **state)
{
	int pieces = 0, status;
	struct buf out = BUF(100);
	struct child c = { .argv = SHELL("cat >/dev/null; echo whole"),
			   .more = breaks, .context = &pieces, .output = &out,
			   .deadline = clock_in(LONG) };
	struct outcome why;

	(void)state;
	assert_false(child_run(&c, &status, &why));
	assert_int_equal(why.exit, EX_IOERR);
	says(&why, "could not be read");
	assert_int_equal(out.len, 0);
	buf_release(&out);
}

static void file_as_input(void **state)
{
	int status;
	struct buf in = BUF(100), out = BUF(100);
	struct child c = { .argv = SHELL("cat"), .input = &in, .output = &out,
			   .file = memfd_create("input", MFD_CLOEXEC),
			   .deadline = clock_in(LONG) };
	struct outcome why;

	(void)state;
	buf_add(&in, "not this\n", 9);
	assert_int_equal(write(c.file, "whole\n", 6), 6);
	assert_int_equal(lseek(c.file, 0, SEEK_SET), 0);
	assert_true(child_run(&c, &status, &why));
	assert_int_equal(status, 0);
	assert_string_equal(buf_text(&out), "whole\n");
	/* it stays the caller's */
	assert_int_equal(close(c.file), 0);
	buf_release(&in);
	buf_release(&out);
}

/* not static: where the library's poll(2) is inline, ours is taken for that */
extern bool lacking;
bool lacking;

/* In the place of the C library's: once without memory. */
int poll(struct pollfd *p, nfds_t n, int ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	if (lacking) {
		lacking = false;
		errno = ENOMEM;
		return -1;
	}
	return ppoll(p, n, ms < 0 ? NULL : &t, NULL);
}

/* Nothing is taken for a signal that is to end us, by which it would be cut
 * off. */
static void no_memory_for_poll(void **state)
{
	int status;
	struct child c = { .argv = SHELL("sleep 0.3"), .alone = true,
			   .deadline = clock_in(LONG) };
	struct outcome why = { 0 };

	(void)state;
	lacking = true;
	if (!child_run(&c, &status, &why))
		fail_msg("%s", why.text);
	assert_false(lacking);
	assert_int_equal(status, 0);
}

static bool group_is_empty(pid_t group)
{
	int n;

	/* what was killed is waited for by init, at its leisure */
	for (n = 0; n < 500; n++) {
		if (kill(-group, 0))
			return true;
		usleep(10 * 1000);
	}
	return false;
}

/* With its own end, at its deadline, and when we are ended. */
static void alone(void **state)
{
	struct buf out = BUF(100);
	struct child c = { .argv = SHELL("sleep 1000 & echo $$; exit 3"),
			   .output = &out, .alone = true,
			   .deadline = clock_in(LONG) };
	struct outcome why;
	int status, fd[2];
	char text[40] = "";
	pid_t pid, group;

	(void)state;
	assert_true(child_run(&c, &status, &why));
	assert_int_equal(status, 3);
	assert_true(group_is_empty(atoi(buf_text(&out))));
	buf_reset(&out);
	c.argv = SHELL("echo $$; sleep 1000; sleep 1000");
	c.deadline = clock_in(300);
	assert_false(child_run(&c, &status, &why));
	assert_true(group_is_empty(atoi(buf_text(&out))));
	buf_release(&out);
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (!pid) {
		dup2(fd[1], 2);
		signal(SIGTERM, SIG_DFL);
		c = (struct child){
			.argv = SHELL("echo $$ >&2; sleep 1000; sleep 1000"),
			.alone = true, .deadline = CLOCK_NEVER };
		_exit(child_run(&c, &status, &why));
	}
	assert_true(pid > 0);
	assert_true(read(fd[0], text, sizeof(text) - 1) > 0);
	group = atoi(text);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	assert_true(group_is_empty(group));
	close(fd[0]);
	close(fd[1]);
}

static void bounds(void **state)
{
	struct buf out = BUF(1000), words = BUF(10);
	struct child c = { .argv = SHELL("head -c 1000 /dev/zero"),
			   .output = &out, .words = &words,
			   .deadline = clock_in(LONG) };
	struct outcome why;
	int status;

	(void)state;
	assert_true(child_run(&c, &status, &why));
	assert_int_equal(out.len, 1000);
	buf_reset(&out);
	c.argv = SHELL("head -c 1001 /dev/zero; sleep 1000");
	assert_false(child_run(&c, &status, &why));
	says(&why, "more than 1000 bytes");
	assert_int_equal(why.exit, EX_TEMPFAIL);
	/* of its words the last is kept */
	buf_reset(&out);
	c.argv = SHELL("echo 0123456789abcdef >&2; exit 1");
	assert_true(child_run(&c, &status, &why));
	assert_string_equal(buf_text(&words), "789abcdef\n");
	/* one buffer for both: nothing ends it */
	c.argv = SHELL("yes | head -n 100000; echo last >&2");
	c.output = &words;
	assert_true(child_run(&c, &status, &why));
	assert_int_equal(status, 0);
	assert_string_equal(buf_text(&words) + words.len - 5, "last\n");
	buf_release(&out);
	buf_release(&words);
}

static bool is_gone(pid_t pid)
{
	int tries;

	for (tries = 0; tries < 500; tries++) {
		if (kill(pid, 0) < 0 && errno == ESRCH)
			return true;
		usleep(10000);
	}
	return false;
}

static void ends(void **state)
{
	struct buf out = BUF(1000);
	struct child c = { .argv = SHELL("sleep 1000 & echo $!; wait"),
			   .output = &out, .deadline = clock_in(300) };
	const int64_t begun = clock_now();
	struct outcome why;
	int status;

	(void)state;
	/* the whole of it, children included */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	assert_false(child_run(&c, &status, &why));
	says(&why, "did not end within 1 s");
	assert_true(clock_now() - begun < LONG);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	assert_true(atoi(buf_text(&out)) > 1);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	assert_true(is_gone(atoi(buf_text(&out))));
	prctl(PR_SET_CHILD_SUBREAPER, 0);

	/* what it leaves in the background keeps nobody waiting */
	buf_reset(&out);
	c.argv = SHELL("sleep 3 & echo here");
	c.deadline = clock_in(LONG);
	assert_true(child_run(&c, &status, &why));
	assert_string_equal(buf_text(&out), "here\n");

	c.argv = SHELL("kill -9 $$");
	assert_false(child_run(&c, &status, &why));
	says(&why, "killed by signal 9");
	c.argv = (const char *const[]){ "/nonexistent", NULL };
	assert_true(child_run(&c, &status, &why));
	assert_int_equal(status, 127);
	assert_false(child_failed(status, NULL, &why));
	says(&why, "no such command");
	c.argv = (const char *const[]){ "/", NULL };
	assert_true(child_run(&c, &status, &why));
	assert_int_equal(status, 126);
	buf_release(&out);
}

/* With SIGCHLD ignored by whoever started us, descriptors open, signals
 * ignored or blocked: it has a clean start, and ours is as it was. */
static void clean_start(void **state)
{
	struct buf out = BUF(1000);
	struct child c = {
		.argv = SHELL("ls /proc/self/fd | wc -l; trap - PIPE; "
			      "grep NoNewPrivs /proc/self/status"),
		.output = &out, .deadline = clock_in(LONG),
	};
	sigset_t blocked, before;
	struct sigaction now;
	struct outcome why;
	int fd, status;

	(void)state;
	fd = dup(1);
	signal(SIGCHLD, SIG_IGN);
	assert_true(child_run(&c, &status, &why));
	sigaction(SIGCHLD, NULL, &now);
	assert_true(now.sa_handler == SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	/* 0, 1, 2 and that of ls for the directory */
	assert_string_equal(buf_text(&out), "4\nNoNewPrivs:\t1\n");
	buf_reset(&out);
	c.argv = SHELL("grep NoNewPrivs /proc/self/status");
	c.may_gain_rights = true;
	assert_true(child_run(&c, &status, &why));
	assert_string_equal(buf_text(&out), "NoNewPrivs:\t0\n");
	/* not by a shell, which may have a mask of its own */
	buf_reset(&out);
	c.argv = (const char *const[]){ "/bin/grep", "SigBlk",
					"/proc/self/status", NULL };
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	assert_true(child_run(&c, &status, &why));
	sigprocmask(SIG_SETMASK, &before, &blocked);
	assert_true(sigismember(&blocked, SIGTERM));
	assert_string_equal(buf_text(&out), "SigBlk:\t0000000000000000\n");
	close(fd);
	buf_release(&out);
}

static int answer(void *context)
{
	return write(1, context, 4) == 4 ? 5 : 6;
}

static void function(void **state)
{
	struct buf out = BUF(1000);
	struct child c = { .call = answer, .context = "four",
			   .output = &out, .deadline = clock_in(LONG) };
	struct outcome why;
	int status;

	(void)state;
	assert_true(child_run(&c, &status, &why));
	assert_int_equal(status, 5);
	assert_string_equal(buf_text(&out), "four");
	buf_release(&out);
}

/* On a terminal whose foreground we are: what runs may ask there, also one
 * that is stopped and goes on, and we have the terminal again afterwards. */
static void ask(void)
{
	struct buf out = BUF(1000);
	struct child c = {
		.argv = SHELL("stty -echo </dev/tty; printf 'Word: ' >/dev/tty;"
			      " read x </dev/tty; stty echo </dev/tty;"
			      " echo got $x"),
		.output = &out, .deadline = clock_in(LONG), .foreground = true,
	};
	struct termios modes;
	struct outcome why;
	int status;

	if (!child_run(&c, &status, &why) || status ||
	    strcmp(buf_text(&out), "got this\n"))
		_exit(1);
	if (tcgetpgrp(0) != getpgrp() || tcgetattr(0, &modes) ||
	    !(modes.c_lflag & ECHO))
		_exit(2);
	/* cut off: the terminal is as it was */
	c.argv = SHELL("stty -echo </dev/tty; read x </dev/tty");
	c.deadline = clock_in(500);
	if (child_run(&c, &status, &why))
		_exit(3);
	if (tcgetpgrp(0) != getpgrp() || tcgetattr(0, &modes) ||
	    !(modes.c_lflag & ECHO))
		_exit(4);
	_exit(0);
}

static void terminal(void **state)
{
	char text[4096] = "";
	size_t n = 0;
	ssize_t got;
	int tty, status;
	pid_t pid = forkpty(&tty, NULL, NULL, NULL);
	bool typed = false;

	(void)state;
	assert_true(pid >= 0);
	if (!pid)
		ask();
	while ((got = read(tty, text + n, sizeof(text) - 1 - n)) > 0) {
		n += (size_t)got;
		text[n] = '\0';
		if (!typed && strstr(text, "Word: ")) {
			assert_int_equal(write(tty, "this\n", 5), 5);
			typed = true;
		}
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_null(strstr(text, "this"));
	close(tty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams),
		cmocka_unit_test(big_streams),
		cmocka_unit_test(broken_input),
		cmocka_unit_test(file_as_input),
		cmocka_unit_test(no_memory_for_poll),
		cmocka_unit_test(alone),
		cmocka_unit_test(bounds),
		cmocka_unit_test(ends),
		cmocka_unit_test(clean_start),
		cmocka_unit_test(function),
		cmocka_unit_test(terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
