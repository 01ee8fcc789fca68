/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/local.h"

#include <stdio.h>
#include <string.h>

#include "mail/reply.h"

static const char refusal[] = "mail of this kind is refused here";

static void discard(const struct local *l, struct outcome *o)
{
	(void)l;
	*o = (struct outcome){ .stage = STAGE_DOT, .status = "2.0.0",
			       .text = "discarded by configuration" };
}

const struct local_kind local_discard = { discard, false, "discarded", 0 };

/* As if a server had said it, so that the message may begin with an enhanced
 * status code. */
static void refuse(const struct local *l, struct outcome *o)
{
	const struct transport *t = l->transport;
	struct reply reply = { 0 };
	char words[1024];

	snprintf(words, sizeof(words), "%d %s", (int)t->code,
		 t->message ? t->message : refusal);
	reply_line(&reply, words, strlen(words));
	reply_describe(&reply, STAGE_RCPT, "", o);
	reply_release(&reply);
	o->exit = t->code < 500 ? EX_TEMPFAIL : EX_UNAVAILABLE;
	if (!o->status[0])
		snprintf(o->status, sizeof(o->status), "%d.7.0",
			 (int)t->code / 100 % 10);
	snprintf(o->host, sizeof(o->host), "transport %s", t->name);
}

const struct local_kind local_fail = {
	refuse, false, "refuses by configuration",
	offsetof(struct transport, message)
};

#define LOCAL_ROW(constant, name, ...) [KIND_##constant] = &local_##name,
static const struct local_kind *const rows[KINDS_N] = {
	LOCAL_KINDS(LOCAL_ROW)
};

const struct local_kind *local_kind(int kind)
{
	return rows[kind];
}

void local_describe(const struct transport *t, char *out, size_t size)
{
	const struct local_kind *k = local_kind(t->kind);
	const char *subject = NULL;

	if (k && k->subject)
		subject = *(char *const *)((const char *)t + k->subject);
	snprintf(out, size, "%s%s%s", k ? k->words : "", subject ? ": " : "",
		 subject ? subject : "");
}
