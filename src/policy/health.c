/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What --health makes of what it sees. */
#include "policy/policy.h"

enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

enum health policy_health_runner(int64_t idle, int64_t overdue)
{
	const bool never = idle < 0;

	if (overdue >= HOUR && (never || idle >= HOUR))
		return HEALTH_CRITICAL;
	if (overdue >= 10 * MINUTE && (never || idle >= 10 * MINUTE))
		return HEALTH_WARNING;
	/* somebody comes for it, and leaves it there */
	if (overdue >= HOUR)
		return HEALTH_WARNING;
	/* nothing waits, but nobody would come for it */
	return never || idle >= DAY ? HEALTH_WARNING : HEALTH_OK;
}

enum health policy_health_oldest(int64_t age)
{
	return age >= DAY ? HEALTH_CRITICAL :
	       age >= 4 * HOUR ? HEALTH_WARNING : HEALTH_OK;
}

enum health policy_health_waiting(size_t entries)
{
	return entries >= 10000 ? HEALTH_CRITICAL :
	       entries >= 1000 ? HEALTH_WARNING : HEALTH_OK;
}

enum health policy_health_expiry(int64_t left)
{
	return left <= 0 ? HEALTH_CRITICAL :
	       left < 14 * DAY ? HEALTH_WARNING : HEALTH_OK;
}

enum health policy_health_renewal(int64_t left)
{
	return left <= 0 ? HEALTH_WARNING : HEALTH_OK;
}

enum health policy_health_space(unsigned percent)
{
	return percent < 5 ? HEALTH_CRITICAL :
	       percent < 10 ? HEALTH_WARNING : HEALTH_OK;
}
