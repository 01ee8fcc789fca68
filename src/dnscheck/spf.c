/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnscheck/spf.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/endpoint.h"
#include "dnscheck/spf_parts.h"

enum { LOOKUPS_MAX = 10, VOIDS_MAX = 2, NAMES_MAX = 10 };

const char *spf_name(enum spf_result result)
{
	static const char *const name[] = {
		[SPF_NONE] = "none", [SPF_NEUTRAL] = "neutral",
		[SPF_PASS] = "pass", [SPF_FAIL] = "fail",
		[SPF_SOFTFAIL] = "softfail", [SPF_TEMPERROR] = "temperror",
		[SPF_PERMERROR] = "permerror",
	};

	return name[result];
}

/* What a mechanism comes to: it matches, it does not, or all ends. */
enum match { MATCH_NO, MATCH_YES, MATCH_TEMPERROR, MATCH_PERMERROR };

/* A term of a record in its parts. */
struct term {
	const char *name;
	size_t name_len;
	const char *spec;      /* after ":" or "=", without CIDR lengths */
	size_t spec_len;
	bool has_spec;
	unsigned v4, v6;       /* prefix lengths */
	const char *text;      /* the whole, for words */
	size_t text_len;
	enum spf_result result; /* by its qualifier */
	bool modifier;
};

static enum match wrong(struct spf *s, const char *what, const struct term *t)
{
	snprintf(s->words, 200, "%s: %.*s", what,
		 (int)(t->text_len < 120 ? t->text_len : 120), t->text);
	return MATCH_PERMERROR;
}

/* --- asking DNS --- */

static enum match spf_look_up(struct spf *s, const char *name,
			      enum dns_type type, struct dns_answer *a)
{
	*a = (struct dns_answer){ 0 };
	dns_query(s->dns, name, type, a);
	if (a->status == DNS_FAILED) {
		snprintf(s->words, 200, "%.100s cannot be looked up: %.60s",
			 name, a->words);
		dns_answer_release(a);
		return MATCH_TEMPERROR;
	}
	if (a->status != DNS_OK && ++s->voids > VOIDS_MAX) {
		snprintf(s->words, 200, "more than 2 look-ups that find "
			 "nothing (%.100s)", name);
		dns_answer_release(a);
		return MATCH_PERMERROR;
	}
	return MATCH_YES;
}

static const unsigned char *bytes_of(const struct net_address *a)
{
	return a->sa.ss_family == AF_INET ?
	       (const unsigned char *)&a->v4.sin_addr :
	       a->v6.sin6_addr.s6_addr;
}

static bool in_network(const struct net_address *ip,
		       const struct net_address *net, unsigned v4, unsigned v6)
{
	const unsigned bits = ip->sa.ss_family == AF_INET ? v4 : v6;
	const unsigned char *a, *b;
	unsigned mask;

	if (ip->sa.ss_family != net->sa.ss_family)
		return false;
	a = bytes_of(ip);
	b = bytes_of(net);
	if (memcmp(a, b, bits / 8))
		return false;
	mask = 0xff00u >> bits % 8 & 0xff;
	return !(bits % 8) || !((a[bits / 8] ^ b[bits / 8]) & mask);
}

static enum match match_addresses(struct spf *s, const char *name,
				  const struct term *t)
{
	struct dns_answer a;
	enum match m = spf_look_up(s, name, spf_address_type(s->query->ip), &a);
	size_t i;

	if (m != MATCH_YES)
		return m;
	m = MATCH_NO;
	for (i = 0; a.status == DNS_OK && i < a.n && m == MATCH_NO; i++)
		if (in_network(s->query->ip, &a.record[i].address, t->v4,
			       t->v6))
			m = MATCH_YES;
	dns_answer_release(&a);
	return m;
}

static enum match match_mx(struct spf *s, const char *name,
			   const struct term *t)
{
	struct dns_answer a;
	enum match m = spf_look_up(s, name, DNS_MX, &a);
	size_t i;

	if (m != MATCH_YES)
		return m;
	m = MATCH_NO;
	if (a.status == DNS_OK && a.n > NAMES_MAX)
		m = wrong(s, "more than 10 MX records", t);
	for (i = 0; a.status == DNS_OK && i < a.n && m == MATCH_NO; i++)
		if (a.record[i].name && *a.record[i].name)
			m = match_addresses(s, a.record[i].name, t);
	dns_answer_release(&a);
	return m;
}

/* RFC 7208 section 5.5: failures here only mean no match. */
static enum match match_ptr(struct spf *s, const char *domain)
{
	const struct list *name = spf_validated(s);
	size_t i;

	if (s->ptr_void && ++s->voids > VOIDS_MAX) {
		snprintf(s->words, 200, "more than 2 look-ups that find "
			 "nothing (ptr)");
		return MATCH_PERMERROR;
	}
	for (i = 0; i < name->n; i++)
		if (spf_is_within(name->item[i], domain))
			return MATCH_YES;
	return MATCH_NO;
}

static enum match match_exists(struct spf *s, const char *name)
{
	struct dns_answer a;
	enum match m = spf_look_up(s, name, DNS_A, &a);

	if (m != MATCH_YES)
		return m;
	m = a.status == DNS_OK ? MATCH_YES : MATCH_NO;
	dns_answer_release(&a);
	return m;
}

/* --- terms --- */

static bool read_bits(const char *p, size_t n, unsigned most, unsigned *out)
{
	size_t i;

	*out = 0;
	if (!n || n > 3 || (n > 1 && p[0] == '0'))
		return false;
	for (i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		*out = *out * 10 + (unsigned)(p[i] - '0');
	}
	return *out <= most;
}

static size_t trailing_digits(const char *p, size_t n)
{
	size_t k = 0;

	while (k < n && p[n - k - 1] >= '0' && p[n - k - 1] <= '9')
		k++;
	return k;
}

/* Cuts "/24", "//64" or "/24//64" off the end. False: bad lengths. */
static bool cut_cidr(const char *p, size_t *n, struct term *t)
{
	size_t k = trailing_digits(p, *n);

	t->v4 = 32;
	t->v6 = 128;
	if (*n >= k + 2 && p[*n - k - 1] == '/' && p[*n - k - 2] == '/') {
		if (!read_bits(p + *n - k, k, 128, &t->v6))
			return false;
		*n -= k + 2;
		k = trailing_digits(p, *n);
	}
	if (*n >= k + 1 && p[*n - k - 1] == '/') {
		if (!read_bits(p + *n - k, k, 32, &t->v4))
			return false;
		*n -= k + 1;
	}
	return true;
}

static bool term_is(const struct term *t, const char *name)
{
	return t->name_len == strlen(name) &&
	       !strncasecmp(t->name, name, t->name_len);
}

static bool is_name(const char *p, size_t n)
{
	size_t i;

	if (!n || !((p[0] | 32) >= 'a' && (p[0] | 32) <= 'z'))
		return false;
	for (i = 1; i < n; i++)
		if (!((p[i] | 32) >= 'a' && (p[i] | 32) <= 'z') &&
		    !(p[i] >= '0' && p[i] <= '9') && !strchr("-_.", p[i]))
			return false;
	return true;
}

static bool read_term(const char *p, size_t n, struct term *t)
{
	static const char qualifier[] = "+-~?";
	static const enum spf_result by[] = { SPF_PASS, SPF_FAIL,
		SPF_SOFTFAIL, SPF_NEUTRAL };
	const char *q = strchr(qualifier, p[0]);
	size_t k;

	*t = (struct term){ .text = p, .text_len = n, .result = SPF_PASS };
	if (q && p[0]) {
		t->result = by[q - qualifier];
		p++;
		n--;
	}
	for (k = 0; k < n && !strchr(":=/", p[k]); k++)
		;
	t->name = p;
	t->name_len = k;
	t->modifier = k < n && p[k] == '=';
	if (!is_name(p, k) || (t->modifier && q))
		return false;
	p += k;
	n -= k;
	t->has_spec = n > 0 && *p != '/';
	if (t->has_spec) {
		p++;
		n--;
	}
	t->spec = p;
	if (!t->modifier && (term_is(t, "a") || term_is(t, "mx")) &&
	    !cut_cidr(p, &n, t))
		return false;
	t->spec_len = n;
	return t->has_spec ? n > 0 || t->modifier : n == 0;
}

static enum match match_ip(struct spf *s, const struct term *t, bool v6)
{
	const char *slash = memchr(t->spec, '/', t->spec_len);
	const size_t n = slash ? (size_t)(slash - t->spec) : t->spec_len;
	unsigned bits = v6 ? 128 : 32;
	struct net_address net;
	char text[64] = "";

	if (!t->has_spec || !n || n >= sizeof(text) || t->spec[0] == '[' ||
	    (slash && !read_bits(slash + 1, t->spec_len - n - 1, bits,
				 &bits)))
		return wrong(s, "no network", t);
	memcpy(text, t->spec, n);
	/* no zone, and none of the notations of mail */
	if (ip_kind(text) == IP_NONE || strchr(text, '%') ||
	    !net_address_parse(text, 0, &net) ||
	    (net.sa.ss_family == AF_INET6) != v6)
		return wrong(s, "no network", t);
	return in_network(s->query->ip, &net, bits, bits) ? MATCH_YES :
	       MATCH_NO;
}

static enum spf_result check_domain(struct spf *s, const char *domain);

static enum match match_include(struct spf *s, const char *name,
				const struct term *t)
{
	switch (check_domain(s, name)) {
	case SPF_PASS:
		return MATCH_YES;
	case SPF_FAIL:
	case SPF_SOFTFAIL:
	case SPF_NEUTRAL:
		return MATCH_NO;
	case SPF_TEMPERROR:
		return MATCH_TEMPERROR;
	case SPF_NONE:
		return wrong(s, "no SPF record where one is included", t);
	case SPF_PERMERROR:
		break;
	}
	return MATCH_PERMERROR;
}

static bool count_lookup(struct spf *s)
{
	if (++s->lookups <= LOOKUPS_MAX)
		return true;
	snprintf(s->words, 200, "more than 10 terms that ask DNS");
	return false;
}

static enum match match_term(struct spf *s, const struct term *t,
			     const char *domain)
{
	struct buf name = BUF(4096);
	const char *at;
	enum match m;

	if (term_is(t, "all"))
		return MATCH_YES;
	if (term_is(t, "ip4") || term_is(t, "ip6"))
		return match_ip(s, t, term_is(t, "ip6"));
	if (!count_lookup(s))
		return MATCH_PERMERROR;
	if (!t->has_spec)
		buf_adds(&name, domain);
	else if (!spf_expand(s, domain, t->spec, t->spec_len, &name)) {
		buf_release(&name);
		return wrong(s, "bad domain or macro", t);
	}
	at = buf_text(&name);
	if (term_is(t, "a"))
		m = match_addresses(s, at, t);
	else if (term_is(t, "mx"))
		m = match_mx(s, at, t);
	else if (term_is(t, "ptr"))
		m = match_ptr(s, at);
	else if (term_is(t, "exists"))
		m = match_exists(s, at);
	else
		m = match_include(s, at, t);
	buf_release(&name);
	return m;
}

/* "c", "r" and "t" belong into explanations (RFC 7208 section 7.2). */
static bool is_domain_spec(const struct term *t)
{
	const char *p = t->spec, *end = t->spec + t->spec_len;

	for (; p + 2 < end; p++)
		if (p[0] == '%' && p[1] == '%')
			p++;
		else if (p[0] == '%' && p[1] == '{' && strchr("crtCRT", p[2]))
			return false;
	return spf_spec_valid(t->spec, t->spec_len, true);
}

/* Whether a mechanism is one, by its text alone. */
static bool check_mechanism(struct spf *s, const struct term *t)
{
	const bool needs = term_is(t, "include") || term_is(t, "exists");
	bool ok;

	if (term_is(t, "ip4") || term_is(t, "ip6"))
		return match_ip(s, t, term_is(t, "ip6")) != MATCH_PERMERROR;
	if (term_is(t, "all"))
		ok = !t->has_spec;
	else
		ok = needs || term_is(t, "a") || term_is(t, "mx") ||
		     term_is(t, "ptr");
	if (!ok || (needs && !t->has_spec)) {
		(void)wrong(s, "no such mechanism", t);
		return false;
	}
	ok = !t->has_spec || is_domain_spec(t);
	if (!ok)
		(void)wrong(s, "bad domain or macro", t);
	return ok;
}

/* --- records --- */

/* The one record of a domain, copied. *result tells where there is none. */
static char *find_record(struct spf *s, const char *domain,
			 enum spf_result *result)
{
	struct dns_answer a = { 0 };
	char *record = NULL;
	size_t i, found = 0;

	dns_query(s->dns, domain, DNS_TXT, &a);
	for (i = 0; a.status == DNS_OK && i < a.n; i++) {
		const struct dns_record *r = &a.record[i];

		if (r->text_len >= 6 && !strncasecmp(r->text, "v=spf1", 6) &&
		    (r->text_len == 6 || r->text[6] == ' ') && !found++)
			record = mem_stringn(r->text, r->text_len);
	}
	*result = a.status == DNS_FAILED ? SPF_TEMPERROR :
		  found > 1 ? SPF_PERMERROR : SPF_NONE;
	snprintf(s->words, 200, a.status == DNS_FAILED ?
		 "the TXT records of %.100s cannot be looked up" :
		 found > 1 ? "%.100s has more than one SPF record" :
		 "%.100s has no SPF record", domain);
	dns_answer_release(&a);
	if (found == 1)
		return record;
	free(record);
	return NULL;
}

/* What the modifiers of a record say. */
struct modifiers {
	struct term redirect;
	bool has_redirect, has_exp;
};

static bool take_modifier(struct spf *s, const struct term *t,
			  struct modifiers *m)
{
	bool *seen = term_is(t, "redirect") ? &m->has_redirect :
		     term_is(t, "exp") ? &m->has_exp : NULL;

	if (!seen) {
		if (spf_spec_valid(t->spec, t->spec_len, false))
			return true;
		(void)wrong(s, "a bad macro", t);
		return false;
	}
	if (*seen) {
		(void)wrong(s, "a modifier twice", t);
		return false;
	}
	if (!is_domain_spec(t)) {
		(void)wrong(s, "bad domain or macro", t);
		return false;
	}
	*seen = true;
	if (term_is(t, "redirect"))
		m->redirect = *t;
	return true;
}

/* The whole record is read before a term counts: a syntax error anywhere is
 * a permanent error (RFC 7208 section 4.6). */
static bool check_syntax(struct spf *s, const char *record,
			 struct modifiers *m)
{
	const char *p = record + 6;
	struct term t;
	size_t n;
	bool ok = true;

	for (; ok && *(p += strspn(p, " ")); p += n) {
		n = strcspn(p, " ");
		ok = read_term(p, n, &t);
		if (!ok)
			(void)wrong(s, "bad term", &t);
		else if (t.modifier)
			ok = take_modifier(s, &t, m);
		else
			ok = check_mechanism(s, &t);
	}
	return ok;
}

static enum spf_result redirect(struct spf *s, const struct modifiers *m,
				const char *domain)
{
	struct buf name = BUF(4096);
	enum spf_result result = SPF_PERMERROR;

	if (!count_lookup(s))
		return SPF_PERMERROR;
	if (spf_expand(s, domain, m->redirect.spec, m->redirect.spec_len,
		       &name))
		result = check_domain(s, buf_text(&name));
	else
		(void)wrong(s, "bad domain or macro", &m->redirect);
	buf_release(&name);
	return result == SPF_NONE ? SPF_PERMERROR : result;
}

static enum spf_result record_result(struct spf *s, const char *record,
				     const char *domain)
{
	struct modifiers mods = { 0 };
	const char *p = record + 6;
	enum match m;
	struct term t;
	size_t n;

	if (!check_syntax(s, record, &mods))
		return SPF_PERMERROR;
	for (; *(p += strspn(p, " ")); p += n) {
		n = strcspn(p, " ");
		if (!read_term(p, n, &t) || t.modifier)
			continue;
		m = match_term(s, &t, domain);
		if (m == MATCH_TEMPERROR)
			return SPF_TEMPERROR;
		if (m == MATCH_PERMERROR)
			return SPF_PERMERROR;
		if (m == MATCH_NO)
			continue;
		snprintf(s->words, 200, "%.60s: %.*s", domain,
			 (int)(n < 120 ? n : 120), p);
		return t.result;
	}
	if (mods.has_redirect)
		return redirect(s, &mods, domain);
	snprintf(s->words, 200, "%.100s: nothing matches", domain);
	return SPF_NEUTRAL;
}

static bool is_domain(const char *domain)
{
	const char *p = domain;
	size_t n;

	if (!*domain || strlen(domain) > 253 || !strchr(domain, '.'))
		return false;
	for (;; p += n + 1) {
		n = strcspn(p, ".");
		if (!n || n > 63)
			return false;
		if (!p[n])
			return true;
	}
}

static enum spf_result check_domain(struct spf *s, const char *domain)
{
	enum spf_result result;
	char *record;

	if (!is_domain(domain)) {
		snprintf(s->words, 200, "\"%.100s\" is no domain", domain);
		return SPF_NONE;
	}
	record = find_record(s, domain, &result);
	if (!record)
		return result;
	result = record_result(s, record, domain);
	free(record);
	return result;
}

enum spf_result spf_check(struct dns *dns, const struct spf_query *query,
			  char words[200])
{
	struct spf s = { .dns = dns, .query = query, .words = words };
	enum spf_result result;

	words[0] = '\0';
	result = check_domain(&s, query->domain);
	list_release(&s.validated);
	return result;
}
