/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From an address to the server that takes its mail. What the domain itself
 * says comes first, then what is known, then what answers. */
#include "desk/discover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/scan.h"
#include "mail/address.h"
#include "mail/autoconfig.h"
#include "submit/hosts.h"
#include "submit/link.h"
#include "submit/mtasts_fetch.h"
#include "wire/digest.h"

enum { GUESSES = 3, DOCUMENT_MAX = 64 * 1024 };
/* A server that does not answer at once is not the one that was meant. */
enum { CONNECT_MS = 4000, ANSWER_MS = 5000 };

struct search {
	struct config config;      /* as in effect, but in more of a hurry */
	struct run run;
	const char *domain;
	bool https;                /* the domain is asked there, too */
	struct finding found;
	char near[600];            /* what answered, and why it will not do */
	char unheard[160];         /* is there, and answers on no port */
	char dns_fault[128];       /* DNS gave no answer about the domain */
};

static struct transport a_transport(enum kind kind, char **host)
{
	struct transport t = *config_direct();

	t.kind = (int)kind;
	t.host = (struct list){ .item = host, .n = 1 };
	return t;
}

static void take_server(struct search *s, const char *host, unsigned port,
			enum kind kind)
{
	s->found.host = mem_string(host);
	s->found.port = port;
	s->found.kind = kind;
	if (!s->found.provider)
		s->found.provider = provider_of_host(host);
	if (s->found.provider) {
		s->found.token = s->found.provider->token;
		s->found.issuer = s->found.provider->issuer;
	}
}

/* --- what the domain says (RFC 6186, RFC 8314) --- */

static bool by_srv_of(struct search *s, enum kind kind)
{
	char *domain = mem_string(s->domain);
	struct transport t = a_transport(kind, &domain);
	const struct hosts_query query = { .transport = &t };
	struct hosts hosts = { 0 };
	struct outcome ignored;
	const struct host *h;

	t.srv = true;
	if (!hosts_find(&s->run, &query, &hosts, &ignored) || !hosts.n) {
		hosts_release(&hosts);
		free(domain);
		return false;
	}
	h = &hosts.item[0];
	take_server(s, h->name, h->port, kind);
	/* where no further name is acceptable, DNS led elsewhere and nothing
	 * but DNS says so */
	s->found.foreign = !h->more_names.n &&
			   !(s->found.provider && s->found.provider->host &&
			     !strcasecmp(s->found.provider->host, h->name)) &&
			   strcasecmp(h->name, s->domain);
	snprintf(s->found.how, sizeof(s->found.how),
		 "Found by SRV records of %.200s", s->domain);
	hosts_release(&hosts);
	free(domain);
	return true;
}

/* --- what the domain says by HTTPS --- */

/* A document counts that has the digest which the domain's DNS tells. */
static bool has_digest(struct search *s, const struct buf *text)
{
	static const char begin[] = "v=UAAC1;";
	char *name = mem_printf("_ua-auto-config.%s", s->domain);
	unsigned char sum[SHA256_SIZE];
	struct dns_answer a = { 0 };
	struct scan key, value, record;
	struct buf want = BUF(128);
	bool found = false;
	size_t i;

	if (digest_sha256(buf_text(text), text->len, sum) &&
	    buf_add_base64(&want, sum, sizeof(sum)))
		dns_query(run_dns(&s->run), name, DNS_TXT, &a);
	for (i = 0; i < a.n && !found; i++) {
		record = scan_text(a.record[i].text ? a.record[i].text : "");
		if (!scan_skip(&record, begin))
			continue;
		while (scan_pair(&record, ';', &key, &value))
			found = found || (scan_is(&key, "d") && value.p &&
					  scan_is(&value, buf_text(&want)));
	}
	dns_answer_release(&a);
	buf_release(&want);
	free(name);
	return found;
}

static bool by_document(struct search *s, const char *document,
			const char *label)
{
	char *host = mem_printf("%s%s", label, s->domain);
	struct buf text = BUF(DOCUMENT_MAX);
	bool json = !strcmp(document, "pacc");
	struct finding *f = &s->found;
	struct autoconfig a;
	bool found;

	found = document_fetch(&s->run, document, host, &text) &&
		(json ? has_digest(s, &text) &&
			autoconfig_json(buf_text(&text), text.len, &a) :
		 autoconfig_xml(buf_text(&text), text.len, s->domain, &a));
	if (found) {
		take_server(s, a.host, a.port, a.starttls ? KIND_SUBMISSION :
			    KIND_SUBMISSIONS);
		f->local_part = a.local_part && !f->provider;
		if (!f->provider)
			f->token = a.login && !a.password;
		if (!f->issuer && a.issuer[0]) {
			snprintf(f->said, sizeof(f->said), "%s", a.issuer);
			f->issuer = f->said;
		}
		snprintf(f->how, sizeof(f->how),
			 "Found by HTTPS, said by %.200s", host);
	}
	buf_release(&text);
	free(host);
	return found;
}

/* --- what is known --- */

static bool by_provider(struct search *s)
{
	const struct provider *p = s->found.provider;
	struct dns_answer a = { 0 };
	size_t i;

	snprintf(s->found.how, sizeof(s->found.how),
		 "Known by the address's domain");
	if (!p) {
		dns_query(run_dns(&s->run), s->domain, DNS_MX, &a);
		if (a.status == DNS_FAILED)
			snprintf(s->dns_fault, sizeof(s->dns_fault), "%s",
				 a.words);
		for (i = 0; i < a.n && !p; i++)
			if (a.record[i].name)
				p = provider_of_mx(a.record[i].name);
		dns_answer_release(&a);
		s->found.provider = p;
		snprintf(s->found.how, sizeof(s->found.how),
			 "Known by the mail hosts of %.200s", s->domain);
	}
	if (!p || p->none)
		return false;
	take_server(s, p->host, p->port, p->kind);
	return true;
}

/* --- what answers --- */

/* The names worth trying, with their addresses by the DNS of the
 * configuration. */
static void guess_hosts(struct search *s, struct host guess[GUESSES])
{
	static const char *const labels[GUESSES] = { "mail", "smtp",
						     "submission" };
	struct dns_question q[2 * GUESSES] = { 0 };
	size_t i, k;

	for (i = 0; i < GUESSES; i++) {
		guess[i] = (struct host){
			.name = mem_printf("%s.%s", labels[i], s->domain),
			.demand = DEMAND_VERIFIED, .have_addresses = true,
		};
		guess[i].tls_name = guess[i].name;
		q[2 * i] = (struct dns_question){ .name = guess[i].name,
						  .type = DNS_AAAA };
		q[2 * i + 1] = (struct dns_question){ .name = guess[i].name,
						      .type = DNS_A };
	}
	dns_ask(run_dns(&s->run), q, 2 * GUESSES);
	for (i = 0; i < 2 * GUESSES; i++) {
		for (k = 0; k < q[i].answer.n; k++)
			net_addresses_add(&guess[i / 2].addresses,
					  &q[i].answer.record[k].address);
		dns_answer_release(&q[i].answer);
	}
}

static bool answers(struct search *s, struct host *h, enum kind kind)
{
	struct transport t = a_transport(kind, &h->name);
	const struct link_options o = { 0 };
	const struct list *offered;
	struct link link;
	struct outcome why;
	bool open;
	size_t i;

	h->port = transport_port(&t);
	for (i = 0; i < h->addresses.n; i++)
		net_address_set_port(&h->addresses.item[i], h->port);
	h->implicit_tls = policy_tls_implicit(&t);
	open = link_open(&s->run, &t, h, &o, &link, &why);
	if (open) {
		take_server(s, h->name, h->port, kind);
		offered = &session_facts(link.session)->features.mechanisms;
		if (!session_mechanism(link.session) &&
		    (list_has_nocase(offered, "XOAUTH2") ||
		     list_has_nocase(offered, "OAUTHBEARER")))
			s->found.token = true;
		snprintf(s->found.how, sizeof(s->found.how),
			 "Found by trying: %.160s answers on port %u, "
			 "certificate verified", h->name, h->port);
	} else if (why.stage != STAGE_CONNECT) {
		snprintf(s->near, sizeof(s->near), "; %.100s port %u: %.400s",
			 h->name, h->port, why.text);
	} else if (!s->unheard[0]) {
		snprintf(s->unheard, sizeof(s->unheard), "; %.100s is there "
			 "and silent (are the ports blocked?)", h->name);
	}
	link_close(&link);
	return open;
}

static bool by_guess(struct search *s)
{
	static const enum kind kinds[] = { KIND_SUBMISSIONS,
					   KIND_SUBMISSION };
	struct host guess[GUESSES];
	bool found = false;
	size_t i, k;

	guess_hosts(s, guess);
	for (k = 0; k < 2; k++)
		for (i = 0; i < GUESSES && !found; i++)
			found = guess[i].addresses.n &&
				answers(s, &guess[i], kinds[k]);
	for (i = 0; i < GUESSES; i++) {
		net_addresses_release(&guess[i].addresses);
		free(guess[i].name);
	}
	return found;
}

/* --- all of it --- */

bool discover_address(const char *option, const char *text, char **address,
		      struct outcome *why)
{
	bool qualified;

	*address = NULL;
	if (!address_one(text, address, &qualified, why)) {
		why->exit = EX_USAGE;
		return false;
	}
	if (!**address || !qualified)
		return outcome_fail(why, STAGE_LOCAL, EX_USAGE,
				    "%s: \"%s\" is not an address with a "
				    "domain", option, text);
	if (domain_is_literal(address_domain(*address)))
		return outcome_fail(why, STAGE_LOCAL, EX_USAGE,
				    "%s: %s names a host, not a provider",
				    option, *address);
	return true;
}

static bool find_provider(struct search *s, struct outcome *why)
{
	s->found.provider = provider_of_domain(s->domain);
	if (s->found.provider && s->found.provider->none)
		return finding_usable(&s->found, why);
	if (by_srv_of(s, KIND_SUBMISSIONS) || by_srv_of(s, KIND_SUBMISSION) ||
	    /* where the address's own domain is a known provider's, its row
	     * says more */
	    (s->https && !s->found.provider &&
	     (by_document(s, "pacc", "ua-auto-config.") ||
	      by_document(s, "autoconfig", "autoconfig.") ||
	      by_document(s, "well-known", ""))) ||
	    by_provider(s) || by_guess(s))
		return true;
	if (s->found.provider && s->found.provider->none)
		return finding_usable(&s->found, why);
	if (s->dns_fault[0]) {
		outcome_fail(why, STAGE_DNS, EX_TEMPFAIL, "%.100s: DNS gives "
			     "no answer: %s", s->domain, s->dns_fault);
		why->no_network = dns_no_network(run_dns(&s->run));
		return false;
	}
	return outcome_fail(why, STAGE_DNS, EX_NOHOST,
			    "found no server that takes mail of %.100s users: "
			    "no SRV records, no known provider, and neither "
			    "mail., smtp. nor submission.%.100s answers on "
			    "ports 465 and 587 as it should%s", s->domain,
			    s->domain, s->near[0] ? s->near : s->unheard);
}

bool finding_usable(const struct finding *f, struct outcome *why)
{
	if (!f->provider || !f->provider->none)
		return true;
	return outcome_fail(why, STAGE_LOCAL, EX_UNAVAILABLE, "%s",
			    f->provider->none);
}

void finding_of_provider(struct finding *f, const struct provider *p,
			 const char *how)
{
	f->provider = p;
	free(f->host);
	f->host = mem_string(p->host);
	f->port = p->port;
	f->kind = p->kind;
	f->token = p->token;
	f->issuer = p->issuer;
	f->foreign = false;
	snprintf(f->how, sizeof(f->how), "%s", how);
}

void finding_of_host(struct finding *f, const char *host, const char *how)
{
	free(f->host);
	f->host = mem_string(host);
	f->port = 465;
	f->kind = KIND_SUBMISSIONS;
	/* whatever was found or named before */
	f->provider = NULL;
	f->issuer = NULL;
	f->token = f->local_part = f->foreign = false;
	snprintf(f->how, sizeof(f->how), "%s", how);
}

bool discover(const struct desk *d, const char *address, bool https,
	      struct finding *f, struct outcome *why)
{
	struct search s = { .config = *d->config, .https = https };
	struct desk hurried = *d;
	bool found;

	hurried.config = &s.config;
	s.config.general.connect_timeout = CONNECT_MS;
	s.config.general.timeout = ANSWER_MS;
	s.found.address = address;
	s.domain = address_domain(address);
	desk_run_init(&hurried, &s.run);
	found = find_provider(&s, why);
	desk_run_release(&s.run);
	*f = s.found;
	if (f->issuer == s.found.said)
		f->issuer = f->said;
	return found;
}

void finding_release(struct finding *f)
{
	free(f->host);
	*f = (struct finding){ 0 };
}
