/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines for syslog (RFC 3164 as /dev/log has it), whoever takes them; for the
 * log alone. */
#ifndef BASE_LOG_SYSLOG_H
#define BASE_LOG_SYSLOG_H

#include <stdint.h>

struct log_syslog {
	int fd;                /* -1: not open */
	int64_t waited;        /* ms, for one that takes nothing */
};

/* One line of the mail facility. Where nobody takes it, or not in time, it is
 * lost: unlike syslog(3), which waits as long as a syslogd that stands still
 * does. */
void log_syslog_say(struct log_syslog *s, int severity, const char *line);
/* Lets go of its descriptor; the next line opens another. */
void log_syslog_close(struct log_syslog *s);

#endif
