/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The log: one event, one line. Its sink is the only global state of the
 * program. A log that cannot be written changes nothing else.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum log_level { LOG_AT_ERROR, LOG_AT_INFO, LOG_AT_DEBUG };

struct log_settings {
	const char *to;        /* "syslog", "stderr", "none" or a file's path */
	bool json;
	enum log_level level;  /* the least important that is written */
};

enum log_form {
	LOG_WORD,
	LOG_NUMBER,            /* in JSON without quotes */
	LOG_ADDRESS            /* as text in <> */
};

struct log_field {
	const char *name;
	const char *value;     /* NULL: left out; control characters and
				* quotes are escaped by the log */
	enum log_form form;
};

/* Before the first call, events go to syslog as text, and so they do where a
 * file cannot be opened, or a line not be written to it. Where there is no
 * /dev/log, standard error stands for syslog if it is the first process's
 * too (a container's). A file is only opened where no third user could put
 * another in its place. */
void log_open(const struct log_settings *settings);
/* Whether that is a stream of the caller's, and no file. */
bool log_is_stream(const char *to);
/* Whether standard error is the first process's, too, which an engine collects
 * (a container's): no caller waits for its end. */
bool log_stderr_is_collected(void);
/* Before a child closes descriptors whose numbers it does not know: the log's
 * is let go of, or what is opened under that number next would be taken for
 * it. Lines that follow go to syslog until log_open. */
void log_forget(void);
/* Before a child closes all descriptors but those that it is told: gives the
 * file's; -1: there is none, what syslog was told by is let go of. */
int log_keep(void);
/* Why the file of the last log_open is not written; NULL: it is, or there is
 * none. */
const char *log_fault(void);
/* For root, who is about to become this user: makes the log file for him if
 * it is missing and every directory on the way to it is root's. Otherwise it
 * does nothing. */
void log_prepare(const char *to, uid_t uid, gid_t gid);
/* name=value pairs, or one JSON object with a "time". */
void log_event(enum log_level level, const struct log_field *field, size_t n);
/* One event of words alone, as text="...". */
void log_say(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* From here on lines for a file are gathered, until log_release writes them at
 * once: where there is one about each of many recipients. */
void log_hold(void);
void log_release(void);

#endif
