/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A worker that is not itself any more: whoever supervises it goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "submit/worker.h"

enum { STAYS = 120, SOON_MS = 60 * 1000 };

/* Says these bytes, hangs up or does not, and stays. */
static void says_and_stays(const char *bytes, size_t n, bool hangs_up)
{
	struct worker w = { .in = BUF(32 * 1024), .since = clock_now() };
	struct run run = { 0 };
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	w.fd = fds[0];
	w.pid = fork();
	if (!w.pid) {
		alarm(STAYS);
		close(fds[0]);
		while (n && write(fds[1], bytes, n) == (ssize_t)n)
			n = 0;
		if (hangs_up)
			close(fds[1]);
		for (;;)
			pause();
	}
	assert_true(w.pid > 0);
	close(fds[1]);
	while (worker_hear(&w, &run))
		;
	assert_int_equal(w.fd, -1);
	assert_true(clock_now() - w.since < SOON_MS);
}

static void hangs_up(void **state)
{
	(void)state;
	says_and_stays("", 0, true);
}

/* A report of so many bytes that no report has. */
static void no_report(void **state)
{
	const size_t n = 40 * 1000;
	char *bytes = calloc(1, n);

	(void)state;
	assert_non_null(bytes);
	memset(bytes, 0xff, sizeof(uint16_t));
	says_and_stays(bytes, n, false);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hangs_up),
		cmocka_unit_test(no_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
