/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values that are names of the mail world: domains, addresses, hosts,
 * mechanisms, fingerprints. They are stored in one form, so that comparing
 * them later is comparing strings. */
#include "config/keys.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mail/address.h"
#include "mail/mechanism.h"
#include "mail/reply.h"

enum { HEX_DIGITS = 64 };

static bool bad(struct outcome *why, const char *text, const char *wanted)
{
	return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
			    "\"%.80s\" is not %s", text, wanted);
}

/* One item of a list: *out is its stored form. */
typedef bool item_reader(const char *text, char **out, struct outcome *why);

static bool each(const char *text, struct list *l, item_reader *read,
		 struct outcome *why)
{
	struct list words = { 0 };
	bool good = true;
	char *item;
	size_t i;

	list_split(&words, text, ", \t");
	for (i = 0; good && i < words.n; i++) {
		item = NULL;
		good = read(words.item[i], &item, why);
		if (good)
			list_add(l, item);
		free(item);
	}
	list_release(&words);
	return good;
}

static bool normal_domain(const char *text, char **out, struct outcome *why)
{
	struct outcome detail;

	*out = NULL;
	if (domain_normalise(text, strlen(text), out, &detail))
		return true;
	free(*out);
	*out = NULL;
	return bad(why, text, "a domain");
}

static bool read_domain(const struct config_key *key, const char *text,
			void *field, struct outcome *why)
{
	(void)key;
	return normal_domain(text, field, why);
}

/* "example.org", ".example.org", "." */
static bool domain_item(const char *text, char **out, struct outcome *why)
{
	char *domain;

	if (text[0] != '.')
		return normal_domain(text, out, why);
	if (!text[1]) {
		*out = mem_string(".");
		return true;
	}
	if (!normal_domain(text + 1, &domain, why))
		return false;
	*out = mem_printf(".%s", domain);
	free(domain);
	return true;
}

static bool read_domains(const struct config_key *key, const char *text,
			 void *field, struct outcome *why)
{
	(void)key;
	return each(text, field, domain_item, why);
}

static bool normal_address(const char *text, char **out, bool *qualified,
			   struct outcome *why)
{
	struct outcome detail;

	*out = NULL;
	if (address_one(text, out, qualified, &detail) && **out)
		return true;
	free(*out);
	*out = NULL;
	return bad(why, text, "an address");
}

/* What lacks a domain gets one in config_defaults. */
static bool read_address(const struct config_key *key, const char *text,
			 void *field, struct outcome *why)
{
	bool qualified;

	(void)key;
	return normal_address(text, field, &qualified, why);
}

static bool address_item(const char *text, char **out, struct outcome *why)
{
	bool qualified;

	return normal_address(text, out, &qualified, why);
}

static bool read_addresses(const struct config_key *key, const char *text,
			   void *field, struct outcome *why)
{
	(void)key;
	return each(text, field, address_item, why);
}

static bool pattern_check(const char *text, struct outcome *why)
{
	const char *p;

	for (p = text; (p = strchr(p, '%')); p += 2)
		if (!p[1] || !strchr("uhH%", p[1]))
			return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
					    "after %% only u, h, H or %% may "
					    "stand");
	return true;
}

static bool read_pattern(const struct config_key *key, const char *text,
			 void *field, struct outcome *why)
{
	(void)key;
	if (!pattern_check(text, why))
		return false;
	*(char **)field = *text ? mem_string(text) : NULL;
	return true;
}

/* "Name <address>" is taken apart in config_defaults. */
static bool read_author(const struct config_key *key, const char *text,
			void *field, struct outcome *why)
{
	char *sample, *address;
	bool good, qualified;

	(void)key;
	if (!pattern_check(text, why))
		return false;
	sample = identity_expand(text, "login", "host.example");
	good = normal_address(sample, &address, &qualified, why);
	free(sample);
	free(address);
	if (good)
		*(char **)field = mem_string(text);
	return good;
}

static bool local_item(const char *text, char **out, struct outcome *why)
{
	return normal_domain(text, out, why);
}

static bool read_locals(const struct config_key *key, const char *text,
			void *field, struct outcome *why)
{
	(void)key;
	return each(text, field, local_item, why);
}

static bool sender_item(const char *text, char **out, struct outcome *why)
{
	bool qualified = true;

	if (!strchr(text, '@'))
		return domain_item(text, out, why);
	if (!normal_address(text, out, &qualified, why))
		return false;
	if (qualified)
		return true;
	free(*out);
	*out = NULL;
	return bad(why, text, "an address or a domain");
}

static bool read_senders(const struct config_key *key, const char *text,
			 void *field, struct outcome *why)
{
	(void)key;
	return each(text, field, sender_item, why);
}

/* A zone ("%eth0") means something on one host alone. */
static bool is_ip(const char *text)
{
	return !strchr(text, '%') && ip_kind(text) != IP_NONE;
}

static bool ip_item(const char *text, char **out, struct outcome *why)
{
	if (!is_ip(text))
		return bad(why, text, "an IP address");
	*out = mem_string(text);
	return true;
}

static bool read_ip(const struct config_key *key, const char *text,
		    void *field, struct outcome *why)
{
	(void)key;
	return ip_item(text, field, why);
}

static bool read_ips(const struct config_key *key, const char *text,
		     void *field, struct outcome *why)
{
	(void)key;
	return each(text, field, ip_item, why);
}

/* "name", "192.0.2.1", "2001:db8::1", "[2001:db8::1]"; *out without
 * brackets */
static bool host_name(const char *text, char **out, struct outcome *why)
{
	size_t n = strlen(text);

	if (text[0] == '[' && text[n - 1] == ']') {
		*out = mem_stringn(text + 1, n - 2);
		if (is_ip(*out) && strchr(*out, ':'))
			return true;
		free(*out);
		*out = NULL;
		return bad(why, text, "an IPv6 address");
	}
	if (is_ip(text)) {
		*out = mem_string(text);
		return true;
	}
	if (strchr(text, ':'))
		return bad(why, text, "a host (its port has a key of its own)");
	return normal_domain(text, out, why);
}

static bool host_item(const char *text, char **out, struct outcome *why)
{
	if (text[0] != '/')
		return host_name(text, out, why);
	*out = mem_string(text);
	return true;
}

static bool read_hosts(const struct config_key *key, const char *text,
		       void *field, struct outcome *why)
{
	(void)key;
	return each(text, field, host_item, why);
}

/* The host becomes what a host's name is normally. */
static bool split_endpoint(const char *text, struct endpoint *out,
			   struct outcome *why)
{
	char *name;

	if (!endpoint_parse(text, PORT_SOCKS, out))
		return bad(why, text, "HOST:PORT (IPv6 in brackets)");
	if (host_name(out->host, &name, why)) {
		free(out->host);
		out->host = name;
		return true;
	}
	endpoint_release(out);
	return false;
}

static bool read_endpoint(const struct config_key *key, const char *text,
			  void *field, struct outcome *why)
{
	struct endpoint e;

	(void)key;
	if (!split_endpoint(text, &e, why))
		return false;
	*(char **)field = endpoint_text(&e);
	endpoint_release(&e);
	return true;
}

static bool resolver_item(const char *text, char **out, struct outcome *why)
{
	struct endpoint e;
	bool good;

	good = endpoint_parse(text, 53, &e) && ip_kind(e.host) != IP_NONE;
	endpoint_release(&e);
	if (!good)
		return bad(why, text, "an IP address, with or without a port");
	*out = mem_string(text);
	return true;
}

static bool read_resolvers(const struct config_key *key, const char *text,
			   void *field, struct outcome *why)
{
	(void)key;
	return each(text, field, resolver_item, why);
}

static bool hex_item(const char *text, char **out, struct outcome *why)
{
	char digits[HEX_DIGITS + 1];
	const char *s;
	size_t n = 0;

	for (s = text; *s; s++) {
		if (*s == ':' && n && n % 2 == 0)
			continue;
		if (!isxdigit((unsigned char)*s) || n == HEX_DIGITS)
			break;
		digits[n++] = (char)tolower((unsigned char)*s);
	}
	if (*s || n != HEX_DIGITS)
		return bad(why, text, "a SHA-256 fingerprint (64 hexadecimal "
				      "digits)");
	*out = mem_stringn(digits, n);
	return true;
}

static bool read_hexes(const struct config_key *key, const char *text,
		       void *field, struct outcome *why)
{
	(void)key;
	return each(text, field, hex_item, why);
}

static bool mechanism_item(const char *text, char **out, struct outcome *why)
{
	const struct mechanism *m = mechanism_find(text);

	if (!m)
		return bad(why, text, "a known SASL mechanism");
	*out = mem_string(m->name);
	return true;
}

static bool read_mechanisms(const struct config_key *key, const char *text,
			    void *field, struct outcome *why)
{
	(void)key;
	return each(text, field, mechanism_item, why);
}

static bool extension_item(const char *text, char **out, struct outcome *why)
{
	const char *name = extension_name(text);

	if (!name)
		return bad(why, text, "an SMTP extension that is used here");
	*out = mem_string(name);
	return true;
}

static bool read_extensions(const struct config_key *key, const char *text,
			    void *field, struct outcome *why)
{
	(void)key;
	return each(text, field, extension_item, why);
}

static bool name_item(const char *text, char **out, struct outcome *why)
{
	(void)why;
	*out = mem_string(text);
	return true;
}

static bool read_names(const struct config_key *key, const char *text,
		       void *field, struct outcome *why)
{
	(void)key;
	return each(text, field, name_item, why);
}

/* A selector is part of a domain name, and may have dots (RFC 6376 3.1). */
static bool selector_item(const char *text, char **out, struct outcome *why)
{
	if (!text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789"
			       "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.")] &&
	    strlen(text) <= 200 && normal_domain(text, out, why))
		return true;
	return bad(why, text, "a DKIM selector");
}

static bool read_selectors(const struct config_key *key, const char *text,
			   void *field, struct outcome *why)
{
	(void)key;
	return each(text, field, selector_item, why);
}

#define TYPE(name, where, reader) \
	const struct value_type type_##name = { .store = STORE_##where, \
						.read = reader
TYPE(domain, STRING, read_domain) };
TYPE(domains, LIST, read_domains), .may_be_empty = true };
TYPE(senders, LIST, read_senders), .may_be_empty = true };
TYPE(locals, LIST, read_locals), .may_be_empty = true };
TYPE(address, STRING, read_address) };
TYPE(addresses, LIST, read_addresses), .may_be_empty = true };
TYPE(author, STRING, read_author) };
TYPE(pattern, STRING, read_pattern), .may_be_empty = true, .free_text = true };
TYPE(endpoint, STRING, read_endpoint) };
TYPE(resolvers, LIST, read_resolvers), .may_be_empty = true };
TYPE(ip, STRING, read_ip) };
TYPE(ips, LIST, read_ips), .may_be_empty = true };
TYPE(hosts, LIST, read_hosts), .may_be_empty = true };
TYPE(hexes, LIST, read_hexes), .may_be_empty = true };
TYPE(mechanisms, LIST, read_mechanisms), .may_be_empty = true };
TYPE(extensions, LIST, read_extensions), .may_be_empty = true };
TYPE(names, LIST, read_names), .may_be_empty = true };
TYPE(selectors, LIST, read_selectors), .may_be_empty = true };
