/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much a caller may put into the system's queue. */
#ifndef QUEUE_DROP_LIMITS_H
#define QUEUE_DROP_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* (A test has no such disk.) */
#ifndef DROP_ENTRY_MAX
#define DROP_ENTRY_MAX ((int64_t)1024 * 1024 * 1024)
#endif

/* What a caller writes has to come, and to come to its end: as long as it
 * comes it takes room from others. (A test is less patient.) */
#ifndef DROP_ALL_MS
#define DROP_ALL_MS (300 * 1000)
#define DROP_SOME_MS (60 * 1000)
#endif

/* Whether a disk (or table of inodes) of all units, each of this size, of
 * which left are free, has room for size more: a twentieth stays free, but
 * no more than 1 GiB (or as many inodes) is asked for. all 0: nothing is
 * counted. */
static inline bool drop_room(uint64_t unit, uint64_t all, uint64_t left,
			     int64_t size)
{
	const uint64_t most = (uint64_t)1 << 30;
	uint64_t keep = all / 20;

	if (!all || !unit)
		return true;
	if (keep > most / unit)
		keep = most / unit;
	return left > keep && (left - keep) > (uint64_t)size / unit;
}

#endif
