/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/log_mail.h"

#include <stdio.h>

static const char *some(const char *s)
{
	return s && *s ? s : NULL;
}

void log_mail(enum log_level level, const struct mail_event *e,
	      const struct outcome *o, const char *status)
{
	static const struct outcome nothing = { 0 };
	char uid[24], size[24], attempt[16], delay[24], code[16];
	const struct outcome *said = o ? o : &nothing;
	const struct log_field fields[] = {
		{ "id", some(e->id), LOG_WORD },
		{ "message_id", some(e->message_id), LOG_ADDRESS },
		{ "uid", uid, LOG_NUMBER },
		{ "from", e->from, LOG_ADDRESS },
		{ "to", e->to, LOG_ADDRESS },
		{ "account", e->account, LOG_WORD },
		{ "transport", some(e->transport), LOG_WORD },
		{ "host", some(said->host), LOG_WORD },
		{ "ip", some(e->ip), LOG_WORD },
		{ "tls", some(e->tls), LOG_WORD },
		{ "auth", some(e->auth), LOG_WORD },
		{ "size", e->size ? size : NULL, LOG_NUMBER },
		{ "attempt", e->attempt ? attempt : NULL, LOG_NUMBER },
		{ "delay", e->waited ? delay : NULL, LOG_NUMBER },
		{ "status", status, LOG_WORD },
		{ "code", said->code ? code : NULL, LOG_NUMBER },
		{ "dsn", some(said->status), LOG_WORD },
		{ "text", o ? o->text : NULL, LOG_WORD },
	};

	snprintf(uid, sizeof(uid), "%lu", (unsigned long)e->uid);
	snprintf(size, sizeof(size), "%lld", (long long)e->size);
	snprintf(attempt, sizeof(attempt), "%u", e->attempt);
	snprintf(delay, sizeof(delay), "%lld", (long long)e->delay);
	snprintf(code, sizeof(code), "%d", said->code);
	log_event(level, fields, sizeof(fields) / sizeof(*fields));
}
