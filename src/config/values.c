/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How values are read and printed. What is a name of the mail world (domains,
 * addresses, hosts, mechanisms, fingerprints) is stored in one form, so that
 * comparing two of them later is comparing strings. */
#include "config/keys.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/user.h"
#include "mail/address.h"
#include "mail/mechanism.h"
#include "mail/reply.h"

enum { HEX_DIGITS = 64 };

bool value_bad(struct outcome *why, const char *text, const char *wanted)
{
	return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
			    "\"%.80s\" is not %s", text, wanted);
}

/* --- one value, or one item of a list --- */

/* ~/x as $HOME/x */
static bool path_item(const char *text, char **out, struct outcome *why)
{
	struct outcome ignored;
	char *home = NULL;

	(void)why;
	if (!strncmp(text, "~/", 2) && user_home(&home, &ignored) && home)
		*out = mem_printf("%s%s", home, text + 1);
	else
		*out = mem_string(text);
	free(home);
	return true;
}

/* What is kept must be found again, from wherever we are called. */
static bool directory_item(const char *text, char **out, struct outcome *why)
{
	if (text[0] != '/' && strncmp(text, "~/", 2))
		return value_bad(why, text,
				 "the path of a directory (from / on)");
	return path_item(text, out, why);
}

static bool log_item(const char *text, char **out, struct outcome *why)
{
	if (strcmp(text, "syslog") && strcmp(text, "stderr") &&
	    strcmp(text, "none") && text[0] != '/' && strncmp(text, "~/", 2))
		return value_bad(why, text, "syslog, stderr, none or the path "
				 "of a file (from / on)");
	return path_item(text, out, why);
}

static bool domain_item(const char *text, char **out, struct outcome *why)
{
	struct outcome detail;

	*out = NULL;
	if (domain_normalise(text, strlen(text), out, &detail))
		return true;
	free(*out);
	*out = NULL;
	return value_bad(why, text, "a domain");
}

/* "example.org", ".example.org", "." */
static bool pattern_item(const char *text, char **out, struct outcome *why)
{
	char *domain;

	if (text[0] != '.')
		return domain_item(text, out, why);
	if (!text[1]) {
		*out = mem_string(".");
		return true;
	}
	if (!domain_item(text + 1, &domain, why))
		return false;
	*out = mem_printf(".%s", domain);
	free(domain);
	return true;
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
	return value_bad(why, text, "an address");
}

/* What lacks a domain gets one in config_defaults. */
static bool address_item(const char *text, char **out, struct outcome *why)
{
	bool qualified;

	return normal_address(text, out, &qualified, why);
}

static bool sender_item(const char *text, char **out, struct outcome *why)
{
	bool qualified = true;

	if (!strchr(text, '@'))
		return pattern_item(text, out, why);
	if (!normal_address(text, out, &qualified, why))
		return false;
	if (qualified)
		return true;
	free(*out);
	*out = NULL;
	return value_bad(why, text, "an address or a domain");
}

/* With %-words, see identity_expand. */
static bool name_item(const char *text, char **out, struct outcome *why)
{
	const char *p;

	for (p = text; (p = strchr(p, '%')); p += 2)
		if (!p[1] || !strchr("uhH%", p[1]))
			return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
					    "after %% only u, h, H or %% may "
					    "stand");
	*out = mem_string(text);
	return true;
}

/* "Name <address>" is taken apart in config_defaults. */
static bool author_item(const char *text, char **out, struct outcome *why)
{
	char *sample, *address;
	bool qualified;

	if (!name_item(text, out, why))
		return false;
	sample = identity_expand(text, "login", "host.example");
	if (!normal_address(sample, &address, &qualified, why)) {
		free(*out);
		*out = NULL;
	}
	free(sample);
	free(address);
	return *out != NULL;
}

/* A zone ("%eth0") means something on one host alone. */
static bool is_ip(const char *text)
{
	return !strchr(text, '%') && ip_kind(text) != IP_NONE;
}

/* To a link-local address nothing can be sent unless it says by which
 * interface. */
static bool has_way(const char *text, const char *advice, struct outcome *why)
{
	return !ip_lacks_zone(text) ||
	       outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
			    "\"%.80s\" is a link-local address without its "
			    "interface%s", text, advice);
}

static bool ip_item(const char *text, char **out, struct outcome *why)
{
	if (!is_ip(text))
		return value_bad(why, text, "an IP address");
	if (!has_way(text, "", why))
		return false;
	*out = mem_string(text);
	return true;
}

/* "name", "192.0.2.1", "2001:db8::1", "[2001:db8::1]"; *out without
 * brackets */
static bool host_name_item(const char *text, char **out, struct outcome *why)
{
	size_t n = strlen(text);

	if (text[0] == '[' && text[n - 1] == ']') {
		*out = mem_stringn(text + 1, n - 2);
		if (!is_ip(*out) || !strchr(*out, ':'))
			value_bad(why, text, "an IPv6 address");
		else if (has_way(*out, "", why))
			return true;
		free(*out);
		*out = NULL;
		return false;
	}
	if (is_ip(text))
		return ip_item(text, out, why);
	if (strchr(text, ':'))
		return value_bad(why, text,
				 "a host (its port has a key of its own)");
	return domain_item(text, out, why);
}

static bool host_item(const char *text, char **out, struct outcome *why)
{
	if (text[0] != '/')
		return host_name_item(text, out, why);
	*out = mem_string(text);
	return true;
}

static bool resolver_item(const char *text, char **out, struct outcome *why)
{
	struct endpoint e;
	bool good;

	if (!endpoint_parse(text, 53, &e) || ip_kind(e.host) == IP_NONE)
		good = value_bad(why, text,
				 "an IP address, with or without a port");
	else
		good = has_way(e.host, " (fe80::53%eth0, say)", why);
	endpoint_release(&e);
	if (good)
		*out = mem_string(text);
	return good;
}

static bool fingerprint_item(const char *text, char **out,
			     struct outcome *why)
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
		return value_bad(why, text, "a SHA-256 fingerprint (64 "
				 "hexadecimal digits)");
	*out = mem_stringn(digits, n);
	return true;
}

static bool mechanism_item(const char *text, char **out, struct outcome *why)
{
	const struct mechanism *m = mechanism_find(text);

	if (!m)
		return value_bad(why, text, "a known SASL mechanism");
	*out = mem_string(m->name);
	return true;
}

static bool extension_item(const char *text, char **out, struct outcome *why)
{
	const char *name = extension_name(text);

	if (!name)
		return value_bad(why, text,
				 "an SMTP extension that is used here");
	*out = mem_string(name);
	return true;
}

/* A name that is known, or a URL as RFC 8414 2 wants it: https, and nothing
 * after the path. */
static bool issuer_item(const char *text, char **out, struct outcome *why)
{
	static const char https[] = "https://";
	const size_t n = sizeof(https) - 1;
	const char *p;

	if (!strcasecmp(text, "microsoft") || !strcasecmp(text, "google")) {
		*out = mem_string(tolower((unsigned char)*text) == 'm' ?
				  "microsoft" : "google");
		return true;
	}
	if (strncasecmp(text, https, n) || !text[n] || text[n] == '/')
		return value_bad(why, text, "microsoft, google or an https "
				 "URL");
	for (p = text + n; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("\"<>\\^`{|}?#@", *p))
			return value_bad(why, text, "an issuer's URL (host "
					 "and path alone)");
	*out = mem_printf("%s%s", https, text + n);
	return true;
}

/* RFC 6749 3.3 */
static bool scope_item(const char *text, char **out, struct outcome *why)
{
	const char *p;

	for (p = text; *p; p++)
		if (*p < '!' || *p > '~' || *p == '"' || *p == '\\')
			return value_bad(why, text, "a scope");
	*out = mem_string(text);
	return true;
}

/* A selector is part of a domain name, and may have dots (RFC 6376 3.1). */
static bool selector_item(const char *text, char **out, struct outcome *why)
{
	if (!text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789"
			       "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.")] &&
	    strlen(text) <= 200 && domain_item(text, out, why))
		return true;
	return value_bad(why, text, "a DKIM selector");
}

/* --- values that are no strings --- */

static bool value_switch(const struct config_key *key, const char *text,
			 void *field, struct outcome *why)
{
	static const char *const words[] = { "no", "yes", "false", "true",
					     "off", "on", "0", "1", NULL };
	int i = word_index(words, text, strlen(text));

	if (i < 0)
		return value_bad(why, text, "yes or no");
	if (key->type->store == STORE_BOOL)
		*(bool *)field = i & 1;
	else
		*(int *)field = i & 1;
	return true;
}

static bool value_word(const struct config_key *key, const char *text,
		       void *field, struct outcome *why)
{
	int i = *text ? word_index(key->words, text, strlen(text)) : -1;
	struct buf known = BUF(512);
	const char *const *w;

	if (i >= 0) {
		*(int *)field = i;
		return true;
	}
	for (w = key->words; *w; w++)
		if (**w)
			buf_addf(&known, "%s%s", known.len ? ", " : "one of ",
				 *w);
	value_bad(why, text, buf_text(&known));
	buf_release(&known);
	return false;
}

static bool value_notify(const struct config_key *key, const char *text,
			 void *field, struct outcome *why)
{
	(void)key;
	if (notify_parse(text, field))
		return true;
	return value_bad(why, text,
			 "\"never\" or a list of success, failure, delay");
}

static void print_notify(const void *field, struct buf *out)
{
	notify_add(out, *(const unsigned *)field, ' ', false);
}

/* The host becomes what a host's name is normally. */
static bool value_endpoint(const struct config_key *key, const char *text,
			   void *field, struct outcome *why)
{
	struct endpoint e, *out = field;
	char *name;

	(void)key;
	if (!endpoint_parse(text, PORT_SOCKS, &e))
		return value_bad(why, text, "HOST:PORT (IPv6 in brackets)");
	if (!host_name_item(e.host, &name, why)) {
		endpoint_release(&e);
		return false;
	}
	free(e.host);
	endpoint_release(out);
	*out = (struct endpoint){ .host = name, .port = e.port };
	return true;
}

static void print_endpoint(const void *field, struct buf *out)
{
	char *text = endpoint_text(field);

	buf_adds(out, text);
	free(text);
}

/* --- all of them --- */

static bool value_list(const struct value_type *type, const char *text,
		       struct list *l, struct outcome *why)
{
	struct list words = { 0 };
	bool good = true;
	char *item;
	size_t i;

	list_split(&words, text, ", \t");
	for (i = 0; good && i < words.n; i++) {
		item = NULL;
		good = !type->item || type->item(words.item[i], &item, why);
		if (good)
			list_add(l, item ? item : words.item[i]);
		free(item);
	}
	list_release(&words);
	return good;
}

bool value_read(const struct config_key *key, const char *text, void *field,
		struct outcome *why)
{
	static const char *const off[] = { "off", "no", "never", "none",
					   "false", NULL };
	const struct value_type *type = key->type;
	char *value = NULL;

	if (key->zero_is_off && word_index(off, text, strlen(text)) >= 0)
		text = "0";
	if (type->read)
		return type->read(key, text, field, why);
	if (type->store == STORE_LIST)
		return value_list(type, text, field, why);
	if (*text && type->item) {
		if (!type->item(text, &value, why))
			return false;
	} else if (*text) {
		value = mem_string(text);
	}
	mem_wipe_string(*(char **)field);
	*(char **)field = value;
	return true;
}

#define STRING(...) { .store = STORE_STRING, __VA_ARGS__ }
#define LIST(...) { .store = STORE_LIST, .may_be_empty = true, __VA_ARGS__ }

const struct value_type
	type_text = STRING(.may_be_empty = true, .free_text = true),
	type_secret = { .store = STORE_SECRET, .may_be_empty = true,
			.free_text = true },
	type_path = STRING(.item = path_item, .may_be_empty = true),
	type_directory = STRING(.item = directory_item, .may_be_empty = true),
	type_issuer = STRING(.item = issuer_item),
	type_scopes = LIST(.item = scope_item),
	type_log = STRING(.item = log_item),
	type_domain = STRING(.item = domain_item),
	type_address = STRING(.item = address_item),
	type_author = STRING(.item = author_item),
	type_pattern = STRING(.item = name_item, .may_be_empty = true,
			      .free_text = true),
	type_ip = STRING(.item = ip_item),
	type_paths = LIST(.item = path_item),
	type_names = LIST(.item = NULL),
	type_domains = LIST(.item = pattern_item),
	type_locals = LIST(.item = domain_item),
	type_senders = LIST(.item = sender_item),
	type_addresses = LIST(.item = address_item),
	type_ips = LIST(.item = ip_item),
	type_hosts = LIST(.item = host_item),
	type_resolvers = LIST(.item = resolver_item),
	type_hexes = LIST(.item = fingerprint_item),
	type_mechanisms = LIST(.item = mechanism_item),
	type_extensions = LIST(.item = extension_item),
	type_selectors = LIST(.item = selector_item),
	type_bool = { .store = STORE_BOOL, .read = value_switch },
	type_tristate = { .store = STORE_CHOICE, .read = value_switch },
	type_word = { .store = STORE_CHOICE, .read = value_word },
	type_bits_notify = { .store = STORE_BITS, .read = value_notify,
			     .print = print_notify },
	type_endpoint = { .store = STORE_ENDPOINT, .read = value_endpoint,
			  .print = print_endpoint };
