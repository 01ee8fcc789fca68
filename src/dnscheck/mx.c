/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the domain's own mail goes: answers and reports come back that way,
 * and receivers ask whether they could. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dnscheck/dnscheck_parts.h"
#include "submit/hosts.h"
#include "wire/interfaces.h"

enum { CNAMES_MAX = 16, HOSTS_MAX = 16, WORDS_MAX = 4096 };

/* The addresses of one host, in words. */
struct addresses {
	struct dns_question question[2];
	struct buf words;
	bool any, public, failed;
};

static void addresses_find(struct dnscheck *c, const char *host,
			   struct addresses *a)
{
	char text[64];
	size_t i, j;

	*a = (struct addresses){ .words = BUF(WORDS_MAX) };
	a->question[0] = (struct dns_question){ .name = host, .type = DNS_A };
	a->question[1] = (struct dns_question){ .name = host,
						.type = DNS_AAAA };
	dns_ask(c->dns, a->question, 2);
	for (i = 0; i < 2; i++) {
		const struct dns_answer *answer = &a->question[i].answer;

		a->failed = a->failed || answer->status == DNS_FAILED;
		for (j = 0; answer->status == DNS_OK && j < answer->n; j++) {
			const struct net_address *ip =
				&answer->record[j].address;

			net_address_text(ip, text);
			buf_addf(&a->words, "%s%s", a->any ? ", " : "", text);
			a->any = true;
			a->public = a->public || net_address_is_public(ip) ||
				    c->d->config->dns.allow_loopback_mx;
		}
	}
}

static void addresses_release(struct addresses *a)
{
	dns_answer_release(&a->question[0].answer);
	dns_answer_release(&a->question[1].answer);
	buf_release(&a->words);
}

/* The MX record that this host's own name suggests. */
static char *suggested_mx(const struct dnscheck *c)
{
	const char *host = c->d->config->general.hostname;

	if (host && strchr(host, '.'))
		return mem_printf("%s. MX 10 %s.", c->domain, host);
	return mem_printf("%s. MX 10 mail.%s.", c->domain, c->domain);
}

static void needs_mx(struct dnscheck *c, enum grade grade, const char *words)
{
	char *publish = suggested_mx(c);

	report(c, grade, "mx", c->domain, publish, "%s", words);
	free(publish);
}

/* --- hosts --- */

/* RFC 2181 section 10.3: an MX record names a host by its own name. */
static void check_alias(struct dnscheck *c, const char *host,
			const struct addresses *a)
{
	const struct dns_answer *v4 = &a->question[0].answer;
	const char *cname = v4->cname ? v4->cname :
			    a->question[1].answer.cname;
	char *publish, text[64];

	if (!cname || !strcasecmp(cname, host))
		return;
	if (v4->status == DNS_OK) {
		net_address_text(&v4->record[0].address, text);
		publish = mem_printf("%s. A %s", host, text);
	} else {
		publish = mem_printf("%s. MX 10 %s.", c->domain, cname);
	}
	report(c, GRADE_WARN, "cname", host, publish,
	       "this MX host is an alias (CNAME) of %s, which RFC 2181 "
	       "forbids and some senders refuse", cname);
	free(publish);
}

static void judge_host(struct dnscheck *c, const struct dns_record *r,
		       const struct addresses *a, bool others)
{
	char *publish = mem_printf("%s. A (the address of this mail host)",
				   r->name);
	struct net_address ignored;

	if (net_address_parse(r->name, 0, &ignored))
		report(c, others ? GRADE_WARN : GRADE_FAIL, "mx", c->domain,
		       NULL, "%u %s is an address where a name belongs",
		       r->preference, r->name);
	else if (a->failed && !a->any)
		report(c, others ? GRADE_WARN : GRADE_FAIL, "mx", c->domain,
		       NULL, "%u %s: its addresses cannot be looked up",
		       r->preference, r->name);
	else if (!a->any)
		report(c, others ? GRADE_WARN : GRADE_FAIL, "mx", c->domain,
		       publish, "%u %s has no address", r->preference,
		       r->name);
	else if (!a->public)
		report(c, GRADE_WARN, "mx", c->domain, publish,
		       "%u %s (%s) cannot be reached from outside",
		       r->preference, r->name, buf_text(&a->words));
	else
		report(c, GRADE_OK, "mx", c->domain, NULL, "%u %s (%s)",
		       r->preference, r->name, buf_text(&a->words));
	check_alias(c, r->name, a);
	free(publish);
}

static void check_hosts(struct dnscheck *c, const struct dns_answer *mx)
{
	struct addresses a[HOSTS_MAX];
	const size_t n = mx->n < HOSTS_MAX ? mx->n : HOSTS_MAX;
	bool any = false;
	size_t i;

	for (i = 0; i < n; i++) {
		addresses_find(c, mx->record[i].name, &a[i]);
		any = any || a[i].any;
	}
	for (i = 0; i < n; i++) {
		if (*mx->record[i].name) {
			judge_host(c, &mx->record[i], &a[i], any);
			list_add(&c->mx, mx->record[i].name);
		} else {
			needs_mx(c, GRADE_WARN, "a null MX (\".\") beside "
				 "others means nothing");
		}
		addresses_release(&a[i]);
	}
}

/* --- the domain --- */

static void judge_mx(struct dnscheck *c, const struct dns_answer *a,
		     const char *name)
{
	struct addresses own;

	switch (a->status) {
	case DNS_OK:
		if (a->n == 1 && !*a->record[0].name)
			needs_mx(c, GRADE_FAIL, "null MX: the domain says "
				 "that it takes no mail, and receivers "
				 "refuse such senders (RFC 7505)");
		else
			check_hosts(c, a);
		return;
	case DNS_NODATA:
		addresses_find(c, name, &own);
		if (own.any)
			needs_mx(c, GRADE_WARN, "no MX record; mail goes to "
				 "the domain's own address");
		else if (own.failed)
			report(c, GRADE_FAIL, "mx", c->domain, NULL, "no MX "
			       "record, and its addresses cannot be looked "
			       "up");
		else
			needs_mx(c, GRADE_FAIL, "no MX record and no "
				 "address: receivers refuse senders that "
				 "cannot be answered");
		if (own.any)
			list_add(&c->mx, name);
		addresses_release(&own);
		return;
	case DNS_NXDOMAIN:
		needs_mx(c, GRADE_FAIL, "the domain does not exist");
		return;
	case DNS_FAILED:
		report(c, GRADE_FAIL, "mx", c->domain, NULL,
		       "cannot be looked up: %s%s", a->words, c->deaf ?
		       "; nothing else was asked" : "");
		return;
	}
}

static void judge_dnssec(struct dnscheck *c, const struct dns_answer *a)
{
	char *publish;

	if (a->status == DNS_FAILED || a->status == DNS_NXDOMAIN)
		return;
	if (a->authentic) {
		report(c, GRADE_OK, "dnssec", c->domain, NULL,
		       "the zone is signed");
		return;
	}
	publish = mem_printf("%s. DS (in the parent zone: of the key that "
			     "signs %s)", c->domain, c->domain);
	report(c, GRADE_WARN, "dnssec", c->domain, publish,
	       c->d->config->dns.dnssec == DNSSEC_OFF ?
	       "not looked at (dnssec = off)" :
	       "not signed, as far as the resolver says and is to be "
	       "believed (see the key \"dnssec\")");
	free(publish);
}

bool check_mx(struct dnscheck *c)
{
	struct dns_answer a = { 0 };
	const char *name;
	bool answered;
	char *publish;

	dns_query(c->dns, c->domain, DNS_MX, &a);
	name = a.cname && *a.cname ? a.cname : c->domain;
	if (strcasecmp(name, c->domain)) {
		publish = a.status == DNS_OK ?
			  mem_printf("%s. MX %u %s.", c->domain,
				     a.record[0].preference,
				     a.record[0].name) : suggested_mx(c);
		report(c, GRADE_WARN, "cname", c->domain, publish,
		       "an alias (CNAME) of %s, so that it can have no MX, "
		       "SPF or other record of its own", name);
		free(publish);
	} else if (a.status == DNS_OK || a.status == DNS_NODATA) {
		report(c, GRADE_OK, "cname", c->domain, NULL,
		       "none: its records are its own");
	}
	if (a.astray)
		report(c, GRADE_FAIL, "mx", c->domain, NULL, "its CNAME "
		       "records lead round in a circle, or too far");
	else
		judge_mx(c, &a, name);
	judge_dnssec(c, &a);
	answered = a.status != DNS_FAILED || !c->deaf;
	dns_answer_release(&a);
	return answered;
}

/* --- TLSA of the hosts --- */

void check_tlsa(struct dnscheck *c)
{
	char *name, *publish;
	struct dns_answer a;
	size_t i, k, n;

	for (i = 0; i < c->mx.n; i++) {
		a = (struct dns_answer){ 0 };
		name = mem_printf("_25._tcp.%s", c->mx.item[i]);
		dns_query(c->dns, name, DNS_TLSA, &a);
		for (k = 0, n = 0; k < a.n; k++)
			n += tlsa_is_usable(&a.record[k].tlsa);
		publish = mem_printf("%s. TLSA 3 1 1 (the SHA-256 of its "
				     "public key: \"pin\" in --probe)", name);
		if (a.status == DNS_FAILED)
			report(c, GRADE_FAIL, "tlsa", name, NULL, "cannot be "
			       "looked up (%s): senders with DANE hold mail "
			       "back", a.words);
		else if (a.status != DNS_OK)
			report(c, GRADE_WARN, "tlsa", name, publish, "no "
			       "record, so that mail to it is not protected "
			       "by DANE");
		else if (!n)
			report(c, GRADE_WARN, "tlsa", name, publish, "no "
			       "record that counts for mail: usage 2 or 3, "
			       "with a whole digest");
		else if (!a.authentic)
			report(c, GRADE_WARN, "tlsa", name, NULL, "%zu "
			       "usable, but without DNSSEC nobody looks at "
			       "them", n);
		else
			report(c, GRADE_OK, "tlsa", name, NULL, "%zu usable",
			       n);
		free(publish);
		dns_answer_release(&a);
		free(name);
	}
}
