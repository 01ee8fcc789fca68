/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keys in DNS against the private keys that sign (RFC 6376 3.6.1). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dnscheck/dnscheck_parts.h"
#include "mail/dkim.h"

/* One selector with what belongs to it. */
struct signing {
	char *name;                /* SELECTOR._domainkey.DOMAIN */
	char *record;              /* what the private key asks for */
	char *publish;
};

static void drop_blanks(char *s)
{
	char *to = s;

	for (; *s; s++)
		if (!strchr(" \t\r\n", *s))
			*to++ = *s;
	*to = '\0';
}

static bool same_tag(const char *a, const char *b, const char *tag,
		     const char *fallback)
{
	char *x = tag_value(a, tag), *y = tag_value(b, tag);
	bool same;

	x = x ? x : mem_string(fallback);
	y = y ? y : mem_string(fallback);
	drop_blanks(x);
	drop_blanks(y);
	same = !strcmp(x, y);
	free(x);
	free(y);
	return same;
}

/* Whether a tag that restricts a key, if it is there, has a word among
 * others ("h=sha256:sha1"). */
static bool allows(const char *record, const char *tag, const char *word)
{
	char *value = tag_value(record, tag);
	struct list words = { 0 };
	bool ok;

	if (!value)
		return true;
	list_split(&words, value, ": \t");
	ok = list_has_nocase(&words, word) ||
	     (!strcmp(tag, "s") && list_has(&words, "*"));
	list_release(&words);
	free(value);
	return ok;
}

/* In words what makes verifiers fail; NULL: nothing. */
static const char *fault_of(const char *found, const char *wanted)
{
	char *version = tag_value(found, "v");
	char *key = tag_value(found, "p");
	const char *fault = NULL;

	if (version && strcmp(version, "DKIM1"))
		fault = "it is not a DKIM1 record";
	else if (!key)
		fault = "it holds no key";
	else if (!*key)
		fault = "the key is revoked (p= is empty)";
	else if (!same_tag(found, wanted, "k", "rsa"))
		fault = "it is a key of another kind";
	else if (!same_tag(found, wanted, "p", ""))
		fault = "the key differs from the private key";
	else if (!allows(found, "h", "sha256"))
		fault = "its h= does not allow sha256";
	else if (!allows(found, "s", "email"))
		fault = "its s= does not allow email";
	free(version);
	free(key);
	return fault;
}

static void check_record(struct dnscheck *c, const struct signing *s)
{
	struct dns_answer a = { 0 };
	const char *found = NULL, *fault = NULL;
	char *flags = NULL;

	dns_query(c->dns, s->name, DNS_TXT, &a);
	if (a.status == DNS_OK) {
		found = a.record[0].text;
		fault = fault_of(found, s->record);
		flags = tag_value(found, "t");
	}
	if (a.status == DNS_FAILED)
		report(c, GRADE_FAIL, "dkim", s->name, NULL,
		       "cannot be looked up: %s", a.words);
	else if (!found)
		report(c, GRADE_FAIL, "dkim", s->name, s->publish,
		       "no key in DNS, so that no signature verifies");
	else if (fault)
		report(c, GRADE_FAIL, "dkim", s->name, s->publish, "%s: "
		       "%.200s", fault, found);
	else if (a.n > 1)
		report(c, GRADE_WARN, "dkim", s->name, s->publish,
		       "%zu TXT records where one belongs", a.n);
	else if (flags && strchr(flags, 'y'))
		report(c, GRADE_WARN, "dkim", s->name, s->publish, "the key "
		       "is right, but marked as a test (t=y)");
	else
		report(c, GRADE_OK, "dkim", s->name, NULL, "the key is that "
		       "of the private key");
	free(flags);
	dns_answer_release(&a);
}

void check_dkim(struct dnscheck *c)
{
	const struct domain *d = config_domain(c->d->config, c->domain);
	struct dkim_key *key;
	struct signing s;
	struct outcome why;
	size_t i;

	if (!d || !d->dkim_selector.n)
		report(c, GRADE_WARN, "dkim", c->domain, NULL, "mail is not "
		       "signed here: [domain %s] sets no dkim_selector and "
		       "dkim_key", c->domain);
	for (i = 0; d && i < d->dkim_selector.n; i++) {
		s = (struct signing){ .name = mem_printf("%s._domainkey.%s",
				d->dkim_selector.item[i], c->domain) };
		key = NULL;
		if (dkim_key_read(d->dkim_key.item[i], &key, &why) &&
		    dkim_key_record(key, &s.record, &why)) {
			s.publish = txt_record(s.name, s.record);
			check_record(c, &s);
		} else {
			report(c, GRADE_FAIL, "dkim", s.name, NULL,
			       "mail waits: %s", why.text);
		}
		dkim_key_free(key);
		free(s.name);
		free(s.record);
		free(s.publish);
	}
}
