/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/outcome.h"

enum { LINE_MAX_BYTES = 64 * 1024 };

enum sink_kind { SINK_SYSLOG, SINK_DESCRIPTOR, SINK_NONE };

static struct {
	enum sink_kind kind;
	int fd;
	bool own;              /* fd was opened here */
	bool json;
	bool opened;           /* openlog was called */
	enum log_level level;
} sink = { .fd = -1, .level = LOG_AT_INFO };

static int sink_open(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC |
		    O_NOCTTY | O_NONBLOCK, 0640);
}

void log_open(const struct log_settings *settings)
{
	if (sink.own)
		close(sink.fd);
	sink.own = false;
	sink.json = settings->json;
	sink.level = settings->level;
	if (!strcmp(settings->to, "syslog")) {
		sink.kind = SINK_SYSLOG;
	} else if (!strcmp(settings->to, "none")) {
		sink.kind = SINK_NONE;
	} else if (!strcmp(settings->to, "stderr")) {
		sink.kind = SINK_DESCRIPTOR;
		sink.fd = STDERR_FILENO;
	} else {
		sink.fd = sink_open(settings->to);
		sink.own = sink.fd >= 0;
		sink.kind = sink.own ? SINK_DESCRIPTOR : SINK_NONE;
	}
}

void log_give(uid_t uid, gid_t gid)
{
	struct stat st;

	if (!sink.own || fstat(sink.fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size || st.st_uid != geteuid() || st.st_nlink != 1)
		return;
	/* it stays as it was: that is no reason to send no mail */
	if (fchown(sink.fd, uid, gid) < 0)
		return;
}

/* Text that could be taken for another field, or for another line, is
 * quoted and escaped as in JSON. */
static void add_value(struct buf *b, const char *value)
{
	if (*value && !strpbrk(value, " \"\\=") &&
	    !strpbrk(value, "\t\r\n\v\f")) {
		buf_adds(b, value);
		return;
	}
	json_quote(b, value);
}

static void add_field(struct buf *b, const struct log_field *field)
{
	char *clean = text_clean(field->value);

	buf_addf(b, "%s%s=", b->len ? " " : "", field->name);
	if (field->form == LOG_ADDRESS && !strpbrk(clean, " \"\\"))
		buf_addf(b, "<%s>", clean);
	else if (!strcmp(field->name, "text"))
		json_quote(b, clean);
	else
		add_value(b, clean);
	free(clean);
}

static void add_text(struct buf *b, const struct log_field *field, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (field[i].value)
			add_field(b, &field[i]);
}

static void add_json(struct buf *b, const struct log_field *field, size_t n)
{
	struct json j = JSON_INTO(b);
	char stamp[40];
	struct tm tm;
	time_t now = time(NULL);
	size_t i;

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_object(&j, NULL);
	json_string(&j, "time", stamp);
	for (i = 0; i < n; i++) {
		if (!field[i].value)
			continue;
		if (field[i].form == LOG_NUMBER)
			json_raw(&j, field[i].name, field[i].value);
		else
			json_string(&j, field[i].name, field[i].value);
	}
	json_end(&j);
}

static void sink_syslog(enum log_level level, const char *line)
{
	static const int priorities[] = {
		[LOG_AT_ERROR] = LOG_ERR, [LOG_AT_INFO] = LOG_INFO,
		[LOG_AT_DEBUG] = LOG_DEBUG,
	};

	if (!sink.opened)
		openlog("posthaste", LOG_PID, LOG_MAIL);
	sink.opened = true;
	syslog(LOG_MAIL | priorities[level], "%s", line);
}

/* A file gets the date that syslog would have added. One write a line, so
 * that lines of several processes do not mix. */
static void sink_write(struct buf *line)
{
	struct buf whole = BUF(LINE_MAX_BYTES + 128);
	char stamp[40];
	struct tm tm;
	time_t now = time(NULL);

	if (!sink.json) {
		localtime_r(&now, &tm);
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S%z", &tm);
		buf_addf(&whole, "%s posthaste[%ld]: ", stamp, (long)getpid());
	}
	buf_adds(&whole, buf_text(line));
	buf_addc(&whole, '\n');
	while (write(sink.fd, whole.data, whole.len) < 0 && errno == EINTR)
		continue;
	buf_release(&whole);
}

void log_event(enum log_level level, const struct log_field *field, size_t n)
{
	struct buf line = BUF(LINE_MAX_BYTES);
	int saved = errno;

	if (level > sink.level || sink.kind == SINK_NONE)
		return;
	if (sink.json)
		add_json(&line, field, n);
	else
		add_text(&line, field, n);
	if (sink.kind == SINK_SYSLOG)
		sink_syslog(level, buf_text(&line));
	else
		sink_write(&line);
	buf_release(&line);
	errno = saved;
}

void log_say(enum log_level level, const char *format, ...)
{
	struct log_field field = { .name = "text" };
	char *words;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&words, format, ap) < 0)
		words = NULL;
	va_end(ap);
	field.value = words ? words : format;
	log_event(level, &field, 1);
	free(words);
}
