/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much TLS direct hosts must give: DANE (RFC 7672) and MTA-STS
 * (RFC 8461). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/log.h"
#include "mail/address.h"
#include "submit/hosts_parts.h"
#include "submit/mtasts.h"

/* What is known of one host while the demand is found. */
struct finding {
	struct tls_evidence evidence;
	bool dropped;
};

struct judging {
	struct run *run;
	const struct hosts_query *query;
	const char *canonical;
	struct assurance *assurance;
	struct hosts *out;
	struct finding finding[HOSTS_MOST];
	char temporary[280];       /* words for a host that was dropped */
	char permanent[280];
};

static bool is_relaxed(const struct judging *j)
{
	return j->query->relaxed && !j->query->require_tls;
}

/* --- DANE --- */

bool tlsa_is_usable(const struct tlsa *t)
{
	static const size_t length[] = { 0, 32, 64 };

	return (t->usage == 2 || t->usage == 3) && t->selector <= 1 &&
	       t->matching <= 2 && t->n > 0 &&
	       (!t->matching || t->n == length[t->matching]);
}

static void keep_records(struct host *h, const struct dns_answer *a)
{
	struct tlsa *copy;
	size_t i;

	for (i = 0; i < a->n; i++) {
		if (!tlsa_is_usable(&a->record[i].tlsa))
			continue;
		h->tlsa = mem_resize(h->tlsa, h->tlsas + 1, sizeof(*h->tlsa));
		copy = &h->tlsa[h->tlsas++];
		*copy = a->record[i].tlsa;
		copy->data = mem_alloc(copy->n);
		memcpy(copy->data, a->record[i].tlsa.data, copy->n);
	}
}

/* RFC 7672 section 3.2.2: the TLSA base domain, and with it the host's and
 * the recipient's domain, each before and after CNAMEs. */
static void accept_names(struct judging *j, struct host *h, const char *base)
{
	free(h->tls_name);
	h->tls_name = mem_string(base);
	list_add(&h->more_names, h->name);
	list_add(&h->more_names, j->query->domain);
	if (j->canonical && strcasecmp(j->canonical, j->query->domain))
		list_add(&h->more_names, j->canonical);
}

static void take_tlsa(struct judging *j, size_t i, const char *base,
		      const struct dns_answer *a)
{
	struct host *h = &j->out->item[i];
	struct tls_evidence *e = &j->finding[i].evidence;

	if (a->status == DNS_FAILED) {
		j->finding[i].dropped = true;
		snprintf(j->temporary, sizeof(j->temporary), "the TLSA "
			 "records of %.100s cannot be looked up: %.50s", base,
			 a->words);
		return;
	}
	if (a->status != DNS_OK || !a->authentic)
		return;
	e->dane_records = true;
	keep_records(h, a);
	e->dane_usable = h->tlsas > 0;
	if (e->dane_usable)
		accept_names(j, h, base);
	snprintf(h->why, sizeof(h->why), e->dane_usable ? "DANE" :
		 "DANE, but no TLSA record of a usage for mail");
}

/* Asks for TLSA records of every authentic host: by alias behind CNAMEs, or
 * by the host's own name. */
static void ask_tlsa(struct judging *j, bool by_alias)
{
	struct dns_question q[HOSTS_MOST] = { 0 };
	size_t place[HOSTS_MOST], i, n = 0;
	const char *base;

	for (i = 0; i < j->out->n; i++) {
		base = by_alias ? j->assurance[i].cname :
		       j->out->item[i].name;
		if (!j->assurance[i].authentic || !base ||
		    j->finding[i].dropped ||
		    j->finding[i].evidence.dane_records)
			continue;
		place[n] = i;
		q[n].type = DNS_TLSA;
		q[n++].name = mem_printf("_%u._tcp.%s",
					 j->out->item[i].port, base);
	}
	if (n)
		dns_ask(run_dns(j->run), q, n);
	for (i = 0; i < n; i++) {
		base = strstr(q[i].name, "._tcp.") + strlen("._tcp.");
		take_tlsa(j, place[i], base, &q[i].answer);
		dns_answer_release(&q[i].answer);
		free((char *)q[i].name);
	}
}

static void apply_dane(struct judging *j)
{
	if (!j->run->config->tls.dane || is_relaxed(j))
		return;
	ask_tlsa(j, true);
	ask_tlsa(j, false);
}

/* --- MTA-STS --- */

static bool wants_policy(const struct judging *j)
{
	size_t i;

	if (!j->run->config->tls.mta_sts || is_relaxed(j) ||
	    domain_is_literal(j->query->domain))
		return false;
	for (i = 0; i < j->out->n; i++)
		if (!j->finding[i].evidence.dane_usable)
			return true;
	return false;
}

static void hold_against(struct judging *j, size_t i,
			 const struct sts_policy *p)
{
	struct host *h = &j->out->item[i];

	if (sts_lists(p, h->name)) {
		j->finding[i].evidence.sts_enforce = p->mode == STS_ENFORCE;
		h->sts_testing = p->mode == STS_TESTING;
		snprintf(h->why, sizeof(h->why), p->mode == STS_ENFORCE ?
			 "MTA-STS policy, enforced" :
			 "MTA-STS policy, in mode testing");
		return;
	}
	log_say(LOG_AT_INFO, "MTA-STS: %s is no host by the policy of %s (%s)",
		h->name, j->query->domain, p->mode == STS_ENFORCE ?
		"enforced" : "mode testing: used even so");
	if (p->mode == STS_TESTING)
		return;
	j->finding[i].dropped = true;
	snprintf(j->temporary, sizeof(j->temporary),
		 "the MTA-STS policy of %.80s does not list its mail host "
		 "%.80s", j->query->domain, h->name);
}

/* Without knowing the policy no host that depends on it can be used. */
static void policy_unknown(struct judging *j, const struct outcome *why)
{
	size_t i;

	snprintf(j->temporary, sizeof(j->temporary), "MTA-STS: %.250s",
		 why->text);
	for (i = 0; i < j->out->n; i++)
		if (!j->finding[i].evidence.dane_usable)
			j->finding[i].dropped = true;
}

static void apply_policy(struct judging *j)
{
	struct sts_policy p = { 0 };
	struct outcome why;
	size_t i;

	if (!wants_policy(j))
		return;
	if (!sts_find(j->run, j->query->transport, j->query->domain,
		      j->query->cached_only, &p, &why)) {
		policy_unknown(j, &why);
		return;
	}
	for (i = 0; p.mode != STS_NONE && i < j->out->n; i++)
		if (!j->finding[i].evidence.dane_usable &&
		    !j->finding[i].dropped)
			hold_against(j, i, &p);
	sts_policy_release(&p);
}

/* --- the whole --- */

/* REQUIRETLS (RFC 8689 section 4.2.1) is worth nothing towards a host whose
 * name nothing vouches for. */
static void apply_require_tls(struct judging *j)
{
	size_t i;

	if (!j->query->require_tls)
		return;
	for (i = 0; i < j->out->n; i++) {
		if (j->finding[i].dropped ||
		    j->finding[i].evidence.dane_usable ||
		    j->finding[i].evidence.sts_enforce)
			continue;
		j->finding[i].dropped = true;
		snprintf(j->permanent, sizeof(j->permanent), "REQUIRETLS was "
			 "asked for, but %.80s has neither DANE nor an "
			 "enforced MTA-STS policy", j->out->item[i].name);
	}
}

static void settle(struct judging *j)
{
	struct hosts *h = j->out;
	size_t i, kept = 0;

	for (i = 0; i < h->n; i++) {
		if (j->finding[i].dropped) {
			host_release(&h->item[i]);
			continue;
		}
		h->item[i].demand = policy_tls(j->query->transport, false,
					       &j->finding[i].evidence,
					       is_relaxed(j));
		if (kept != i)
			h->item[kept] = h->item[i];
		kept++;
	}
	h->n = kept;
}

bool hosts_secure(struct run *run, const struct hosts_query *query,
		  const char *canonical, struct assurance *assurance,
		  struct hosts *out, struct outcome *why)
{
	struct judging j = { .run = run, .query = query, .out = out,
			     .canonical = canonical,
			     .assurance = assurance };

	apply_dane(&j);
	apply_policy(&j);
	apply_require_tls(&j);
	settle(&j);
	if (out->n)
		return true;
	if (j.temporary[0])
		return outcome_fail_status(why, STAGE_DNS, EX_TEMPFAIL,
					   "4.7.0", "%s", j.temporary);
	return outcome_fail_status(why, STAGE_DNS, EX_UNAVAILABLE, "5.7.30",
				   "%s", j.permanent);
}
