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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_are_not_taken_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
