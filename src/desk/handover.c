/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For callers that may gain no privileges, and so cannot use posthaste-drop:
 * the socket on which "posthaste -bs" runs as the queue's owner. */
#include <string.h>
#include <unistd.h>

#include "desk/desk.h"
#include "submit/deliver.h"

static const char queue_socket[] = RUNSTATEDIR "/posthaste/smtp";

static bool all_taken(const struct envelope *e)
{
	size_t i;

	for (i = 0; i < e->n; i++)
		if (e->rcpt[i].state != RCPT_SENT)
			return false;
	return true;
}

/* Nothing of the caller's configuration counts on this way: signatures and
 * routes are the owner's. */
bool desk_hand_over(const struct desk *d, struct acceptance *a,
		    struct message *m)
{
	struct transport t = *config_direct();
	struct config config = *d->config;
	struct run run;
	struct job job = {
		.account = a->account, .envelope = &a->envelope,
		.message = m, .uid = d->caller->uid,
	};

	if (!config.queue.directory ||
	    strcmp(config.queue.directory, QUEUE_DIRECTORY) != 0 ||
	    access(queue_socket, W_OK))
		return false;
	t.name = (char *)"queue";
	t.kind = KIND_SMTP;
	t.no_starttls = true;
	list_add(&t.host, queue_socket);
	config.domains = 0;
	desk_run_init(d, &run);
	run.config = &config;
	run.transport[0] = &t;
	deliver(&run, &job);
	desk_run_release(&run);
	list_release(&t.host);
	return all_taken(&a->envelope);
}
