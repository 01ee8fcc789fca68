/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The hosts of a recipient's domain: their names, their addresses, and what
 * TLS they must give. */
#include "submit/hosts_direct.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/log.h"
#include "mail/address.h"
#include "submit/hosts_list.h"
#include "submit/mtasts.h"
#include "wire/lookup.h"

/* --- from a domain to the names of its mail hosts (RFC 5321 5.1, RFC 7505)
 * --- */

/* Where mail for a domain goes, as DNS says it. */
struct exchanges {
	struct list name;      /* in the order to try, at most HOSTS_MOST */
	bool authentic;        /* came with DNSSEC authentication */
	bool has_mx;           /* by MX records, not by default */
	char *canonical;       /* the domain at the end of its CNAMEs */
};

static int by_preference(const void *a, const void *b)
{
	const struct dns_record *x = a, *y = b;

	return (x->preference > y->preference) -
	       (x->preference < y->preference);
}

/* By preference, equals in any order. */
static void arrange_exchanges(struct dns_record *r, size_t n)
{
	struct dns_record kept;
	size_t i, j, same;

	qsort(r, n, sizeof(*r), by_preference);
	for (i = 0; i < n; i++) {
		for (same = 1; i + same < n &&
		     r[i + same].preference == r[i].preference; same++)
			;
		j = same > 1 ? i + hosts_random((unsigned)(same - 1)) : i;
		kept = r[i];
		r[i] = r[j];
		r[j] = kept;
	}
}

/* The exchanges of a domain: MX records by preference, equals shuffled, else
 * the domain itself. False: EX_NOHOST (no such domain, null MX),
 * EX_TEMPFAIL (also a loop of CNAMEs). */
static bool exchanges_find(struct dns *dns, const char *domain,
			   struct exchanges *out, struct outcome *why)
{
	struct dns_answer a = { 0 };
	const char *name;
	size_t i;

	*out = (struct exchanges){ 0 };
	dns_query(dns, domain, DNS_MX, &a);
	out->canonical = mem_string(a.cname && *a.cname ? a.cname : domain);
	out->authentic = a.authentic;
	switch (a.status) {
	case DNS_OK:
		out->has_mx = true;
		arrange_exchanges(a.record, a.n);
		for (i = 0; i < a.n && out->name.n < HOSTS_MOST; i++) {
			name = a.record[i].name;
			/* the null MX stands alone; beside others it is a
			 * mistake */
			if (name && *name &&
			    !list_has_nocase(&out->name, name))
				list_add(&out->name, name);
		}
		if (!out->name.n)
			outcome_fail_status(why, STAGE_DNS, EX_NOHOST,
					    "5.1.10", "the domain %s takes no "
					    "mail (null MX)", domain);
		break;
	case DNS_NODATA:
		list_add(&out->name, out->canonical);
		break;
	case DNS_NXDOMAIN:
		outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.1.2",
				    "the domain %s does not exist", domain);
		break;
	case DNS_FAILED:
		outcome_fail_status(why, STAGE_DNS, EX_TEMPFAIL,
				    a.astray ? "4.4.6" : "4.4.3",
				    "the MX records of %s cannot be looked "
				    "up: %s", domain, a.words);
		break;
	}
	dns_answer_release(&a);
	return out->name.n > 0;
}

/* --- how much TLS they must give: DANE (RFC 7672), MTA-STS (RFC 8461)
 * --- */

/* What DNSSEC says of a host of a direct delivery. */
struct assurance {
	bool authentic;        /* its name and its addresses */
	char *cname;           /* where CNAMEs of it led; NULL: nowhere */
};

struct judging {
	struct run *run;
	const struct hosts_query *query;
	const char *canonical;
	struct assurance *assurance;
	struct hosts *out;
	struct tls_evidence evidence[HOSTS_MOST];
	struct outcome unfit;      /* for a host that was judged and dropped:
				    * what holds once none is left */
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

/* What the TLSA records at base say of host i. The names that its certificate
 * may have are then (RFC 7672 section 3.2.2) the TLSA base domain, the host's
 * and the recipient's domain, each before and after CNAMEs. */
static void take_tlsa(struct judging *j, size_t i, const char *base,
		      const struct dns_answer *a)
{
	struct host *h = &j->out->item[i];
	struct tls_evidence *e = &j->evidence[i];
	struct tlsa *copy;
	size_t k;

	if (a->status == DNS_FAILED) {
		e->dane_failed = true;
		outcome_set_status(&j->out->not_now, STAGE_DNS, EX_TEMPFAIL,
				   "4.7.0", "the TLSA records of %.100s "
				   "cannot be looked up: %.50s", base,
				   a->words);
		return;
	}
	if (a->status != DNS_OK || !a->authentic)
		return;
	e->dane_records = true;
	for (k = 0; k < a->n; k++) {
		if (!tlsa_is_usable(&a->record[k].tlsa))
			continue;
		h->tlsa = mem_resize(h->tlsa, h->tlsas + 1, sizeof(*h->tlsa));
		copy = &h->tlsa[h->tlsas++];
		*copy = a->record[k].tlsa;
		copy->data = mem_alloc(copy->n);
		memcpy(copy->data, a->record[k].tlsa.data, copy->n);
	}
	e->dane_usable = h->tlsas > 0;
	snprintf(h->why, sizeof(h->why), e->dane_usable ? "DANE" :
		 "DANE, but no TLSA record of a usage for mail");
	if (!e->dane_usable)
		return;
	free(h->tls_name);
	h->tls_name = mem_string(base);
	list_add(&h->more_names, h->name);
	list_add(&h->more_names, j->query->domain);
	if (j->canonical && strcasecmp(j->canonical, j->query->domain))
		list_add(&h->more_names, j->canonical);
}

/* Asks for TLSA records of every authentic host: by alias behind CNAMEs, or
 * by the host's own name. */
static void ask_tlsa(struct judging *j, bool by_alias)
{
	struct dns_question q[HOSTS_MOST] = { 0 };
	char *name[HOSTS_MOST];
	const char *base[HOSTS_MOST];
	size_t place[HOSTS_MOST], i, n = 0;

	for (i = 0; i < j->out->n; i++) {
		base[n] = by_alias ? j->assurance[i].cname :
			  j->out->item[i].name;
		if (!j->assurance[i].authentic || !base[n] ||
		    j->evidence[i].dane_failed ||
		    j->evidence[i].dane_records)
			continue;
		place[n] = i;
		name[n] = mem_printf("_%u._tcp.%s", j->out->item[i].port,
				     base[n]);
		q[n] = (struct dns_question){ .name = name[n],
					      .type = DNS_TLSA };
		n++;
	}
	if (n)
		dns_ask(run_dns(j->run), q, n);
	for (i = 0; i < n; i++) {
		take_tlsa(j, place[i], base[i], &q[i].answer);
		dns_answer_release(&q[i].answer);
		free(name[i]);
	}
}

/* --- MTA-STS --- */

static void hold_against(struct judging *j, size_t i,
			 const struct sts_policy *p)
{
	struct host *h = &j->out->item[i];
	const bool enforced = p->mode == STS_ENFORCE;

	if (sts_lists(p, h->name)) {
		j->evidence[i].sts_enforce = enforced;
		h->sts_testing = p->mode == STS_TESTING;
		snprintf(h->why, sizeof(h->why), enforced ?
			 "MTA-STS policy, enforced" :
			 "MTA-STS policy, in mode testing");
		return;
	}
	log_say(LOG_AT_INFO, "MTA-STS: %s is no host by the policy of %s (%s)",
		h->name, j->query->domain, enforced ?
		"enforced" : "mode testing: used even so");
	if (p->mode == STS_TESTING)
		return;
	j->evidence[i].sts_unlisted = true;
	outcome_set_status(&j->unfit, STAGE_DNS, EX_TEMPFAIL, "4.7.0",
			   "the MTA-STS policy of %.80s does not list its "
			   "mail host %.80s", j->query->domain, h->name);
}

/* Without knowing the policy no host that depends on it can be used. */
static void apply_policy(struct judging *j)
{
	const struct hosts_query *query = j->query;
	struct sts_policy p = { 0 };
	struct tls_evidence *e;
	struct outcome why;
	bool wanted = false, known;

	for (e = j->evidence; e < j->evidence + j->out->n; e++)
		wanted = wanted || !e->dane_usable;
	if (!wanted || !j->run->config->tls.mta_sts || is_relaxed(j) ||
	    domain_is_literal(query->domain))
		return;
	known = sts_find(j->run, query->transport, query->domain,
			 query->cached_only, &p, &why);
	if (!known)
		outcome_set_status(&j->out->not_now, STAGE_DNS, EX_TEMPFAIL,
				   "4.7.0", "MTA-STS: %.250s", why.text);
	for (e = j->evidence; e < j->evidence + j->out->n; e++)
		if (!known)
			e->sts_failed = true;
		else if (p.mode != STS_NONE && !e->dane_usable &&
			 !e->dane_failed)
			hold_against(j, (size_t)(e - j->evidence), &p);
	sts_policy_release(&p);
}

/* --- which of them may be used --- */

/* Raises the TLS demand of direct hosts by DANE and MTA-STS, and drops those
 * that may not be used: not listed by an enforced policy, TLSA records not
 * to be had, REQUIRETLS without either. assurance[i] belongs
 * to host i; canonical is the domain after its CNAMEs. False: no host is
 * left; EX_TEMPFAIL, EX_UNAVAILABLE (5.7.30). */
static bool hosts_secure(struct run *run, const struct hosts_query *query,
		  const char *canonical, struct assurance *assurance,
		  struct hosts *out, struct outcome *why)
{
	struct judging j = { .run = run, .query = query, .out = out,
			     .canonical = canonical,
			     .assurance = assurance };
	enum host_use use;
	size_t i, kept = 0;

	if (run->config->tls.dane && !is_relaxed(&j)) {
		ask_tlsa(&j, true);
		ask_tlsa(&j, false);
	}
	apply_policy(&j);
	for (i = 0; i < out->n; i++) {
		use = policy_host(&j.evidence[i], query->require_tls);
		if (use == HOST_NOT_PROVED)
			outcome_set_status(&j.unfit, STAGE_DNS, EX_UNAVAILABLE,
					   "5.7.30", "REQUIRETLS was asked "
					   "for, but %.80s has neither DANE "
					   "nor an enforced MTA-STS policy",
					   out->item[i].name);
		if (use != HOST_USED) {
			host_release(&out->item[i]);
			continue;
		}
		out->item[i].demand = policy_tls(query->transport, false,
						 &j.evidence[i],
						 is_relaxed(&j));
		if (kept != i)
			out->item[kept] = out->item[i];
		kept++;
	}
	out->n = kept;
	if (!kept)
		*why = out->not_now.exit ? out->not_now : j.unfit;
	return kept > 0;
}

/* --- hosts with their addresses --- */

struct search {
	struct run *run;
	const struct hosts_query *query;
	struct hosts *out;
	struct exchanges exchanges;
	struct dns_question question[2 * HOSTS_MOST]; /* about their addresses,
				    * so many about each: */
	size_t families;
	struct assurance assurance[HOSTS_MOST];
	char local[80];            /* an address that the guard held back */
};

/* --- words --- */

static const char advice[] =
	"mail for local users needs an address elsewhere, by \"aliases\" or "
	"\"default_recipient\", or a route to a relay";

/* A machine's own name is mostly not meant as a mail domain at all. */
static bool advise_on(const struct search *s, struct outcome *why)
{
	const struct config *c = s->run->config;
	const char *domain = s->query->domain, *dot = strrchr(domain, '.');
	struct outcome first = *why;
	bool here = !dot || !strcasecmp(dot, ".localhost") ||
		    !strcasecmp(dot, ".localdomain") ||
		    (c->general.hostname &&
		     !strcasecmp(domain, c->general.hostname)) ||
		    (c->general.domain &&
		     !strcasecmp(domain, c->general.domain));

	if (here && first.exit == EX_NOHOST && strcmp(first.status, "5.1.10"))
		outcome_fail_status(why, STAGE_DNS, EX_NOHOST, first.status,
				    "%s; %s", first.text, advice);
	return false;
}

static bool loops_back(const struct search *s, struct outcome *why)
{
	return outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.4.6",
				   "the mail host of %s is this machine "
				   "itself (%s); %s", s->query->domain,
				   s->local, advice);
}

/* --- addresses --- */

static bool is_forbidden(struct search *s, const struct net_address *a)
{
	if (!net_address_is_local(a) ||
	    s->run->config->dns.allow_loopback_mx)
		return false;
	net_address_text(a, s->local);
	return true;
}

/* The preferred family comes first. RFC 6724 would sort what this host cannot
 * reach last; of two families only the lack of one matters here. A proxy's
 * families are not ours to know. */
static void ask_addresses(struct search *s)
{
	const struct list *name = &s->exchanges.name;
	const struct transport *t = s->query->transport;
	enum dns_type first = DNS_AAAA, other = DNS_A;
	size_t i, j, n = 0, families = 2;

	if (t->ip_family == FAMILY_PREFER_V4 ||
	    (t->ip_family == FAMILY_ANY && !kind_has(t->kind, IS_PROXIED) &&
	     !run_has_ipv6(s->run))) {
		first = DNS_A;
		other = DNS_AAAA;
	} else if (t->ip_family == FAMILY_V4 || t->ip_family == FAMILY_V6) {
		first = t->ip_family == FAMILY_V4 ? DNS_A : DNS_AAAA;
		families = 1;
	}
	s->families = families;
	for (i = 0; i < name->n; i++)
		for (j = 0; j < families; j++)
			s->question[n++] = (struct dns_question){
				.name = name->item[i],
				.type = j ? other : first };
	dns_ask(run_dns(s->run), s->question, n);
}

static struct host *add_host(struct search *s, const char *name,
			     const char *tls_name)
{
	const struct transport *t = s->query->transport;
	struct host *h = hosts_add(s->out, name, transport_port(t));

	h->demand = policy_tls(t, false, NULL, s->query->relaxed);
	h->tls_name = mem_string(t->tls_name ? t->tls_name : tls_name);
	snprintf(h->why, sizeof(h->why), "neither DANE nor MTA-STS asks for "
		 "more");
	return h;
}

/* The i-th exchange as a host, if it has an address: both families in turn
 * (RFC 8305 section 4). */
static void add_exchange(struct search *s, size_t i)
{
	const char *name = s->exchanges.name.item[i];
	const struct dns_question *q = s->question + i * s->families, *r;
	const struct dns_question *end = q + s->families;
	struct assurance *a = &s->assurance[s->out->n];
	struct host *h = add_host(s, name, name);
	struct net_address address;
	size_t k;

	h->have_addresses = true;
	for (k = 0; k < ADDRESSES_MOST; k++)
		for (r = q; r < end; r++) {
			if (k >= r->answer.n)
				continue;
			address = r->answer.record[k].address;
			if (is_forbidden(s, &address))
				continue;
			net_address_set_port(&address, h->port);
			net_addresses_add(&h->addresses, &address);
		}
	if (!h->addresses.n) {
		for (r = q; r < end; r++)
			if (r->answer.status == DNS_FAILED)
				outcome_set_status(&s->out->not_now, STAGE_DNS,
						   EX_TEMPFAIL, "4.4.3",
						   "the addresses of %.100s "
						   "cannot be looked up: %.60s",
						   r->name, r->answer.words);
		host_release(h);
		s->out->n--;
		return;
	}
	a->authentic = s->exchanges.authentic;
	for (r = q; r < end; r++) {
		if (r->answer.status != DNS_OK)
			continue;
		a->authentic = a->authentic && r->answer.authentic;
		if (!a->cname)
			a->cname = mem_string(r->answer.cname);
	}
}

/* --- the ways to a domain --- */

static bool by_literal(struct search *s, struct outcome *why)
{
	const char *domain = s->query->domain;
	struct net_address a;
	struct host *h;
	char text[64];

	if (!net_address_parse(domain, transport_port(s->query->transport),
			       &a))
		return outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.1.2",
					   "%s is no address literal", domain);
	if (is_forbidden(s, &a))
		return loops_back(s, why);
	net_address_text(&a, text);
	h = add_host(s, domain, text);
	h->have_addresses = true;
	net_addresses_add(&h->addresses, &a);
	return true;
}

/* A proxy that looks up names gets them; what it finds is not ours to see,
 * but for the one name that is always local. */
static bool by_names(struct search *s, struct outcome *why)
{
	const struct list *name = &s->exchanges.name;
	size_t i;

	for (i = 0; i < name->n; i++)
		if (s->run->config->dns.allow_loopback_mx ||
		    !net_is_localhost(name->item[i]))
			add_host(s, name->item[i], name->item[i]);
	if (s->out->n)
		return true;
	snprintf(s->local, sizeof(s->local), "localhost");
	return loops_back(s, why);
}

static bool by_addresses(struct search *s, struct outcome *why)
{
	const int family = s->query->transport->ip_family;
	size_t i, left = ADDRESSES_MOST;
	struct hosts *h = s->out;

	ask_addresses(s);
	for (i = 0; i < s->exchanges.name.n; i++)
		add_exchange(s, i);
	/* so many that each later host keeps one */
	for (i = 0; i < h->n; i++) {
		struct net_addresses *a = &h->item[i].addresses;

		a->n = policy_addresses(a->n, h->n - i - 1, left);
		left -= a->n;
	}
	if (h->n)
		return true;
	if (h->not_now.exit) {
		*why = h->not_now;
		return false;
	}
	if (s->local[0])
		return loops_back(s, why);
	outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.1.2",
			    "%s has no %s %s", s->query->domain,
			    s->exchanges.has_mx ? "mail host with an" :
			    "MX record and no", family_words(family));
	return advise_on(s, why);
}

bool hosts_by_domain(struct run *run, const struct hosts_query *query,
		     struct hosts *out, struct outcome *why)
{
	struct search s = { .run = run, .query = query, .out = out };
	const struct transport *t = query->transport;
	size_t i;
	bool ok;

	if (!query->domain || !*query->domain)
		return outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.1.2",
					   "an address without a domain");
	if (domain_is_literal(query->domain)) {
		ok = by_literal(&s, why);
	} else if (!exchanges_find(run_dns(run), query->domain, &s.exchanges,
				   why)) {
		why->no_network = dns_no_network(run->dns);
		ok = advise_on(&s, why);
	} else if (kind_has(t->kind, IS_PROXIED) && transport_proxy_dns(t)) {
		ok = by_names(&s, why);
	} else {
		ok = by_addresses(&s, why);
	}
	ok = ok && hosts_secure(run, query, s.exchanges.canonical,
				s.assurance, out, why);
	for (i = 0; i < 2 * HOSTS_MOST; i++)
		dns_answer_release(&s.question[i].answer);
	for (i = 0; i < HOSTS_MOST; i++)
		free(s.assurance[i].cname);
	list_release(&s.exchanges.name);
	free(s.exchanges.canonical);
	return ok;
}
