/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is printed, for people and for programs. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "desk/desk.h"
#include "mail/log_mail.h"

void desk_complain(const char *format, ...)
{
	char raw[2048], clean[2048];
	va_list ap;

	va_start(ap, format);
	vsnprintf(raw, sizeof(raw), format, ap);
	va_end(ap);
	text_printable(clean, sizeof(clean), raw, strlen(raw));
	fprintf(stderr, "posthaste: %s\n", clean);
}

void desk_log_failure(const struct desk *d, const struct outcome *why)
{
	const struct mail_event event = { .uid = d->caller->uid };

	log_mail(LOG_AT_ERROR, &event, why, "failed");
}

int desk_fail(const struct desk *d, const struct outcome *why)
{
	/* the log is about mail: that a question about it could not be
	 * answered is told to who asks */
	if (d->options->command == COMMAND_SEND ||
	    d->options->command == COMMAND_SMTPD ||
	    d->options->command == COMMAND_RUN)
		desk_log_failure(d, why);
	desk_complain("%s", why->text);
	return why->exit;
}

bool desk_print(const struct buf *text)
{
	if (text->full)
		return false;
	return (fwrite(buf_text(text), 1, text->len, stdout) == text->len &&
		fflush(stdout) == 0) || errno == EPIPE;
}

void desk_stamp(int64_t t, char out[DESK_STAMP])
{
	struct tm tm = { 0 };
	time_t when = (time_t)t;

	localtime_r(&when, &tm);
	if (!strftime(out, DESK_STAMP, "%a %b %e %H:%M:%S", &tm))
		*out = '\0';
}

void desk_when(const struct entry *e, char out[DESK_WHEN])
{
	char next[DESK_STAMP];

	if (e->held) {
		snprintf(out, DESK_WHEN, "held");
	} else if (!e->next || e->next <= (int64_t)time(NULL)) {
		snprintf(out, DESK_WHEN, "due");
	} else {
		desk_stamp(e->next, next);
		snprintf(out, DESK_WHEN, "next %s", next);
	}
}

/* A colour of ours, and nothing else that begins like one. */
static size_t colour_length(const char *s)
{
	size_t n;

	if (strncmp(s, "\x1b[", 2))
		return 0;
	n = 2 + strspn(s + 2, "0123456789");
	return s[n] == 'm' ? n + 1 : 0;
}

static void clean_lines(struct buf *text, bool colour)
{
	struct buf out = BUF(text->max);
	const char *at = buf_text(text);
	char *line, *clean;
	size_t n;

	for (; *at; at += n) {
		n = colour ? colour_length(at) : 0;
		if (!n && *at == '\n')
			n = 1;
		if (n) {
			buf_add(&out, at, n);
			continue;
		}
		n = 1 + strcspn(at + 1, colour ? "\n\x1b" : "\n");
		line = mem_stringn(at, n);
		clean = text_clean(line);
		buf_adds(&out, clean);
		free(clean);
		free(line);
	}
	out.full |= text->full;
	buf_release(text);
	*text = out;
}

bool desk_show(struct buf *text)
{
	clean_lines(text, false);
	return desk_print(text);
}

int desk_report(struct buf *text)
{
	clean_lines(text, desk_colour());
	if (desk_print(text))
		return EX_OK;
	desk_complain(text->full ? "the report is too long to be shown" :
		      "cannot write to standard output");
	return EX_IOERR;
}

/* How much of the line that n bytes begin with fits into room without
 * cutting a character in two. */
static size_t line_part(const char *data, size_t n, size_t room)
{
	size_t len = 0, cut;

	while (len < n && len < room && data[len] != '\r' &&
	       data[len] != '\n')
		len++;
	for (cut = len; len == room && cut && len < n &&
	     ((unsigned char)data[cut] & 0xc0) == 0x80; cut--)
		;
	return cut ? cut : len;
}

void desk_add_lines(struct buf *out, const char *data, size_t n)
{
	const bool terminal = isatty(STDOUT_FILENO);
	char clean[1024];
	size_t len;

	for (; n; data += len, n -= len) {
		len = line_part(data, n, sizeof(clean) - 1);
		if (!len) {
			if (*data == '\n')
				buf_addc(out, '\n');
			len = 1;
		} else if (terminal) {
			text_printable(clean, sizeof(clean), data, len);
			buf_adds(out, clean);
		} else {
			buf_add(out, data, len);
		}
	}
}

bool desk_colour(void)
{
	const char *no = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(no && *no);
}

void desk_wrap(struct buf *out, const char *label, const char *words)
{
	enum { WIDTH = 79 };
	const size_t indent = strlen(label);
	size_t column = indent, n;

	buf_adds(out, label);
	for (; *words; words += n + strspn(words + n, " ")) {
		n = strcspn(words, " ");
		if (column > indent && column + 1 + n > WIDTH) {
			buf_addf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			buf_addc(out, ' ');
			column++;
		}
		buf_add(out, words, n);
		column += n;
	}
	buf_addc(out, '\n');
}

static void watch_line(void *context, char who, const char *text, size_t n)
{
	char clean[4096];

	(void)context;
	text_printable(clean, sizeof(clean), text, n);
	fprintf(stderr, "%c: %s\n", who, clean);
}

/* Only on a terminal, and only for a message that takes its time. */
static void watch_progress(void *context, int64_t sent, int64_t size)
{
	(void)context;
	if (size < 1024 * 1024 || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r%lld of %lld KiB (%d %%)%s",
		(long long)sent / 1024, (long long)size / 1024,
		(int)(sent * 100 / size), sent == size ? "\n" : "");
}

const struct watch desk_watch = {
	.line = watch_line, .progress = watch_progress,
};

static void watch_attempt(void *context, const char *id,
			  const char *recipient, const struct outcome *o)
{
	char words[1200];

	(void)context;
	outcome_words(o, words, sizeof(words));
	desk_complain("%s: %s: %s", id ? id : "-", recipient, words);
}

const struct watch desk_watch_queue = { .attempt = watch_attempt };
const struct watch desk_watch_queue_lines = {
	.line = watch_line, .progress = watch_progress,
	.attempt = watch_attempt,
};

void desk_json_entry(struct json *j, const struct entry *e,
		     const size_t *rcpt, size_t n)
{
	const struct recipient *r;
	size_t i;

	json_add_object(j, NULL);
	json_add_string(j, "id", e->id);
	json_add_string(j, "sender", e->envelope.sender);
	json_add_int(j, "size", e->size);
	json_add_int(j, "queued", e->queued);
	json_add_int(j, "attempts", e->attempts);
	json_add_int(j, "next", e->next);
	json_add_bool(j, "held", e->held);
	json_add_string(j, "account", e->envelope.account);
	json_add_array(j, "recipients");
	for (i = 0; i < n; i++) {
		r = &e->envelope.rcpt[rcpt ? rcpt[i] : i];
		json_add_object(j, NULL);
		json_add_string(j, "address", r->address);
		json_add_string(j, "status",
				r->state == RCPT_SENT ? "sent" :
				r->state == RCPT_FAILED ? "failed" :
				r->attempts ? "deferred" : "queued");
		json_add_int(j, "code", r->last.code);
		json_add_string(j, "dsn", r->last.status);
		json_add_string(j, "host", r->last.host);
		json_add_string(j, "text", r->last.text);
		json_end(j);
	}
	json_end(j);
	json_end(j);
}
