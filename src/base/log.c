/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/kernel.h"
#include "base/log_syslog.h"
#include "base/outcome.h"

enum {
	LINE_MAX_BYTES = 64 * 1024, LOG_MODE = 0640,
	HELD_MAX = 256 * 1024      /* of lines that are written together */
};

enum sink_kind { SINK_SYSLOG, SINK_DESCRIPTOR, SINK_NONE };

static struct {
	enum sink_kind kind;
	int fd;
	bool own;              /* fd was opened here */
	bool plain;            /* and is a file's, where pieces stay whole */
	bool holding;
	struct buf held;       /* lines */
	bool json;
	struct log_syslog syslog;
	size_t lost;           /* lines that it did not take */
	enum log_level level;
	char fault[512];
} sink = { .fd = -1, .syslog.fd = -1, .level = LOG_AT_INFO };

/* A file that was there, in a directory where everybody may make one, is not
 * written unless it is ours or root's; a second name may be anywhere. */
static bool sink_fits(int directory, int fd)
{
	struct stat above, st;

	if (fstat(directory, &above) || fstat(fd, &st))
		return false;
	if (S_ISREG(st.st_mode) && st.st_nlink != 1)
		return false;
	return !(above.st_mode & S_IWOTH) || !st.st_uid ||
	       st.st_uid == geteuid();
}

static int sink_open(const char *path, bool *plain, struct outcome *why)
{
	struct stat st;
	char name[NAME_MAX + 1];
	int directory, fd;

	if (!file_walk(path, false, &directory, name)) {
		outcome_fail(why, STAGE_LOCAL, EX_CANTCREAT,
			     "the log file %s: %s", path, strerror(errno));
		return -1;
	}
	fd = kernel_open(directory, name, O_WRONLY | O_APPEND | O_CLOEXEC |
			 O_NOCTTY | O_NONBLOCK | O_NOFOLLOW, 0);
	if (fd < 0 && errno == ENOENT) {
		fd = kernel_open(directory, name, O_WRONLY | O_APPEND |
				 O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
				 LOG_MODE);
		/* whatever the umask took away */
		if (fd >= 0)
			(void)!fchmod(fd, LOG_MODE);
	}
	if (fd < 0) {
		outcome_fail(why, STAGE_LOCAL, EX_CANTCREAT,
			     "the log file %s: %s", path, strerror(errno));
		if (errno == EACCES)
			file_add_reader(why, path);
	} else if (!sink_fits(directory, fd)) {
		close(fd);
		fd = -1;
		outcome_fail(why, STAGE_LOCAL, EX_CANTCREAT,
			     "the log file %s: somebody else made it, or it "
			     "has a second name", path);
	}
	close(directory);
	*plain = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	return fd;
}

/* The names of our own streams are no files of their own: what lies behind
 * them may be a pipe or a socket that cannot be opened again. */
static int sink_stream(const char *to)
{
	static const char *const names[][4] = {
		[STDOUT_FILENO] = { "/dev/stdout", "/dev/fd/1",
				    "/proc/self/fd/1" },
		[STDERR_FILENO] = { "stderr", "/dev/stderr", "/dev/fd/2",
				    "/proc/self/fd/2" },
	};
	int fd;
	size_t i;

	for (fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		for (i = 0; i < 4 && names[fd][i]; i++)
			if (!strcmp(to, names[fd][i]))
				return fd;
	return -1;
}

bool log_is_stream(const char *to)
{
	return sink_stream(to) >= 0;
}

bool log_stderr_is_collected(void)
{
	struct stat ours, first;

	if (isatty(STDERR_FILENO) || fstat(STDERR_FILENO, &ours) ||
	    S_ISDIR(ours.st_mode))
		return false;
	return getpid() == 1 || (!stat("/proc/1/fd/2", &first) &&
				 ours.st_dev == first.st_dev &&
				 ours.st_ino == first.st_ino);
}

/* Syslog; or where nobody takes its lines, as in a container, standard error
 * if that is collected: a caller's pipe, who takes any word for a failure, and
 * a terminal stay silent. */
static void sink_system(void)
{
	const bool taken = !access("/dev/log", F_OK);

	sink.kind = SINK_SYSLOG;
	sink.fd = -1;
	if (taken || !log_stderr_is_collected())
		return;
	sink.kind = SINK_DESCRIPTOR;
	sink.fd = STDERR_FILENO;
}

void log_open(const struct log_settings *settings)
{
	struct outcome why;
	int fd;

	if (sink.own)
		close(sink.fd);
	sink.own = sink.plain = false;
	sink.json = settings->json;
	sink.level = settings->level;
	sink.fault[0] = '\0';
	if (!strcmp(settings->to, "none")) {
		sink.kind = SINK_NONE;
		return;
	}
	if (!strcmp(settings->to, "syslog")) {
		sink_system();
		return;
	}
	fd = sink_stream(settings->to);
	if (fd < 0) {
		fd = sink_open(settings->to, &sink.plain, &why);
		sink.own = fd >= 0;
	}
	if (fd >= 0) {
		sink.kind = SINK_DESCRIPTOR;
		sink.fd = fd;
	} else {
		sink_system();
		snprintf(sink.fault, sizeof(sink.fault), "%s", why.text);
	}
}

void log_forget(void)
{
	log_syslog_close(&sink.syslog);
	sink.lost = 0;
	if (!sink.own)
		return;
	close(sink.fd);
	sink.own = false;
	sink_system();
}

int log_keep(void)
{
	log_syslog_close(&sink.syslog);
	/* they are told by the process that said them */
	sink.lost = 0;
	return sink.own ? sink.fd : -1;
}

const char *log_fault(void)
{
	return sink.fault[0] ? sink.fault : NULL;
}

void log_prepare(const char *to, uid_t uid, gid_t gid)
{
	char name[NAME_MAX + 1];
	int directory, fd;

	if (to[0] != '/' || sink_stream(to) >= 0 ||
	    !file_walk(to, true, &directory, name))
		return;
	fd = kernel_open(directory, name, O_WRONLY | O_CREAT | O_EXCL |
			 O_CLOEXEC | O_NOFOLLOW, LOG_MODE);
	if (fd >= 0) {
		/* as root's it is none that he could write */
		if (fchmod(fd, LOG_MODE) || fchown(fd, uid, gid))
			unlinkat(directory, name, 0);
		close(fd);
	}
	close(directory);
}

/* Text that could be taken for another field, or for another line, is
 * quoted and escaped as in JSON. */
static void event_field(struct buf *b, const struct log_field *field)
{
	char *clean = text_clean(field->value);

	buf_addf(b, "%s%s=", b->len ? " " : "", field->name);
	if (field->form == LOG_ADDRESS && !strpbrk(clean, " \"\\<>"))
		buf_addf(b, "<%s>", clean);
	else if (!*clean || !strcmp(field->name, "text") ||
		 strpbrk(clean, " \"\\=<>\t\r\n\v\f"))
		json_quote(b, clean);
	else
		buf_adds(b, clean);
	free(clean);
}

static void event_json(struct buf *b, const struct log_field *field, size_t n)
{
	struct json j = JSON_INTO(b);
	char stamp[40];
	struct tm tm;
	time_t now = time(NULL);
	size_t i;

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_add_object(&j, NULL);
	json_add_string(&j, "time", stamp);
	for (i = 0; i < n; i++) {
		if (!field[i].value)
			continue;
		if (field[i].form == LOG_NUMBER)
			json_add_raw(&j, field[i].name, field[i].value);
		else
			json_add_string(&j, field[i].name, field[i].value);
	}
	json_end(&j);
}

static void sink_syslog(enum log_level level, const char *line)
{
	static const int severities[] = {
		[LOG_AT_ERROR] = LOG_ERR, [LOG_AT_INFO] = LOG_INFO,
		[LOG_AT_DEBUG] = LOG_DEBUG,
	};
	size_t lost;

	if (!log_syslog_say(&sink.syslog, severities[level], line)) {
		sink.lost++;
		return;
	}
	if (!sink.lost)
		return;
	lost = sink.lost;
	sink.lost = 0;
	log_say(LOG_AT_ERROR, "lines that syslog did not take before this one: "
		"%zu", lost);
	if (sink.lost)
		sink.lost = lost;
}

/* What was cut short is taken out again, so that the next line is not joined
 * to it; but what somebody has written behind it by now stays. */
static void sink_take_back(const char *data, size_t n)
{
	char path[40];
	struct stat st;
	int fd;

	if (!sink.plain)
		return;
	/* ours is for writing alone */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", sink.fd);
	fd = kernel_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (!fstat(fd, &st) && file_ends_with(fd, st.st_size, data, n))
		(void)!kernel_cut(sink.fd, st.st_size - (off_t)n);
	close(fd);
}

static bool sink_flush(const struct buf *text)
{
	ssize_t done;

	do {
		done = write(sink.fd, text->data, text->len);
	} while (done < 0 && errno == EINTR);
	if (done > 0 && done < (ssize_t)text->len)
		sink_take_back(text->data, (size_t)done);
	return done == (ssize_t)text->len;
}

void log_hold(void)
{
	sink.held = BUF(HELD_MAX);
	sink.holding = sink.plain;
}

void log_release(void)
{
	char *line, *end, *rest;

	sink.holding = false;
	if (sink.held.len && !sink_flush(&sink.held)) {
		buf_addc(&sink.held, '\0');
		for (line = sink.held.data; (end = strchr(line, '\n'));
		     line = end + 1) {
			*end = '\0';
			rest = strstr(line, "]: ");
			sink_syslog(LOG_AT_INFO, rest && !sink.json ?
				    rest + 3 : line);
		}
	}
	buf_release(&sink.held);
}

/* A file gets the date that syslog would have added. One write a line, or for
 * several, so that lines of several processes do not mix. */
static bool sink_write(struct buf *line)
{
	struct buf whole = BUF(LINE_MAX_BYTES + 128);
	char stamp[40];
	struct tm tm;
	time_t now = time(NULL);
	bool written;

	if (!sink.json) {
		localtime_r(&now, &tm);
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S%z", &tm);
		buf_addf(&whole, "%s posthaste[%ld]: ", stamp, (long)getpid());
	}
	buf_adds(&whole, buf_text(line));
	buf_addc(&whole, '\n');
	if (sink.holding && sink.held.max - sink.held.len <= whole.len + 1) {
		log_release();
		log_hold();
	}
	written = sink.holding ? buf_add(&sink.held, whole.data, whole.len) :
		  sink_flush(&whole);
	buf_release(&whole);
	return written;
}

void log_event(enum log_level level, const struct log_field *field, size_t n)
{
	struct buf line = BUF(LINE_MAX_BYTES);
	int saved = errno;
	size_t i;

	if (level > sink.level || sink.kind == SINK_NONE)
		return;
	if (sink.json)
		event_json(&line, field, n);
	for (i = 0; i < n && !sink.json; i++)
		if (field[i].value)
			event_field(&line, &field[i]);
	if (sink.kind == SINK_SYSLOG || (!sink_write(&line) && sink.own))
		sink_syslog(level, buf_text(&line));
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
