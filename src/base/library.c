/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/process.h"

static bool cannot_load(const struct library *library, const char *reason,
			struct outcome *why)
{
	return outcome_fail(why, STAGE_LOCAL, EX_OSERR, "cannot load %s: %s",
			    library->file, reason);
}

/* Of their own: nobody writes to where calls go. NULL, and errno. */
static void *pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	return p;
}

const void *library_load(const struct library *library, struct outcome *why)
{
	const size_t size = library->names * sizeof(void *);
	/* lazily, as a program's own libraries are bound: it costs less */
	void *handle = dlopen(library->file, RTLD_LAZY | RTLD_LOCAL);
	void **table;
	size_t i;

	if (!handle) {
		(void)cannot_load(library, dlerror(), why);
		return NULL;
	}
	table = pages(size);
	if (!table) {
		(void)cannot_load(library, strerror(errno), why);
		dlclose(handle);
		return NULL;
	}
	for (i = 0; i < library->names; i++) {
		table[i] = dlsym(handle, library->name[i]);
		if (table[i])
			continue;
		(void)cannot_load(library, dlerror(), why);
		munmap(table, size);
		dlclose(handle);
		return NULL;
	}
	mprotect(table, size, PROT_READ);
	return table;
}

const void *library_demand(const struct library *library)
{
	struct outcome why;
	const void *table = library_load(library, &why);

	if (table)
		return table;
	(void)(write(STDERR_FILENO, "posthaste: ", 11) == 11 &&
	       write(STDERR_FILENO, why.text, strlen(why.text)) >= 0 &&
	       write(STDERR_FILENO, "\n", 1) == 1);
	process_leave(EX_OSERR);
}
