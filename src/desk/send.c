/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The common way: one message from standard input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "desk/desk.h"
#include "desk/explain.h"
#include "policy/policy.h"

static bool is_failure(const struct acceptance *a, const struct recipient *r)
{
	return r->state == RCPT_FAILED ||
	       (r->state == RCPT_PENDING && !a->held);
}

static void summarise(const struct desk *d, const struct acceptance *a)
{
	const struct recipient *first = NULL;
	const struct transport *const *way;
	struct list names = { 0 };
	char *words, where[600];
	size_t i, failed = 0;

	for (i = 0; i < a->envelope.n; i++) {
		if (!is_failure(a, &a->envelope.rcpt[i]))
			continue;
		if (!failed++)
			first = &a->envelope.rcpt[i];
	}
	if (!first)
		return;
	/* the transports of its last attempt */
	for (way = policy_transports(d->config, d->transport, a->account,
				     a->envelope.sender, first->address,
				     first->attempts ? first->attempts - 1 : 0,
				     NULL); *way; way++)
		list_add(&names, (*way)->name);
	words = list_join(&names, ", ");
	snprintf(where, sizeof(where), "%s%s%stransport %s, %s",
		 a->account ? "account " : "",
		 a->account ? a->account->name : "", a->account ? ", " : "",
		 words, d->config->path ? d->config->path :
		 "no configuration file");
	if (failed == a->envelope.n)
		desk_complain("not sent (%s)", where);
	else
		desk_complain("not sent to %zu of %zu recipients (%s)", failed,
			      a->envelope.n, where);
	free(words);
	list_release(&names);
}

static int send_message(const struct desk *d, struct message **m)
{
	struct request request;
	struct acceptance a;
	char words[1200];
	size_t i;
	int status;

	desk_request(d, &request);
	if (d->options->dry_run)
		return explain_dry_run(d, &request, m);
	desk_accept(d, &request, m, &a);
	status = a.refused ? desk_fail(d, &a.why) : a.status;
	if (a.unheld)
		desk_complain("%s", a.why.text);
	for (i = 0; !a.refused && i < a.envelope.n; i++) {
		const struct recipient *r = &a.envelope.rcpt[i];

		if (!is_failure(&a, r))
			continue;
		outcome_words(&r->last, words, sizeof(words));
		desk_complain("%s: %s%s", r->address, words,
			      r->last.in_doubt ? " (its final answer was lost: "
			      "it may have been delivered)" : "");
	}
	if (!a.refused)
		summarise(d, &a);
	acceptance_release(&a);
	return status;
}

int desk_send(const struct desk *d)
{
	const struct message_limits limits = desk_limits(d);
	struct message *m = NULL;
	struct outcome why;
	int status;

	if (d->no_input) {
		outcome_fail(&why, STAGE_LOCAL, EX_NOINPUT,
			     "standard input is closed: no message");
		return desk_fail(d, &why);
	}
	if (!message_read(STDIN_FILENO, &limits, &m, &why)) {
		status = desk_fail(d, &why);
		message_drain(STDIN_FILENO);
		return status;
	}
	status = send_message(d, &m);
	message_free(m);
	return status;
}
