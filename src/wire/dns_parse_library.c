/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/dns_parse_library.h"

static const char *const resolv_names[] = { RESOLV_CALLS(LIBRARY_NAME) };
static const struct library resolv_library = {
	RESOLV_SONAME, resolv_names, sizeof(resolv_names) / sizeof(*resolv_names)
};
static const struct resolv_calls *resolv_loaded;

bool resolv_load(struct outcome *why)
{
	if (!resolv_loaded)
		resolv_loaded = library_load(&resolv_library, why);
	return resolv_loaded;
}

const struct resolv_calls *resolv_calls(void)
{
	if (!resolv_loaded)
		resolv_loaded = library_demand(&resolv_library);
	return resolv_loaded;
}
