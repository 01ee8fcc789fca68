/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/autoconfig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/scan.h"
#include "mail/address.h"

enum { DEPTH_MAX = 32, PATH_SIZE = 128 };

static bool take_host(const char *text, size_t n, struct autoconfig *out)
{
	struct outcome ignored;
	char *host = NULL;
	bool good;

	good = n && n < sizeof(out->host) && memchr(text, '.', n) &&
	       domain_normalise(text, n, &host, &ignored) &&
	       !domain_is_literal(host) && strlen(host) < sizeof(out->host);
	if (good)
		snprintf(out->host, sizeof(out->host), "%s", host);
	free(host);
	return good;
}

/* --- JSON --- */

struct json_text {
	struct scan s;
	char path[PATH_SIZE];    /* of the value at hand: "a.b.c" */
	struct autoconfig *out;
	unsigned depth;
};

/* A string up to its closing quote, as it is written: what is wanted of it
 * has no escapes. */
static bool json_quoted(struct json_text *j, struct scan *out)
{
	const char *p = j->s.p;

	if (p == j->s.end || *p != '"')
		return false;
	for (p++; p < j->s.end && *p != '"'; p++)
		if (*p == '\\' && ++p == j->s.end)
			return false;
	if (p >= j->s.end)
		return false;
	*out = scan_bytes(j->s.p + 1, (size_t)(p - j->s.p - 1));
	j->s.p = p + 1;
	return true;
}

static void take_issuer(const struct scan *value, struct autoconfig *out)
{
	static const char scheme[] = "https://";
	struct scan rest = *value;
	size_t n, i;

	/* a name alone is one, too */
	(void)scan_skip_nocase(&rest, scheme);
	n = scan_left(&rest);
	if (!n || n + sizeof(scheme) > sizeof(out->issuer))
		return;
	for (i = 0; i < n; i++)
		if (!scan_is_alnum(rest.p[i]) && !strchr(".-_~/:", rest.p[i]))
			return;
	memcpy(out->issuer, scheme, sizeof(scheme) - 1);
	memcpy(out->issuer + sizeof(scheme) - 1, rest.p, n);
	out->issuer[sizeof(scheme) - 1 + n] = '\0';
	out->login = true;
}

static bool json_value(struct json_text *j);

/* The members of an object, or the elements of an array; what stands in an
 * array has no path that is looked for. */
static bool json_inside(struct json_text *j, char close)
{
	size_t before = strlen(j->path);
	struct scan name;
	bool first = true;

	if (++j->depth > DEPTH_MAX)
		return false;
	j->s.p++;
	for (;;) {
		scan_skip_blanks(&j->s);
		if (j->s.p < j->s.end && *j->s.p == close && first)
			break;
		name = scan_bytes("[]", 2);
		if (close == '}') {
			if (!json_quoted(j, &name))
				return false;
			scan_skip_blanks(&j->s);
			if (!scan_skip(&j->s, ":"))
				return false;
			scan_skip_blanks(&j->s);
		}
		if (before + scan_left(&name) + 2 > sizeof(j->path))
			name = scan_bytes("", 0);
		if (before + scan_left(&name) + 2 > sizeof(j->path))
			return false;
		snprintf(j->path + before, sizeof(j->path) - before, "%s%.*s",
			 before ? "." : "", (int)scan_left(&name), name.p);
		if (!json_value(j))
			return false;
		j->path[before] = '\0';
		first = false;
		scan_skip_blanks(&j->s);
		if (!scan_skip(&j->s, ","))
			break;
	}
	j->depth--;
	if (j->s.p == j->s.end || *j->s.p != close)
		return false;
	j->s.p++;
	return true;
}

static bool json_value(struct json_text *j)
{
	struct scan value;
	size_t n = 0;

	if (j->s.p == j->s.end)
		return false;
	switch (*j->s.p) {
	case '{':
		return json_inside(j, '}');
	case '[':
		return json_inside(j, ']');
	case '"':
		if (!json_quoted(j, &value))
			return false;
		/* drafts differ in the name */
		if (!strcmp(j->path, "protocols.submit.host") ||
		    (!strcmp(j->path, "protocols.smtp.host") &&
		     !j->out->host[0]))
			(void)take_host(value.p, scan_left(&value), j->out);
		else if (!strcmp(j->path, "authentication.oauth-public.issuer"))
			take_issuer(&value, j->out);
		return true;
	}
	while (j->s.p + n < j->s.end &&
	       (scan_is_alnum(j->s.p[n]) || strchr("+-.", j->s.p[n])))
		n++;
	value = scan_bytes(j->s.p, n);
	if (!strcmp(j->path, "authentication.password"))
		j->out->password = scan_is(&value, "true");
	j->s.p += n;
	return n > 0;
}

bool autoconfig_json(const char *text, size_t n, struct autoconfig *out)
{
	struct json_text j = { .s = scan_bytes(text, n), .out = out };

	/* TLS at once is all that there is in it */
	*out = (struct autoconfig){ .port = 465 };
	scan_skip_blanks(&j.s);
	if (memchr(text, '\0', n) || !json_value(&j))
		return false;
	scan_skip_blanks(&j.s);
	return !scan_left(&j.s) && out->host[0];
}

/* --- XML --- */

struct element {
	struct scan name;        /* "/name" for the end of one */
	struct scan attributes;
	struct scan text;        /* from there to the next "<" */
};

/* The next tag, comments and declarations passed over. */
static bool xml_next(struct scan *s, struct element *e)
{
	const char *p;
	char quote;

	while ((p = memchr(s->p, '<', scan_left(s)))) {
		s->p = p + 1;
		if (scan_skip(s, "!--")) {
			p = memmem(s->p, scan_left(s), "-->", 3);
			if (!p)
				return false;
			s->p = p + 3;
			continue;
		}
		for (p = s->p, quote = '\0'; p < s->end &&
		     (quote || *p != '>'); p++) {
			if (quote && *p == quote)
				quote = '\0';
			else if (!quote && (*p == '"' || *p == '\''))
				quote = *p;
		}
		if (p == s->end)
			return false;
		e->attributes = scan_bytes(s->p, (size_t)(p - s->p));
		s->p = p + 1;
		if (!scan_word(&e->attributes, " \t\r\n", &e->name) ||
		    *e->name.p == '?' || *e->name.p == '!')
			continue;
		p = memchr(s->p, '<', scan_left(s));
		e->text = scan_bytes(s->p, (size_t)((p ? p : s->end) - s->p));
		scan_trim(&e->text);
		return true;
	}
	return false;
}

/* The host's name, with the domain in the place of its sign. */
static void take_hostname(const struct scan *text, const char *domain,
			  struct autoconfig *a)
{
	static const char sign[] = "%EMAILDOMAIN%";
	const char *at = memmem(text->p, scan_left(text), sign,
				sizeof(sign) - 1);
	struct buf whole = BUF(1024);

	if (at) {
		buf_add(&whole, text->p, (size_t)(at - text->p));
		buf_adds(&whole, domain);
		at += sizeof(sign) - 1;
		buf_add(&whole, at, (size_t)(text->end - at));
	} else {
		buf_add(&whole, text->p, scan_left(text));
	}
	if (!whole.full)
		(void)take_host(buf_text(&whole), whole.len, a);
	buf_release(&whole);
}

static void take_element(const struct element *e, const char *domain,
			 struct autoconfig *a, bool *tls)
{
	int64_t port;

	if (scan_is(&e->name, "hostname") && !a->host[0]) {
		take_hostname(&e->text, domain, a);
	} else if (scan_is(&e->name, "port")) {
		if (scan_number(&e->text, 65535, &port))
			a->port = (unsigned)port;
	} else if (scan_is(&e->name, "socketType")) {
		a->starttls = scan_is(&e->text, "STARTTLS");
		*tls = a->starttls || scan_is(&e->text, "SSL");
	} else if (scan_is(&e->name, "username")) {
		a->local_part = scan_is(&e->text, "%EMAILLOCALPART%");
	} else if (scan_is(&e->name, "authentication")) {
		a->password = a->password ||
			      scan_is(&e->text, "password-cleartext") ||
			      scan_is(&e->text, "password-encrypted") ||
			      scan_is(&e->text, "plain") ||
			      scan_is(&e->text, "secure");
		a->login = a->login || scan_is(&e->text, "OAuth2");
	}
}

bool autoconfig_xml(const char *text, size_t n, const char *domain,
		    struct autoconfig *out)
{
	struct scan s = scan_bytes(text, n);
	struct autoconfig a = { 0 };
	bool inside = false, tls = false, provider = false;
	struct element e;
	size_t have;

	*out = (struct autoconfig){ 0 };
	if (memchr(text, '\0', n))
		return false;
	while (xml_next(&s, &e)) {
		if (scan_is(&e.name, "emailProvider")) {
			provider = true;
		} else if (provider && scan_is(&e.name, "outgoingServer")) {
			have = scan_left(&e.attributes);
			inside = memmem(e.attributes.p, have,
					"type=\"smtp\"", 11) ||
				 memmem(e.attributes.p, have,
					"type='smtp'", 11);
			tls = false;
			a = (struct autoconfig){ 0 };
		} else if (scan_is(&e.name, "/outgoingServer")) {
			/* the first that is secure is the one that it
			 * prefers */
			if (inside && tls && a.host[0] && a.port) {
				*out = a;
				return true;
			}
			inside = false;
		} else if (inside) {
			take_element(&e, domain, &a, &tls);
		}
	}
	return false;
}
