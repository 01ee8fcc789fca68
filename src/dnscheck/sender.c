/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SPF for every address that mail may leave from: for the domain, and for
 * the name that EHLO says there (RFC 7208 section 2.3). */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dnscheck/dnscheck_parts.h"
#include "dnscheck/spf.h"

enum { RECORD_MAX = 4096, WORDS = 200 };

/* A name whose record is held against its addresses. */
struct identity {
	const char *name;
	bool helo;                 /* known by EHLO alone */
	char *record;              /* what is published; NULL: none */
	size_t records;
	bool broken;               /* some evaluation ended in an error */
	struct evaluation {
		const struct source *source;
		enum spf_result result;
		char words[WORDS];
	} *evaluation;
	size_t evaluations;
};

/* --- what to publish --- */

/* One that sends on, under its own address. */
static bool is_smarthost(const struct transport *t)
{
	return kind_facts(t->kind)->way == WAY_RELAY &&
	       !kind_has(t->kind, SPEAKS_LMTP);
}

static void add_addresses(const struct identity *id, bool all,
			  struct buf *out)
{
	const struct evaluation *v;
	size_t i, j;

	for (i = 0; i < id->evaluations; i++) {
		v = &id->evaluation[i];
		for (j = 0; j < i; j++)
			if (!strcmp(id->evaluation[j].source->text,
				    v->source->text))
				break;
		if (j == i && (all || v->result != SPF_PASS))
			buf_addf(out, " %s:%s", v->source->ip.sa.ss_family ==
				 AF_INET ? "ip4" : "ip6", v->source->text);
	}
}

/* The record that there is with the addresses that it lacks in front, where
 * it can be kept at all; else a new one. */
static char *suggest(const struct dnscheck *c, const struct identity *id)
{
	struct buf out = BUF(RECORD_MAX);
	const struct config *config = c->d->config;
	bool relayed = false;
	char *record;
	size_t i;

	buf_adds(&out, "v=spf1");
	if (id->records == 1 && !id->broken) {
		add_addresses(id, false, &out);
		buf_adds(&out, id->record + strlen("v=spf1"));
	} else {
		add_addresses(id, true, &out);
		for (i = 0; !id->helo && i < config->transports; i++)
			relayed = relayed ||
				  is_smarthost(&config->transport[i]);
		buf_adds(&out, relayed ? " ~all" : " -all");
	}
	record = txt_record(id->name, buf_text(&out));
	buf_release(&out);
	return record;
}

/* --- judging --- */

static void judge_identity(struct dnscheck *c, const struct identity *id)
{
	char *publish = suggest(c, id), *subject;
	const struct evaluation *v;
	size_t i;

	if (!id->records && id->helo)
		report(c, GRADE_WARN, "spf", id->name, publish,
		       "no SPF record of the name that EHLO says");
	else if (!id->records)
		report(c, source_grade(c, id->evaluation[0].source), "spf",
		       id->name, publish, "no SPF record, so that no "
		       "address passes");
	for (i = 0; id->records && i < id->evaluations; i++) {
		v = &id->evaluation[i];
		subject = mem_printf("%s from %s", id->name,
				     v->source->text);
		report(c, v->result == SPF_PASS ? GRADE_OK :
		       source_grade(c, v->source), "spf", subject,
		       v->result == SPF_PASS ||
		       v->result == SPF_TEMPERROR ? NULL : publish,
		       "%s (%s)", spf_name(v->result), v->words);
		free(subject);
	}
	free(publish);
}

static void check_identity(struct dnscheck *c, struct identity *id)
{
	char *sender = mem_printf("postmaster@%s", id->name);
	struct spf_query query = { .domain = id->name, .sender = sender };
	struct evaluation *v;
	struct source *s;

	if (!find_txt(c, GRADE_FAIL, "spf", id->name, "v=spf1", &id->record,
		      &id->records)) {
		free(sender);
		return;
	}
	for (s = c->source; s < c->source + c->sources; s++) {
		if (id->helo && strcasecmp(id->name, s->helo))
			continue;
		query.ip = &s->ip;
		query.helo = s->helo;
		id->evaluation = mem_resize(id->evaluation,
					    id->evaluations + 1, sizeof(*v));
		v = &id->evaluation[id->evaluations++];
		v->source = s;
		v->result = spf_check(c->dns, &query, v->words);
		id->broken = id->broken || v->result == SPF_PERMERROR;
	}
	if (id->evaluations)
		judge_identity(c, id);
	else if (!id->records)
		report(c, GRADE_WARN, "spf", id->name, NULL,
		       "no SPF record");
	free(sender);
	free(id->record);
	free(id->evaluation);
}

void check_spf(struct dnscheck *c)
{
	struct identity id = { .name = c->domain };
	struct list seen = { 0 };
	size_t i;

	check_identity(c, &id);
	list_add(&seen, c->domain);
	for (i = 0; i < c->sources; i++) {
		if (list_has_nocase(&seen, c->source[i].helo))
			continue;
		list_add(&seen, c->source[i].helo);
		id = (struct identity){ .name = c->source[i].helo,
					.helo = true };
		check_identity(c, &id);
	}
	list_release(&seen);
}

/* --- smarthosts --- */

/* What leaves there leaves from addresses that only their operator knows;
 * those of the host itself are a hint. */
static bool host_passes(struct dnscheck *c, const char *host)
{
	char *sender = mem_printf("postmaster@%s", c->domain);
	struct spf_query query = { .domain = c->domain, .sender = sender,
				   .helo = host };
	struct net_addresses at;
	char words[WORDS], unheard[128];
	bool pass = dns_addresses(c->dns, host, 0, FAMILY_PREFER_V4, &at,
				  unheard) == DNS_OK;
	size_t i;

	for (i = 0; pass && i < at.n; i++) {
		query.ip = &at.item[i];
		pass = spf_check(c->dns, &query, words) == SPF_PASS;
	}
	net_addresses_release(&at);
	free(sender);
	return pass;
}

void check_smarthosts(struct dnscheck *c)
{
	const struct config *config = c->d->config;
	const struct transport *t = config->transport;
	struct net_address a;
	const char *host;
	size_t i;

	for (; t < config->transport + config->transports; t++) {
		for (i = 0; is_smarthost(t) && i < t->host.n; i++) {
			host = t->host.item[i];
			if (*host == '/' || (net_address_parse(host, 0, &a) &&
					     net_address_is_local(&a)))
				continue;
			if (host_passes(c, host))
				report(c, GRADE_OK, "smarthost", host, NULL,
				       "transport %s: its own addresses pass "
				       "the SPF record of %s", t->name,
				       c->domain);
			else
				report(c, GRADE_WARN, "smarthost", host, NULL,
				       "transport %s: the addresses that it "
				       "sends from belong in the SPF record "
				       "of %s, most often by an \"include:\" "
				       "that its operator names", t->name,
				       c->domain);
		}
	}
}
