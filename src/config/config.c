/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"

enum { ERRORS_MAX = 1000 };

static const struct transport direct = {
	.name = (char *)"direct", .proxy_dns = -1, .code = 554,
};

static const struct transport *const direct_way[] = { &direct, NULL };

const struct transport *config_direct(void)
{
	return &direct;
}

const struct transport *const *config_direct_way(void)
{
	return direct_way;
}

static void add_fault(struct config_error **list, size_t *n, const char *file,
		      unsigned line, const char *raw)
{
	char words[1024];

	if (*n > ERRORS_MAX)
		return;
	if (*n == ERRORS_MAX)
		raw = "further faults are not shown";
	text_printable(words, sizeof(words), raw, strlen(raw));
	*list = mem_grow(*list, *n, sizeof(**list));
	(*list)[(*n)++] = (struct config_error){
		.file = mem_string(file ? file : "configuration"),
		.line = line, .message = mem_string(words) };
}

void config_fault_in(struct config *c, const char *file, unsigned line,
		     const char *words)
{
	add_fault(&c->error, &c->errors, file, line, words);
}

void config_warn_in(struct config *c, const char *file, unsigned line,
		    const char *words)
{
	add_fault(&c->warning, &c->warnings, file, line, words);
}

void config_fault(struct config *c, unsigned line, const char *format, ...)
{
	char words[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(words, sizeof(words), format, ap);
	va_end(ap);
	config_fault_in(c, c->path, line, words);
}

void config_warn(struct config *c, unsigned line, const char *format, ...)
{
	char words[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(words, sizeof(words), format, ap);
	va_end(ap);
	config_warn_in(c, c->path, line, words);
}

void config_fault_words(const struct config_error *e, char *out, size_t size)
{
	if (e->line)
		snprintf(out, size, "%s:%u: %s", e->file, e->line, e->message);
	else
		snprintf(out, size, "%s: %s", e->file, e->message);
}

/* Those of other files come last. */
static bool comes_after(const struct config *c, const struct config_error *a,
			const struct config_error *b)
{
	bool a_own = !c->path || !strcmp(a->file, c->path);
	bool b_own = !c->path || !strcmp(b->file, c->path);

	return a_own == b_own ? a->line > b->line : b_own;
}

static void sort_by_line(const struct config *c, struct config_error *list,
			 size_t n)
{
	struct config_error e;
	size_t i, at;

	for (i = 1; i < n; i++) {
		e = list[i];
		for (at = i; at && comes_after(c, &list[at - 1], &e); at--)
			list[at] = list[at - 1];
		list[at] = e;
	}
}

/* The checks find theirs after the reader did. */
void config_sort_faults(struct config *c)
{
	sort_by_line(c, c->error, c->errors);
	sort_by_line(c, c->warning, c->warnings);
}

size_t section_count(const struct config *c, enum section section)
{
	switch (section) {
	case SECTION_ACCOUNT:
		return c->accounts;
	case SECTION_DOMAIN:
		return c->domains;
	case SECTION_ROUTE:
		return c->routes;
	case SECTION_TRANSPORT:
		return c->transports;
	default:
		return 1;
	}
}

void *section_at(const struct config *c, enum section section, size_t i)
{
	switch (section) {
	case SECTION_ACCOUNT:
		return &c->account[i];
	case SECTION_DOMAIN:
		return &c->domain[i];
	case SECTION_ROUTE:
		return &c->route[i];
	case SECTION_TRANSPORT:
		return &c->transport[i];
	default:
		return (void *)c;
	}
}

char **section_title(const struct config *c, enum section section, size_t i)
{
	switch (section) {
	case SECTION_ACCOUNT:
		return &c->account[i].name;
	case SECTION_DOMAIN:
		return &c->domain[i].name;
	case SECTION_ROUTE:
		return &c->route[i].name;
	default:
		return &c->transport[i].name;
	}
}

size_t *title_place(const struct config *c, enum section section,
		    const char *name)
{
	const struct titles *t = &c->set->titles[section];
	size_t i;

	for (i = (size_t)mem_hash(name) & (t->room - 1); t->at[i];
	     i = (i + 1) & (t->room - 1))
		if (!strcmp(*section_title(c, section, t->at[i] - 1), name))
			break;
	return &t->at[i];
}

/* NULL: there is none. */
static void *section_named(const struct config *c, enum section section,
			   const char *name)
{
	size_t i, n = section_count(c, section);

	if (c->set && c->set->titles[section].room) {
		i = *title_place(c, section, name);
		return i ? section_at(c, section, i - 1) : NULL;
	}
	/* it was not read from a file */
	for (i = 0; i < n; i++)
		if (!strcmp(*section_title(c, section, i), name))
			return section_at(c, section, i);
	return NULL;
}

const struct account *config_account(const struct config *c, const char *name)
{
	return section_named(c, SECTION_ACCOUNT, name);
}

const struct domain *config_domain(const struct config *c, const char *name)
{
	return section_named(c, SECTION_DOMAIN, name);
}

const struct transport *config_transport(const struct config *c,
					 const char *name)
{
	const struct transport *t = section_named(c, SECTION_TRANSPORT, name);

	return t || strcmp(name, direct.name) ? t : &direct;
}

unsigned transport_port(const struct transport *t)
{
	return t->port ? (unsigned)t->port : kind_facts(t->kind)->port;
}

bool transport_is_direct(const struct transport *t)
{
	return kind_facts(t->kind)->way == WAY_DIRECT;
}

const struct endpoint *transport_proxy(const struct transport *t)
{
	const struct endpoint *e = kind_has(t->kind, IS_PROXIED) ?
		&t->address : &t->proxy;

	return e->host ? e : NULL;
}

bool transport_proxy_dns(const struct transport *t)
{
	return t->proxy_dns < 0 ? !kind_has(t->kind, IS_PROXIED) :
	       t->proxy_dns == 1;
}

/* --- what was set where --- */

static struct setting *find_setting(const struct config *c,
				    const char *section, const char *key,
				    size_t i)
{
	struct setting *s, *first = NULL;
	enum section sort = 0;
	size_t n;

	while (sort < SECTIONS && strcmp(section_name(sort), section) != 0)
		sort++;
	if (sort == SECTIONS || !c->set || !c->set->last[sort] ||
	    i >= section_count(c, sort))
		return NULL;
	/* backwards, so that the first one is found last */
	for (n = c->set->last[sort][i]; n; n = s->before) {
		s = &c->set->item[n - 1];
		if (!strcmp(s->key->key, key))
			first = s;
	}
	return first;
}

unsigned config_line(const struct config *c, const char *section,
		     const char *key, size_t i)
{
	const struct setting *s = find_setting(c, section, key, i);

	return s ? s->line : 0;
}

bool config_faulty(const struct config *c, const char *section,
		   const char *key, size_t i)
{
	const struct setting *s = find_setting(c, section, key, i);

	return s && s->faulty;
}

void config_set_faulty(struct config *c, const char *section,
		       const char *key, size_t i)
{
	struct setting *s = find_setting(c, section, key, i);

	if (s)
		s->faulty = true;
}

bool config_sets_anything(const struct config *c)
{
	return c->set && c->set->n > 0;
}

/* --- release --- */

static void release_field(enum store store, void *field)
{
	switch (store) {
	case STORE_STRING:
		free(*(char **)field);
		break;
	case STORE_SECRET:
		mem_wipe_string(*(char **)field);
		break;
	case STORE_LIST:
		list_release(field);
		break;
	case STORE_ENDPOINT:
		endpoint_release(field);
		break;
	default:
		break;
	}
}

static void release_words(struct config_error *list, size_t n)
{
	while (n--) {
		free(list[n].file);
		free(list[n].message);
	}
	free(list);
}

void config_copy_faults(const struct config *c, struct config *copy)
{
	size_t i;

	*copy = *c;
	copy->error = copy->warning = NULL;
	copy->errors = copy->warnings = 0;
	for (i = 0; i < c->errors; i++)
		config_fault_in(copy, c->error[i].file, c->error[i].line,
				c->error[i].message);
	for (i = 0; i < c->warnings; i++)
		config_warn_in(copy, c->warning[i].file, c->warning[i].line,
			       c->warning[i].message);
}

void config_release_faults(struct config *c)
{
	release_words(c->error, c->errors);
	release_words(c->warning, c->warnings);
	c->error = c->warning = NULL;
	c->errors = c->warnings = 0;
}

void config_release(struct config *config)
{
	const struct config_key *key;
	enum section section;
	size_t i, n;

	for (i = 0; (key = key_at(i)); i++)
		for (n = 0; n < section_count(config, key->section); n++)
			release_field(key->type->store,
				      (char *)section_at(config, key->section,
							 n) + key->offset);
	for (section = SECTION_ACCOUNT; section < SECTIONS; section++)
		for (n = 0; n < section_count(config, section); n++)
			free(*section_title(config, section, n));
	for (n = 0; n < config->routes; n++)
		free(config->route[n].way);
	free(config->account);
	free(config->domain);
	free(config->route);
	free(config->transport);
	free(config->queue.step);
	config_release_faults(config);
	free(config->path);
	free(config->looked);
	free(config->secrets);
	for (section = 0; config->set && section < SECTIONS; section++) {
		free(config->set->last[section]);
		free(config->set->titles[section].at);
	}
	if (config->set)
		free(config->set->item);
	free(config->set);
	*config = (struct config){ 0 };
}
