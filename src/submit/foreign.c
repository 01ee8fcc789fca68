/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/foreign.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "mail/address.h"
#include "mail/recipients.h"
#include "policy/policy.h"

static void foreign_replace(char **old, char **new)
{
	free(*old);
	*old = *new;
	*new = NULL;
}

/* A parameter that is no xtext, or that no command line could have given, is
 * none of ours, and does not go on. valid: NULL for whatever can be told. */
static void keep_xtext(char **text, bool (*valid)(const char *plain))
{
	char *plain = NULL;

	if (*text && (!xtext_decode(*text, &plain) ||
		      (valid && !valid(plain)))) {
		free(*text);
		*text = NULL;
	}
	free(plain);
}

/* One that can be no address, or is there already, ends here; that stops no
 * other. */
static void end_recipient(struct entry *e, size_t i, enum rcpt_state state,
			  int exit, const char *status, const char *words)
{
	struct recipient *r = &e->envelope.rcpt[i];
	struct outcome o, ignored;

	if (r->state != RCPT_PENDING)
		return;
	outcome_fail_status(&o, STAGE_LOCAL, exit, status, "%s", words);
	if (entry_record(e, i, &o, state, r->attempts, &ignored) &&
	    state == RCPT_FAILED)
		entry_log(e, i, &o, "failed");
}

static int by_address(const void *a, const void *b)
{
	const struct recipient *const *x = a, *const *y = b;
	int order = strcmp((*x)->address, (*y)->address);

	return order ? order : *x < *y ? -1 : 1;
}

/* Recipients keep their places, which the journal knows them by. */
static void take_recipients(struct entry *e)
{
	struct envelope *v = &e->envelope;
	struct recipient **sorted = mem_alloc(v->n * sizeof(*sorted));
	struct outcome ignored;
	bool qualified;
	size_t i;

	for (i = 0; i < v->n; i++) {
		struct recipient *r = sorted[i] = &v->rcpt[i];
		char *fresh = NULL;

		keep_xtext(&r->orcpt, NULL);
		if (address_one(r->address, &fresh, &qualified, &ignored) &&
		    *fresh && qualified)
			foreign_replace(&r->address, &fresh);
		else
			end_recipient(e, i, RCPT_FAILED, EX_NOUSER, "5.1.3",
				      "not an address");
		free(fresh);
	}
	qsort(sorted, v->n, sizeof(*sorted), by_address);
	for (i = 1; i < v->n; i++)
		if (!strcmp(sorted[i]->address, sorted[i - 1]->address))
			end_recipient(e, (size_t)(sorted[i] - v->rcpt),
				      RCPT_SENT, EX_OK, "",
				      "listed twice");
	free(sorted);
}

/* What an account that is anybody's made of the sender need not lead to it
 * again. By its name nobody gets a sender that where his own leads would not
 * leave him. */
static void take_account(const struct config *config, const struct entry *e,
			 const char *login, struct request *request)
{
	const struct account *named, *led;

	named = config_account(config, e->envelope.account);
	if (policy_is_users(named, login)) {
		request->account = e->envelope.account;
	} else if (policy_leads_to(config, named, login)) {
		led = policy_account(config, login, e->envelope.sender);
		request->account = e->envelope.account;
		if (led && led != named && led->force_from)
			request->sender = NULL;
	}
}

void foreign_sender(const struct config *config, struct entry *e)
{
	struct caller caller = { .uid = e->uid };
	struct request request = { .caller = &caller };
	const struct account *account = NULL;
	struct envelope *v = &e->envelope;
	struct outcome ignored;
	char *sender = NULL, *plain = NULL, *name;
	bool qualified;
	size_t i;

	if (address_one(v->sender, &plain, &qualified, &ignored))
		request.sender = v->sender;
	if (v->account)
		take_account(config, e, caller_login(&caller), &request);
	if (!compose_sender(config, &request, NULL, &account, &sender,
			    &ignored)) {
		free(sender);
		/* who he is will be known again; until then his word has to
		 * do, since nobody else could be told */
		sender = mem_string(ignored.exit == EX_TEMPFAIL && plain ?
				    plain : "");
		account = NULL;
	}
	free(plain);
	name = account ? mem_string(account->name) : NULL;
	foreign_replace(&v->sender, &sender);
	foreign_replace(&v->account, &name);
	keep_xtext(&v->envid, envid_is_valid);
	for (i = 0; i < v->n; i++)
		keep_xtext(&v->rcpt[i].orcpt, NULL);
	caller_release(&caller);
}

/* --transport is for those who may choose: whoever hands in an entry gets no
 * further by it than his account's routes. */
static void hold_transport(const struct config *config,
			   const struct account *account, struct entry *e,
			   char **transport)
{
	if (!*transport || policy_reaches(config, account, *transport))
		return;
	log_say(LOG_AT_INFO, "%s: no route of this user (%lu) leads to "
		"transport %s: it goes where the routes say", e->id,
		(unsigned long)e->uid, *transport);
	free(*transport);
	*transport = NULL;
}

bool foreign_compose(const struct config *config, struct entry *e,
		     struct message **m, const struct account **account,
		     struct outcome *why)
{
	struct envelope fresh = { 0 };
	struct caller caller = { .uid = e->uid };
	struct request request = {
		.caller = &caller, .sender = e->envelope.sender,
		.require_tls = e->envelope.require_tls, .accepted = true,
	};
	bool done;

	if (e->envelope.account)
		take_account(config, e, caller_login(&caller), &request);
	done = compose(config, &request, m, &fresh, account, why);
	if (done) {
		if (e->envelope.account && (!*account || strcmp(
			(*account)->name, e->envelope.account) != 0))
			log_say(LOG_AT_INFO, "%s: account %s is not this "
				"user's (%lu): it goes by %s", e->id,
				e->envelope.account, (unsigned long)e->uid,
				*account ? (*account)->name : "none");
		foreign_replace(&e->envelope.sender, &fresh.sender);
		foreign_replace(&e->envelope.account, &fresh.account);
		keep_xtext(&e->envelope.envid, envid_is_valid);
		take_recipients(e);
		hold_transport(config, *account, e, &e->envelope.transport);
		if (!e->by_owner)
			hold_transport(config, *account, e, &e->transport);
		e->envelope.eight_bit = fresh.eight_bit;
		e->envelope.utf8 = envelope_is_utf8(&e->envelope) ||
				   message_facts(*m)->utf8_address;
		e->envelope.tls_required_no = fresh.tls_required_no;
	} else if (why->exit == EX_USAGE) {
		why->exit = EX_DATAERR;
	}
	envelope_release(&fresh);
	caller_release(&caller);
	return done;
}
