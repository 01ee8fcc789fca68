/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * posthaste-drop: the way of an unprivileged caller into the system's queue.
 * Set-group-id, linked with libc alone, and knows only the directory it was
 * compiled for. queue/drop.h says what it reads and writes, queue/serve.c does
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/kernel.h"
#include "queue/drop_limits.h"
#include "queue/serve.h"

/* --- a clean start --- */

/* A limit that the caller lowered is raised as far as that is possible; a
 * file must not end where it says. */
static void clean_limit(int which, rlim_t wanted)
{
	struct rlimit limit;

	if (getrlimit(which, &limit) < 0)
		return;
	if (wanted > limit.rlim_max)
		wanted = limit.rlim_max;
	if (limit.rlim_cur == wanted)
		return;
	limit.rlim_cur = wanted;
	setrlimit(which, &limit);
}

static bool clean(void)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t none;
	int fd;

	if (clearenv() != 0)
		return false;
	do {
		fd = kernel_open(AT_FDCWD, "/dev/null", O_RDWR, 0);
	} while (fd >= 0 && fd <= 2);
	if (fd < 0)
		return false;
	close(fd);
	/* handlers did not survive execve(2), and what else the caller had
	 * ignored can only keep him from ending this early */
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm(0);
	clean_limit(RLIMIT_CORE, 0);
	clean_limit(RLIMIT_FSIZE, RLIM_INFINITY);
	clean_limit(RLIMIT_NOFILE, 256);
	clean_limit(RLIMIT_CPU, RLIM_INFINITY);
	clean_limit(RLIMIT_AS, RLIM_INFINITY);
	clean_limit(RLIMIT_DATA, RLIM_INFINITY);
	clean_limit(RLIMIT_STACK, RLIM_INFINITY);
	umask(0);
	return chdir("/") == 0;
}

int main(int argc, char **argv)
{
	struct drop_caller caller = {
		.uid = getuid(), .all_ms = DROP_ALL_MS,
		.some_ms = DROP_SOME_MS,
	};
	struct outcome why;
	struct qdir dir;
	bool good;

	if (!clean()) {
		fprintf(stderr, "posthaste-drop cannot start: %s\n",
			strerror(errno));
		return EX_OSERR;
	}
	if (argc < 2 || !drop_serves(argc - 1, argv + 1)) {
		fprintf(stderr, "posthaste-drop is run by posthaste\n");
		return EX_USAGE;
	}
	good = qdir_open(QUEUE_DIRECTORY, false, &dir, &why);
	if (!good && why.exit == EX_NOPERM)
		outcome_prefix(&why, "posthaste-drop lacks the queue's group "
			       "(it is not set-group-id, or whoever runs it "
			       "may gain no privileges)");
	good = good && drop_serve(&dir, &caller, argc - 1, argv + 1, &why);
	if (!good)
		fprintf(stderr, "%s\n", why.text);
	return good ? EX_OK : why.exit;
}
