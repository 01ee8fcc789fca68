/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --health: what a monitoring program wants to know, worst first, so that the
 * first line says what a person has to do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "desk/desk.h"
#include "desk/files.h"
#include "mail/dkim.h"
#include "policy/policy.h"
#include "submit/login.h"
#include "wire/tls.h"

static const char *const health_names[] = {
	[HEALTH_OK] = "OK", [HEALTH_WARNING] = "WARNING",
	[HEALTH_CRITICAL] = "CRITICAL",
};

/* One that concerns a transport or a key has its name. */
struct finding {
	const char *check;
	char *of;              /* NULL: the whole */
	enum health health;
	char *text;
	int64_t value;         /* -1: there is none */
};

struct findings {
	struct finding *item;
	size_t n;
};

static void find(struct findings *f, const char *check, const char *of,
		 enum health health, int64_t value, char *text)
{
	f->item = mem_grow(f->item, f->n, sizeof(*f->item));
	f->item[f->n++] = (struct finding){
		check, mem_string(of), health, text, value,
	};
}

/* --- looking --- */

struct waiting {
	bool own;                       /* the caller's alone are seen */
	size_t entries, held;
	int64_t now, oldest, overdue;   /* seconds; 0: none */
};

static bool wait_one(const struct entry *e, void *context)
{
	struct waiting *w = context;
	const int64_t due = e->next > e->queued ? e->next : e->queued;

	/* one whose report could not be queued yet is not done either */
	if (!e->pending && !entry_owes_report(e))
		return true;
	w->entries++;
	/* whoever holds it knows */
	if (e->held) {
		w->held++;
		return true;
	}
	if (w->now - e->queued > w->oldest)
		w->oldest = w->now - e->queued;
	if (w->now - due > w->overdue)
		w->overdue = w->now - due;
	return true;
}

/* In the unit that a person would use. */
static void add_span(struct buf *out, int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" } };
	size_t i;

	for (i = 0; i < 2 && seconds < 2 * units[i].seconds; i++)
		;
	buf_addf(out, "%lld %s%s", (long long)(seconds / units[i].seconds),
		 units[i].name, seconds / units[i].seconds == 1 ? "" : "s");
}

static void find_runner(struct findings *f, const struct waiting *w,
			int64_t last_run)
{
	/* one may have begun since, and a clock may have been set back */
	const int64_t idle = !last_run ? -1 : last_run > w->now ? 0 :
			     w->now - last_run;
	const enum health health = policy_health_runner(idle, w->overdue);
	struct buf text = BUF(512);

	if (idle < 0) {
		buf_adds(&text, "nobody has run the queue yet");
	} else {
		buf_adds(&text, "the queue was run ");
		add_span(&text, idle);
		buf_adds(&text, " ago");
	}
	if (w->overdue >= 60) {
		buf_adds(&text, ", and mail has been due for ");
		add_span(&text, w->overdue);
	}
	/* no better for a run at this moment: runs are not what it lacks */
	if (health)
		buf_adds(&text, health == policy_health_runner(0, w->overdue) ?
			 " (the log says why)" :
			 " (posthaste -q, by contrib/systemd or cron)");
	find(f, "runner", NULL, health, idle, buf_take(&text));
}

static void find_waiting(struct findings *f, const struct waiting *w)
{
	struct buf text = BUF(512);

	find(f, "queue", NULL, policy_health_waiting(w->entries),
	     (int64_t)w->entries, mem_printf("%zu message%s%s wait%s",
					     w->entries,
					     w->entries == 1 ? "" : "s",
					     w->own ? " of yours" : "",
					     w->entries == 1 ? "s" : ""));
	if (w->entries == w->held) {
		buf_addf(&text, "nothing%s waits%s", w->own ? " of yours" : "",
			 w->held ? " but what is held" : "");
	} else {
		buf_addf(&text, "the oldest message%s has waited for ",
			 w->own ? " of yours" : "");
		add_span(&text, w->oldest);
		if (policy_health_oldest(w->oldest))
			buf_adds(&text, " (mailq says for what)");
	}
	find(f, "oldest", NULL, policy_health_oldest(w->oldest), w->oldest,
	     buf_take(&text));
}

/* What only the owner of a queue sees. */
static void find_unsendable(struct findings *f, const struct queue_vitals *v,
			    const char *directory)
{
	find(f, "unreadable", NULL, v->unread ? HEALTH_WARNING : HEALTH_OK,
	     (int64_t)v->unread, v->unread ?
	     mem_printf("%zu entr%s in %s/mess cannot be read, and so not be "
			"sent (the log says why)", v->unread,
			v->unread == 1 ? "y" : "ies", directory) :
	     mem_string("all entries can be read"));
	find(f, "damaged", NULL, v->damaged ? HEALTH_WARNING : HEALTH_OK,
	     (int64_t)v->damaged, v->damaged ?
	     mem_printf("%zu damaged entr%s, or reports that could not be "
			"delivered, in %s/corrupt (the log says which; remove "
			"what nobody needs)", v->damaged,
			v->damaged == 1 ? "y" : "ies", directory) :
	     mem_string("no damaged entries"));
}

static void find_queue(struct findings *f, const struct desk *d)
{
	struct waiting w = { .now = time(NULL) };
	struct queue_vitals v;
	struct outcome why;
	struct queue *q;

	if (policy_queue_use(d->config, false) == USE_NONE) {
		find(f, "queue", NULL, HEALTH_OK, -1,
		     mem_string("there is no queue"));
		return;
	}
	if (!desk_open_queue(d, false, &q, &why)) {
		/* one that nobody asked for need not be there */
		find(f, "queue", NULL,
		     d->config->queue.queue == QUEUE_UNSET &&
		     queue_presence(d->config->queue.directory) != QUEUE_OURS ?
		     HEALTH_OK : HEALTH_CRITICAL, -1, mem_string(why.text));
		return;
	}
	w.own = queue_is_remote(q);
	if (queue_list(q, wait_one, &w, &why)) {
		queue_vitals(q, &v);
		find_runner(f, &w, v.last_run);
		find_waiting(f, &w);
		if (!w.own)
			find_unsendable(f, &v, d->config->queue.directory);
		if (v.free_bytes >= 0)
			find(f, "space", NULL,
			     policy_health_space(v.free_percent),
			     v.free_bytes, mem_printf("%u %% of the queue's "
						      "file system is free",
						      v.free_percent));
	} else {
		find(f, "queue", NULL, HEALTH_CRITICAL, -1,
		     mem_string(why.text));
	}
	queue_close(q);
}

/* What is not for the caller to read is another's to see. */
static void find_denied(struct findings *f, const char *check, const char *of,
			const char *what, const char *name)
{
	find(f, check, of, HEALTH_OK, -1,
	     mem_printf("%s of %s cannot be read by you, so it was not looked "
			"at: the queue's owner reads it", what, name));
}

static void find_logins(struct findings *f, const struct config *c,
			uid_t sender)
{
	const struct transport *t;
	struct login_state state;

	for (t = c->transport; t < c->transport + c->transports; t++) {
		if (!t->oauth)
			continue;
		if (files_login_denied(c, t, sender)) {
			find_denied(f, "login", t->name, "the login",
				    t->name);
			continue;
		}
		login_look(c, t, &state);
		find(f, "login", t->name, state.health == LOGIN_GOOD ?
		     HEALTH_OK : state.health == LOGIN_DYING ?
		     HEALTH_WARNING : HEALTH_CRITICAL,
		     state.ends ? state.ends : -1,
		     state.health == LOGIN_GOOD ?
		     mem_printf("the login of transport %s holds", t->name) :
		     mem_string(state.words));
	}
}

static void find_certificates(struct findings *f, const struct config *c,
			      uid_t sender)
{
	const int64_t now = time(NULL);
	const struct transport *t;
	struct outcome why;
	struct buf text;
	time_t ends = 0;

	for (t = c->transport; t < c->transport + c->transports; t++) {
		if (!t->certificate || tls_is_uri(t->certificate))
			continue;
		if (files_denied(t->certificate, sender)) {
			find_denied(f, "certificate", t->name,
				    t->certificate, t->name);
			continue;
		}
		if (!tls_certificate_expiry(t->certificate, &ends, &why)) {
			find(f, "certificate", t->name, HEALTH_CRITICAL, -1,
			     mem_printf("%s of transport %s: %s",
					t->certificate, t->name, why.text));
			continue;
		}
		text = BUF(8192);
		buf_addf(&text, "%s of transport %s %s", t->certificate,
			 t->name, ends <= now ? "has expired" : "expires in ");
		if (ends > now)
			add_span(&text, ends - now);
		find(f, "certificate", t->name,
		     policy_health_expiry(ends - now), ends, buf_take(&text));
	}
}

static void find_revocations(struct findings *f, const char *path, uid_t sender)
{
	struct outcome ignored;
	struct buf text;
	int64_t left;
	time_t due;

	if (!path)
		return;
	if (files_denied(path, sender)) {
		find_denied(f, "crl", path, path, "[tls]");
		return;
	}
	if (!tls_crl_renewal(path, &due, &ignored))
		return;
	left = due - (int64_t)time(NULL);
	text = BUF(8192);
	buf_addf(&text, "%s %s to be renewed ", path, left > 0 ? "is" : "was");
	if (left > 0)
		buf_adds(&text, "in ");
	add_span(&text, left > 0 ? left : -left);
	if (left <= 0)
		buf_adds(&text, " ago: what has been revoked since is not "
			 "known");
	find(f, "crl", path, policy_health_renewal(left), due,
	     buf_take(&text));
}

/* name: that of its record in DNS, since several may share a file. */
static void find_key(struct findings *f, const char *path, const char *domain,
		     const char *name)
{
	struct dkim_key *key = NULL;
	struct outcome why;
	const bool good = dkim_key_read(path, &key, &why);

	dkim_key_free(key);
	find(f, "dkim", name, good ? HEALTH_OK : HEALTH_CRITICAL, -1,
	     good ? mem_printf("the DKIM key of %s can be read", domain) :
	     mem_string(why.text));
}

static void find_dkim(struct findings *f, const struct config *c, uid_t sender)
{
	const struct domain *d;
	const char *path;
	char *name;
	size_t i;

	for (d = c->domain; d < c->domain + c->domains; d++)
		for (i = 0; i < d->dkim_key.n; i++) {
			path = d->dkim_key.item[i];
			name = mem_printf("%s._domainkey.%s",
					  d->dkim_selector.item[i], d->name);
			if (files_denied(path, sender))
				find_denied(f, "dkim", name, "the DKIM key",
					    d->name);
			else
				find_key(f, path, d->name, name);
			free(name);
		}
}

/* A faulty one is not asked for the files that it names: what it says of them
 * is not to be believed. */
static void find_configuration(struct findings *f, const struct config *c,
			       uid_t sender)
{
	struct config seen;
	char words[2048];

	config_copy_faults(c, &seen);
	if (!c->errors)
		files_check(&seen, sender);
	config_sort_faults(&seen);
	if (seen.errors)
		config_fault_words(&seen.error[0], words, sizeof(words));
	find(f, "configuration", NULL,
	     seen.errors ? HEALTH_CRITICAL : HEALTH_OK, (int64_t)seen.errors,
	     !seen.errors ? mem_string("the configuration has no faults") :
	     mem_printf("%s%s", words, seen.errors > 1 ?
			" (posthaste --check shows all)" : ""));
	config_release_faults(&seen);
}

/* --- saying it --- */

static void findings_text(struct buf *out, const struct findings *f)
{
	enum health h;
	size_t i;

	for (h = HEALTH_CRITICAL + 1; h-- > HEALTH_OK;)
		for (i = 0; i < f->n; i++)
			if (f->item[i].health == h)
				buf_addf(out, "%s - %s: %s\n",
					 health_names[h], f->item[i].check,
					 f->item[i].text);
}

static void findings_json(struct buf *out, const struct findings *f,
			  enum health worst)
{
	struct json j = JSON_INTO(out);
	size_t i;

	json_add_object(&j, NULL);
	json_add_string(&j, "status", health_names[worst]);
	json_add_array(&j, "checks");
	for (i = 0; i < f->n; i++) {
		json_add_object(&j, NULL);
		json_add_string(&j, "check", f->item[i].check);
		json_add_string(&j, "status", health_names[f->item[i].health]);
		json_add_string(&j, "text", f->item[i].text);
		if (f->item[i].value < 0)
			json_add_raw(&j, "value", "null");
		else
			json_add_int(&j, "value", f->item[i].value);
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
	buf_addc(out, '\n');
}

/* Prometheus' text format: a label's value as it has to be. */
static void add_label(struct buf *out, const char *name, const char *value)
{
	buf_addf(out, "%s=\"", name);
	for (; *value; value++) {
		if (strchr("\\\"", *value))
			buf_addc(out, '\\');
		if ((unsigned char)*value >= 0x20)
			buf_addc(out, *value);
	}
	buf_addc(out, '"');
}

static void findings_metric(struct buf *out, const struct findings *f,
			    const char *check, const char *name,
			    const char *label, const char *help)
{
	bool any = false;
	size_t i;

	for (i = 0; i < f->n; i++) {
		if (strcmp(f->item[i].check, check) != 0 ||
		    f->item[i].value < 0)
			continue;
		if (!any)
			buf_addf(out, "# HELP %s %s\n# TYPE %s gauge\n", name,
				 help, name);
		any = true;
		buf_adds(out, name);
		if (label && f->item[i].of) {
			buf_addc(out, '{');
			add_label(out, label, f->item[i].of);
			buf_addc(out, '}');
		}
		buf_addf(out, " %lld\n", (long long)f->item[i].value);
	}
}

static void findings_metrics(struct buf *out, const struct findings *f)
{
	static const struct {
		const char *check, *name, *label, *help;
	} rows[] = {
		{ "queue", "posthaste_queue_messages", NULL,
		  "Messages that wait in the queue." },
		{ "oldest", "posthaste_queue_oldest_message_age_seconds", NULL,
		  "Age of the oldest message in the queue." },
		{ "runner", "posthaste_queue_last_run_age_seconds", NULL,
		  "Seconds since the queue was run." },
		{ "damaged", "posthaste_queue_damaged_entries", NULL,
		  "Files in the queue's folder of damaged entries." },
		{ "unreadable", "posthaste_queue_unreadable_entries", NULL,
		  "Entries of the queue that cannot be read." },
		{ "space", "posthaste_queue_free_bytes", NULL,
		  "Bytes free in the queue's file system." },
		{ "configuration", "posthaste_configuration_faults", NULL,
		  "Faults of the configuration." },
		{ "certificate",
		  "posthaste_certificate_expiry_timestamp_seconds",
		  "transport", "When a client certificate expires." },
		{ "crl", "posthaste_crl_renewal_timestamp_seconds", NULL,
		  "When the list of revoked certificates is to be renewed." },
		{ "login", "posthaste_login_expiry_timestamp_seconds",
		  "transport", "When a login ends, where that is known." },
	};
	size_t i;

	buf_adds(out, "# HELP posthaste_health Whether all is well: 0 yes, 1 "
		 "a warning, 2 critical.\n# TYPE posthaste_health gauge\n");
	for (i = 0; i < f->n; i++) {
		buf_adds(out, "posthaste_health{");
		add_label(out, "check", f->item[i].check);
		if (f->item[i].of) {
			buf_addc(out, ',');
			add_label(out, "name", f->item[i].of);
		}
		buf_addf(out, "} %d\n", (int)f->item[i].health);
	}
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		findings_metric(out, f, rows[i].check, rows[i].name,
				rows[i].label, rows[i].help);
}

int desk_health(const struct desk *d)
{
	struct buf out = BUF(16 * 1024 * 1024);
	struct findings f = { 0 };
	const uid_t sender = files_sender(d->config);
	enum health worst = HEALTH_OK;
	int status;
	size_t i;

	find_configuration(&f, d->config, sender);
	/* what a faulty one says of a queue is not to be believed */
	if (!d->config->errors) {
		find_queue(&f, d);
		find_logins(&f, d->config, sender);
		find_certificates(&f, d->config, sender);
		find_revocations(&f, d->config->tls.crl_file, sender);
		find_dkim(&f, d->config, sender);
	}
	for (i = 0; i < f.n; i++)
		if (f.item[i].health > worst)
			worst = f.item[i].health;
	if (d->options->metrics)
		findings_metrics(&out, &f);
	else if (d->options->json)
		findings_json(&out, &f, worst);
	else
		findings_text(&out, &f);
	status = desk_report(&out);
	for (i = 0; i < f.n; i++) {
		free(f.item[i].of);
		free(f.item[i].text);
	}
	free(f.item);
	buf_release(&out);
	return status ? status : (int)worst;
}
