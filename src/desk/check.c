/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --check: the configuration as in effect, and all that is wrong with it; the
 * files that it names are read as they would be for mail. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "desk/desk.h"
#include "desk/files.h"
#include "desk/login.h"
#include "policy/policy.h"
#include "submit/login.h"
#include "submit/secret.h"
#include "wire/tls.h"

struct check {
	const struct desk *d;
	struct config shown;      /* as in effect; its faults are more */
	uid_t sender;             /* files_sender */
};

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

	if (!t->oauth || files_login_denied(c, t, k->sender))
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

int desk_check(const struct desk *d)
{
	struct check k = { .d = d, .sender = files_sender(d->config) };
	bool understood = !d->config->errors;
	struct buf out = BUF(64 * 1024 * 1024);
	char words[2048], *clean;
	int status;
	size_t i;

	config_copy_faults(d->config, &k.shown);
	files_check(&k.shown, k.sender);
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
