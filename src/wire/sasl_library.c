/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/sasl_library.h"

static const char *const gsasl_names[] = { GSASL_CALLS(LIBRARY_NAME) };
static const struct library gsasl_library = {
	GSASL_SONAME, gsasl_names, sizeof(gsasl_names) / sizeof(*gsasl_names)
};
static const struct gsasl_calls *gsasl_loaded;

bool gsasl_load(struct outcome *why)
{
	if (!gsasl_loaded)
		gsasl_loaded = library_load(&gsasl_library, why);
	return gsasl_loaded;
}

const struct gsasl_calls *gsasl_calls(void)
{
	if (!gsasl_loaded)
		gsasl_loaded = library_demand(&gsasl_library);
	return gsasl_loaded;
}
