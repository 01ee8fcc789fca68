/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any file as ~/.netrc: what is found is a word of it, never empty, and a
 * file that others can read gives nothing away.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "submit/secret_source.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static void want(int condition)
{
	if (!condition)
		abort();
}

static char *look(int fd, mode_t mode, bool *good)
{
	static char *host[] = { (char *)"mx.example", (char *)"h" };
	const struct list hosts = { .item = host, .n = 2 };
	struct outcome why;
	char path[64], *found = NULL;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	want(!fchmod(fd, mode));
	*good = secret_netrc(path, &hosts, "joe", &found, &why);
	return found;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	int fd = memfd_create("netrc", MFD_CLOEXEC);
	char *mine, *open;
	bool good;

	want(fd >= 0 && write(fd, data, n) == (ssize_t)n);
	mine = look(fd, 0600, &good);
	want(good);
	want(!mine || (*mine && strlen(mine) <= n));
	/* without escapes it is there as it is */
	want(!mine || memchr(data, '\\', n) ||
	     memmem(data, n, mine, strlen(mine)));
	open = look(fd, 0644, &good);
	want(!open && good == !mine);
	mem_wipe_string(mine);
	close(fd);
	return 0;
}
