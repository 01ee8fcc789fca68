/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who this host is, and who an account is on it. */
#include "config/keys.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "mail/address.h"

/* --- this host --- */

/* A name that a server takes in EHLO: letters, digits and hyphens (RFC 5321
 * 4.1.2), and no address. */
static bool is_host_name(const char *name)
{
	const char *last = strrchr(name, '.');
	size_t i;

	for (i = 0; name[i]; i++)
		if (name[i] == '_' ||
		    (name[i] == '-' && (!i || name[i - 1] == '.' ||
					!name[i + 1] || name[i + 1] == '.')))
			return false;
	last = last ? last + 1 : name;
	return last[strspn(last, "0123456789")] && !domain_is_literal(name);
}

static bool is_localhost(const char *name)
{
	return !strcmp(name, "localhost") || !strncmp(name, "localhost.", 10);
}

/* A name as far as it is one; takes it over. NULL: it is not. */
static char *host_name_normal(char *raw)
{
	struct outcome why;
	char *name = NULL;

	if (raw && (!domain_normalise(raw, strlen(raw), &name, &why) ||
		    !is_host_name(name))) {
		free(name);
		name = NULL;
	}
	free(raw);
	return name;
}

/* This host's name; NULL: it has none that is a domain. */
static char *host_name(const struct config_place *place)
{
	char raw[256] = "", *name = NULL;

	if (gethostname(raw, sizeof(raw) - 1))
		return NULL;
	if (*raw && !strchr(raw, '.') && !is_localhost(raw) &&
	    place->canonical_name)
		name = host_name_normal(place->canonical_name(raw));
	/* an entry "127.0.0.1 localhost NAME" names all hosts alike */
	if (name && strchr(name, '.') && !is_localhost(name))
		return name;
	free(name);
	return host_name_normal(mem_string(raw));
}

/* The first line of the file that Debian and others have for it. */
static char *mail_name(const struct config_place *place)
{
	struct buf text = BUF(64 * 1024);
	char *line, *name = NULL;
	struct outcome why;
	size_t n;

	if (place->mailname &&
	    file_read(place->mailname, FILE_OPTIONAL, &text, NULL, &why) &&
	    text.len) {
		text.data[strcspn(text.data, "\n")] = '\0';
		line = text.data + strspn(text.data, " \t");
		n = strlen(line);
		while (n && strchr(" \t\r", line[n - 1]))
			n--;
		if (!domain_normalise(line, n, &name, &why))
			name = NULL;
	}
	buf_release(&text);
	return name;
}

void identity_defaults(struct config *c, const struct config_place *place)
{
	if (!c->general.hostname)
		c->general.hostname = host_name(place);
	if (!c->general.hostname) {
		c->general.hostname = mem_string("localhost");
		c->general.nameless = true;
		config_warn(c, 0, "hostname is not set, and this host's name "
			    "is no domain: EHLO says an address");
	}
	if (!c->general.domain)
		c->general.domain = mail_name(place);
	if (!c->general.domain)
		c->general.domain = mem_string(c->general.hostname);
}

static void add_local_name(struct config *c, const char *name)
{
	size_t i;

	if (!name || !*name || list_has(&c->general.local_names, name))
		return;
	/* where somebody says that mail addresses have this domain, it may
	 * have real mailboxes elsewhere */
	if (config_line(c, "general", "domain", 0) && c->general.domain &&
	    !strcmp(c->general.domain, name))
		return;
	for (i = 0; i < c->accounts; i++)
		if (c->account[i].domain && !strcmp(c->account[i].domain, name))
			return;
	list_add(&c->general.local_names, name);
}

static void add_host_names(struct config *c, const char *name)
{
	char *label;

	if (!name)
		return;
	add_local_name(c, name);
	if (domain_is_literal(name))
		return;
	label = mem_stringn(name, strcspn(name, "."));
	add_local_name(c, label);
	free(label);
}

void identity_local_names(struct config *c)
{
	char raw[256] = "", *system;

	if (config_line(c, "general", "local_names", 0))
		return;
	add_local_name(c, "localhost");
	add_local_name(c, "localhost.localdomain");
	if (!c->general.nameless)
		add_host_names(c, c->general.hostname);
	/* whatever the file has this host say, it is still itself */
	if (!gethostname(raw, sizeof(raw) - 1)) {
		system = host_name_normal(mem_string(raw));
		add_host_names(c, system);
		free(system);
	}
}

/* --- accounts --- */

void identity_take_apart(struct account *a)
{
	char *open = a->from ? strrchr(a->from, '<') : NULL;
	char *address = NULL, *name;
	struct outcome why;
	bool qualified;

	if (open && strchr(open, '>')) {
		name = address_phrase(a->from, (size_t)(open - a->from));
		address = mem_stringn(open + 1, strcspn(open + 1, ">"));
		free(a->from);
		a->from = address;
		if (!a->full_name)
			a->full_name = name;
		else
			free(name);
	}
	if (!a->from || strchr(a->from, '%') ||
	    !address_one(a->from, &address, &qualified, &why))
		return;
	free(a->from);
	a->from = address;
}

char *identity_expand(const char *pattern, const char *login,
		      const char *hostname)
{
	struct buf b = BUF(1 << 20);
	const char *value;

	for (; *pattern; pattern++) {
		if (*pattern != '%' || !pattern[1]) {
			buf_addc(&b, *pattern);
			continue;
		}
		pattern++;
		value = *pattern == 'u' ? login :
			*pattern == 'h' || *pattern == 'H' ? hostname : "%";
		buf_add(&b, value, *pattern == 'h' ? strcspn(value, ".") :
			strlen(value));
	}
	return buf_take(&b);
}
