/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * meter UID INPUT COMMAND ARGUMENT ...
 *
 * Runs a command as that user with a file as its standard input and prints
 * "WALL CPU PEAK
 * STATUS": microseconds, microseconds, kilobytes of resident memory, exit
 * status (256 + a signal). A program of its own, and a small one, because a
 * child's peak is at least what its parent had.
 */
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long microseconds(struct timeval t)
{
	return t.tv_sec * 1000000L + t.tv_usec;
}

static _Noreturn void become(char **argv)
{
	int in = open(argv[1], O_RDONLY), null = open("/dev/null", O_WRONLY);
	uid_t uid = (uid_t)atoi(argv[0]);

	if (in < 0 || dup2(in, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(null, 2) < 0)
		_exit(126);
	close(in);
	close(null);
	if (uid != getuid() && (setgroups(0, NULL) || setgid(uid) ||
				setuid(uid)))
		_exit(126);
	execvp(argv[2], argv + 2);
	_exit(127);
}

int main(int argc, char **argv)
{
	struct timespec before, after;
	struct rusage use;
	long wall;
	int status;
	pid_t pid;

	if (argc < 4)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &before);
	pid = fork();
	if (pid == 0)
		become(argv + 1);
	if (pid < 0 || wait4(pid, &status, 0, &use) < 0)
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &after);
	wall = (after.tv_sec - before.tv_sec) * 1000000L +
	       (after.tv_nsec - before.tv_nsec) / 1000;
	printf("%ld %ld %ld %d\n", wall, microseconds(use.ru_utime) +
	       microseconds(use.ru_stime), use.ru_maxrss,
	       WIFEXITED(status) ? WEXITSTATUS(status) :
	       256 + WTERMSIG(status));
	return 0;
}
