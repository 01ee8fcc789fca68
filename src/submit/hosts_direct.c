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

/* Where mail for a domain goes, as DNS says it (hosts_mx.c). */
struct exchanges {
	struct list name;      /* in the order to try, at most HOSTS_MOST */
	bool authentic;        /* came with DNSSEC authentication */
	bool has_mx;           /* by MX records, not by default */
	char *canonical;       /* the domain at the end of its CNAMEs */
};

static void exchanges_release(struct exchanges *e)
{
	list_release(&e->name);
	free(e->canonical);
	*e = (struct exchanges){ 0 };
}

static int by_preference(const void *a, const void *b)
{
	const struct dns_record *x = a, *y = b;

	return (x->preference > y->preference) -
	       (x->preference < y->preference);
}

static void shuffle(struct dns_record *r, size_t n)
{
	struct dns_record kept;
	size_t i, j;

	for (i = n; i > 1; i--) {
		j = hosts_random((unsigned)(i - 1));
		kept = r[i - 1];
		r[i - 1] = r[j];
		r[j] = kept;
	}
}

static void arrange(struct dns_record *r, size_t n)
{
	size_t i, same;

	qsort(r, n, sizeof(*r), by_preference);
	for (i = 0; i < n; i += same) {
		for (same = 1; i + same < n &&
		     r[i + same].preference == r[i].preference; same++)
			;
		shuffle(r + i, same);
	}
}

static bool no_domain(const char *domain, struct outcome *why)
{
	return outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.1.2",
				   "the domain %s does not exist", domain);
}

static bool take_mx(struct dns_answer *a, const char *domain,
		    struct exchanges *out, struct outcome *why)
{
	const char *name;
	size_t i;

	out->has_mx = true;
	arrange(a->record, a->n);
	for (i = 0; i < a->n && out->name.n < HOSTS_MOST; i++) {
		name = a->record[i].name;
		/* the null MX stands alone; beside others it is a mistake */
		if (name && *name && !list_has_nocase(&out->name, name))
			list_add(&out->name, name);
	}
	if (out->name.n)
		return true;
	return outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.1.10",
				   "the domain %s takes no mail (null MX)",
				   domain);
}

static bool end_of_chain(struct dns_answer *a, const char *domain,
		     struct exchanges *out, struct outcome *why)
{
	out->authentic = a->authentic;
	switch (a->status) {
	case DNS_OK:
		return take_mx(a, domain, out, why);
	case DNS_NODATA:
		list_add(&out->name, out->canonical);
		return true;
	case DNS_NXDOMAIN:
		return no_domain(domain, why);
	case DNS_FAILED:
		break;
	}
	return outcome_fail_status(why, STAGE_DNS, EX_TEMPFAIL,
				   a->astray ? "4.4.6" : "4.4.3", "the MX records of %s cannot be looked "
				   "up: %s", domain, a->words);
}

/* The exchanges of a domain: MX records by preference, equals shuffled, else
 * the domain itself. False: EX_NOHOST (no such domain, null MX),
 * EX_TEMPFAIL (also a loop of CNAMEs). */
static bool exchanges_find(struct dns *dns, const char *domain,
		    struct exchanges *out, struct outcome *why)
{
	struct dns_answer a = { 0 };
	bool ok;

	*out = (struct exchanges){ 0 };
	dns_query(dns, domain, DNS_MX, &a);
	out->canonical = mem_string(a.cname && *a.cname ? a.cname : domain);
	ok = end_of_chain(&a, domain, out, why);
	dns_answer_release(&a);
	return ok;
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
	struct tls_evidence *e = &j->evidence[i];

	if (a->status == DNS_FAILED) {
		e->dane_failed = true;
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
		    j->evidence[i].dane_failed ||
		    j->evidence[i].dane_records)
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
		if (!j->evidence[i].dane_usable)
			return true;
	return false;
}

static void hold_against(struct judging *j, size_t i,
			 const struct sts_policy *p)
{
	struct host *h = &j->out->item[i];

	if (sts_lists(p, h->name)) {
		j->evidence[i].sts_enforce = p->mode == STS_ENFORCE;
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
	j->evidence[i].sts_unlisted = true;
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
		j->evidence[i].sts_failed = true;
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
		if (!j->evidence[i].dane_usable &&
		    !j->evidence[i].dane_failed)
			hold_against(j, i, &p);
	sts_policy_release(&p);
}

/* --- which of them may be used --- */

static void drop_unusable(struct judging *j)
{
	struct hosts *h = j->out;
	size_t i, kept = 0;
	enum host_use use;

	for (i = 0; i < h->n; i++) {
		use = policy_host(&j->evidence[i], j->query->require_tls);
		if (use == HOST_NOT_PROVED)
			snprintf(j->permanent, sizeof(j->permanent),
				 "REQUIRETLS was asked for, but %.80s has "
				 "neither DANE nor an enforced MTA-STS policy",
				 h->item[i].name);
		if (use != HOST_USED) {
			host_release(&h->item[i]);
			continue;
		}
		h->item[i].demand = policy_tls(j->query->transport, false,
					       &j->evidence[i],
					       is_relaxed(j));
		if (kept != i)
			h->item[kept] = h->item[i];
		kept++;
	}
	h->n = kept;
}

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

	apply_dane(&j);
	apply_policy(&j);
	drop_unusable(&j);
	if (out->n)
		return true;
	if (j.temporary[0])
		return outcome_fail_status(why, STAGE_DNS, EX_TEMPFAIL,
					   "4.7.0", "%s", j.temporary);
	return outcome_fail_status(why, STAGE_DNS, EX_UNAVAILABLE, "5.7.30",
				   "%s", j.permanent);
}

/* --- hosts with their addresses --- */

/* The two answers about one host. */
struct lookup {
	struct dns_question question[2];
	size_t n;
};

struct search {
	struct run *run;
	const struct hosts_query *query;
	struct hosts *out;
	struct exchanges exchanges;
	struct lookup lookup[HOSTS_MOST];
	struct assurance assurance[HOSTS_MOST];
	char local[80];            /* an address that the guard held back */
	char failed[200];          /* words of a look-up that failed */
};

static bool asks_v4(const struct transport *t)
{
	return t->ip_family != FAMILY_V6;
}

static bool asks_v6(const struct transport *t)
{
	return t->ip_family != FAMILY_V4;
}

/* RFC 6724 would sort what this host cannot reach last; of two families only
 * the lack of one matters here. A proxy's families are not ours to know. */
static bool puts_v4_first(struct run *run, const struct transport *t)
{
	if (t->ip_family != FAMILY_ANY)
		return t->ip_family == FAMILY_PREFER_V4;
	return !kind_has(t->kind, IS_PROXIED) && !run_has_ipv6(run);
}

/* --- words --- */

static bool is_here(const struct config *c, const char *domain)
{
	const char *dot = strrchr(domain, '.');

	return !dot || !strcasecmp(dot, ".localhost") ||
	       !strcasecmp(dot, ".localdomain") ||
	       (c->general.hostname &&
		!strcasecmp(domain, c->general.hostname)) ||
	       (c->general.domain && !strcasecmp(domain, c->general.domain));
}

static const char advice[] =
	"mail for local users needs an address elsewhere, by \"aliases\" or "
	"\"default_recipient\", or a route to a relay";

/* A machine's own name is mostly not meant as a mail domain at all. */
static bool advise(const struct search *s, struct outcome *why)
{
	struct outcome first = *why;

	if (first.exit == EX_NOHOST && strcmp(first.status, "5.1.10") &&
	    is_here(s->run->config, s->query->domain))
		return outcome_fail_status(why, STAGE_DNS, EX_NOHOST,
					   first.status, "%s; %s", first.text,
					   advice);
	return false;
}

static bool loops_back(const struct search *s, struct outcome *why)
{
	return outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.4.6",
				   "the mail host of %s is this machine "
				   "itself (%s); %s", s->query->domain,
				   s->local, advice);
}

static bool nowhere(const struct search *s, struct outcome *why)
{
	const int family = s->query->transport->ip_family;

	if (s->failed[0])
		return outcome_fail_status(why, STAGE_DNS, EX_TEMPFAIL,
					   "4.4.3", "%s", s->failed);
	if (s->local[0])
		return loops_back(s, why);
	(void)outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.1.2",
				  "%s has no %s an %saddress",
				  s->query->domain, s->exchanges.has_mx ?
				  "mail host with" : "MX record and not",
				  family == FAMILY_V4 ? "IPv4 " :
				  family == FAMILY_V6 ? "IPv6 " : "");
	return advise(s, why);
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

static void take_address(struct search *s, struct host *h,
			 const struct dns_question *q, size_t i)
{
	struct net_address a;

	if (i >= q->answer.n)
		return;
	a = q->answer.record[i].address;
	if (is_forbidden(s, &a))
		return;
	net_address_set_port(&a, h->port);
	net_addresses_add(&h->addresses, &a);
}

/* Both families in turn (RFC 8305 section 4), the preferred one first. */
static void take_addresses(struct search *s, struct host *h,
			   const struct lookup *l)
{
	size_t i, j;

	h->have_addresses = true;
	for (i = 0; i < ADDRESSES_MOST; i++)
		for (j = 0; j < l->n; j++)
			take_address(s, h, &l->question[j], i);
}

static void note_failure(struct search *s, const struct lookup *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->question[i].answer.status == DNS_FAILED)
			snprintf(s->failed, sizeof(s->failed),
				 "the addresses of %.100s cannot be looked "
				 "up: %.60s", l->question[i].name,
				 l->question[i].answer.words);
}

static bool is_authentic(const struct lookup *l)
{
	bool any = false;
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (l->question[i].answer.status != DNS_OK)
			continue;
		if (!l->question[i].answer.authentic)
			return false;
		any = true;
	}
	return any;
}

static const char *cname_of(const struct lookup *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->question[i].answer.status == DNS_OK)
			return l->question[i].answer.cname;
	return NULL;
}

static void ask_all(struct search *s)
{
	const struct list *name = &s->exchanges.name;
	const struct transport *t = s->query->transport;
	struct dns_question all[2 * HOSTS_MOST] = { 0 };
	const bool v4_first = puts_v4_first(s->run, t);
	size_t i, j, n = 0;

	for (i = 0; i < name->n; i++) {
		if (asks_v6(t))
			all[n++] = (struct dns_question){
				.name = name->item[i],
				.type = v4_first ? DNS_A : DNS_AAAA };
		if (asks_v4(t))
			all[n++] = (struct dns_question){
				.name = name->item[i],
				.type = v4_first ? DNS_AAAA : DNS_A };
	}
	dns_ask(run_dns(s->run), all, n);
	for (i = 0, n = 0; i < name->n; i++) {
		s->lookup[i].n = (size_t)asks_v4(t) + (size_t)asks_v6(t);
		for (j = 0; j < s->lookup[i].n; j++)
			s->lookup[i].question[j] = all[n++];
	}
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

static void take_host(struct search *s, size_t i)
{
	const char *name = s->exchanges.name.item[i];
	struct lookup *l = &s->lookup[i];
	struct assurance *a = &s->assurance[s->out->n];
	struct host *h = add_host(s, name, name);

	take_addresses(s, h, l);
	if (!h->addresses.n) {
		note_failure(s, l);
		host_release(h);
		s->out->n--;
		return;
	}
	a->authentic = s->exchanges.authentic && is_authentic(l);
	a->cname = mem_string(cname_of(l));
}

/* Cuts addresses so that each later host keeps one. */
static void limit_addresses(struct hosts *h)
{
	size_t i, room, left = ADDRESSES_MOST;

	for (i = 0; i < h->n; i++) {
		room = policy_addresses(h->item[i].addresses.n, h->n - i - 1,
					left);
		h->item[i].addresses.n = room;
		left -= h->item[i].addresses.n;
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
	size_t i;

	ask_all(s);
	for (i = 0; i < s->exchanges.name.n; i++)
		take_host(s, i);
	limit_addresses(s->out);
	return s->out->n ? true : nowhere(s, why);
}

static bool by_exchanges(struct search *s, struct outcome *why)
{
	const struct transport *t = s->query->transport;

	if (!exchanges_find(run_dns(s->run), s->query->domain, &s->exchanges,
			    why)) {
		why->no_network = dns_no_network(s->run->dns);
		return advise(s, why);
	}
	if (kind_has(t->kind, IS_PROXIED) && transport_proxy_dns(t))
		return by_names(s, why);
	return by_addresses(s, why);
}

static void search_release(struct search *s)
{
	size_t i, j;

	for (i = 0; i < HOSTS_MOST; i++) {
		for (j = 0; j < s->lookup[i].n; j++)
			dns_answer_release(&s->lookup[i].question[j].answer);
		free(s->assurance[i].cname);
	}
	exchanges_release(&s->exchanges);
}

bool hosts_by_domain(struct run *run, const struct hosts_query *query,
		     struct hosts *out, struct outcome *why)
{
	struct search s = { .run = run, .query = query, .out = out };
	bool ok;

	if (!query->domain || !*query->domain)
		return outcome_fail_status(why, STAGE_DNS, EX_NOHOST, "5.1.2",
					   "an address without a domain");
	if (domain_is_literal(query->domain))
		ok = by_literal(&s, why);
	else
		ok = by_exchanges(&s, why);
	ok = ok && hosts_secure(run, query, s.exchanges.canonical,
				s.assurance, out, why);
	search_release(&s);
	return ok;
}
