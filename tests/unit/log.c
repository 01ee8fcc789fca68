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
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
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

/* The next line that came; its words. */
static const char *taken(int s, char *line, size_t size)
{
	ssize_t n = recv(s, line, size - 1, MSG_DONTWAIT);
	const char *words;

	assert_true(n > 0);
	line[n] = '\0';
	words = strstr(line, "]: ");
	assert_true(words && !strncmp(line, "<22>", 4) &&
		    strstr(line, " posthaste["));
	return words + 3;
}

static int listening(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(name.sun_path, "/dev/log");
	unlink(name.sun_path);
	assert_int_equal(bind(s, (struct sockaddr *)&name, sizeof(name)), 0);
	return s;
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

/* One that stands still stops nobody: the alarm would end this. */
static void is_not_waited_for(void **state)
{
	int s = listening(), i;

	(void)state;
	log_open(&to_syslog);
	alarm(60);
	for (i = 0; i < 2000; i++)
		log_say(LOG_AT_INFO, "%d", i);
	alarm(0);
	log_forget();
	close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_are_not_taken_for_it),
		cmocka_unit_test(is_found_again),
		cmocka_unit_test(is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
