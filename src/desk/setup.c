/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --setup: a conversation from an address to a message that arrived. Nothing
 * is written before it was shown, and nothing that is there is replaced
 * unasked. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "base/user.h"
#include "desk/configure.h"
#include "desk/login.h"
#include "desk/setup_parts.h"
#include "desk/store.h"
#include "mail/address.h"
#include "policy/policy.h"

enum { CONFIG_MAX = 1024 * 1024, PASSWORDS = 3, PROBE_MS = 3 * 60 * 1000 };

static bool stop(struct setup *s)
{
	const char *advice = policy_setup_advice(&s->why);
	char words[1200];

	if (s->why.exit == EX_OK)
		s->why.exit = EX_SOFTWARE;
	outcome_words(&s->why, words, sizeof(words));
	desk_complain("%s", words);
	desk_log_failure(s->d, &s->why);
	if (advice)
		setup_say("%s", advice);
	return false;
}

/* --- who, and where --- */

static bool find_places(struct setup *s)
{
	const char *named = s->d->options->config, *slash;
	const char *base = getenv("XDG_CONFIG_HOME");
	char *home = NULL;

	s->root = !geteuid();
	if (named) {
		s->path = mem_string(named);
	} else if (s->root) {
		s->path = mem_string(s->d->place->system_file);
	} else if (base && base[0] == '/') {
		s->path = mem_printf("%s/posthaste.conf", base);
	} else {
		if (!user_home(&home, &s->why))
			return stop(s);
		if (home)
			s->path = mem_printf("%s/.config/posthaste.conf",
					     home);
		free(home);
	}
	if (!s->path || s->path[0] != '/') {
		outcome_fail(&s->why, STAGE_LOCAL, EX_CONFIG, "there is no "
			     "place for a configuration: name one with -C "
			     "(a path from / on)");
		return stop(s);
	}
	slash = strrchr(s->path, '/');
	s->secrets = mem_printf("%.*s/posthaste", (int)(slash - s->path),
				s->path);
	return true;
}

/* --- which server --- */

/* The name of a known provider, or of a host that takes mail. */
static bool take_name(struct setup *s, const char *name)
{
	const struct provider *p = provider_of_name(name);
	char *domain = NULL;
	struct outcome why;

	if (p) {
		finding_of_provider(&s->found, p, "Named");
		return finding_usable(&s->found, &s->why);
	}
	p = provider_of_host(name);
	if (p) {
		finding_of_provider(&s->found, p, "Named");
		return true;
	}
	if (!strchr(name, '.') ||
	    !domain_normalise(name, strlen(name), &domain, &why)) {
		free(domain);
		return outcome_fail(&s->why, STAGE_LOCAL, EX_USAGE, "\"%s\" "
				    "is neither a host's name nor that of a "
				    "known provider", name);
	}
	finding_of_host(&s->found, domain, "Named");
	free(domain);
	return true;
}

static bool ask_server(struct setup *s)
{
	struct outcome not_found = s->why;
	char words[1200], *answer = NULL;

	outcome_words(&not_found, words, sizeof(words));
	setup_say("%s.", words);
	while (!s->silent && setup_ask(s, "", &answer, "The server for "
				       "outgoing mail, or the name of a "
				       "provider (empty to give up):")) {
		if (*answer && take_name(s, answer)) {
			free(answer);
			return true;
		}
		if (!*answer)
			break;
		setup_say("%s", s->why.text);
		free(answer);
		answer = NULL;
	}
	free(answer);
	s->why = not_found;
	return stop(s);
}

static bool find_server(struct setup *s)
{
	const char *named = s->d->options->transport;

	s->found.address = s->address;
	if (named)
		return take_name(s, named) || stop(s);
	setup_say("Looking for the server that takes mail of %s ...",
		  s->address);
	if (discover(s->d, s->address, true, &s->found, &s->why))
		return true;
	if (s->why.exit != EX_NOHOST || s->why.no_network)
		return stop(s);
	return ask_server(s);
}

static void show_server(struct setup *s)
{
	const struct finding *f = &s->found;
	const struct provider *p = f->provider;

	setup_say("%s%s%s, port %u (%s). %s.", p ? p->title : "", p ? ": " :
		  "", f->host, f->port, f->kind == KIND_SUBMISSIONS ?
		  "TLS at once" : "STARTTLS", f->how);
	if (p && p->from)
		setup_say("From has to be %s.", p->from);
	if (p && p->rate)
		setup_say("At most %s.", p->rate);
	if (p && p->more)
		setup_say("%s", p->more);
}

static bool is_right_server(struct setup *s)
{
	if (!s->found.foreign)
		return true;
	/* DNS alone says so: the default is not to give it a password */
	if (setup_agrees(s, false, "That server is not below %s, and DNS "
			 "alone says so. Is it your provider's?",
			 address_domain(s->address)))
		return true;
	if (!s->left)
		outcome_fail(&s->why, STAGE_LOCAL, EX_NOPERM, "%s is not "
			     "given a password; name the right server with "
			     "--transport", s->found.host);
	return stop(s);
}

/* --- who logs in, and how --- */

/* Issuers that let in registered programs alone want to know which one. */
static bool ask_client(struct setup *s)
{
	const struct transport t = { .name = (char *)(uintptr_t)
					     configure_name(&s->found),
				     .oauth = (char *)(uintptr_t)
					      s->found.issuer };
	const char *words = login_preparation(&t);

	if (!words)
		return true;
	setup_show(words);
	if (!setup_ask(s, "", &s->client, "oauth_client_id (empty to stop "
		       "here):"))
		return stop(s);
	if (*s->client)
		return true;
	outcome_fail(&s->why, STAGE_LOCAL, EX_CONFIG, "a login at %s needs "
		     "a registered client: come back with its id",
		     s->found.issuer);
	return stop(s);
}

static bool ask_login(struct setup *s)
{
	const struct provider *p = s->found.provider;
	char *usual = s->found.local_part ?
		      mem_stringn(s->address, strcspn(s->address, "@")) :
		      provider_username(p, s->address);
	bool done;

	if (p && p->username)
		setup_say("The login name is %s.", p->username);
	done = setup_ask(s, usual, &s->username, "Login name:");
	free(usual);
	if (!done)
		return stop(s);
	s->login = s->found.token;
	if (s->found.token && !s->found.issuer) {
		outcome_fail(&s->why, STAGE_LOCAL, EX_UNAVAILABLE, "%s takes "
			     "no password, and its issuer of logins is not "
			     "known: see oauth in posthaste.conf(5)",
			     s->found.host);
		return stop(s);
	}
	if (s->found.issuer && !s->found.token)
		s->login = setup_agrees(s, false, "Log in with the browser "
					"instead of a password?");
	return (!s->left || stop(s)) && (!s->login || ask_client(s));
}

/* --- the configuration --- */

/* What is there is kept under another name, and so is what was kept before. */
static bool replace_old(struct setup *s)
{
	char *aside = mem_printf("%s.old", s->path);
	struct buf old = BUF(CONFIG_MAX);
	struct outcome why;
	struct stat st;
	unsigned n;
	bool done;

	for (n = 2; !lstat(aside, &st); n++) {
		free(aside);
		aside = mem_printf("%s.old%u", s->path, n);
	}
	done = setup_agrees(s, false, "%s is there already. Replace it (it is "
			    "kept as %s)?", s->path, aside);
	if (!done && !s->left)
		outcome_fail(&s->why, STAGE_LOCAL, EX_CANTCREAT, "%s is there "
			     "already and stays as it is (move it away, or "
			     "name another file with -C)", s->path);
	if (done && (!file_read(s->path, 0, &old, NULL, &why) ||
		     !file_replace_path(aside, 0600, &old, &why))) {
		s->why = why;
		done = false;
	}
	buf_release(&old);
	free(aside);
	return done || stop(s);
}

static bool make_directory(struct setup *s)
{
	char *directory = mem_stringn(s->path, (size_t)
				      (strrchr(s->path, '/') - s->path));
	bool made = !*directory || !access(directory, F_OK);
	int fd;

	if (!made && !s->root) {
		made = file_make_directories(directory);
	} else if (!made) {
		fd = file_open_made(directory, true);
		made = fd >= 0;
		if (made)
			close(fd);
	}
	if (!made)
		outcome_fail(&s->why, STAGE_LOCAL, EX_CANTCREAT,
			     "%s cannot be made: %s", directory,
			     strerror(errno));
	free(directory);
	return made || stop(s);
}

static bool write_configuration(struct setup *s)
{
	const char *directory = s->d->config->queue.directory;
	struct stat st;
	const struct configuring how = {
		/* the machine's queue, where contrib/setup has made it */
		.done = true, .queued = s->root && !s->d->options->config &&
			directory && !stat(directory, &st) && st.st_uid,
		.secrets = s->secrets, .login = s->login,
		.username = s->username, .client = s->client,
	};
	struct buf text = BUF(CONFIG_MAX);
	bool own = !s->root, done = false;

	configure_text(&s->found, &how, &text);
	setup_say("%s", "");
	setup_say("This is the configuration, for %s:", s->path);
	setup_say("%s", "");
	setup_show(buf_text(&text));
	setup_say("%s", "");
	if (!lstat(s->path, &st)) {
		if (!replace_old(s))
			goto out;
	} else if (!setup_agrees(s, true, "Write it?")) {
		if (!s->left)
			outcome_fail(&s->why, STAGE_LOCAL, EX_NOINPUT,
				     "nothing was written");
		stop(s);
		goto out;
	}
	if (!make_directory(s))
		goto out;
	done = file_replace_path(s->path, own ? 0600 : 0644, &text, &s->why) ||
	       stop(s);
out:
	buf_release(&text);
	return done;
}

static bool read_back(struct setup *s)
{
	struct config_place place = *s->d->place;

	place.file = s->d->options->config;
	/* root's own file would come first */
	if (s->root && !place.file)
		place.file = place.system_file;
	config_release(&s->written);
	return config_load(&place, &s->written, &s->why) || stop(s);
}

/* --- the password, or a login, and whether it is right --- */

static int probe_call(void *context)
{
	struct setup *s = context;
	struct desk d = *s->d;
	struct outcome why = { 0 };
	const struct transport *t;

	d.config = &s->written;
	t = config_transport(&s->written, configure_name(&s->found));
	if (t && desk_step_down(&s->written, false, &why))
		(void)!desk_probe_transport(&d, t, &why);
	return !file_write_all(STDOUT_FILENO, &why, sizeof(why));
}

/* As whoever will send: root is the queue's owner by then. */
static bool probe(struct setup *s)
{
	struct buf result = BUF_SECRET(sizeof(struct outcome));
	const struct child c = { .call = probe_call, .context = s,
				 .output = &result,
				 .deadline = clock_in(PROBE_MS) };
	struct outcome why;
	int status;

	setup_say("Trying %s ...", s->found.host);
	if (child_run(&c, &status, &why) && !status &&
	    result.len == sizeof(why))
		memcpy(&why, result.data, sizeof(why));
	else if (why.exit == EX_OK)
		outcome_fail(&why, STAGE_LOCAL, EX_SOFTWARE,
			     "the server could not be tried");
	buf_release(&result);
	s->why = why;
	return why.exit == EX_OK;
}

static bool get_secret(struct setup *s)
{
	const char *name = configure_name(&s->found);
	const struct provider *p = s->found.provider;
	const struct transport *t = config_transport(&s->written, name);

	if (s->login && s->root)
		return outcome_fail(&s->why, STAGE_LOCAL, EX_UNAVAILABLE,
				    "the owner of the queue logs in, not "
				    "root: by \"posthaste --login %s\"",
				    name);
	if (s->login)
		return t && (!t->oauth_client_secret_file ||
			     store_secret(&s->written,
					  t->oauth_client_secret_file,
					  "The client's secret: ",
					  &s->why)) &&
		       login_perform(&s->written, t, &s->why);
	if (p && p->secret)
		setup_say("The password is %s.", p->secret);
	return store_password(&s->written, name, &s->why) && read_back(s);
}

static bool log_in(struct setup *s)
{
	int tries;

	for (tries = 1;; tries++) {
		if (!get_secret(s)) {
			stop(s);
			break;
		}
		if (probe(s)) {
			setup_say("It takes the login.");
			return true;
		}
		stop(s);
		if (s->silent || tries == PASSWORDS ||
		    !policy_setup_password(&s->why) ||
		    !setup_agrees(s, true, "Try another password?"))
			break;
	}
	setup_say("The configuration is %s. Once that is mended, \"posthaste "
		  "%s %s\" and \"posthaste --probe %s\" go on from here.",
		  s->path, s->login ? "--login" : "--store-password",
		  configure_name(&s->found), configure_name(&s->found));
	return false;
}

/* --- a message --- */

static bool send_test(struct setup *s)
{
	char *program = setup_program();
	const char *argv[12] = { program };
	struct buf message = BUF(64 * 1024), words = BUF(16 * 1024);
	int status = 0;
	size_t n = 1;
	bool sent;

	if (!setup_agrees(s, true, "Send a message to %s?", s->address)) {
		free(program);
		return !s->left || stop(s);
	}
	if (s->d->options->config || s->root) {
		argv[n++] = "-C";
		argv[n++] = s->path;
	}
	argv[n++] = "-odi";
	argv[n++] = "-i";
	argv[n++] = "--";
	argv[n++] = s->address;
	buf_addf(&message, "From: %s\nTo: %s\nSubject: posthaste works\n\n"
		 "This machine sends mail by %s.\n", s->address, s->address,
		 s->found.host);
	sent = setup_run(argv, &message, &words, &status);
	if (sent) {
		setup_say("%s has it: look into the mailbox of %s.",
			  s->found.host, s->address);
	} else {
		outcome_fail(&s->why, STAGE_MAIL, status ? status :
			     EX_SOFTWARE, "the message was not sent: %s",
			     buf_text(&words));
		stop(s);
	}
	buf_release(&words);
	buf_release(&message);
	free(program);
	return sent;
}

/* --- all of it --- */

static bool converse(struct setup *s)
{
	if (!s->silent && !isatty(STDIN_FILENO)) {
		outcome_fail(&s->why, STAGE_LOCAL, EX_USAGE, "--setup asks on "
			     "a terminal; without one, --yes takes every "
			     "default");
		return stop(s);
	}
	if (!discover_address("--setup", s->d->options->argument, &s->address,
			      &s->why))
		return stop(s);
	if (!find_places(s) || !find_server(s))
		return false;
	show_server(s);
	return is_right_server(s) && ask_login(s) && write_configuration(s) &&
	       read_back(s) && log_in(s) && send_test(s);
}

int desk_setup(const struct desk *d)
{
	struct setup s = { .d = d, .silent = d->options->yes };
	int status = EX_OK;

	if (converse(&s)) {
		setup_runner(&s);
		setup_sendmail(&s);
	} else {
		status = s.why.exit;
	}
	finding_release(&s.found);
	config_release(&s.written);
	free(s.address);
	free(s.username);
	free(s.client);
	free(s.path);
	free(s.secrets);
	return status;
}
