/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/dns_library.h"

static const char *const ares_names[] = { ARES_CALLS(LIBRARY_NAME) };
static const struct library ares_library = {
	CARES_SONAME, ares_names, sizeof(ares_names) / sizeof(*ares_names)
};
static const struct ares_calls *ares_loaded;

bool ares_load(struct outcome *why)
{
	if (!ares_loaded)
		ares_loaded = library_load(&ares_library, why);
	return ares_loaded;
}

const struct ares_calls *ares_calls(void)
{
	if (!ares_loaded)
		ares_loaded = library_demand(&ares_library);
	return ares_loaded;
}
