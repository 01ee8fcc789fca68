/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which SASL mechanism (SPEC 6.3). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "mail/policy.h"

enum needs {
	NEED_TOKEN = 1,
	NEED_PASSWORD = 2,      /* and whom it belongs to */
	NEED_CERTIFICATE = 4,
	NEED_TICKET = 8,
	NEED_BINDING = 16,
	NEED_USERNAME = 32,
	NO_PASSWORD = 64,       /* unless named: else the password is meant */
	NEED_TLS = 128,         /* unless named */
	SHOWS_SECRET = 256      /* verified TLS, unless named */
};

/* The order is the order of choice. */
static const struct mechanism {
	const char *name;
	unsigned needs;
} mechanisms[] = {
	{ "OAUTHBEARER", NEED_TOKEN | SHOWS_SECRET },
	{ "XOAUTH2", NEED_TOKEN | NEED_USERNAME | SHOWS_SECRET },
	{ "EXTERNAL", NEED_CERTIFICATE | NO_PASSWORD | NEED_TLS },
	{ "SCRAM-SHA-256-PLUS", NEED_PASSWORD | NEED_BINDING },
	{ "SCRAM-SHA-1-PLUS", NEED_PASSWORD | NEED_BINDING },
	{ "SCRAM-SHA-256", NEED_PASSWORD },
	{ "SCRAM-SHA-1", NEED_PASSWORD },
	{ "GSSAPI", NEED_TICKET | NO_PASSWORD | NEED_TLS },
	{ "CRAM-MD5", NEED_PASSWORD },
	{ "DIGEST-MD5", NEED_PASSWORD },
	{ "PLAIN", NEED_PASSWORD | SHOWS_SECRET },
	{ "LOGIN", NEED_PASSWORD | SHOWS_SECRET },
};

#define MECHANISMS (sizeof(mechanisms) / sizeof(*mechanisms))

const char *mechanism_known(size_t i)
{
	return i < MECHANISMS ? mechanisms[i].name : NULL;
}

static const struct mechanism *mechanism_find(const char *name)
{
	size_t i;

	for (i = 0; i < MECHANISMS; i++)
		if (!strcasecmp(mechanisms[i].name, name))
			return &mechanisms[i];
	return NULL;
}

bool mechanism_is_plain(const char *mechanism)
{
	const struct mechanism *m = mechanism_find(mechanism);

	return m && m->needs & SHOWS_SECRET;
}

static bool means_there(unsigned needs, const struct auth_facts *f)
{
	return !(needs & NEED_TOKEN && !f->token) &&
	       !(needs & NEED_USERNAME && !f->username) &&
	       !(needs & NEED_PASSWORD && !(f->username && f->password)) &&
	       !(needs & NEED_TICKET && !f->ticket) &&
	       !(needs & NEED_CERTIFICATE && !(f->certificate && f->tls)) &&
	       !(needs & NEED_BINDING && !(f->binding && f->tls));
}

static bool safe(unsigned needs, const struct auth_facts *f, bool named)
{
	if (needs & SHOWS_SECRET && !f->tls && f->downgraded)
		return false;
	if (named)
		return true;
	return !(needs & SHOWS_SECRET && !(f->tls && f->verified)) &&
	       !(needs & NEED_TLS && !f->tls) &&
	       !(needs & NO_PASSWORD && f->password);
}

static bool acceptable(const char *name, const struct auth_facts *f,
		       bool named)
{
	const struct mechanism *m = mechanism_find(name);

	/* one that only the library knows was named by a person */
	return m ? means_there(m->needs, f) && safe(m->needs, f, named) :
	       named;
}

/* The i-th candidate: of the configured list, else of ours. */
static const char *candidate(const struct list *configured, size_t i)
{
	const struct mechanism *m;

	if (!configured || !configured->n)
		return mechanism_known(i);
	if (i >= configured->n)
		return NULL;
	m = mechanism_find(configured->item[i]);
	return m ? m->name : configured->item[i];
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
	static const char *const second[] = { "PLAIN", "LOGIN" };
	size_t i;

	if (configured && configured->n)
		return NULL;
	if (strcasecmp(refused, "CRAM-MD5") &&
	    strcasecmp(refused, "DIGEST-MD5"))
		return NULL;
	/* which asks for verified TLS, too */
	for (i = 0; i < 2; i++)
		if (list_has_nocase(offered, second[i]) &&
		    acceptable(second[i], facts, false))
			return second[i];
	return NULL;
}
