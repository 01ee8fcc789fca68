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

/* Without the key it depends on the queue's state what is done. */
static void effective_queue(const struct desk *d, struct config *shown)
{
	struct outcome ignored;
	struct queue *q;

	if (shown->queue.queue != QUEUE_UNSET)
		return;
	if (!desk_queue(d, false, &q, &ignored) || !q) {
		shown->queue.queue = QUEUE_NEVER;
		return;
	}
	shown->queue.queue = QUEUE_ON_FAILURE;
	queue_close(q);
}

int desk_check(const struct desk *d)
{
	struct config shown = *d->config;
	struct buf out = BUF(64 * 1024 * 1024);
	int status;

	effective_queue(d, &shown);
	if (d->options->json) {
		config_print_json(&shown, &out);
		buf_addc(&out, '\n');
	} else {
		print_errors(d->config);
		if (!d->config->errors)
			config_print(&shown, &out);
	}
	status = desk_report(&out);
	buf_release(&out);
	return d->config->errors ? EX_CONFIG : status;
}
