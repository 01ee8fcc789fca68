/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --dnscheck: the configuration held against DNS. */
#include <stdlib.h>
#include <string.h>

#include "dnscheck/dnscheck_parts.h"
#include "mail/address.h"

enum { OUTPUT_MAX = 4 * 1024 * 1024, FOUND_FAULTS = 1 };

static bool find_domain(struct dnscheck *c, struct outcome *why)
{
	const char *word = c->d->options->argument;

	if (!domain_normalise(word, strlen(word), &c->domain, why)) {
		why->exit = EX_USAGE;
		return false;
	}
	if (!domain_is_literal(c->domain))
		return true;
	return outcome_fail(why, STAGE_LOCAL, EX_USAGE,
			    "%s is an address, not a domain", c->domain);
}

static void check_all(struct dnscheck *c)
{
	sources_find(c);
	if (!check_mx(c))
		return;
	check_spf(c);
	check_smarthosts(c);
	check_ptr(c);
	check_dkim(c);
	check_dmarc(c);
	check_mta_sts(c);
	check_tlsrpt(c);
	check_tlsa(c);
}

int desk_dnscheck(const struct desk *d)
{
	struct dnscheck c = { .d = d };
	struct buf out = BUF(OUTPUT_MAX);
	struct outcome why;
	int status;
	size_t i;

	desk_run_init(d, &c.run);
	if (find_domain(&c, &why)) {
		c.dns = run_dns(&c.run);
		check_all(&c);
		if (d->options->json)
			rows_show_json(&c, &out);
		else
			rows_show(&c, &out);
		status = desk_report(&out);
		for (i = 0; i < c.rows && status == EX_OK; i++)
			if (c.row[i].grade == GRADE_FAIL)
				status = FOUND_FAULTS;
	} else {
		status = desk_fail(d, &why);
	}
	buf_release(&out);
	rows_release(&c);
	sources_release(&c);
	list_release(&c.mx);
	free(c.domain);
	desk_run_release(&c.run);
	return status;
}
