/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reverse names: from each address back to the name that EHLO says, and from
 * that name to the address again. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dnscheck/dnscheck_parts.h"
#include "dnscheck/spf.h"

enum { NAMES_MAX = 10 };

static void judge_names(struct dnscheck *c, const struct source *s,
			const struct list *name, const char *ptr)
{
	char *joined = list_join(name, ", ");
	char *address = mem_printf("%s. %s %s", s->helo,
				   s->ip.sa.ss_family == AF_INET ? "A" :
				   "AAAA", s->text);
	const enum grade worst = source_grade(c, s);
	const bool said = list_has_nocase(name, s->helo);
	bool back = false;
	size_t i;

	for (i = 0; !said && !back && i < name->n && i < NAMES_MAX; i++)
		back = spf_leads_to(c->dns, name->item[i], &s->ip);
	if (!said)
		report(c, back ? GRADE_WARN : worst, "ptr", s->text, ptr,
		       "leads to %s, while EHLO says %s", joined, s->helo);
	else if (!spf_leads_to(c->dns, s->helo, &s->ip))
		report(c, worst, "ptr", s->text, address, "leads to %s, but "
		       "that name does not lead back to it", s->helo);
	else if (name->n > 1)
		report(c, GRADE_WARN, "ptr", s->text, ptr, "leads to %s: one "
		       "name alone is better", joined);
	else
		report(c, GRADE_OK, "ptr", s->text, NULL, "leads to %s and "
		       "back", joined);
	free(joined);
	free(address);
}

void check_ptr(struct dnscheck *c)
{
	char reverse[80], *publish;
	struct dns_answer a;
	struct list name;
	struct source *s;
	size_t i;

	for (s = c->source; s < c->source + c->sources; s++) {
		a = (struct dns_answer){ 0 };
		name = (struct list){ 0 };
		dns_reverse_name(&s->ip, reverse);
		publish = mem_printf("%s. PTR %s.", reverse, s->helo);
		dns_query(c->dns, reverse, DNS_PTR, &a);
		for (i = 0; a.status == DNS_OK && i < a.n; i++)
			list_add(&name, a.record[i].name);
		if (name.n)
			judge_names(c, s, &name, publish);
		else if (a.status == DNS_FAILED)
			report(c, source_grade(c, s), "ptr", s->text, NULL,
			       "cannot be looked up: %s", a.words);
		else
			report(c, source_grade(c, s), "ptr", s->text, publish,
			       "no reverse name: large receivers refuse mail "
			       "from there");
		list_release(&name);
		dns_answer_release(&a);
		free(publish);
	}
}
