/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines for syslog (RFC 3164 as /dev/log has it), whoever takes them; for the
 * log alone. */
#ifndef BASE_LOG_SYSLOG_H
#define BASE_LOG_SYSLOG_H

#include <stdbool.h>
#include <stdint.h>

struct log_syslog {
	int fd;                /* -1: not open */
	bool stream;           /* /dev/log is one, not for datagrams */
	int64_t waited;        /* ms, less what was given back */
};

/* One line of the mail facility; severity: as syslog(3) has it. False: nobody
 * took it, or not in time, and it is lost. One who stands still is waited for
 * two seconds in all, unlike in syslog(3), which has no end; one who is slow,
 * as long as he takes ten lines a second. */
bool log_syslog_say(struct log_syslog *s, int severity, const char *line);
/* Lets go of its descriptor; the next line opens another. */
void log_syslog_close(struct log_syslog *s);

#endif
