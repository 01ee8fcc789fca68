/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shared libraries that are loaded when something needs them first, so that
 * a message which has no use for TLS, say, does not pay for its start. A
 * library has a header that lists its functions once as a struct of pointers
 * and once as names that go through it (base/library_gnutls.h is one); code
 * that includes this header instead of the library's own calls them as ever.
 */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/outcome.h"

struct library {
	const char *file;         /* as the linker would have named it */
	const char *const *name;  /* its functions */
	size_t names;
};

/* As many pointers as there are names, in that order and for reading alone,
 * into the library, which stays loaded; NULL: EX_OSERR, with the loader's
 * words. */
const void *library_load(const struct library *library, struct outcome *why)
	MUST_CHECK;
/* The same for those who have no way to say that it failed: ends the process,
 * as want of memory does. */
const void *library_demand(const struct library *library);

/* To write such a list: a member and a string for each name. */
#define LIBRARY_MEMBER(function) __typeof__(function) *function;
#define LIBRARY_NAME(function) #function,
/* And the source beside it: NAME_load and NAME_calls. */
#define LIBRARY_SOURCE(name, file, list)				\
static const char *const name##_names[] = { list(LIBRARY_NAME) };	\
static const struct library name##_library = {				\
	file, name##_names, sizeof(name##_names) / sizeof(*name##_names) \
};									\
static const struct name##_calls *name##_loaded;			\
									\
bool name##_load(struct outcome *why)					\
{									\
	if (!name##_loaded)						\
		name##_loaded = library_load(&name##_library, why);	\
	return name##_loaded;						\
}									\
									\
const struct name##_calls *name##_calls(void)				\
{									\
	if (!name##_loaded)						\
		name##_loaded = library_demand(&name##_library);	\
	return name##_loaded;						\
}

#endif
