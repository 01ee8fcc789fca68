/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a configuration file: an answer, and what reads well prints
 * text that reads well again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static bool load(const void *text, size_t n, struct config *c)
{
	int fd = memfd_create("config", MFD_CLOEXEC);
	char path[64];
	struct config_place place = { .file = path, .queue_directory = "/q" };
	struct outcome why;
	bool good;

	if (fd < 0 || fchmod(fd, 0600) ||
	    write(fd, text, n) != (ssize_t)n)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	good = config_load(&place, c, &why);
	close(fd);
	if (good != !c->errors)
		abort();
	return good;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct buf text = BUF(64 << 20);
	struct config c;
	bool good = load(data, n, &c);

	config_print_json(&c, &text);
	buf_reset(&text);
	config_print(&c, &text);
	config_release(&c);
	if (good && !load(text.data, text.len, &c))
		abort();
	if (good)
		config_release(&c);
	buf_release(&text);
	return 0;
}
