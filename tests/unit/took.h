/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether something took as long as it should, in milliseconds. (cmocka's own
 * assertion of a range is deprecated since its version 2.) */
#ifndef TESTS_UNIT_TOOK_H
#define TESTS_UNIT_TOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

static inline bool took(int64_t start, int64_t least, int64_t most)
{
	int64_t ms = clock_now() - start;

	return ms >= least && ms <= most;
}

#endif
