/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What depends on the host or on more than one key. */
#include "config/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "mail/address.h"

/* Gives *address the domain if it lacks one. */
static void qualify(char **address, const char *domain)
{
	const char *at;
	char *whole;

	if (!*address)
		return;
	/* an "@" may also be within a quoted local part */
	at = strrchr(*address, '@');
	if (at && !strchr(at, '"'))
		return;
	whole = address_qualify(*address, domain);
	free(*address);
	*address = whole;
}

static void qualify_all(struct config *c)
{
	struct account *a;
	const char *domain;
	size_t i, n;

	qualify(&c->general.default_recipient, c->general.domain);
	qualify(&c->queue.postmaster, c->general.domain);
	for (i = 0; i < c->accounts; i++) {
		a = &c->account[i];
		domain = a->domain ? a->domain : c->general.domain;
		identity_take_apart(a);
		qualify(&a->from, domain);
		qualify(&a->redirect, domain);
		for (n = 0; n < a->bcc.n; n++)
			qualify(&a->bcc.item[n], domain);
	}
}

/* A list has its fallback only where nothing was added to it. */
static void default_schedule(struct config *c)
{
	const struct config_key *key = key_named(SECTION_QUEUE, "schedule");
	struct list *words = &c->queue.schedule;
	size_t i;

	if (!words->n)
		list_split(words, key->fallback, " ");
	c->queue.step = mem_alloc(words->n * sizeof(*c->queue.step));
	for (i = 0; i < words->n; i++)
		if (duration_parse(words->item[i],
				   &c->queue.step[c->queue.steps]))
			c->queue.steps++;
}

void config_defaults(struct config *c, const struct config_place *place)
{
	identity_defaults(c, place);
	if (!c->queue.directory && !c->named_file)
		c->queue.directory = mem_string(place->queue_directory);
	if (!c->general.cache && c->queue.directory)
		c->general.cache = mem_printf("%s/mta-sts",
					      c->queue.directory);
	default_schedule(c);
	qualify_all(c);
}

static void default_aliases(struct config *c, const struct settings *set)
{
	static const char usual[] = "/etc/aliases";
	unsigned line = setting_line(set, SECTION_GENERAL, "aliases", 0);

	if (line)
		c->general.aliases_named = c->general.aliases != NULL;
	else if (!access(usual, F_OK))
		c->general.aliases = mem_string(usual);
	if (c->general.aliases_named && access(c->general.aliases, F_OK) &&
	    (errno == ENOENT || errno == ENOTDIR))
		config_fault(c, line, "aliases: %.300s: %s",
			     c->general.aliases, strerror(errno));
}

/* What a route's names mean: from here on nobody looks them up again. */
static void find_way(struct config *c, const struct settings *set, size_t i)
{
	struct route *r = &c->route[i];
	const struct transport *t;
	size_t n, found = 0;

	r->way = mem_alloc((r->transport.n + 2) * sizeof(*r->way));
	for (n = 0; n < r->transport.n; n++) {
		t = config_transport(c, r->transport.item[n]);
		if (t)
			r->way[found++] = t;
		else
			config_fault(c, setting_line(set, SECTION_ROUTE,
						     "transport", i),
				     "transport: there is no [transport %s]",
				     r->transport.item[n]);
	}
	if (!r->transport.n)
		r->way[0] = config_direct();
}

static void check_routes(struct config *c, const struct settings *set)
{
	const struct route *r;
	size_t i;

	for (i = 0; i < c->routes; i++) {
		r = &c->route[i];
		if (r->account && !config_account(c, r->account))
			config_fault(c, setting_line(set, SECTION_ROUTE,
						     "account", i),
				     "account: there is no [account %s]",
				     r->account);
		find_way(c, set, i);
		if (!r->transport_set)
			config_fault(c, r->line, "[route %s] has no transport "
				     "(empty, or direct, for direct "
				     "delivery)", r->name);
	}
}

static void check_domains(struct config *c)
{
	const struct domain *d;
	size_t i;

	for (i = 0; i < c->domains; i++) {
		d = &c->domain[i];
		if (d->dkim_selector.n != d->dkim_key.n)
			config_fault(c, d->line, "[domain %s] has %zu of "
				     "dkim_selector and %zu of dkim_key",
				     d->name, d->dkim_selector.n,
				     d->dkim_key.n);
	}
}

static bool any_socket(const struct list *host)
{
	size_t i;

	for (i = 0; i < host->n; i++)
		if (host->item[i][0] == '/')
			return true;
	return false;
}

static bool is_faulty(const struct config *c, unsigned line)
{
	size_t i;

	for (i = 0; i < c->errors; i++)
		if (c->error[i].line == line)
			return true;
	return false;
}

/* What a transport does where its keys say nothing; with SRV records the
 * port is theirs. */
static void default_transport(struct transport *t)
{
	if (!t->port && !t->srv)
		t->port = transport_port(t);
	if (t->proxy_dns < 0 && transport_proxy(t))
		t->proxy_dns = transport_proxy_dns(t);
}

/* What a kind cannot do without. */
static void check_needed(struct config *c, const struct settings *set,
			 size_t i)
{
	const struct transport *t = &c->transport[i];
	const struct {
		unsigned trait;
		const char *key;
		bool there;
		const char *words;
	} needed[] = {
		{ NAMES_HOST, "host", t->host.n > 0, "host" },
		{ IS_PROXIED, "address", t->address.host != NULL,
		  "address (of the SOCKS proxy)" },
		{ HAS_PATH, "path", t->path != NULL, "path" },
		{ RUNS_COMMAND, "command", t->command != NULL, "command" },
	};
	unsigned line;
	size_t n;

	for (n = 0; n < sizeof(needed) / sizeof(*needed); n++) {
		line = setting_line(set, SECTION_TRANSPORT, needed[n].key, i);
		if (!kind_has(t->kind, needed[n].trait) || needed[n].there ||
		    (line && is_faulty(c, line)))
			continue;
		if (line && needed[n].trait == NAMES_HOST)
			config_fault(c, line, "host names no host");
		else
			config_fault(c, t->line, "[transport %s] has no %s",
				     t->name, needed[n].words);
	}
}

static void check_transport(struct config *c, const struct settings *set,
			    size_t i)
{
	const struct transport *t = &c->transport[i];
	unsigned host = setting_line(set, SECTION_TRANSPORT, "host", i);

	check_needed(c, set, i);
	if (any_socket(&t->host) && kind_has(t->kind, NAMES_HOST) &&
	    !kind_has(t->kind, NAMES_SOCKET))
		config_fault(c, host, "host: a UNIX socket is for kinds smtp "
			     "and lmtp");
	if (any_socket(&t->host) && t->proxy.host)
		config_fault(c, host, "host: a UNIX socket cannot be reached "
			     "through a proxy");
	if (t->key && !t->certificate)
		config_fault(c, setting_line(set, SECTION_TRANSPORT, "key", i),
			     "key without certificate");
	if (t->no_starttls && t->starttls_insecure_skip_verify &&
	    kind_has(t->kind, STARTS_TLS))
		config_fault(c, setting_line(set, SECTION_TRANSPORT,
					     "no_starttls", i),
			     "no_starttls contradicts "
			     "starttls_insecure_skip_verify");
	default_transport(&c->transport[i]);
}

/* Others may read a secret: refused, but for one whose rights nobody can
 * change here, as containers mount them. */
static void secret_exposed(struct config *c, unsigned line, const char *key,
			   const char *file, const char *shown)
{
	struct statvfs fs;

	if (!statvfs(file, &fs) && fs.f_flag & ST_RDONLY)
		config_warn(c, line, "%s: %.200s can be read by others, on a "
			    "read-only file system", key, shown);
	else
		config_fault(c, line, "%s: %.200s can be read by others "
			     "(chmod o-r)", key, shown);
}

static void check_password_file(struct config *c, const char *path,
				unsigned line)
{
	struct stat st;

	/* that it cannot be read here may be right: it belongs to whom
	 * delivers */
	if (path && !stat(path, &st) && st.st_mode & S_IROTH)
		secret_exposed(c, line, "password_file", path, path);
}

/* A password, or a key's URI with its PIN (RFC 7512). */
static bool holds_secret(const struct transport *t,
			 const struct config_key *key)
{
	return key->type->store == STORE_SECRET ||
	       (!strcmp(key->key, "key") && t->key &&
		strstr(t->key, "pin-value="));
}

/* Whether the transport's kind is set and not understood: then nothing that
 * depends on it is known. */
static bool kind_is_faulty(const struct config *c, const struct settings *set,
			   size_t i)
{
	unsigned line = setting_line(set, SECTION_TRANSPORT, "kind", i);

	return line && is_faulty(c, line);
}

/* What a key of a transport must not be, given the transport's kind and who
 * can read the file. */
static void check_setting(struct config *c, const struct settings *set,
			  const struct setting *s, unsigned mode)
{
	const struct transport *t = &c->transport[s->index];
	const struct config_key *key = s->key;

	if (!key_fits(key, t->kind) &&
	    !kind_is_faulty(c, set, s->index))
		config_fault(c, s->line, "%s has no use with kind %s",
			     key->key, kind_name((enum kind)t->kind));
	if (holds_secret(t, key) && mode & S_IROTH)
		secret_exposed(c, s->line, key->key, c->path, "this file");
	if (!strcmp(key->key, "password_file"))
		check_password_file(c, t->password_file, s->line);
}

/* --- what is valid and hardly meant --- */

static void check_use(struct config *c, size_t i)
{
	const struct transport *t = &c->transport[i];
	size_t r, n;

	for (r = 0; r < c->routes; r++)
		for (n = 0; c->route[r].way[n]; n++)
			if (c->route[r].way[n] == t)
				return;
	config_warn(c, t->line, "no route uses [transport %s]%s", t->name,
		    c->routes ? "" : ": mail goes directly to the hosts of "
		    "each recipient's domain (a [route NAME] with transport "
		    "= NAME is missing)");
}

/* A port at which servers speak another way. */
static void check_port(struct config *c, const struct settings *set, size_t i)
{
	const struct transport *t = &c->transport[i];
	unsigned line = setting_line(set, SECTION_TRANSPORT, "port", i);
	enum kind_tls tls = kind_facts(t->kind)->tls;

	if (!line)
		return;
	if (t->port == 465 && tls == TLS_DEMANDED)
		config_warn(c, line, "port: servers expect TLS from the start "
			    "on port 465: that is kind = submissions");
	else if ((t->port == 587 || t->port == 25) && tls == TLS_AT_ONCE)
		config_warn(c, line, "port: servers expect STARTTLS on port "
			    "%d: that is kind = %s", (int)t->port,
			    t->port == 587 ? "submission" : "smtp");
	else if (t->port == 465 && tls == TLS_OFFERED)
		config_warn(c, line, "port: 465 is for kind = submissions");
}

void config_check(struct config *c, const struct settings *set,
		  unsigned mode)
{
	const struct setting *s;
	size_t i;

	default_aliases(c, set);
	identity_local_names(c, set);
	for (i = 0; i < set->n; i++) {
		s = &set->item[i];
		if (s->key->section == SECTION_TRANSPORT)
			check_setting(c, set, s, mode);
		else if (s->key == key_named(SECTION_ROUTE, "transport"))
			c->route[s->index].transport_set = true;
	}
	check_routes(c, set);
	check_domains(c);
	for (i = 0; i < c->transports; i++) {
		if (!kind_is_faulty(c, set, i))
			check_transport(c, set, i);
		check_use(c, i);
		check_port(c, set, i);
	}
}
