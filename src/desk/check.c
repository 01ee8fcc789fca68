/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --check: the configuration as in effect, and all that is wrong with it; the
 * files that it names are read as they would be for mail. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/user.h"
#include "desk/desk.h"
#include "desk/login.h"
#include "mail/aliases.h"
#include "mail/dkim.h"
#include "policy/policy.h"
#include "submit/login.h"
#include "submit/secret.h"
#include "wire/tls.h"

struct check {
	const struct desk *d;
	struct config shown;      /* as in effect; its faults are more */
	uid_t sender;             /* who delivers; -1: there is no queue */
};

/* --- files --- */

/* Whether a file can be read; otherwise that is said. */
static bool readable(struct check *k, unsigned line, const char *key,
		     const char *path)
{
	const struct passwd *owner;
	struct outcome why;
	int fd = file_open(path, 0, NULL, &why);

	if (fd >= 0) {
		close(fd);
		return true;
	}
	/* what only the queue's owner can read is not a fault because
	 * somebody else asks */
	if (k->sender != (uid_t)-1 && k->sender != geteuid() &&
	    faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) && errno == EACCES) {
		owner = getpwuid(k->sender);
		config_warn(&k->shown, line, "%s: %.300s cannot be read by "
			    "you, so it was not looked at: %.60s, who owns the "
			    "queue, reads it", key, path,
			    owner ? owner->pw_name : "the user");
	} else {
		config_fault(&k->shown, line, "%s: %s", key, why.text);
	}
	return false;
}

static void tell_unfit(struct check *k, unsigned line, const char *key,
		       const char *path, const struct outcome *why)
{
	/* some words have the file's name, others go on from it */
	if (strstr(why->text, path))
		config_fault(&k->shown, line, "%s: %s", key, why->text);
	else
		config_fault(&k->shown, line, "%s: %.300s: %s", key, path,
			     why->text);
}

typedef bool validator(const char *path, struct outcome *why);

static bool check_file(struct check *k, const char *section, size_t i,
		       const char *key, const char *path, validator *valid)
{
	unsigned line = config_line(&k->shown, section, key, i);
	struct outcome why;

	if (!path)
		return true;
	if (!readable(k, line, key, path))
		return false;
	if (valid(path, &why))
		return true;
	tell_unfit(k, line, key, path, &why);
	return false;
}

static bool dkim_key_valid(const char *path, struct outcome *why)
{
	struct dkim_key *key = NULL;
	bool good = dkim_key_read(path, &key, why);

	dkim_key_free(key);
	return good;
}

static void check_certificate(struct check *k, size_t i)
{
	const struct transport *t = &k->shown.transport[i];
	unsigned line = config_line(&k->shown, "transport", "certificate", i);
	const char *key = t->key ? t->key : t->certificate;
	struct outcome why;
	bool good;

	if (!t->certificate)
		return;
	good = tls_is_uri(t->certificate) ||
	       check_file(k, "transport", i, "certificate", t->certificate,
			  tls_certificate_valid);
	if ((t->key || good) && !tls_is_uri(key))
		good = check_file(k, "transport", i,
				  t->key ? "key" : "certificate", key,
				  tls_key_valid) && good;
	if (good && !tls_key_fits(t->certificate, key, &why))
		tell_unfit(k, line, "certificate", t->certificate, &why);
}

/* A maildir, or what is there of the way to it: whoever delivers has to be able
 * to write to it. */
static void check_maildir(struct check *k, size_t i)
{
	const struct transport *t = &k->shown.transport[i];
	unsigned line = config_line(&k->shown, "transport", "path", i);
	char *at = mem_string(t->path ? t->path : "/"), *slash;
	char reader[80];
	struct stat st;

	while (stat(at, &st) && (errno == ENOENT || errno == ENOTDIR) &&
	       (slash = strrchr(at, '/'))) {
		/* the root itself is there */
		slash[slash == at] = '\0';
	}
	user_words(geteuid(), reader, sizeof(reader));
	if (t->path && !stat(at, &st) && !S_ISDIR(st.st_mode))
		config_fault(&k->shown, line, "path: %.300s is not a "
			     "directory", at);
	else if (t->path &&
		 faccessat(AT_FDCWD, at, W_OK | X_OK, AT_EACCESS))
		config_warn(&k->shown, line, "path: %.300s cannot be written "
			    "by %s: %s", at, reader, strerror(errno));
	free(at);
}

static void check_files(struct check *k)
{
	const struct config *c = &k->shown;
	const struct transport *t;
	const struct domain *d;
	size_t i, n;

	check_file(k, "tls", 0, "ca_file", c->tls.ca_file, tls_ca_file_valid);
	check_file(k, "tls", 0, "crl_file", c->tls.crl_file,
		   tls_crl_file_valid);
	for (i = 0; i < c->domains; i++) {
		d = &c->domain[i];
		for (n = 0; n < d->dkim_key.n; n++)
			check_file(k, "domain", i, "dkim_key",
				   d->dkim_key.item[n], dkim_key_valid);
	}
	for (i = 0; i < c->transports; i++) {
		t = &c->transport[i];
		check_maildir(k, i);
		/* that others can read it was said by the loader */
		if (!config_faulty(c, "transport", "password_file", i))
			check_file(k, "transport", i, "password_file",
				   t->password_file, secret_file_valid);
		if (!config_faulty(c, "transport",
				   "oauth_client_secret_file", i))
			check_file(k, "transport", i,
				   "oauth_client_secret_file",
				   t->oauth_client_secret_file,
				   secret_file_valid);
		check_file(k, "transport", i, "ca_file", t->ca_file,
			   tls_ca_file_valid);
		check_certificate(k, i);
	}
}

static void tell_alias(void *context, size_t line, bool foreign,
		       const char *words)
{
	struct check *k = context;
	unsigned at = line > UINT_MAX ? 0 : (unsigned)line;

	if (foreign)
		config_warn_in(&k->shown, k->shown.general.aliases, at, words);
	else
		config_fault_in(&k->shown, k->shown.general.aliases, at,
				words);
}

static void check_aliases(struct check *k)
{
	const struct config *c = &k->shown;
	unsigned line = config_line(c, "general", "aliases", 0);
	const struct alias_faults faults = { tell_alias, k };
	struct aliases *a = NULL;
	struct outcome why;

	/* that it is missing was said by the loader */
	if (!c->general.aliases ||
	    config_faulty(c, "general", "aliases", 0))
		return;
	if (!aliases_load(c->general.aliases, c->general.aliases_named,
			  &c->general.local_names, &faults, &a, &why))
		config_fault(&k->shown, line, "%s", why.text);
	else
		aliases_check(a, &faults);
	aliases_free(a);
}

/* --- what is valid and hardly meant --- */

static void check_credentials(struct check *k, size_t i)
{
	const struct transport *t = &k->shown.transport[i];
	struct outcome why = { .exit = EX_OK };
	const bool secret = !t->username || secret_foreseen(t, &why);
	const struct {
		bool wrong;
		const char *key, *words;
	} rows[] = {
		{ !secret && why.exit == EX_OK, "username",
		  "username without a password: none of the password keys, "
		  "no entry in ~/.netrc (posthaste --store-password)" },
		{ !t->username && t->password, "password",
		  "password without a username" },
		{ !t->username && t->password_file, "password_file",
		  "password_file without a username" },
	};
	size_t n;

	if (why.exit != EX_OK)
		config_fault(&k->shown, config_line(&k->shown, "transport",
						    "username", i),
			     "username: %s", why.text);
	for (n = 0; n < sizeof(rows) / sizeof(*rows); n++)
		if (rows[n].wrong)
			config_warn(&k->shown, config_line(&k->shown,
							   "transport",
							   rows[n].key, i),
				    "%s", rows[n].words);
}

static void check_trust(struct check *k)
{
	struct config *c = &k->shown;
	bool needed = !c->transports && c->tls.mta_sts && !c->tls.ca_file;
	const struct transport *t;
	size_t i, first = c->transports;

	for (i = c->transports; i--;) {
		t = &c->transport[i];
		/* a certificate is held against the system's authorities */
		if (kind_facts(t->kind)->tls >= TLS_DEMANDED &&
		    !t->no_starttls && !t->starttls_insecure_skip_verify &&
		    !t->ca_file && !t->fingerprint.n && !c->tls.ca_file &&
		    !(t->host.n && t->host.item[0][0] == '/'))
			first = i;
	}
	needed = needed || first < c->transports;
	if (needed && !tls_system_has_trust())
		config_warn(c, first < c->transports ?
			    c->transport[first].line : 0, "there are no CA "
			    "certificates on this system, so no server can be "
			    "verified: install ca-certificates, or set "
			    "ca_file");
}

static void check_login_state(struct check *k, size_t i)
{
	struct config *c = &k->shown;
	const struct transport *t = &c->transport[i];
	unsigned line = config_line(c, "transport", "oauth", i);
	struct login_state state;

	if (!t->oauth || login_is_denied(c, t))
		return;
	if (login_preparation(t)) {
		config_warn(c, line, "oauth: %s demands a client that is "
			    "registered there: posthaste --login %.100s says "
			    "how", t->oauth, t->name);
		return;
	}
	login_look(c, t, &state);
	if (state.health != LOGIN_GOOD)
		config_warn(c, line, "oauth: %s", state.words);
}

static void check_meaning(struct check *k)
{
	struct config *c = &k->shown;
	unsigned line = config_line(c, "queue", "queue", 0);
	const char *directory = c->queue.directory;
	const char *fault = log_fault();
	struct stat st;
	size_t i;

	if (c->user_file && !config_sets_anything(c))
		config_fault(c, 0, "sets nothing, and hides the system's "
			     "configuration: fill it or remove it");
	for (i = 0; i < c->transports; i++) {
		check_credentials(k, i);
		check_login_state(k, i);
	}
	/* a queue that was asked for, and where it would be */
	if (c->queue.queue == QUEUE_ON_FAILURE ||
	    c->queue.queue == QUEUE_ALWAYS) {
		if (!directory)
			config_warn(c, line, "queue: there is none: a file "
				    "that is named with -C has a queue only "
				    "where it says directory");
		else if (!c->user_file && stat(directory, &st))
			config_warn(c, line, "queue: %.300s: %s "
				    "(contrib/setup makes the system's "
				    "queue)", directory, strerror(errno));
	}
	/* the log has been opened by whom we are now */
	if (fault)
		config_warn(c, config_line(c, "log", "to", 0), "to: cannot be "
			    "written, and syslog takes its place: %s", fault);
	check_trust(k);
}

/* --- saying it --- */

/* Without the key it depends on the queue's state what is done. */
static void effective_queue(const struct desk *d, struct config *shown)
{
	struct outcome ignored;
	struct queue *q;

	if (!shown->queue.directory)
		shown->queue.queue = QUEUE_NEVER;
	if (shown->queue.queue != QUEUE_UNSET)
		return;
	if (!desk_queue(d, false, &q, &ignored) || !q) {
		shown->queue.queue = QUEUE_NEVER;
		return;
	}
	shown->queue.queue = QUEUE_ON_FAILURE;
	queue_close(q);
}

static void add_count(struct buf *out, size_t n, const char *what)
{
	if (n)
		buf_addf(out, "%zu %s%s", n, what, n == 1 ? "" : "s");
	else
		buf_addf(out, "no %ss", what);
}

/* As comments, so that what is printed is still a configuration. */
static void add_verdict(const struct config *c, struct buf *out)
{
	char words[2048];
	size_t i;

	for (i = 0; i < c->warnings; i++) {
		config_fault_words(&c->warning[i], words, sizeof(words));
		buf_addf(out, "%s# warning: %s\n", !i && out->len ? "\n" : "",
			 words);
	}
	if (out->len && !c->warnings)
		buf_addc(out, '\n');
	if (c->path)
		buf_addf(out, "# %s: ", c->path);
	else
		buf_addf(out, "# no configuration file (looked for %s): the "
			 "defaults, mail goes directly; ", c->looked);
	add_count(out, c->errors, "fault");
	if (c->warnings) {
		buf_adds(out, ", ");
		add_count(out, c->warnings, "warning");
	}
	buf_addc(out, '\n');
}

/* A copy of the configuration, with faults of its own. */
static void own_faults(struct check *k)
{
	const struct config *c = k->d->config;
	size_t i;

	k->shown = *c;
	k->shown.error = k->shown.warning = NULL;
	k->shown.errors = k->shown.warnings = 0;
	for (i = 0; i < c->errors; i++)
		config_fault(&k->shown, c->error[i].line, "%s",
			     c->error[i].message);
	for (i = 0; i < c->warnings; i++)
		config_warn(&k->shown, c->warning[i].line, "%s",
			    c->warning[i].message);
}

int desk_check(const struct desk *d)
{
	struct check k = { .d = d };
	bool understood = !d->config->errors;
	struct buf out = BUF(64 * 1024 * 1024);
	char words[2048], *clean;
	struct stat st;
	int status;
	size_t i;

	own_faults(&k);
	/* whose queue it is delivers, and reads what is needed for that */
	k.sender = policy_queue_use(d->config, false) != USE_NONE &&
		   !stat(d->config->queue.directory, &st) ? st.st_uid :
		   (uid_t)-1;
	check_files(&k);
	check_aliases(&k);
	if (understood)
		check_meaning(&k);
	config_sort_faults(&k.shown);
	effective_queue(d, &k.shown);
	if (d->options->json) {
		config_print_json(&k.shown, &out);
		buf_addc(&out, '\n');
	} else {
		for (i = 0; i < k.shown.errors; i++) {
			config_fault_words(&k.shown.error[i], words,
					   sizeof(words));
			clean = text_clean(words);
			fprintf(stderr, "%s\n", clean);
			free(clean);
		}
		if (understood)
			config_print(&k.shown, &out);
		add_verdict(&k.shown, &out);
	}
	status = desk_report(&out);
	buf_release(&out);
	status = k.shown.errors ? EX_CONFIG : status;
	config_release_faults(&k.shown);
	return status;
}
