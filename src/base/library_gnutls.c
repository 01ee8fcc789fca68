/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/library_gnutls.h"

static const char *const gnutls_names[] = { GNUTLS_CALLS(LIBRARY_NAME) };
static const struct library gnutls_library = {
	GNUTLS_SONAME, gnutls_names, sizeof(gnutls_names) / sizeof(*gnutls_names)
};
static const struct gnutls_calls *gnutls_loaded;

bool gnutls_load(struct outcome *why)
{
	if (!gnutls_loaded)
		gnutls_loaded = library_load(&gnutls_library, why);
	return gnutls_loaded;
}

const struct gnutls_calls *gnutls_calls(void)
{
	if (!gnutls_loaded)
		gnutls_loaded = library_demand(&gnutls_library);
	return gnutls_loaded;
}
