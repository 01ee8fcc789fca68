/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

int64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_in(int64_t ms)
{
	return clock_now() + ms;
}

int clock_left(int64_t deadline)
{
	int64_t left;

	if (deadline == CLOCK_NEVER)
		return INT_MAX;
	left = deadline - clock_now();
	if (left <= 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

int64_t clock_earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Not strftime: its names of days and months follow the locale. */
uint64_t clock_chance(void)
{
	struct timespec now;
	uint64_t chance;

	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) ==
	    sizeof(chance))
		return chance;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) ^
	       (uint64_t)getpid() << 16;
}

void clock_date(time_t t, char out[CLOCK_DATE_SIZE])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm = { 0 };
	long zone;

	localtime_r(&t, &tm);
	zone = tm.tm_gmtoff / 60;
	snprintf(out, CLOCK_DATE_SIZE,
		 "%.3s, %02d %.3s %04d %02d:%02d:%02d %c%02ld%02ld",
		 days + 3 * (tm.tm_wday % 7), tm.tm_mday % 100,
		 months + 3 * (tm.tm_mon % 12), (tm.tm_year + 1900) % 10000,
		 tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100,
		 zone < 0 ? '-' : '+', labs(zone) / 60 % 100, labs(zone) % 60);
}
