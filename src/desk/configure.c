/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --configure: from an address to a configuration for its provider. */
#include "desk/configure.h"

#include <stdlib.h>

#include "desk/desk.h"

enum { OUTPUT_MAX = 256 * 1024 };

int desk_configure(const struct desk *d)
{
	const struct configuring how = { 0 };
	struct buf out = BUF(OUTPUT_MAX);
	struct finding f = { 0 };
	struct outcome why;
	char *address;
	int status;

	if (discover_address("--configure", d->options->argument, &address,
			     &why) && discover(d, address, false, &f, &why)) {
		configure_text(&f, &how, &out);
		status = desk_report(&out);
	} else {
		status = desk_fail(d, &why);
	}
	buf_release(&out);
	finding_release(&f);
	free(address);
	return status;
}
