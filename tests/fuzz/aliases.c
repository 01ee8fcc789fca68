/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any file as aliases: whatever a name stands for is an address without
 * control characters, and asking twice gives the same. A name that yields
 * nothing leaves the list as it was.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "mail/aliases.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static void want(int condition)
{
	if (!condition)
		abort();
}

static void ask(struct aliases *a, const char *name)
{
	struct list once = {0}, twice = {0};
	struct outcome why;
	bool found, again;
	bool good = aliases_expand(a, name, 65536, &once, &found, &why);
	const char *c;
	size_t i;

	want((good && found) || !once.n);
	want(good || why.exit == EX_CONFIG);
	want(aliases_expand(a, name, 65536, &twice, &again, &why) == good &&
	     found == again);
	want(once.n == twice.n);
	for (i = 0; i < once.n; i++) {
		want(!strcmp(once.item[i], twice.item[i]));
		want(*once.item[i]);
		for (c = once.item[i]; *c; c++)
			want((unsigned char)*c >= ' ' && *c != 0x7f);
	}
	list_release(&once);
	list_release(&twice);
}

static void tell(void *context, size_t line, bool foreign, const char *words)
{
	(void)foreign;
	want(!context && line && *words);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	static const char *const names[] = {
		"root", "ROOT", "a", "default", "", "a b", "nobody",
		"a@here", "a@x", "b@x",
	};
	const struct log_settings none = { .to = "none" };
	int fd = memfd_create("aliases", MFD_CLOEXEC);
	const struct alias_faults faults = { tell, NULL };
	struct list local = {0};
	struct aliases *a;
	struct outcome why;
	char path[64];
	size_t i;

	log_open(&none);
	want(fd >= 0 && write(fd, data, n) == (ssize_t)n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	list_add(&local, "here");
	want(aliases_load(path, true, &local, NULL, &a, &why));
	aliases_check(a, &faults);
	list_release(&local);
	close(fd);
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		ask(a, names[i]);
	aliases_free(a);
	return 0;
}
