/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/outcome.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

static const char *const stage_names[] = {
	[STAGE_LOCAL] = "local", [STAGE_DNS] = "dns",
	[STAGE_CONNECT] = "connect", [STAGE_TLS] = "tls",
	[STAGE_HELLO] = "hello", [STAGE_AUTH] = "auth",
	[STAGE_MAIL] = "mail", [STAGE_RCPT] = "rcpt",
	[STAGE_DATA] = "data", [STAGE_DOT] = "dot",
};

#define STAGES (sizeof(stage_names) / sizeof(*stage_names))

const char *stage_name(enum stage stage)
{
	return (size_t)stage < STAGES ? stage_names[stage] : "local";
}

enum stage stage_named(const char *name)
{
	size_t i;

	for (i = 0; i < STAGES; i++)
		if (!strcmp(stage_names[i], name))
			return (enum stage)i;
	return STAGE_LOCAL;
}

static void set_words(struct outcome *why, enum stage stage, int exit,
		      const char *format, va_list ap)
	__attribute__((format(printf, 4, 0)));

static void set_words(struct outcome *why, enum stage stage, int exit,
		      const char *format, va_list ap)
{
	char raw[sizeof(why->text)];

	*why = (struct outcome){ .stage = stage, .exit = exit };
	vsnprintf(raw, sizeof(raw), format, ap);
	text_printable(why->text, sizeof(why->text), raw, strlen(raw));
}

const struct outcome *outcome_set(struct outcome *why, enum stage stage,
				  int exit, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	set_words(why, stage, exit, format, ap);
	va_end(ap);
	return why;
}

const struct outcome *outcome_set_status(struct outcome *why, enum stage stage,
					 int exit, const char *status,
					 const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	set_words(why, stage, exit, format, ap);
	va_end(ap);
	snprintf(why->status, sizeof(why->status), "%s", status);
	return why;
}

void outcome_prefix(struct outcome *why, const char *format, ...)
{
	char raw[2 * sizeof(why->text)];
	va_list ap;
	size_t n;

	va_start(ap, format);
	vsnprintf(raw, sizeof(why->text), format, ap);
	va_end(ap);
	n = strlen(raw);
	snprintf(raw + n, sizeof(raw) - n, ": %s", why->text);
	text_printable(why->text, sizeof(why->text), raw, strlen(raw));
}

void outcome_append(struct outcome *why, const char *format, ...)
{
	char raw[sizeof(why->text)], more[sizeof(why->text)];
	char before[sizeof(why->text)];
	va_list ap;
	size_t n;

	va_start(ap, format);
	vsnprintf(raw, sizeof(raw), format, ap);
	va_end(ap);
	text_printable(more, sizeof(more), raw, strlen(raw));
	memcpy(before, why->text, sizeof(before));
	n = sizeof(why->text) - strlen(more);
	text_printable(why->text, n, before, strlen(before));
	n = strlen(why->text);
	snprintf(why->text + n, sizeof(why->text) - n, "%s", more);
}

bool outcome_is_temporary(const struct outcome *o)
{
	return o->exit == EX_TEMPFAIL || o->exit == EX_OSERR ||
	       o->exit == EX_CANTCREAT || o->exit == EX_IOERR;
}

void outcome_words(const struct outcome *o, char *out, size_t size)
{
	char code[24] = "";

	if (!o->code) {
		if (o->host[0])
			snprintf(out, size, "%s: %s", o->host, o->text);
		else
			snprintf(out, size, "%s", o->text);
		return;
	}
	snprintf(code, sizeof(code), "%d%s%s", o->code,
		 o->status[0] ? " " : "", o->status);
	snprintf(out, size, "%s by %s: %s%s%s",
		 o->code < 400 ? "taken" :
		 o->code < 500 ? "refused for now" : "refused",
		 o->host[0] ? o->host : "the server", code,
		 o->text[0] ? " " : "", o->text);
}

void text_printable(char *out, size_t size, const char *in, size_t n)
{
	const unsigned char *p = (const unsigned char *)in;
	size_t len, used = 0;
	unsigned c;

	if (!size)
		return;
	while (n) {
		len = utf8_next(p, n, &c);
		if (used + (len ? len : 1) >= size)
			break;
		if (!len || utf8_is_hidden(c)) {
			out[used++] = c == '\t' && len ? ' ' : '?';
			len = len ? len : 1;
		} else {
			memcpy(out + used, p, len);
			used += len;
		}
		p += len;
		n -= len;
	}
	out[used] = '\0';
}

char *text_clean(const char *in)
{
	size_t n = strlen(in);
	char *out = mem_alloc(n + 1);

	/* what is replaced never grows */
	text_printable(out, n + 1, in, n);
	return out;
}
