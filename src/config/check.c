/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Defaults that depend on the host or on other keys, and then checks of what
 * one key alone cannot tell. Checks change nothing. */
#include "config/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "mail/address.h"

/* --- defaults --- */

/* Gives *address the domain if it lacks one. */
static void qualify(char **address, const char *domain)
{
	char *whole;

	if (!*address)
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

/* What a route's names mean: from here on nobody looks them up again. */
static void find_way(const struct config *c, struct route *r)
{
	const struct transport *t;
	size_t n, found = 0;

	r->way = mem_alloc((r->transport.n + 2) * sizeof(*r->way));
	for (n = 0; n < r->transport.n; n++) {
		t = config_transport(c, r->transport.item[n]);
		if (t)
			r->way[found++] = t;
	}
	if (!r->transport.n)
		r->way[0] = config_direct();
}

char *config_password_file(const struct config *c, const char *transport)
{
	if (!c->secrets || strchr(transport, '/') || transport[0] == '.')
		return NULL;
	return mem_printf("%s/%s.password", c->secrets, transport);
}

/* What --store-password wrote where no key names a file: it is named by being
 * there. */
static void default_password(const struct config *c, struct transport *t)
{
	bool told = t->password || t->password_file || t->password_command ||
		    t->password_credential || t->token_command || t->oauth ||
		    t->certificate;
	struct stat st;

	if (told || !t->username)
		return;
	t->password_file = config_password_file(c, t->name);
	if (t->password_file && !lstat(t->password_file, &st))
		return;
	free(t->password_file);
	t->password_file = NULL;
}

void config_defaults(struct config *c, const struct config_place *place)
{
	static const char usual_aliases[] = "/etc/aliases";
	const struct config_key *key = key_named(SECTION_QUEUE, "schedule");
	struct list *words = &c->queue.schedule;
	struct transport *t;
	size_t i;

	identity_defaults(c, place);
	identity_local_names(c);
	if (config_line(c, "general", "aliases", 0))
		c->general.aliases_named = c->general.aliases != NULL;
	else if (!access(usual_aliases, F_OK))
		c->general.aliases = mem_string(usual_aliases);
	if (!c->queue.directory && !c->named_file)
		c->queue.directory = mem_string(place->queue_directory);
	if (!c->general.cache && c->queue.directory)
		c->general.cache = mem_printf("%s/mta-sts",
					      c->queue.directory);
	/* a list has its fallback only where nothing was added to it */
	if (!words->n)
		list_split(words, key->fallback, " ");
	c->queue.step = mem_alloc(words->n * sizeof(*c->queue.step));
	for (i = 0; i < words->n; i++)
		if (duration_parse(words->item[i],
				   &c->queue.step[c->queue.steps]))
			c->queue.steps++;
	qualify_all(c);
	for (i = 0; i < c->routes; i++)
		find_way(c, &c->route[i]);
	for (i = 0; i < c->transports; i++) {
		t = &c->transport[i];
		if (config_faulty(c, "transport", "kind", i))
			continue;
		/* with SRV records the port is theirs */
		if (!t->port && !t->srv)
			t->port = transport_port(t);
		default_password(c, t);
		if (t->proxy_dns < 0 && transport_proxy(t))
			t->proxy_dns = transport_proxy_dns(t);
	}
}

/* --- checks --- */

static void check_routes(struct config *c)
{
	const struct route *r;
	size_t i, n;

	for (i = 0; i < c->routes; i++) {
		r = &c->route[i];
		if (r->account && !config_account(c, r->account))
			config_fault(c, config_line(c, "route", "account", i),
				     "account: there is no [account %s]",
				     r->account);
		for (n = 0; n < r->transport.n; n++)
			if (!config_transport(c, r->transport.item[n]))
				config_fault(c, config_line(c, "route",
							    "transport", i),
					     "transport: there is no "
					     "[transport %s]",
					     r->transport.item[n]);
		if (!config_line(c, "route", "transport", i))
			config_fault(c, r->line, "[route %s] has no transport "
				     "(empty, or direct, for direct "
				     "delivery)", r->name);
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

/* What a kind cannot do without. */
static void check_needed(struct config *c, size_t i)
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
		if (!kind_has(t->kind, needed[n].trait) || needed[n].there ||
		    config_faulty(c, "transport", needed[n].key, i))
			continue;
		line = config_line(c, "transport", needed[n].key, i);
		if (line && needed[n].trait == NAMES_HOST)
			config_fault(c, line, "host names no host");
		else
			config_fault(c, t->line, "[transport %s] has no %s",
				     t->name, needed[n].words);
	}
}

static void check_login(struct config *c, size_t i)
{
	static const char *const of_login[] = {
		"oauth_client_id", "oauth_client_secret_file", "oauth_scope",
	};
	const struct transport *t = &c->transport[i];
	unsigned line = config_line(c, "transport", "oauth", i), other;
	size_t n;

	if (config_faulty(c, "transport", "oauth", i))
		return;
	if (t->oauth && t->token_command)
		config_fault(c, line, "oauth contradicts token_command");
	if (t->oauth && t->oauth_grant == GRANT_CLIENT &&
	    (!t->oauth_client_id || !t->oauth_client_secret_file))
		config_fault(c, line, "oauth_grant = client_credentials needs "
			     "oauth_client_id and oauth_client_secret_file");
	for (n = 0; n < sizeof(of_login) / sizeof(*of_login); n++) {
		other = config_line(c, "transport", of_login[n], i);
		if (other && !t->oauth)
			config_fault(c, other, "%s without oauth",
				     of_login[n]);
	}
}

/* Keys that contradict each other, or the kind. */
static void check_transport(struct config *c, size_t i)
{
	const struct transport *t = &c->transport[i];
	unsigned host = config_line(c, "transport", "host", i);

	check_needed(c, i);
	check_login(c, i);
	if (any_socket(&t->host) && kind_has(t->kind, NAMES_HOST) &&
	    !kind_has(t->kind, NAMES_SOCKET))
		config_fault(c, host, "host: a UNIX socket is for kinds smtp "
			     "and lmtp");
	if (any_socket(&t->host) && t->proxy.host)
		config_fault(c, host, "host: a UNIX socket cannot be reached "
			     "through a proxy");
	if (t->key && !t->certificate)
		config_fault(c, config_line(c, "transport", "key", i),
			     "key without certificate");
	if (t->no_starttls && t->starttls_insecure_skip_verify &&
	    kind_has(t->kind, STARTS_TLS))
		config_fault(c, config_line(c, "transport", "no_starttls", i),
			     "no_starttls contradicts "
			     "starttls_insecure_skip_verify");
}

/* Others may read a secret: refused, but for one whose rights nobody can
 * change here, as containers mount them. */
static void secret_exposed(struct config *c, const struct setting *s,
			   const char *file, const char *shown)
{
	struct statvfs fs;

	if (!statvfs(file, &fs) && fs.f_flag & ST_RDONLY) {
		config_warn(c, s->line, "%s: %.200s can be read by others, on "
			    "a read-only file system", s->key->key, shown);
		return;
	}
	config_fault(c, s->line, "%s: %.200s can be read by others "
		     "(chmod o-r)", s->key->key, shown);
	config_set_faulty(c, "transport", s->key->key, s->index);
}

/* What a key of a transport must not be, given the transport's kind and who
 * can read the file. */
static void check_setting(struct config *c, const struct setting *s,
			  unsigned mode)
{
	const struct transport *t = &c->transport[s->index];
	const struct config_key *key = s->key;
	/* a password, or a key's URI with its PIN (RFC 7512) */
	bool secret = key->type->store == STORE_SECRET ||
		      (!strcmp(key->key, "key") && t->key &&
		       strstr(t->key, "pin-value=")) ||
		      (!strcmp(key->key, "certificate") && t->certificate &&
		       strstr(t->certificate, "pin-value="));
	const char *file;
	struct stat st;

	if (!key_fits(key, t->kind) &&
	    !config_faulty(c, "transport", "kind", s->index))
		config_fault(c, s->line, "%s has no use with kind %s",
			     key->key, kind_name((enum kind)t->kind));
	if (secret && mode & S_IROTH)
		secret_exposed(c, s, c->path, "this file");
	/* that it cannot be read here may be right: it belongs to whom
	 * delivers */
	file = !strcmp(key->key, "password_file") ? t->password_file :
	       !strcmp(key->key, "oauth_client_secret_file") ?
	       t->oauth_client_secret_file : NULL;
	if (file && !stat(file, &st) && S_ISREG(st.st_mode) &&
	    st.st_mode & S_IROTH)
		secret_exposed(c, s, file, file);
}

/* --- what is valid and hardly meant --- */

static void check_use(struct config *c)
{
	bool *used = mem_alloc(c->transports * sizeof(*used));
	const struct transport *const *way;
	const struct transport *t;
	size_t i;

	for (i = 0; i < c->routes; i++)
		for (way = c->route[i].way; *way; way++)
			if (*way != config_direct())
				used[*way - c->transport] = true;
	for (t = c->transport, i = 0; i < c->transports; t++, i++)
		if (!used[i])
			config_warn(c, t->line, "no route uses [transport %s]"
				    "%s", t->name, c->routes ? "" : ": mail "
				    "goes directly to the hosts of each "
				    "recipient's domain (a [route NAME] with "
				    "transport = NAME is missing)");
	free(used);
}

/* A port at which servers speak another way. */
static void check_port(struct config *c, size_t i)
{
	const struct transport *t = &c->transport[i];
	unsigned line = config_line(c, "transport", "port", i);
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

/* Keys that another key of the transport leaves without effect: whoever set a
 * fingerprint believes that it is looked at. */
static void check_effect(struct config *c, size_t i)
{
	static const char near[] = "without proxy";
	const struct transport *t = &c->transport[i];
	const bool local = kind_has(t->kind, SPEAKS_LMTP) &&
			   any_socket(&t->host);
	const bool clear = local || (t->no_starttls &&
			   kind_facts(t->kind)->way != WAY_DIRECT);
	const char *in_clear = local ? "on a UNIX socket" : "with no_starttls";
	const bool any = t->starttls_insecure_skip_verify && !t->fingerprint.n;
	const bool proxied = kind_has(t->kind, IS_PROXIED) ||
			     transport_proxy(t);
	const struct {
		bool idle;
		const char *key, *because;
	} rows[] = {
		{ clear && t->fingerprint.n, "fingerprint", in_clear },
		{ clear && t->ca_file, "ca_file", in_clear },
		{ clear && t->tls_name, "tls_name", in_clear },
		{ clear && t->certificate, "certificate", in_clear },
		{ local && t->starttls_insecure_skip_verify,
		  "starttls_insecure_skip_verify", in_clear },
		{ any && !clear && t->ca_file, "ca_file",
		  "with starttls_insecure_skip_verify" },
		{ !proxied && t->proxy_dns >= 0, "proxy_dns", near },
		{ !proxied && t->proxy_username, "proxy_username", near },
		{ !proxied && t->proxy_password, "proxy_password", near },
		{ t->srv && t->port, "port",
		  "with srv: the records name the port" },
	};
	size_t n;

	for (n = 0; n < sizeof(rows) / sizeof(*rows); n++)
		if (rows[n].idle)
			config_warn(c, config_line(c, "transport", rows[n].key,
						   i), "%s has no effect %s",
				    rows[n].key, rows[n].because);
}

void config_check(struct config *c, unsigned mode)
{
	const char *aliases = c->general.aliases;
	const struct domain *d;
	size_t i;

	if (c->general.aliases_named && access(aliases, F_OK) &&
	    (errno == ENOENT || errno == ENOTDIR)) {
		config_fault(c, config_line(c, "general", "aliases", 0),
			     "aliases: %.300s: %s", aliases, strerror(errno));
		config_set_faulty(c, "general", "aliases", 0);
	}
	for (i = 0; i < c->set->n; i++)
		if (c->set->item[i].key->section == SECTION_TRANSPORT)
			check_setting(c, &c->set->item[i], mode);
	check_routes(c);
	for (i = 0; i < c->domains; i++) {
		d = &c->domain[i];
		if (d->dkim_selector.n != d->dkim_key.n)
			config_fault(c, d->line, "[domain %s] has %zu of "
				     "dkim_selector and %zu of dkim_key",
				     d->name, d->dkim_selector.n,
				     d->dkim_key.n);
	}
	for (i = 0; i < c->transports; i++) {
		if (!config_faulty(c, "transport", "kind", i))
			check_transport(c, i);
		check_port(c, i);
		check_effect(c, i);
	}
	check_use(c);
}
