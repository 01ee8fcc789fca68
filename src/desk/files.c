/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "desk/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/user.h"
#include "desk/desk.h"
#include "mail/aliases.h"
#include "mail/dkim.h"
#include "policy/policy.h"
#include "submit/login.h"
#include "submit/secret.h"
#include "wire/tls.h"

struct files {
	struct config *c;         /* which gets the faults */
	uid_t sender;
};

uid_t files_sender(const struct config *c)
{
	struct stat st;

	return policy_queue_use(c, false) != USE_NONE &&
	       !stat(c->queue.directory, &st) ? st.st_uid : (uid_t)-1;
}

static bool another_reads(uid_t sender)
{
	return sender != (uid_t)-1 && sender != geteuid();
}

bool files_denied(const char *path, uid_t sender)
{
	return another_reads(sender) && secret_file_is_denied(path);
}

bool files_login_denied(const struct config *c, const struct transport *t,
			uid_t sender)
{
	return another_reads(sender) && login_is_denied(c, t);
}

/* Whether a file can be read; otherwise that is said. */
static bool readable(struct files *f, unsigned line, const char *key,
		     const char *path)
{
	const struct passwd *owner;
	struct outcome why;
	int fd = file_open(path, 0, NULL, &why);

	if (fd >= 0) {
		close(fd);
		return true;
	}
	if (files_denied(path, f->sender)) {
		owner = getpwuid(f->sender);
		config_warn(f->c, line, "%s: %.300s cannot be read by you, so "
			    "it was not looked at: %.60s, who owns the queue, "
			    "reads it", key, path,
			    owner ? owner->pw_name : "the user");
	} else {
		config_fault(f->c, line, "%s: %s", key, why.text);
	}
	return false;
}

static void tell_unfit(struct files *f, unsigned line, const char *key,
		       const char *path, const struct outcome *why)
{
	/* some words have the file's name, others go on from it */
	if (strstr(why->text, path))
		config_fault(f->c, line, "%s: %s", key, why->text);
	else
		config_fault(f->c, line, "%s: %.300s: %s", key, path,
			     why->text);
}

typedef bool validator(const char *path, struct outcome *why);

static bool check_file(struct files *f, const char *section, size_t i,
		       const char *key, const char *path, validator *valid)
{
	unsigned line = config_line(f->c, section, key, i);
	struct outcome why;

	if (!path)
		return true;
	if (!readable(f, line, key, path))
		return false;
	if (valid(path, &why))
		return true;
	tell_unfit(f, line, key, path, &why);
	return false;
}

static bool dkim_key_valid(const char *path, struct outcome *why)
{
	struct dkim_key *key = NULL;
	bool good = dkim_key_read(path, &key, why);

	dkim_key_free(key);
	return good;
}

/* It is still held against servers: what it says stays true. */
static void check_revocations(struct files *f)
{
	const char *path = f->c->tls.crl_file;
	char stamp[DESK_STAMP];
	struct outcome ignored;
	time_t due;

	if (!check_file(f, "tls", 0, "crl_file", path, tls_crl_file_valid) ||
	    !path || !tls_crl_renewal(path, &due, &ignored) ||
	    due > time(NULL))
		return;
	desk_stamp(due, stamp);
	config_warn(f->c, config_line(f->c, "tls", "crl_file", 0), "crl_file: "
		    "%.300s was to be renewed by %s: what has been revoked "
		    "since is not known", path, stamp);
}

static void check_certificate(struct files *f, size_t i)
{
	const struct transport *t = &f->c->transport[i];
	unsigned line = config_line(f->c, "transport", "certificate", i);
	const char *key = t->key ? t->key : t->certificate;
	struct outcome why;
	bool good;

	if (!t->certificate)
		return;
	good = tls_is_uri(t->certificate) ||
	       check_file(f, "transport", i, "certificate", t->certificate,
			  tls_certificate_valid);
	if ((t->key || good) && !tls_is_uri(key))
		good = check_file(f, "transport", i,
				  t->key ? "key" : "certificate", key,
				  tls_key_valid) && good;
	if (good && !tls_key_fits(t->certificate, key, &why))
		tell_unfit(f, line, "certificate", t->certificate, &why);
}

/* A maildir, or what is there of the way to it: whoever delivers has to be able
 * to write to it. */
static void check_maildir(struct files *f, size_t i)
{
	const struct transport *t = &f->c->transport[i];
	unsigned line = config_line(f->c, "transport", "path", i);
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
		config_fault(f->c, line, "path: %.300s is not a directory",
			     at);
	else if (t->path &&
		 faccessat(AT_FDCWD, at, W_OK | X_OK, AT_EACCESS))
		config_warn(f->c, line, "path: %.300s cannot be written by "
			    "%s: %s", at, reader, strerror(errno));
	free(at);
}

static void tell_alias(void *context, size_t line, bool foreign,
		       const char *words)
{
	struct files *f = context;
	unsigned at = line > UINT_MAX ? 0 : (unsigned)line;

	if (foreign)
		config_warn_in(f->c, f->c->general.aliases, at, words);
	else
		config_fault_in(f->c, f->c->general.aliases, at, words);
}

static void check_aliases(struct files *f)
{
	const struct config *c = f->c;
	unsigned line = config_line(c, "general", "aliases", 0);
	const struct alias_faults faults = { tell_alias, f };
	struct aliases *a = NULL;
	struct outcome why;

	/* that it is missing was said by the loader */
	if (!c->general.aliases ||
	    config_faulty(c, "general", "aliases", 0))
		return;
	if (!aliases_load(c->general.aliases, c->general.aliases_named,
			  &c->general.local_names, &faults, &a, &why))
		config_fault(f->c, line, "%s", why.text);
	else
		aliases_check(a, &faults);
	aliases_free(a);
}

void files_check(struct config *c, uid_t sender)
{
	struct files files = { c, sender }, *f = &files;
	const struct transport *t;
	const struct domain *d;
	size_t i, n;

	check_file(f, "tls", 0, "ca_file", c->tls.ca_file, tls_ca_file_valid);
	check_revocations(f);
	for (i = 0; i < c->domains; i++) {
		d = &c->domain[i];
		for (n = 0; n < d->dkim_key.n; n++)
			check_file(f, "domain", i, "dkim_key",
				   d->dkim_key.item[n], dkim_key_valid);
	}
	for (i = 0; i < c->transports; i++) {
		t = &c->transport[i];
		check_maildir(f, i);
		/* that others can read it was said by the loader */
		if (!config_faulty(c, "transport", "password_file", i))
			check_file(f, "transport", i, "password_file",
				   t->password_file, secret_file_valid);
		if (!config_faulty(c, "transport",
				   "oauth_client_secret_file", i))
			check_file(f, "transport", i,
				   "oauth_client_secret_file",
				   t->oauth_client_secret_file,
				   secret_file_valid);
		check_file(f, "transport", i, "ca_file", t->ca_file,
			   tls_ca_file_valid);
		check_certificate(f, i);
	}
	check_aliases(f);
}
