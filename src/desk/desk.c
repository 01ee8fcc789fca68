/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "desk/desk.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "policy/policy.h"
#include "submit/confine.h"
#include "submit/secret.h"

/* --- the queue --- */

static bool is_compiled_in(const struct config *c)
{
	return c->queue.directory &&
	       !strcmp(c->queue.directory, QUEUE_DIRECTORY);
}

bool desk_open_queue(const struct desk *d, bool create, struct queue **out,
		     struct outcome *why)
{
	const char *directory = d->config->queue.directory;
	/* helper and socket know no other directory than the compiled-in one */
	bool served = is_compiled_in(d->config);

	if (queue_open(directory, create,
		       served ? DROP_PROGRAM : NULL,
		       served ? RUNSTATEDIR "/posthaste/smtp" : NULL, out,
		       why))
		return true;
	/* what to do about one that this user can neither use nor make */
	if (access(directory, F_OK) == 0 || errno != ENOENT) {
		if (served && why->exit == EX_NOPERM)
			outcome_append(why, " (contrib/setup, run as root, "
				       "lets users in)");
	} else if (served) {
		outcome_append(why, " (contrib/setup, run as root, makes it)");
	} else {
		outcome_append(why, " (it has to be made, for the user who "
			       "runs the queue, or queue = never)");
	}
	return false;
}

/* -odb alone does not make a machine's queue, which nobody would run. */
static bool makes_queue(const struct config *c, enum queue_use use)
{
	return use == USE_PROMISED || (use == USE_ASKED && !is_compiled_in(c));
}

bool desk_queue_possible(const struct desk *d, bool explicit)
{
	return makes_queue(d->config, policy_queue_use(d->config, explicit)) &&
	       file_directories_possible(d->config->queue.directory);
}

bool desk_queue(const struct desk *d, bool explicit, struct queue **out,
		struct outcome *why)
{
	const enum queue_use use = policy_queue_use(d->config, explicit);

	*out = NULL;
	if (use == USE_NONE)
		return true;
	if (!desk_open_queue(d, makes_queue(d->config, use), out, why)) {
		*out = NULL;
		return use != USE_PROMISED;
	}
	if (use == USE_IF_TENDED && !queue_tended(*out)) {
		queue_close(*out);
		*out = NULL;
	}
	return true;
}

void desk_run_init(const struct desk *d, struct run *run)
{
	*run = (struct run){
		.config = d->config,
		.secrets = secrets_new(d->config),
		.transport = { d->transport[0] },
		.watch = d->options->verbose ? &desk_watch : NULL,
	};
}

void desk_run_release(struct run *run)
{
	secrets_free(run->secrets);
	list_release(&run->no_chunking);
	list_release(&run->no_early);
	list_release(&run->mend);
	list_release(&run->no_policy);
	confine_release(run);
	if (run->dns)
		dns_close(run->dns);
	if (run->queue)
		queue_close(run->queue);
}

/* What counts is the completed message, which compose() judges; what goes
 * before that (Bcc, for one) may make it smaller. */
struct message_limits desk_limits(const struct desk *d)
{
	enum { REMOVED_MAX = 16 * 1024 * 1024 };
	int64_t most = d->config->general.max_message_size;

	if (most && most < INT64_MAX - REMOVED_MAX)
		most += REMOVED_MAX;
	return (struct message_limits){
		.dot_ends = d->config->general.dot_ends_message &&
			    !d->options->ignore_dots,
		.max_size = most,
	};
}

void desk_request(const struct desk *d, struct request *r)
{
	const struct options *o = d->options;

	*r = (struct request){
		.caller = d->caller, .account = o->account,
		.sender = o->sender,
		.sender_from_header = o->sender_from_header,
		.full_name = o->full_name,
		.from_header = o->recipients_from_header,
		.operand = o->operand, .operands = o->operands,
		.notify = o->notify, .dsn_return = o->dsn_return,
		.envid = o->envid, .body = o->body,
		.require_tls = o->require_tls,
	};
}
