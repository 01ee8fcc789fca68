/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which SASL mechanism. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "mail/mechanism.h"
#include "policy/policy.h"

static bool acceptable(const char *name, const struct auth_facts *f,
		       bool named)
{
	const struct mechanism *m = mechanism_find(name);
	const unsigned needs = m ? m->needs : 0;

	if (!m || (needs & NEED_TOKEN && !f->token) ||
	    (needs & NEED_USERNAME && !f->username) ||
	    (needs & NEED_PASSWORD && !(f->username && f->password)) ||
	    (needs & NEED_TICKET && !f->ticket) ||
	    (needs & NEED_CERTIFICATE && !(f->certificate && f->tls)) ||
	    (needs & NEED_BINDING && !(f->binding && f->tls)))
		return false;
	if (needs & SHOWS_SECRET && !f->tls && f->downgraded)
		return false;
	if (named)
		return true;
	return !(needs & NEED_NAMING) &&
	       !(needs & SHOWS_SECRET && !(f->tls && f->verified)) &&
	       !(needs & NEED_TLS && !f->tls) &&
	       !(needs & NO_PASSWORD && f->password);
}

/* The i-th candidate: of the configured list, else of ours. */
static const char *candidate(const struct list *configured, size_t i)
{
	const struct mechanism *m;

	if (!configured || !configured->n) {
		m = mechanism_row(i);
		return m ? m->name : NULL;
	}
	return i < configured->n ? configured->item[i] : NULL;
}

/* What is missing on our side, if that is it. */
static const char *credentials_hint(const struct list *offered,
				    const struct auth_facts *facts)
{
	if (facts->password)
		return facts->username ? "" :
			" (there is a password, but no username)";
	if (!facts->ticket && list_has_nocase(offered, "GSSAPI"))
		return " (for GSSAPI there is no ticket: see kinit)";
	if (facts->token || facts->certificate || facts->ticket)
		return "";
	return " (there is no password: see password_file, password_command "
	       "and ~/.netrc)";
}

static void none_acceptable(const struct list *offered,
			    const struct list *configured,
			    const struct auth_facts *facts,
			    struct outcome *why)
{
	bool named = configured && configured->n;
	struct list allowed = {0};
	const char *name;
	char *ours, *theirs;
	size_t i;

	for (i = 0; (name = candidate(configured, i)); i++)
		if (acceptable(name, facts, named))
			list_add(&allowed, name);
	ours = list_join(&allowed, " ");
	theirs = list_join(offered, " ");
	outcome_fail(why, STAGE_AUTH, EX_NOPERM,
		     "no acceptable mechanism: allowed with these credentials "
		     "and %s: %s; the server offers: %s%s",
		     !facts->tls ? "no TLS" : facts->verified ?
		     "verified TLS" : "unverified TLS",
		     *ours ? ours : "none", *theirs ? theirs : "none",
		     credentials_hint(offered, facts));
	free(ours);
	free(theirs);
	list_release(&allowed);
}

const char *policy_mechanism(const struct list *offered,
			     const struct list *configured,
			     const struct auth_facts *facts,
			     struct outcome *why)
{
	bool named = configured && configured->n;
	const char *name;
	size_t i;

	for (i = 0; (name = candidate(configured, i)); i++)
		if (list_has_nocase(offered, name) &&
		    acceptable(name, facts, named))
			return name;
	none_acceptable(offered, configured, facts, why);
	return NULL;
}

const char *policy_second_mechanism(const char *refused,
				    const struct list *offered,
				    const struct list *configured,
				    const struct auth_facts *facts)
{
	const struct mechanism *m = mechanism_find(refused);
	size_t i;

	if ((configured && configured->n) || !m ||
	    !(m->needs & NEED_PLAIN_STORE) || !facts->verified)
		return NULL;
	for (i = 0; (m = mechanism_row(i)); i++)
		if (m->needs & NEED_PASSWORD && m->needs & SHOWS_SECRET &&
		    list_has_nocase(offered, m->name) &&
		    acceptable(m->name, facts, false))
			return m->name;
	return NULL;
}

bool policy_is_unknown(const struct outcome *refusal)
{
	return refusal->code == 504 || !strcmp(refusal->status, "5.5.4");
}

bool policy_asks_password(const struct transport *t)
{
	const struct mechanism *m;
	size_t i;

	if (t->token_command || t->certificate)
		return false;
	for (i = 0; i < t->mechanisms.n; i++) {
		m = mechanism_find(t->mechanisms.item[i]);
		if (!m || m->needs & NEED_PASSWORD)
			return true;
	}
	return !t->mechanisms.n;
}

enum secret_way policy_secret(const struct transport *t)
{
	if (t->password)
		return SECRET_GIVEN;
	if (t->password_file)
		return SECRET_FILE;
	if (t->password_command)
		return SECRET_COMMAND;
	if (t->password_credential)
		return SECRET_CREDENTIAL;
	return t->oauth || !policy_asks_password(t) ? SECRET_NONE :
	       SECRET_LOOKED_FOR;
}
