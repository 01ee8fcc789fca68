/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/place.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/user.h"

char *place_own_state(const char *what)
{
	const char *state = getenv("XDG_STATE_HOME");
	struct outcome ignored;
	char *home, *path;

	if (state && state[0] == '/')
		return mem_printf("%s/posthaste/%s", state, what);
	if (!user_home(&home, &ignored) || !home)
		return NULL;
	path = mem_printf("%s/.local/state/posthaste/%s", home, what);
	free(home);
	return path;
}

char *place_file_name(const char *name)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"abcdefghijklmnopqrstuvwxyz0123456789-_@+.";
	struct buf b = BUF(4096);
	const char *p;

	for (p = name; *p; p++)
		if (strchr(plain, *p) && (p > name || *p != '.'))
			buf_addc(&b, *p);
		else
			buf_addf(&b, "%%%02X", (unsigned char)*p);
	return buf_take(&b);
}
