/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The log's descriptor where a child closes all of its parent's. With a syslog
 * of our own, on a /dev of our own: as root, or as root of a user namespace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/kernel.h"
#include "base/log.h"

static const struct log_settings to_syslog = {
	.to = "syslog", .level = LOG_AT_INFO,
};

/* A process that has the socket, as what is closed here must not end it. */
static pid_t have_syslog(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);
	pid_t pid;

	strcpy(name.sun_path, "/dev/log");
	assert_int_equal(unshare(CLONE_NEWNS | (getuid() ? CLONE_NEWUSER : 0)),
			 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("dev", "/dev", "tmpfs", 0, NULL), 0);
	assert_int_equal(bind(s, (struct sockaddr *)&name, sizeof(name)), 0);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	close(s);
	assert_true(pid > 0);
	return pid;
}

/* 0: what was opened after all was closed is still what it was. */
static int closes_and_opens(void)
{
	char path[] = "/dev/journal-XXXXXX";
	int i, fd[4];

	log_forget();
	kernel_close_from(STDERR_FILENO + 1);
	for (i = 0; i < 4; i++) {
		fd[i] = mkstemp(path);
		memcpy(path, "/dev/journal-XXXXXX", sizeof(path));
	}
	log_say(LOG_AT_INFO, "after");
	for (i = 0; i < 4; i++)
		if (fd[i] < 0 || write(fd[i], "x", 1) != 1 || fdatasync(fd[i]))
			return 1 + i;
	return 0;
}

static void others_are_not_taken_for_it(void **state)
{
	pid_t syslogd = have_syslog(), child;
	int status;

	(void)state;
	log_open(&to_syslog);
	log_say(LOG_AT_INFO, "before");
	child = fork();
	if (child == 0)
		_exit(closes_and_opens());
	assert_int_equal(waitpid(child, &status, 0), child);
	kill(syslogd, SIGKILL);
	waitpid(syslogd, NULL, 0);
	assert_int_equal(status, 0);
}

/* The next line that came, of that priority; its words. */
static const char *said(int s, int priority, char *line, size_t size)
{
	ssize_t n = recv(s, line, size - 1, MSG_DONTWAIT);
	const char *words;

	assert_true(n > 0);
	line[n] = '\0';
	words = strstr(line, "]: ");
	assert_true(words && line[0] == '<' && atoi(line + 1) == priority &&
		    strstr(line, " posthaste["));
	return words + 3;
}

static const char *taken(int s, char *line, size_t size)
{
	return said(s, LOG_MAIL | LOG_INFO, line, size);
}

static int listening_as(int type)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(name.sun_path, "/dev/log");
	unlink(name.sun_path);
	assert_int_equal(bind(s, (struct sockaddr *)&name, sizeof(name)), 0);
	return s;
}

static int listening(void)
{
	return listening_as(SOCK_DGRAM);
}

static void is_found_again(void **state)
{
	char line[256];
	int s;

	(void)state;
	log_open(&to_syslog);
	s = listening();
	log_say(LOG_AT_INFO, "one");
	assert_string_equal(taken(s, line, sizeof(line)), "text=\"one\"");
	close(s);
	s = listening();
	log_say(LOG_AT_INFO, "two");
	assert_string_equal(taken(s, line, sizeof(line)), "text=\"two\"");
	close(s);
	log_forget();
}

static void say_many(int n)
{
	int i;

	for (i = 0; i < n; i++)
		log_say(LOG_AT_INFO, "%d", i);
}

/* One that stands still stops nobody: the alarm would end this. What it did
 * not take is told to one that does. */
static void is_not_waited_for(void **state)
{
	int s = listening(), n = 0;
	char line[256], want[80];

	(void)state;
	log_open(&to_syslog);
	alarm(60);
	say_many(2000);
	alarm(0);
	while (recv(s, line, sizeof(line), MSG_DONTWAIT) > 0)
		n++;
	assert_in_range(n, 1, 1999);
	log_say(LOG_AT_INFO, "again");
	assert_string_equal(taken(s, line, sizeof(line)), "text=\"again\"");
	snprintf(want, sizeof(want), "lines that syslog did not take before "
		 "this one: %d", 2000 - n);
	assert_non_null(strstr(said(s, LOG_MAIL | LOG_ERR, line, sizeof(line)),
			       want));
	log_say(LOG_AT_INFO, "and again");
	assert_string_equal(taken(s, line, sizeof(line)),
			    "text=\"and again\"");
	assert_int_equal(recv(s, line, sizeof(line), MSG_DONTWAIT), -1);
	log_forget();
	close(s);
}

/* More lines than any queue of datagrams holds. */
enum { MANY = 1200 };

/* How many lines one takes who needs 5 ms for each; in a process of his
 * own, which ends with the line "last". */
static pid_t slow_one(int s)
{
	const struct timespec nap = { .tv_nsec = 5000000 };
	pid_t pid = fork();
	char line[256];
	ssize_t n;
	int lines;

	if (pid)
		return pid;
	for (lines = 0; (n = recv(s, line, sizeof(line) - 1, 0)) > 0;
	     lines++) {
		line[n] = '\0';
		if (strstr(line, "\"last\""))
			break;
		nanosleep(&nap, NULL);
	}
	_exit(lines == MANY ? 0 : 1);
}

/* Longer than one that stands still is waited for. */
static void slow_loses_none(void **state)
{
	int s = listening(), status;
	pid_t pid;

	(void)state;
	log_open(&to_syslog);
	pid = slow_one(s);
	say_many(MANY);
	log_say(LOG_AT_INFO, "last");
	close(s);
	alarm(60);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	alarm(0);
	assert_int_equal(status, 0);
	log_forget();
}

/* Where lines come by a stream they end with NUL, and who stands still there
 * stops nobody either, be it that he takes no line or no connection. */
static void by_a_stream(void **state)
{
	int s = listening_as(SOCK_STREAM), peer;
	char text[256];
	ssize_t n;

	(void)state;
	assert_int_equal(listen(s, 0), 0);
	log_open(&to_syslog);
	log_say(LOG_AT_INFO, "one");
	log_say(LOG_AT_INFO, "two");
	peer = accept(s, NULL, NULL);
	n = recv(peer, text, sizeof(text), MSG_DONTWAIT);
	assert_true(n > 0 && text[n - 1] == '\0' && !memcmp(text, "<22>", 4));
	assert_non_null(strstr(text, "]: text=\"one\""));
	assert_non_null(strstr(text + strlen(text) + 1, "]: text=\"two\""));
	alarm(60);
	say_many(20000);
	log_forget();
	say_many(20000);
	log_forget();
	/* the queue of those who come is full by now */
	say_many(20000);
	alarm(0);
	log_forget();
	close(peer);
	close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_are_not_taken_for_it),
		cmocka_unit_test(is_found_again),
		cmocka_unit_test(is_not_waited_for),
		cmocka_unit_test(slow_loses_none),
		cmocka_unit_test(by_a_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
