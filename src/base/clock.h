/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Time. Deadlines are points on the monotonic clock in milliseconds, so that
 * no change of the wall clock stretches or ends a wait.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_NEVER INT64_MAX

/* Milliseconds of the monotonic clock. */
int64_t clock_now(void);
/* The point ms from now. */
int64_t clock_in(int64_t ms);
/* Milliseconds left until a deadline as poll(2) wants them: 0 if it has
 * passed, at most INT_MAX. */
int clock_left(int64_t deadline);
int64_t clock_earlier(int64_t a, int64_t b);
/* Bits that differ from call to call and from process to process, to spread
 * load and to name things: no secret, since before the kernel has random
 * numbers they are the clock's. */
uint64_t clock_chance(void);
/* t in RFC 5322 3.3 form, local zone: "Wed, 25 Nov 2026 09:30:17 +0000". */
#define CLOCK_DATE_SIZE 40
void clock_date(time_t t, char out[CLOCK_DATE_SIZE]);

#endif
