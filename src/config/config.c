/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/user.h"
#include "config/keys.h"

enum { FILE_MAX = 64 << 20, ERRORS_MAX = 1000 };

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

static void add_words(struct config_error **list, size_t *n, const char *file,
		      unsigned line, const char *raw)
{
	char words[1024];

	if (*n > ERRORS_MAX)
		return;
	if (*n == ERRORS_MAX)
		raw = "further faults are not shown";
	text_printable(words, sizeof(words), raw, strlen(raw));
	if (!(*n & (*n - 1)))
		*list = mem_resize(*list, *n ? 2 * *n : 1, sizeof(**list));
	(*list)[(*n)++] = (struct config_error){
		.file = mem_string(file ? file : "configuration"),
		.line = line, .message = mem_string(words) };
}

void config_fault_in(struct config *c, const char *file, unsigned line,
		     const char *words)
{
	add_words(&c->error, &c->errors, file, line, words);
}

void config_warn_in(struct config *c, const char *file, unsigned line,
		    const char *words)
{
	add_words(&c->warning, &c->warnings, file, line, words);
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

const struct account *config_account(const struct config *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->accounts; i++)
		if (!strcmp(c->account[i].name, name))
			return &c->account[i];
	return NULL;
}

const struct domain *config_domain(const struct config *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->domains; i++)
		if (!strcmp(c->domain[i].name, name))
			return &c->domain[i];
	return NULL;
}

const struct transport *config_transport(const struct config *c,
					 const char *name)
{
	size_t i;

	for (i = 0; i < c->transports; i++)
		if (!strcmp(c->transport[i].name, name))
			return &c->transport[i];
	return strcmp(name, direct.name) ? NULL : &direct;
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

/* --- where the file is --- */

/* $VARIABLE/name or ~/fallback/name; NULL without a home. */
static char *user_place(const char *variable, const char *fallback,
			const char *name)
{
	const char *base = getenv(variable);
	struct outcome ignored;
	char *home, *place = NULL;

	/* a relative path there is to be ignored, says the XDG standard */
	if (base && base[0] == '/')
		return mem_printf("%s/%s", base, name);
	if (user_home(&home, &ignored) && home)
		place = mem_printf("%s/%s/%s", home, fallback, name);
	free(home);
	return place;
}

/* A link that leads nowhere is a file, which cannot be read. */
static bool is_absent(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return a && b && !stat(a, &x) && !stat(b, &y) &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* HOME may be another user's (under sudo, say), who lets nobody in: there is
 * no file for us there. */
static bool is_elsewhere(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 && errno == EACCES;
}

static bool find_file(const struct config_place *place, struct config *c)
{
	char *own = user_place("XDG_CONFIG_HOME", ".config",
			       "posthaste.conf");

	if (place->file) {
		c->path = mem_string(place->file);
		c->named_file = !is_same_file(c->path, place->system_file);
		c->user_file = c->named_file && is_same_file(c->path, own);
		c->named_file = c->named_file && !c->user_file;
		free(own);
		return true;
	}
	c->looked = mem_printf("%s%s%s", own ? own : "",
			       own && place->system_file ? ", " : "",
			       place->system_file ? place->system_file : "");
	if (own && !is_absent(own) && !is_elsewhere(own)) {
		c->path = own;
		c->user_file = true;
		return true;
	}
	free(own);
	if (!place->system_file || is_absent(place->system_file))
		return false;
	c->path = mem_string(place->system_file);
	return true;
}

/* The file's text, and its mode. What is in it is obeyed, commands too: it has
 * to be root's or the caller's, and nobody else's to write. */
static bool open_file(struct config *c, struct buf *text, unsigned *mode)
{
	struct file_facts facts;
	struct outcome why;

	if (file_read(c->path, FILE_TRUSTED, text, &facts, &why)) {
		*mode = facts.mode;
		return true;
	}
	/* a fault names its file by itself */
	config_fault(c, 0, "%s", file_reason(&why, c->path));
	return false;
}

/* --- loading --- */

static void apply_fallbacks(struct config *c)
{
	const struct config_key *key;
	struct outcome why;
	size_t i;

	for (i = 0; (key = key_at(i)); i++)
		if (key->section < SECTION_ACCOUNT && key->fallback[0] &&
		    !key->only_shown && key->type->store != STORE_LIST &&
		    !value_read(key, key->fallback, (char *)c + key->offset,
				&why))
			config_fault(c, 0, "%s: %s", key->key, why.text);
}

/* Whether root would become the owner of the system's queue. */
static bool steps_down(const struct config_place *place)
{
	struct stat st;

	return !geteuid() && place->queue_directory &&
	       !stat(place->queue_directory, &st) && st.st_uid;
}

/* What the environment says where there is no file; whether it does. */
static bool read_environment(const struct config_place *place,
			     struct config *c, struct settings *set)
{
	const char *url = getenv("POSTHASTE_URL");
	struct buf text = BUF(64 * 1024);
	struct outcome why;

	c->url_ignored = url && *url && steps_down(place);
	if (!url || !*url || c->url_ignored)
		return false;
	c->path = mem_string("POSTHASTE_URL");
	c->named_file = true;
	if (config_of_url(url, getenv("POSTHASTE_PASSWORD_FILE"),
			  getenv("POSTHASTE_FROM"), &text, &why))
		config_read(c, set, text.data, text.len);
	else
		config_fault(c, 0, "%s", why.text);
	buf_release(&text);
	return true;
}

/* They are of a text that nobody has seen. */
static void forget_lines(struct config *c)
{
	size_t i;

	for (i = 0; i < c->errors; i++)
		c->error[i].line = 0;
	for (i = 0; i < c->warnings; i++)
		c->warning[i].line = 0;
}

static void place_own(struct config *c)
{
	if (!c->user_file && (!c->named_file || c->queue.directory))
		return;
	if (!c->queue.directory && c->user_file)
		c->queue.directory = user_place("XDG_STATE_HOME",
						".local/state",
						"posthaste/queue");
	if (!c->general.cache)
		c->general.cache = user_place("XDG_CACHE_HOME", ".cache",
					      "posthaste");
}

/* Only a TLS library knows, and there is none on this floor. */
static void check_priorities(const struct config_place *place,
			     struct config *c, const struct settings *set)
{
	struct outcome why;

	if (c->tls.priorities && place->priorities_valid &&
	    !place->priorities_valid(c->tls.priorities, &why))
		config_fault(c, setting_line(set, SECTION_TLS, "priorities",
					     0), "priorities: %s", why.text);
}

bool config_load(const struct config_place *place, struct config *config,
		 struct outcome *why)
{
	struct buf text = BUF_SECRET(FILE_MAX);
	struct settings *set = mem_alloc(sizeof(*set));
	char words[sizeof(why->text)], *home;
	bool in_environment = false;
	unsigned mode = 0;

	*config = (struct config){ .set = set };
	/* whose file it is may depend on it: no answer is not "no home" */
	if (!user_home(&home, why))
		return false;
	free(home);
	apply_fallbacks(config);
	if (!find_file(place, config))
		in_environment = read_environment(place, config, set);
	else if (open_file(config, &text, &mode))
		config_read(config, set, text.data, text.len);
	place_own(config);
	config_defaults(config, place);
	check_priorities(place, config, set);
	config_check(config, set, mode);
	buf_release(&text);
	if (in_environment)
		forget_lines(config);
	config_sort_faults(config);
	if (!config->errors)
		return true;
	config_fault_words(config->error, words, sizeof(words));
	return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "%s", words);
}

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

unsigned config_line(const struct config *c, const char *section,
		     const char *key, size_t i)
{
	unsigned s;

	for (s = 0; s < SECTIONS && c->set; s++)
		if (!strcmp(section_name((enum section)s), section))
			return setting_line(c->set, (enum section)s, key, i);
	return 0;
}

bool config_sets_anything(const struct config *c)
{
	return c->set && c->set->n > 0;
}

static void release_words(struct config_error *list, size_t n)
{
	while (n--) {
		free(list[n].file);
		free(list[n].message);
	}
	free(list);
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
			free(*(char **)section_at(config, section, n));
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
	if (config->set)
		free(config->set->item);
	free(config->set);
	*config = (struct config){ 0 };
}
