/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --probe: what a server is and offers, on one screen; no mail is sent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "desk/desk.h"
#include "desk/login.h"
#include "mail/address.h"
#include "policy/policy.h"
#include "submit/hosts.h"
#include "submit/local.h"
#include "submit/link.h"

enum {
	OUTPUT_MAX = 4 * 1024 * 1024,
	WAIT_MS = 20 * 1000,      /* for each answer: somebody looks on */
	INDENT = 15
};

struct probe {
	const struct desk *d;
	struct run run;
	const struct transport *t;
	char *domain;              /* of the recipient, "" without one */
	struct hosts hosts;
	struct link link;
	bool open;
	struct outcome why;
	char words[1200];          /* of why, as a send would say them */
	struct buf out;
};

/* --- which transport --- */

static bool choose_transport(struct probe *p)
{
	const struct config *c = p->d->config;
	const char *word = p->d->options->argument;
	const struct account *account;
	struct request request;
	char *address, *sender;
	bool qualified, done;

	if (p->d->options->transport && !(word && strchr(word, '@')))
		word = p->d->options->transport;
	if (word && strchr(word, '@')) {
		if (!address_one(word, &address, &qualified, &p->why))
			return false;
		desk_request(p->d, &request);
		done = compose_sender(c, &request, NULL, &account, &sender,
				      &p->why);
		if (done) {
			p->t = policy_transports(c, p->d->transport, account,
						 sender, address, 0, NULL)[0];
			p->domain = mem_string(address_domain(address));
			free(sender);
		}
		free(address);
		return done;
	}
	if (word)
		p->t = config_transport(c, word);
	else if (c->transports)
		p->t = &c->transport[0];
	if (p->t)
		return true;
	return outcome_fail(&p->why, STAGE_LOCAL, EX_CONFIG, word ?
			    "there is no transport \"%s\"" :
			    "no transport is configured", word);
}

/* --- connecting --- */

static bool connect_to(struct probe *p)
{
	const struct hosts_query query = {
		.transport = p->t, .domain = p->domain ? p->domain : "",
	};
	const struct link_options o = {
		.want_certificates = true, .timeout = WAIT_MS,
	};
	char words[400];
	size_t i;

	if (kind_facts(p->t->kind)->way == WAY_LOCAL) {
		local_describe(p->t, words, sizeof(words));
		return outcome_fail(&p->why, STAGE_LOCAL, EX_UNAVAILABLE,
				    "transport %s connects to nothing (%s)",
				    p->t->name, words);
	}
	if (transport_is_direct(p->t) && !p->domain)
		return outcome_fail(&p->why, STAGE_LOCAL, EX_USAGE,
				    "transport %s delivers directly: probe a "
				    "recipient's address instead", p->t->name);
	if (!hosts_find(&p->run, &query, &p->hosts, &p->why))
		return false;
	for (i = 0; i < p->hosts.n && !p->open; i++) {
		if (i)
			link_close(&p->link);
		p->open = link_open(&p->run, p->t, &p->hosts.item[i], &o,
				    &p->link, &p->why);
	}
	return p->open;
}

/* --- showing --- */

static const struct session_facts *facts(const struct probe *p)
{
	static const struct session_facts none;

	return p->link.session ? session_facts(p->link.session) : &none;
}

static bool is_socket(const struct host *h)
{
	return h->name[0] == '/';
}

static void date(time_t t, char out[32])
{
	struct tm tm = { 0 };

	gmtime_r(&t, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void probe_list(struct json *j, const char *name, const struct list *l)
{
	size_t i;

	json_add_array(j, name);
	for (i = 0; i < l->n; i++)
		json_add_string(j, NULL, l->item[i]);
	json_end(j);
}

static const char *would_use(const struct probe *p)
{
	return p->link.session ? session_mechanism(p->link.session) : NULL;
}

static void show_json(struct probe *p)
{
	struct json j = JSON_INTO(&p->out);
	const struct session_facts *f = facts(p);
	const struct host *host = p->link.host;
	char until[32];
	size_t i;

	json_add_object(&j, NULL);
	json_add_string(&j, "transport", p->t ? p->t->name : NULL);
	json_add_string(&j, "host", host ? host->name : NULL);
	json_add_string(&j, "address", p->link.peer.address[0] ?
		    p->link.peer.address : NULL);
	if (host && !is_socket(host))
		json_add_int(&j, "port", host->port);
	else
		json_add_raw(&j, "port", "null");
	json_add_object(&j, "tls");
	json_add_string(&j, "version",
			f->tls.version[0] ? f->tls.version : NULL);
	json_add_string(&j, "cipher", f->tls.cipher[0] ? f->tls.cipher : NULL);
	json_add_bool(&j, "verified", f->tls.verified);
	json_add_array(&j, "certificates");
	for (i = 0; i < f->tls.certificates; i++) {
		const struct tls_certificate *c = &f->tls.certificate[i];

		date(c->not_after, until);
		json_add_object(&j, NULL);
		json_add_string(&j, "subject", c->subject);
		probe_list(&j, "names", &c->names);
		json_add_string(&j, "issuer", c->issuer);
		json_add_string(&j, "not_after", until);
		json_add_string(&j, "pin", c->pin);
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
	probe_list(&j, "extensions", &f->features.lines);
	probe_list(&j, "mechanisms", &f->features.mechanisms);
	json_add_string(&j, "would_use", would_use(p));
	json_add_bool(&j, "authenticated", f->authenticated);
	json_add_string(&j, "error", p->open ? NULL : p->words);
	json_end(&j);
	buf_addc(&p->out, '\n');
}

/* Values of servers, certificates and files: whatever is in them, it must not
 * reach a terminal. */
static void line(struct probe *p, const char *name, const char *value)
{
	char *clean = text_clean(value ? value : "");
	char label[INDENT + 1];

	snprintf(label, sizeof(label), "%-*s", INDENT, name);
	if (*clean)
		desk_wrap(&p->out, label, clean);
	free(clean);
}

static void list_line(struct probe *p, const char *name, const struct list *l)
{
	char *joined = list_join(l, " ");

	line(p, name, joined);
	free(joined);
}

/* A word that is good news or bad, in colour where that is welcome. */
static void probe_verdict(struct probe *p, const char *name, const char *value,
			  bool good)
{
	buf_addf(&p->out, desk_colour() ? good ? "%-*s\x1b[32m%s\x1b[0m\n" :
		 "%-*s\x1b[31m%s\x1b[0m\n" : "%-*s%s\n", INDENT, name,
		 value);
}

static void show_tls(struct probe *p, const struct tls_facts *f)
{
	char words[160], until[32];
	size_t i;

	if (f->version[0]) {
		snprintf(words, sizeof(words), "%s%s%s", f->version,
			 f->cipher[0] ? " " : "", f->cipher);
		line(p, "TLS", words);
		probe_verdict(p, "verified", f->verified ? "yes" : "no",
			      f->verified);
	} else if (p->link.session) {
		line(p, "TLS", "none");
	}
	for (i = 0; i < f->certificates; i++) {
		const struct tls_certificate *c = &f->certificate[i];

		date(c->not_after, until);
		line(p, i ? "issued by" : "certificate", c->subject);
		list_line(p, "  names", &c->names);
		line(p, "  issuer", c->issuer);
		line(p, "  until", until);
		line(p, "  pin", c->pin);
	}
}

static void limit(struct probe *p, long long n, const char *of_what)
{
	char words[96];

	if (!n)
		return;
	snprintf(words, sizeof(words), "%lld %s", n, of_what);
	line(p, "limit", words);
}

static void show_text(struct probe *p)
{
	const struct session_facts *f = facts(p);
	const struct features *can = &f->features;
	const struct host *host = p->link.host;
	char where[400];
	size_t i;

	line(p, "transport", p->t ? p->t->name : NULL);
	if (host) {
		snprintf(where, sizeof(where), is_socket(host) ? "%s" :
			 "%s port %u", host->name, host->port);
		line(p, "host", where);
	}
	line(p, "address", p->link.peer.address);
	line(p, "greeting", f->banner);
	show_tls(p, &f->tls);
	for (i = 0; i < can->lines.n; i++)
		line(p, i ? "" : "extensions", can->lines.item[i]);
	limit(p, can->size_limit, "bytes a message");
	limit(p, can->rcpt_max, "recipients a message");
	limit(p, can->rcpt_domain_max, "domains of recipients a message");
	limit(p, can->mail_max, "messages a connection");
	list_line(p, "mechanisms", &can->mechanisms);
	line(p, "would use", would_use(p));
	if (p->link.session)
		probe_verdict(p, "authenticated", f->authenticated ? "yes" :
			      p->link.params.authenticate ? "no" :
			      "no (no credentials are set)", f->authenticated ||
			      !p->link.params.authenticate);
}

bool desk_probe_transport(const struct desk *d, const struct transport *t,
			  struct outcome *why)
{
	struct probe p = { .d = d, .t = t, .domain = mem_string("") };

	desk_run_init(d, &p.run);
	(void)connect_to(&p);
	link_close(&p.link);
	hosts_release(&p.hosts);
	desk_run_release(&p.run);
	free(p.domain);
	*why = p.why;
	return p.open;
}

int desk_probe(const struct desk *d)
{
	struct probe p = { .d = d, .out = BUF(OUTPUT_MAX) };
	int status;

	desk_run_init(d, &p.run);
	p.open = choose_transport(&p) && connect_to(&p);
	outcome_words(&p.why, p.words, sizeof(p.words));
	if (d->options->json)
		show_json(&p);
	else
		show_text(&p);
	status = desk_report(&p.out);
	if (!p.open)
		desk_complain("%s", p.words);
	if (p.t)
		login_complain(d->config, p.t);
	link_close(&p.link);
	hosts_release(&p.hosts);
	desk_run_release(&p.run);
	buf_release(&p.out);
	free(p.domain);
	return p.open ? status : p.why.exit;
}
