/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/confine.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/kernel.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/user.h"
#include "policy/policy.h"
#include "submit/cache.h"
#include "submit/login.h"
#include "submit/rate.h"

enum { WALLS_MS = 5000 };       /* that they are used for workers that begin */

/* --- what it keeps in hand --- */

static void keep_descriptors(const struct destination *d, int channel,
			     int walls)
{
	int *keep = mem_alloc((3 * d->n + 6) * sizeof(*keep));
	size_t n = 0, i;

	keep[n++] = STDIN_FILENO;
	keep[n++] = STDOUT_FILENO;
	keep[n++] = STDERR_FILENO;
	keep[n++] = channel;
	keep[n++] = walls;
	keep[n++] = log_keep();
	for (i = 0; i < d->n; i++) {
		const struct job *job = d->part[i].job;

		keep[n++] = job->entry ? entry_descriptor(job->entry) : -1;
		message_descriptors(job->message, &keep[n]);
		n += 2;
	}
	kernel_close_except(keep, n);
	free(keep);
}

static bool goes_by(const struct destination *d, const struct transport *t)
{
	size_t i;

	for (i = 0; d->way[i]; i++)
		if (d->way[i] == t)
			return true;
	return false;
}

static void wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
}

/* In our own memory: the parent's is another. */
static void forget_secrets(struct run *run, const struct destination *d)
{
	const struct config *c = run->config;
	size_t i;

	for (i = 0; i < c->transports; i++)
		if (!goes_by(d, &c->transport[i])) {
			wipe(c->transport[i].password);
			wipe(c->transport[i].proxy_password);
			secrets_forget(run->secrets, &c->transport[i]);
		}
}

/* --- what it may still open --- */

static void add_resolved(struct list *l, const char *path)
{
	char *found = path ? realpath(path, NULL) : NULL;

	if (found)
		list_add(l, found);
	free(found);
}

static void hide_above(struct list *l, const char *file)
{
	const char *slash = file ? strrchr(file, '/') : NULL;
	char *above = slash ? mem_stringn(file, (size_t)(slash - file)) : NULL;

	add_resolved(l, above);
	free(above);
}

/* All that could be secret, and what is not the worker's. */
static void hide_secrets(const struct config *c, const struct destination *d,
			 struct list *l)
{
	char *home = NULL, *path;
	struct outcome ignored;
	size_t i;

	add_resolved(l, c->path);
	add_resolved(l, c->system_file);
	add_resolved(l, c->secrets);
	add_resolved(l, c->queue.directory);
	add_resolved(l, getenv("CREDENTIALS_DIRECTORY"));
	add_resolved(l, "/etc/ssl/private");
	if (user_home(&home, &ignored) && home) {
		path = mem_printf("%s/.netrc", home);
		add_resolved(l, path);
		free(path);
	}
	free(home);
	for (i = 0; i < c->transports; i++) {
		const struct transport *t = &c->transport[i];

		add_resolved(l, t->password_file);
		add_resolved(l, t->oauth_client_secret_file);
		if (!goes_by(d, t))
			add_resolved(l, t->key ? t->key : t->certificate);
		if (!t->oauth)
			continue;
		path = login_path(c, t);
		hide_above(l, path);
		free(path);
	}
}

/* What libraries and helpers read in /etc, to look up names, speak TLS, log in
 * with Kerberos and be loaded. All else there is none of a worker's business,
 * and opening all but the configuration would cost two hundred rules. */
static const char *const needed_of_etc[] = {
	"alternatives", "gai.conf", "group", "host.conf", "hostname", "hosts",
	"ld-musl-*", "ld.so.*", "ldap", "ldap.conf", "libnss*.conf",
	"localtime", "machine-id", "mdns.allow", "networks", "nsswitch.conf",
	"openldap", "passwd", "protocols", "resolv.conf", "services",
	"timezone", "yp.conf",
	"ca-certificates", "crypto-policies", "gnutls", "pkcs11", "pki", "ssl",
	"ssl1.*", "static", "system-fips",
	"gss", "gssapi_mech.conf", "krb5", "krb5.conf", "krb5.conf.d", NULL
};

/* What it cannot do without, wherever that is. */
static void show_needed(const struct config *c, const struct destination *d,
			struct list *l)
{
	size_t i, j;

	add_resolved(l, c->tls.ca_file);
	add_resolved(l, c->tls.crl_file);
	for (i = 0; i < c->domains; i++)
		for (j = 0; j < c->domain[i].dkim_key.n; j++)
			add_resolved(l, c->domain[i].dkim_key.item[j]);
	for (i = 0; d->way[i]; i++) {
		add_resolved(l, d->way[i]->ca_file);
		add_resolved(l, d->way[i]->certificate);
		add_resolved(l, d->way[i]->key);
	}
}

/* Where Kerberos was told that its files are, and the machine's keys. */
static void show_tickets(struct list *l)
{
	static const char *const names[] = {
		"KRB5_CLIENT_KTNAME", "KRB5CCNAME", "KRB5_CONFIG",
	};
	const char *value, *path;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		value = getenv(names[i]);
		/* with its type, FILE: or DIR:, or without */
		path = value ? strchr(value, '/') : NULL;
		add_resolved(l, path);
	}
	add_resolved(l, "/etc/krb5.keytab");
}

/* Where policies and what servers offer are kept: made, as within the walls no
 * directory can be. Whoever would write there says so where it cannot be. */
static void keep_cache(const struct config *c, struct list *l)
{
	const char *path = c->general.cache;
	int fd = path && access(path, F_OK) ? cache_open(path, true) : -1;

	if (fd >= 0)
		close(fd);
	add_resolved(l, path);
}

/* Where the rate of its transport is written, which is made, too. */
static void keep_rates(const struct config *c, const struct destination *d,
		       struct list *l)
{
	char *directory = NULL;
	int fd = -1;
	size_t i;

	for (i = 0; d->way[i] && !directory; i++)
		if (d->way[i]->rate.n)
			directory = rate_directory(c);
	if (directory)
		fd = rate_open_directory(directory);
	if (fd >= 0) {
		add_resolved(l, directory);
		close(fd);
	}
	free(directory);
}

/* Whether it needs more than can be told. */
static bool is_exempt(const struct transport *t)
{
	return kind_has(t->kind, HAS_PATH | RUNS_COMMAND) ||
	       (t->key && tls_is_uri(t->key)) ||
	       (t->certificate && tls_is_uri(t->certificate));
}

static bool may_use_tickets(const struct transport *t)
{
	return list_has_nocase(&t->mechanisms, "GSSAPI") ||
	       (t->username && policy_secret(t) == SECRET_LOOKED_FOR);
}

/* What the walls for those transports are built of; false: there are none. */
static bool plan_walls(const struct config *c, const struct destination *d,
		       struct sandbox *s)
{
	size_t i;

	s->read_only = true;
	s->narrowed = "/etc";
	s->names = needed_of_etc;
	for (i = 0; d->way[i]; i++) {
		if (is_exempt(d->way[i]))
			return false;
		if (may_use_tickets(d->way[i]))
			s->read_only = false;
	}
	hide_secrets(c, d, &s->hidden);
	show_needed(c, d, &s->shown);
	if (!s->read_only)
		show_tickets(&s->shown);
	keep_cache(c, &s->kept);
	keep_rates(c, d, &s->kept);
	return true;
}

/* What the files that are opened one by one are: one that was replaced since
 * by another of its name would not be opened. In the narrowed directory it is
 * that itself that tells. */
static uint64_t walls_stamp(const struct sandbox *s)
{
	struct buf b = BUF(64 * 1024);
	const char *path;
	uint64_t stamp;
	struct stat st;
	size_t i;

	for (i = 0; i <= s->shown.n; i++) {
		path = i ? s->shown.item[i - 1] : s->narrowed;
		if (path && !stat(path, &st))
			buf_addf(&b, "%zu %llx %llx %lx\n", i,
				 (unsigned long long)st.st_ino,
				 (unsigned long long)st.st_mtim.tv_sec,
				 (unsigned long)st.st_mtim.tv_nsec);
	}
	stamp = mem_hash(buf_text(&b));
	buf_release(&b);
	return stamp;
}

void confine_release(struct run *run)
{
	if (run->walls.way && run->walls.fd >= 0)
		close(run->walls.fd);
	sandbox_release(&run->walls.built_of);
	run->walls = (struct walls){ 0 };
}

void confine_prepare(struct run *run, const struct destination *d)
{
	struct walls *w = &run->walls;
	/* and some that are not looked at, as those in /run */
	const bool fresh = w->way && clock_now() < w->until &&
			   walls_stamp(&w->built_of) == w->stamp;
	struct sandbox plan = { 0 };
	struct outcome why;
	int version;

	if (fresh && w->way == d->way && w->first == d->way[0])
		return;
	version = sandbox_version();
	if (version && !plan_walls(run->config, d, &plan))
		version = 0;
	if (fresh && version && w->fd >= 0 &&
	    sandbox_same(&plan, &w->built_of)) {
		sandbox_release(&plan);
	} else {
		confine_release(run);
		w->built_of = plan;
		w->stamp = walls_stamp(&plan);
		w->fd = version ? sandbox_build(&plan, version, &why) : -1;
		w->until = clock_in(WALLS_MS);
		if (version && w->fd < 0)
			log_say(LOG_AT_DEBUG, "workers without a sandbox: %s",
				why.text);
	}
	w->way = d->way;
	w->first = d->way[0];
}

void confine(struct run *run, const struct destination *d, int channel)
{
	struct outcome why;
	size_t i;

	keep_descriptors(d, channel, run->walls.fd);
	forget_secrets(run, d);
	if (run->walls.fd < 0)
		return;
	for (i = 0; d->way[i]; i++)
		secrets_lend(run->secrets, d->way[i]);
	if (!sandbox_enter(run->walls.fd, &why))
		log_say(LOG_AT_DEBUG, "a worker without a sandbox: %s",
			why.text);
	close(run->walls.fd);
}
