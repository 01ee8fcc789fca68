/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --dnscheck: the configuration held against DNS. */
#include <stdlib.h>
#include <string.h>

#include "dnscheck/dnscheck_parts.h"
#include "mail/address.h"

enum { OUTPUT_MAX = 4 * 1024 * 1024, FOUND_FAULTS = 1 };

int desk_dnscheck(const struct desk *d)
{
	const char *word = d->options->argument;
	struct dnscheck c = { .d = d };
	struct buf out = BUF(OUTPUT_MAX);
	struct outcome why;
	int status;
	size_t i;

	desk_run_init(d, &c.run);
	if (!domain_normalise(word, strlen(word), &c.domain, &why)) {
		why.exit = EX_USAGE;
		status = desk_fail(d, &why);
	} else if (domain_is_literal(c.domain)) {
		outcome_fail(&why, STAGE_LOCAL, EX_USAGE,
			     "%s is an address, not a domain", c.domain);
		status = desk_fail(d, &why);
	} else {
		c.dns = run_dns(&c.run);
		sources_find(&c);
		if (check_mx(&c)) {
			check_spf(&c);
			check_smarthosts(&c);
			check_ptr(&c);
			check_dkim(&c);
			check_dmarc(&c);
			check_mta_sts(&c);
			check_tlsrpt(&c);
			check_tlsa(&c);
		}
		if (d->options->json)
			rows_show_json(&c, &out);
		else
			rows_show(&c, &out);
		status = desk_report(&out);
		for (i = 0; i < c.rows && status == EX_OK; i++)
			if (c.row[i].grade == GRADE_FAIL)
				status = FOUND_FAULTS;
	}
	buf_release(&out);
	rows_release(&c);
	sources_release(&c);
	list_release(&c.mx);
	free(c.domain);
	desk_run_release(&c.run);
	return status;
}
