/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/idn_library.h"

static const char *const idn2_names[] = { IDN2_CALLS(LIBRARY_NAME) };
static const struct library idn2_library = {
	IDN2_SONAME, idn2_names, sizeof(idn2_names) / sizeof(*idn2_names)
};
static const struct idn2_calls *idn2_loaded;

bool idn2_load(struct outcome *why)
{
	if (!idn2_loaded)
		idn2_loaded = library_load(&idn2_library, why);
	return idn2_loaded;
}

const struct idn2_calls *idn2_calls(void)
{
	if (!idn2_loaded)
		idn2_loaded = library_demand(&idn2_library);
	return idn2_loaded;
}
