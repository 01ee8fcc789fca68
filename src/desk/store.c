/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --store-password: a transport's password, from a person or a pipe into the
 * file that the transport reads it from, with the rights it must have. */
#include "desk/store.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "base/kernel.h"
#include "base/user.h"
#include "desk/desk.h"
#include "submit/secret_source.h"

#define ENCRYPTER "/usr/bin/systemd-creds"

enum { WAIT_MS = 60 * 1000, CREDENTIAL_MAX = 1024 * 1024 };

struct store {
	const struct config *config;
	const struct transport *transport;
	size_t index;             /* the transport's, among its like */
	char *path;               /* what is written */
	uid_t owner;              /* who reads it; -1: who writes it */
	gid_t group;
};

/* --- which file --- */

/* The key by which the transport logs in in a way that reads no file; NULL:
 * none. */
static const char *other_source(const struct transport *t)
{
	return t->password ? "password" :
	       t->password_file ? NULL :
	       t->password_command ? "password_command" :
	       t->token_command ? "token_command" :
	       t->oauth ? "oauth (posthaste --login)" : NULL;
}

static bool find_transport(struct store *s, const char *name,
			   struct outcome *why)
{
	const struct config *c = s->config;
	char words[sizeof(why->text)];
	unsigned line;
	size_t i;

	for (s->index = 0; s->index < c->transports; s->index++)
		if (!strcmp(c->transport[s->index].name, name))
			break;
	if (s->index == c->transports)
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, c->errors ?
				    "there is no transport \"%s\"; the "
				    "configuration has faults, see --check" :
				    "there is no transport \"%s\"", name);
	s->transport = &c->transport[s->index];
	if (!kind_has(s->transport->kind, NAMES_HOST))
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "transport "
				    "%s is of kind %s, which has no use for a "
				    "password", name,
				    kind_name((enum kind)s->transport->kind));
	/* what is wrong elsewhere in the configuration has to be mended
	 * first; the rights of this very file are what will be mended here */
	line = config_line(c, "transport", "password_file", s->index);
	for (i = 0; i < c->errors; i++) {
		if (s->transport->password_file && line &&
		    c->error[i].line == line)
			continue;
		config_fault_words(&c->error[i], words, sizeof(words));
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "%s", words);
	}
	return true;
}

static bool find_file(struct store *s, struct outcome *why)
{
	const struct transport *t = s->transport;
	const char *other = t->password_credential && !t->password_file ?
			    "password_credential" : NULL;

	if (other_source(t))
		other = other_source(t);
	if (other)
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "nothing "
				    "would read a file: transport %s has %s",
				    t->name, other);
	if (!t->username && !t->password_file)
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "transport "
				    "%s has no username to go with a "
				    "password", t->name);
	s->path = t->password_file ? mem_string(t->password_file) :
		  config_password_file(s->config, t->name);
	if (s->path && s->path[0] == '/')
		return true;
	return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "transport %s: no "
			    "place for its password: set password_file, with "
			    "a path from / or ~/ on", t->name);
}

/* Who has to be able to read a secret of this configuration: the owner of its
 * queue where root writes it, else -1, who writes it. */
static bool store_owner(const struct config *c, uid_t *owner, gid_t *group,
			struct outcome *why)
{
	struct user u = { 0 };
	struct stat st;

	*owner = (uid_t)-1;
	*group = (gid_t)-1;
	if (geteuid() || c->user_file || !c->queue.directory ||
	    stat(c->queue.directory, &st))
		return true;
	if (!user_find(st.st_uid, &u, why))
		return false;
	*owner = st.st_uid;
	*group = u.name ? u.gid : st.st_gid;
	user_release(&u);
	return true;
}

/* --- writing it --- */

/* The directory, made for all to pass if it is not there, by way of others that
 * only root has a say in; -1: errno. */
static int open_made(const char *path)
{
	char name[NAME_MAX + 1];
	int above, fd = -1, error;
	struct stat st;

	if (!file_walk(path, true, &above, name))
		return -1;
	if (!mkdirat(above, name, 0700) && fchmodat(above, name, 0755, 0))
		goto out;
	fd = kernel_open(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
			 O_CLOEXEC, 0);
	if (fd >= 0 && (fstat(fd, &st) ||
			(st.st_uid && st.st_uid != geteuid()))) {
		close(fd);
		fd = -1;
		errno = EPERM;
	}
out:
	error = errno;
	close(above);
	errno = error;
	return fd;
}

/* The directory of the file. One person's is for him alone, with those above
 * it; a machine's has to let the password's reader through. */
static int open_directory(const struct store *s)
{
	const char *slash = strrchr(s->path, '/');
	char *directory = mem_stringn(s->path, (size_t)(slash - s->path));
	bool own = geteuid() || s->config->user_file;
	int fd = own ? file_open_made(directory, !geteuid()) :
		 open_made(directory);

	free(directory);
	return fd;
}

/* Who may read the file beside its owner, a group, is the administrator's
 * choice and stays. */
static bool replace(const struct store *s, const struct buf *text)
{
	int directory = open_directory(s), error;
	const char *name = strrchr(s->path, '/') + 1;
	gid_t group = s->group;
	mode_t mode = 0600;
	struct stat st;
	bool done;

	if (directory < 0)
		return false;
	/* the group of a stranger's file is not one that may read it */
	if (!fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) &&
	    (!st.st_uid || st.st_uid == geteuid() || st.st_uid == s->owner) &&
	    S_ISREG(st.st_mode) && st.st_mode & S_IRGRP &&
	    !(st.st_mode & S_IRWXO)) {
		group = st.st_gid;
		mode |= S_IRGRP;
	}
	done = file_replace_for(directory, name, mode, s->owner, group, text);
	error = errno;
	close(directory);
	errno = error;
	return done;
}

struct writing {
	const struct store *s;
	const struct buf *text;
};

static int replace_as_owner(void *context)
{
	const struct writing *w = context;

	if (setgroups(0, NULL) ||
	    setresgid(w->s->group, w->s->group, w->s->group) ||
	    setresuid(w->s->owner, w->s->owner, w->s->owner))
		return EPERM;
	return replace(w->s, w->text) ? 0 : errno & 0xff;
}

/* Where root does not trust the way, because it is the owner's, the owner
 * goes. */
static bool write_it(const struct store *s, const struct buf *text)
{
	struct writing w = { s, text };
	const struct child c = { .call = replace_as_owner, .context = &w,
				 .deadline = clock_in(WAIT_MS) };
	struct outcome ignored;
	int status;

	if (replace(s, text))
		return true;
	if (errno != EPERM || geteuid() || !s->owner ||
	    s->owner == (uid_t)-1)
		return false;
	if (!child_run(&c, &status, &ignored))
		status = EPERM;
	errno = status;
	return !status;
}

static bool write_file(const struct store *s, const struct buf *text,
		       struct outcome *why)
{
	bool refused;

	if (write_it(s, text))
		return true;
	refused = errno == EACCES || errno == EPERM;
	return outcome_fail(why, STAGE_LOCAL, refused ? EX_NOPERM :
			    EX_CANTCREAT, "%s: cannot be written: %s%s",
			    s->path, strerror(errno),
			    refused && geteuid() ? " (the machine's passwords "
			    "are root's to store)" : refused ?
			    " (a directory on the way is another user's)" : "");
}

static bool ask_and_write(const struct store *s, const char *question,
			  struct outcome *why)
{
	struct buf text = BUF_SECRET(128 * 1024);
	char *secret = NULL;
	bool done = secret_ask(question, &secret, why);

	if (done) {
		buf_adds(&text, secret);
		buf_addc(&text, '\n');
		done = write_file(s, &text, why);
	}
	buf_release(&text);
	mem_wipe_string(secret);
	return done;
}

bool store_secret(const struct config *c, const char *path,
		  const char *question, struct outcome *why)
{
	struct store s = { .config = c, .path = mem_string(path) };
	bool done = store_owner(c, &s.owner, &s.group, why) &&
		    ask_and_write(&s, question, why);

	free(s.path);
	return done;
}

bool store_password(const struct config *c, const char *name,
		    struct outcome *why)
{
	struct store s = { .config = c };
	char *question = NULL;
	bool done = false;

	if (!find_transport(&s, name, why) || !find_file(&s, why) ||
	    !store_owner(c, &s.owner, &s.group, why))
		goto out;
	question = mem_printf("Password of %s (transport %s): ",
			      s.transport->username ? s.transport->username :
			      "nobody", name);
	done = ask_and_write(&s, question, why);
out:
	free(question);
	free(s.path);
	return done;
}

/* --- a credential of systemd --- */

static bool credential_encrypt(const char *credential, const char *password,
			       struct buf *out, struct outcome *why)
{
	char *name = mem_printf("--name=%s", credential);
	const char *argv[] = { ENCRYPTER, "encrypt", name, "-", "-", NULL };
	struct buf input = BUF_SECRET(128 * 1024), words = BUF(4096);
	const struct child c = { .argv = argv, .input = &input, .output = out,
				 .words = &words,
				 .deadline = clock_in(WAIT_MS) };
	int status;
	bool done;

	buf_adds(&input, password);
	done = child_run(&c, &status, why) &&
	       (!status || child_failed(status, &words, why));
	if (!done) {
		outcome_prefix(why, ENCRYPTER);
		why->exit = EX_UNAVAILABLE;
	}
	buf_release(&words);
	buf_release(&input);
	free(name);
	return done;
}

/* What is left to be done, which is the administrator's. */
static void tell_unit(const struct store *s, const char *credential)
{
	struct buf out = BUF(64 * 1024);

	buf_addf(&out, "# %s, [transport %s]:\npassword_credential = %s\n\n"
		 "# systemctl edit posthaste.service:\n[Service]\n"
		 "LoadCredentialEncrypted=%s:%s\n", s->config->path,
		 s->transport->name, credential, credential, s->path);
	(void)desk_report(&out);
	buf_release(&out);
}

static bool find_credential(struct store *s, const char **credential,
			    struct outcome *why)
{
	const struct transport *t = s->transport;
	const char *other = other_source(t);

	if (t->password_file)
		other = "password_file";
	if (other)
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "no "
				    "credential would be read: transport %s "
				    "has %s", t->name, other);
	*credential = t->password_credential ? t->password_credential :
		      t->name;
	s->path = config_password_file(s->config, *credential);
	if (!s->path)
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "\"%s\" "
				    "cannot be the name of a credential",
				    *credential);
	memcpy(strrchr(s->path, '.'), ".cred", sizeof(".cred"));
	return true;
}

static bool store_credential(const struct config *c, const char *name,
			     struct outcome *why)
{
	struct store s = { .config = c, .owner = (uid_t)-1,
			   .group = (gid_t)-1 };
	struct buf sealed = BUF(CREDENTIAL_MAX);
	char *question = NULL, *password = NULL;
	const char *credential = NULL;
	bool done = false;

	if (geteuid())
		return outcome_fail(why, STAGE_LOCAL, EX_NOPERM,
				    "--systemd-creds: root alone has the key");
	if (access(ENCRYPTER, X_OK))
		return outcome_fail(why, STAGE_LOCAL, EX_UNAVAILABLE,
				    "--systemd-creds: there is no " ENCRYPTER
				    " here");
	if (!find_transport(&s, name, why) ||
	    !find_credential(&s, &credential, why))
		goto out;
	question = mem_printf("Password of transport %s: ", name);
	done = secret_ask(question, &password, why) &&
	       credential_encrypt(credential, password, &sealed, why) &&
	       write_file(&s, &sealed, why);
	if (done)
		tell_unit(&s, credential);
out:
	buf_release(&sealed);
	mem_wipe_string(password);
	free(question);
	free(s.path);
	return done;
}

int desk_store_password(const struct desk *d)
{
	const char *name = d->options->argument;
	struct outcome why;

	if (d->options->systemd_creds ?
	    store_credential(d->config, name, &why) :
	    store_password(d->config, name, &why))
		return EX_OK;
	return desk_fail(d, &why);
}
