/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The policies that a domain publishes: DMARC (RFC 7489), TLSRPT (RFC 8460),
 * MTA-STS (RFC 8461). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/scan.h"
#include "dnscheck/dnscheck_parts.h"
#include "submit/mtasts.h"

/* --- records as text --- */

bool find_txt(struct dnscheck *c, enum grade grade, const char *check,
	      const char *name, const char *version, char **text, size_t *n)
{
	const size_t len = strlen(version);
	struct dns_answer a = { 0 };
	const char *found;
	bool answered;
	size_t i;

	*text = NULL;
	*n = 0;
	dns_query(c->dns, name, DNS_TXT, &a);
	answered = a.status != DNS_FAILED;
	if (!answered)
		report(c, grade, check, name, NULL,
		       "cannot be looked up: %s", a.words);
	for (i = 0; a.status == DNS_OK && i < a.n; i++) {
		found = a.record[i].text;
		if (!strncasecmp(found, version, len) &&
		    (!found[len] || strchr(" \t;", found[len])) && !(*n)++)
			*text = mem_string(found);
	}
	dns_answer_release(&a);
	return answered;
}

char *tag_value(const char *text, const char *tag)
{
	struct scan tags = scan_text(text), name, value;

	while (scan_pair(&tags, ';', &name, &value))
		if (value.p && scan_is_nocase(&name, tag))
			return scan_copy(&value);
	return NULL;
}

/* --- DMARC --- */

static bool is_policy(const char *text)
{
	char *policy = tag_value(text, "p");
	const bool ok = policy && (!strcasecmp(policy, "none") ||
				   !strcasecmp(policy, "quarantine") ||
				   !strcasecmp(policy, "reject"));

	free(policy);
	return ok;
}

/* The policy of a domain above holds for those below that have none. */
static bool is_inherited(struct dnscheck *c)
{
	const char *parent = strchr(c->domain, '.');
	char *name, *text;
	bool found = false;
	size_t n;

	for (; parent && strchr(parent + 1, '.') && !found;
	     parent = strchr(parent + 1, '.')) {
		name = mem_printf("_dmarc.%s", parent + 1);
		if (find_txt(c, GRADE_WARN, "dmarc", name, "v=DMARC1", &text,
			     &n) && n == 1 && is_policy(text)) {
			report(c, GRADE_OK, "dmarc", name, NULL, "%s (holds "
			       "for %s too)", text, c->domain);
			found = true;
		}
		free(text);
		free(name);
	}
	return found;
}

void check_dmarc(struct dnscheck *c)
{
	char *name = mem_printf("_dmarc.%s", c->domain), *text = NULL;
	char *record = mem_printf("v=DMARC1; p=none; "
				  "rua=mailto:postmaster@%s", c->domain);
	char *publish = txt_record(name, record);
	bool asked;
	size_t n;

	asked = find_txt(c, GRADE_WARN, "dmarc", name, "v=DMARC1", &text, &n);
	if (n > 1)
		report(c, GRADE_WARN, "dmarc", name, publish, "%zu records, "
		       "which counts as none", n);
	else if (n && !is_policy(text))
		report(c, GRADE_WARN, "dmarc", name, publish, "its p= is "
		       "none of none, quarantine, reject: %s", text);
	else if (n)
		report(c, GRADE_OK, "dmarc", name, NULL, "%s", text);
	else if (asked && !is_inherited(c))
		report(c, GRADE_WARN, "dmarc", name, publish, "no record");
	free(text);
	free(name);
	free(record);
	free(publish);
}

/* --- TLSRPT --- */

void check_tlsrpt(struct dnscheck *c)
{
	char *name = mem_printf("_smtp._tls.%s", c->domain), *text = NULL;
	char *record = mem_printf("v=TLSRPTv1; rua=mailto:postmaster@%s",
				  c->domain);
	char *publish = txt_record(name, record), *reports;
	bool asked;
	size_t n;

	asked = find_txt(c, GRADE_WARN, "tlsrpt", name, "v=TLSRPTv1", &text,
			 &n);
	reports = n ? tag_value(text, "rua") : NULL;
	if (asked && !n)
		report(c, GRADE_WARN, "tlsrpt", name, publish, "no record");
	else if (n > 1)
		report(c, GRADE_WARN, "tlsrpt", name, publish, "%zu records, "
		       "which counts as none", n);
	else if (n && (!reports || !*reports))
		report(c, GRADE_WARN, "tlsrpt", name, publish, "it names no "
		       "place for reports (rua=): %s", text);
	else if (n)
		report(c, GRADE_OK, "tlsrpt", name, NULL, "%s", text);
	free(reports);
	free(text);
	free(name);
	free(record);
	free(publish);
}

/* --- MTA-STS --- */

/* The policy itself, held against the MX records. */
static void check_policy(struct dnscheck *c)
{
	static const char *const mode[] = { [STS_NONE] = "none",
		[STS_TESTING] = "testing", [STS_ENFORCE] = "enforce" };
	const char *missing = NULL;
	struct buf publish = BUF(8192);
	struct sts_policy p;
	struct outcome why;
	char *listed;
	size_t i;

	buf_addf(&publish, "https://mta-sts.%s/.well-known/mta-sts.txt: "
		 "version: STSv1 / mode: enforce", c->domain);
	for (i = 0; i < c->mx.n; i++)
		buf_addf(&publish, " / mx: %s", c->mx.item[i]);
	buf_adds(&publish, " / max_age: 604800 (a line each)");
	if (!sts_fetch_now(&c->run, c->proxy, c->domain, &p, &why)) {
		report(c, GRADE_WARN, "mta-sts", c->domain,
		       buf_text(&publish), "no policy behind the record: %s",
		       why.text);
		buf_release(&publish);
		return;
	}
	for (i = 0; i < c->mx.n && !missing; i++)
		if (!sts_lists(&p, c->mx.item[i]))
			missing = c->mx.item[i];
	listed = list_join(&p.mx, ", ");
	if (p.mode == STS_NONE)
		report(c, GRADE_WARN, "mta-sts", c->domain,
		       buf_text(&publish), "the policy's mode is none: "
		       "nothing is asked for");
	else if (missing)
		report(c, p.mode == STS_ENFORCE ? GRADE_FAIL : GRADE_WARN,
		       "mta-sts", c->domain, buf_text(&publish), "the policy "
		       "(mode %s) does not list the MX host %s, so that "
		       "senders %s", mode[p.mode], missing,
		       p.mode == STS_ENFORCE ? "hold mail to it back" :
		       "would hold mail to it back in mode enforce");
	else
		report(c, GRADE_OK, "mta-sts", c->domain, NULL, "policy in "
		       "mode %s for %s", mode[p.mode], listed);
	free(listed);
	sts_policy_release(&p);
	buf_release(&publish);
}

void check_mta_sts(struct dnscheck *c)
{
	char *name = mem_printf("_mta-sts.%s", c->domain), *text = NULL;
	char *record = mem_printf("v=STSv1; id=%lld", (long long)time(NULL));
	char *publish = txt_record(name, record), id[33];
	bool asked, announced = false;
	size_t n;

	asked = find_txt(c, GRADE_WARN, "mta-sts", name, "v=STSv1", &text, &n);
	if (asked && !n)
		report(c, GRADE_WARN, "mta-sts", name, publish, "no record");
	else if (n > 1)
		report(c, GRADE_WARN, "mta-sts", name, publish, "%zu "
		       "records, which counts as none", n);
	else if (n && !sts_record_read(text, strlen(text), id))
		report(c, GRADE_WARN, "mta-sts", name, publish, "no valid "
		       "record: %s", text);
	else
		announced = n;
	if (announced) {
		report(c, GRADE_OK, "mta-sts", name, NULL, "%s", text);
		check_policy(c);
	}
	free(text);
	free(name);
	free(record);
	free(publish);
}
