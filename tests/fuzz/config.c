/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a configuration file: an answer, and what reads well prints
 * text that reads well again. Such that begin as a URL does are one, too, from
 * which no part gets into a line that it does not belong in. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "config/keys.h"

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

static void try_url(const void *data, size_t n)
{
	static const char *const lines[] = {
		"[account default]", "from = f@x.example", "[log]",
		"to = stderr", "[queue]", "queue = never", "[route url]",
		"transport = url", "[transport url]", "kind = ",
		"username = ", "host = ", "port = ",
	};
	char *url = mem_stringn(data, n), *line, *next;
	struct buf text = BUF(64 << 10);
	struct outcome why;
	struct config c;
	size_t i, seen[sizeof(lines) / sizeof(*lines)] = { 0 };

	if (config_of_url(url, NULL, "f@x.example", &text, &why)) {
		/* whether every value of it is one is for the reader to say */
		(void)load(buf_text(&text), text.len, &c);
		config_release(&c);
		for (line = strtok_r(text.data, "\n", &next); line;
		     line = strtok_r(NULL, "\n", &next)) {
			for (i = 0; i < sizeof(lines) / sizeof(*lines); i++)
				if (!strncmp(line, lines[i],
					     strlen(lines[i])))
					break;
			if (i == sizeof(lines) / sizeof(*lines) || seen[i]++)
				abort();
		}
	} else if (!*why.text || why.exit != EX_CONFIG) {
		abort();
	}
	buf_release(&text);
	free(url);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct buf text = BUF(64 << 20);
	struct config c;
	bool good = load(data, n, &c);

	if (n > 5 && (!memcmp(data, "smtp:", 5) || !memcmp(data, "submi", 5)))
		try_url(data, n);
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
