/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "submit/deliver_parts.h"

static const char *status_word(const struct run *run,
			       const struct outcome *o)
{
	if (o->in_doubt)
		return "duplicate_possible";
	switch (policy_verdict(o, run->queue)) {
	case RCPT_SENT:
		return "sent";
	case RCPT_PENDING:
		return "deferred";
	case RCPT_FAILED:
		break;
	}
	return "failed";
}

static const char *or_null(const char *s)
{
	return s && *s ? s : NULL;
}

/* Looked up once, however many recipients there are. */
static const char *message_id_of(struct part *p)
{
	if (!p->message_id && p->job->message)
		p->message_id = message_id(p->job->message);
	return or_null(p->message_id);
}

void log_attempt(const struct run *run, struct part *p,
		 const struct attempt *a)
{
	static const struct trace nowhere = { 0 };
	const struct job *job = p->job;
	const struct recipient *r = a->rcpt;
	const struct outcome *o = &r->last;
	const struct trace *t = a->trace ? a->trace : &nowhere;
	char uid[24], size[24], attempt[16], delay[24], code[8];
	const struct log_field fields[] = {
		{ "id", job->id ? job->id : "-", LOG_WORD },
		{ "message_id", message_id_of(p), LOG_ADDRESS },
		{ "uid", uid, LOG_NUMBER },
		{ "from", job->envelope->sender, LOG_ADDRESS },
		{ "to", r->address, LOG_ADDRESS },
		{ "account", job->envelope->account, LOG_WORD },
		{ "transport", or_null(t->transport), LOG_WORD },
		{ "host", or_null(o->host), LOG_WORD },
		{ "ip", or_null(t->ip), LOG_WORD },
		{ "tls", or_null(t->tls), LOG_WORD },
		{ "auth", or_null(t->auth), LOG_WORD },
		{ "size", size, LOG_NUMBER },
		{ "attempt", attempt, LOG_NUMBER },
		{ "delay", delay, LOG_NUMBER },
		{ "status", status_word(run, o), LOG_WORD },
		{ "code", o->code ? code : NULL, LOG_NUMBER },
		{ "dsn", or_null(o->status), LOG_WORD },
		{ "text", o->text, LOG_WORD },
	};
	int64_t waited = job->queued ? (int64_t)time(NULL) - job->queued : 0;

	snprintf(uid, sizeof(uid), "%lu", (unsigned long)job->uid);
	snprintf(size, sizeof(size), "%lld", job->message ?
		 (long long)message_size(job->message) : 0);
	snprintf(attempt, sizeof(attempt), "%u", r->attempts +
		 (job->entry && policy_is_attempt(o) ? 0 : 1));
	snprintf(delay, sizeof(delay), "%lld", (long long)waited);
	snprintf(code, sizeof(code), "%d", o->code);
	if (run->watch && run->watch->attempt)
		run->watch->attempt(run->watch->context, job->id, r->address,
				    o);
	/* that a server wants to be asked again is the course of things */
	log_event(o->exit == EX_OK || !strcmp(status_word(run, o), "deferred") ?
		  LOG_AT_INFO : LOG_AT_ERROR, fields,
		  sizeof(fields) / sizeof(*fields));
}
