/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/hosts_parts.h"

bool hosts_by_domain(struct run *run, const struct hosts_query *query,
		     struct hosts *out, struct outcome *why)
{
	(void)run;
	(void)out;
	return outcome_fail(why, STAGE_DNS, EX_TEMPFAIL,
			    "direct delivery to %s is not there yet",
			    query->domain);
}

bool hosts_by_srv(struct run *run, const struct hosts_query *query,
		  const char *domain, struct hosts *out, struct outcome *why)
{
	(void)run;
	(void)query;
	(void)out;
	return outcome_fail(why, STAGE_DNS, EX_TEMPFAIL,
			    "SRV records of %s are not there yet", domain);
}
