/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --check: the configuration as in effect, and all that is wrong with it. */
#include <stdio.h>

#include "desk/desk.h"

static void print_errors(const struct config *c)
{
	size_t i;

	for (i = 0; i < c->errors; i++)
		fprintf(stderr, "%s:%u: %s\n", c->error[i].file,
			c->error[i].line, c->error[i].message);
}

int desk_check(const struct desk *d)
{
	struct buf out = BUF(64 * 1024 * 1024);
	bool written;

	if (d->options->json) {
		config_print_json(d->config, &out);
		buf_addc(&out, '\n');
	} else {
		print_errors(d->config);
		if (!d->config->errors)
			config_print(d->config, &out);
	}
	written = desk_print(&out);
	buf_release(&out);
	if (d->config->errors)
		return EX_CONFIG;
	return written ? EX_OK : EX_IOERR;
}
