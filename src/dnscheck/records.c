/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The policies that a domain publishes: DMARC (RFC 7489), TLSRPT (RFC 8460),
 * MTA-STS (RFC 8461). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "dnscheck/dnscheck_parts.h"
#include "submit/mtasts.h"

/* --- records as text --- */

static bool begins_with(const struct dns_record *r, const char *version)
{
	const size_t n = strlen(version);

	return !strncasecmp(r->text, version, n) &&
	       (!r->text[n] || strchr(" \t;", r->text[n]));
}

bool find_txt(struct dnscheck *c, enum grade grade, const char *check,
	      const char *name, const char *version, char **text, size_t *n)
{
	struct dns_answer a = { 0 };
	bool answered;
	size_t i;

	*text = NULL;
	*n = 0;
	dns_query(c->dns, name, DNS_TXT, &a);
	answered = a.status != DNS_FAILED;
	if (!answered)
		report(c, grade, check, name, NULL,
		       "cannot be looked up: %s", a.words);
	for (i = 0; a.status == DNS_OK && i < a.n; i++)
		if (begins_with(&a.record[i], version) && !(*n)++)
			*text = mem_string(a.record[i].text);
	dns_answer_release(&a);
	return answered;
}

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

char *tag_value(const char *text, const char *tag)
{
	const size_t n = strlen(tag);
	const char *end, *p = skip_blanks(text);

	for (; *p; p = skip_blanks(*end ? end + 1 : end)) {
		end = p + strcspn(p, ";");
		if (strncasecmp(p, tag, n) || *skip_blanks(p + n) != '=')
			continue;
		p = skip_blanks(skip_blanks(p + n) + 1);
		if (p > end)
			p = end;
		while (end > p && strchr(" \t\r\n", end[-1]))
			end--;
		return mem_stringn(p, (size_t)(end - p));
	}
	return NULL;
}

static bool has_tag(const char *text, const char *tag)
{
	char *value = tag_value(text, tag);
	const bool has = value && *value;

	free(value);
	return has;
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
	size_t n;

	if (!find_txt(c, GRADE_WARN, "dmarc", name, "v=DMARC1", &text, &n))
		;
	else if (n > 1)
		report(c, GRADE_WARN, "dmarc", name, publish, "%zu records, "
		       "which counts as none", n);
	else if (n && !is_policy(text))
		report(c, GRADE_WARN, "dmarc", name, publish, "its p= is "
		       "none of none, quarantine, reject: %s", text);
	else if (n)
		report(c, GRADE_OK, "dmarc", name, NULL, "%s", text);
	else if (!is_inherited(c))
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
	char *publish = txt_record(name, record);
	size_t n;

	if (!find_txt(c, GRADE_WARN, "tlsrpt", name, "v=TLSRPTv1", &text,
		      &n))
		;
	else if (!n)
		report(c, GRADE_WARN, "tlsrpt", name, publish, "no record");
	else if (n > 1)
		report(c, GRADE_WARN, "tlsrpt", name, publish, "%zu records, "
		       "which counts as none", n);
	else if (!has_tag(text, "rua"))
		report(c, GRADE_WARN, "tlsrpt", name, publish, "it names no "
		       "place for reports (rua=): %s", text);
	else
		report(c, GRADE_OK, "tlsrpt", name, NULL, "%s", text);
	free(text);
	free(name);
	free(record);
	free(publish);
}

/* --- MTA-STS --- */

/* The policy that fits the MX records, on one line. */
static char *suggested_policy(const struct dnscheck *c)
{
	struct buf out = BUF(8192);
	size_t i;

	buf_addf(&out, "https://mta-sts.%s/.well-known/mta-sts.txt: "
		 "version: STSv1 / mode: enforce", c->domain);
	for (i = 0; i < c->mx.n; i++)
		buf_addf(&out, " / mx: %s", c->mx.item[i]);
	buf_adds(&out, " / max_age: 604800 (a line each)");
	return buf_take(&out);
}

static const char *unlisted(const struct dnscheck *c,
			    const struct sts_policy *p)
{
	size_t i;

	for (i = 0; i < c->mx.n; i++)
		if (!sts_lists(p, c->mx.item[i]))
			return c->mx.item[i];
	return NULL;
}

static void judge_policy(struct dnscheck *c, const struct sts_policy *p,
			 const char *publish)
{
	static const char *const mode[] = { [STS_NONE] = "none",
		[STS_TESTING] = "testing", [STS_ENFORCE] = "enforce" };
	const char *missing = unlisted(c, p);
	char *listed = list_join(&p->mx, ", ");

	if (p->mode == STS_NONE)
		report(c, GRADE_WARN, "mta-sts", c->domain, publish,
		       "the policy's mode is none: nothing is asked for");
	else if (missing)
		report(c, p->mode == STS_ENFORCE ? GRADE_FAIL : GRADE_WARN,
		       "mta-sts", c->domain, publish, "the policy (mode %s) "
		       "does not list the MX host %s, so that senders %s",
		       mode[p->mode], missing, p->mode == STS_ENFORCE ?
		       "hold mail to it back" : "would hold mail to it back "
		       "in mode enforce");
	else
		report(c, GRADE_OK, "mta-sts", c->domain, NULL, "policy in "
		       "mode %s for %s", mode[p->mode], listed);
	free(listed);
}

static void check_policy(struct dnscheck *c)
{
	char *publish = suggested_policy(c);
	struct sts_policy p;
	struct outcome why;

	if (sts_fetch_now(&c->run, c->proxy, c->domain, &p, &why)) {
		judge_policy(c, &p, publish);
		sts_policy_release(&p);
	} else {
		report(c, GRADE_WARN, "mta-sts", c->domain, publish,
		       "no policy behind the record: %s", why.text);
	}
	free(publish);
}

void check_mta_sts(struct dnscheck *c)
{
	char *name = mem_printf("_mta-sts.%s", c->domain), *text = NULL;
	char *record = mem_printf("v=STSv1; id=%lld", (long long)time(NULL));
	char *publish = txt_record(name, record), id[33];
	bool announced = false;
	size_t n;

	if (!find_txt(c, GRADE_WARN, "mta-sts", name, "v=STSv1", &text, &n))
		;
	else if (!n)
		report(c, GRADE_WARN, "mta-sts", name, publish, "no record");
	else if (n > 1)
		report(c, GRADE_WARN, "mta-sts", name, publish, "%zu "
		       "records, which counts as none", n);
	else if (!sts_record_read(text, strlen(text), id))
		report(c, GRADE_WARN, "mta-sts", name, publish, "no valid "
		       "record: %s", text);
	else
		announced = true;
	if (announced) {
		report(c, GRADE_OK, "mta-sts", name, NULL, "%s", text);
		check_policy(c);
	}
	free(text);
	free(name);
	free(record);
	free(publish);
}
