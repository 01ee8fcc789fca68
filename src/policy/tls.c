/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much TLS a host must give. */
#include <string.h>
#include <strings.h>

#include "policy/policy.h"

bool policy_tls_implicit(const struct transport *t)
{
	return kind_facts(t->kind)->tls == TLS_AT_ONCE;
}

/* Whether the section says what a certificate must be: taking any, or none,
 * would be weaker than what was asked for. */
static bool names_certificate(const struct transport *t)
{
	return t->ca_file || t->fingerprint.n || t->tls_name;
}

/* Where TLS is the rule and the section may say otherwise. */
static enum tls_demand required(const struct transport *t)
{
	if (t->no_starttls)
		return DEMAND_NONE;
	if (t->starttls_insecure_skip_verify)
		return DEMAND_ENCRYPTED;
	return DEMAND_VERIFIED;
}

enum tls_demand policy_tls(const struct transport *t, bool socket,
			   const struct tls_evidence *evidence, bool relaxed)
{
	const struct kind_facts *kind = kind_facts(t->kind);
	enum tls_demand least, seen;

	socket = socket && kind->traits & NAMES_SOCKET;
	switch (kind->tls) {
	case TLS_AT_ONCE:
		return DEMAND_VERIFIED;
	case TLS_DEMANDED:
		/* this machine's kernel is no wire, and a path no name */
		if (socket && !names_certificate(t) &&
		    !t->starttls_insecure_skip_verify)
			return DEMAND_NONE;
		return required(t);
	case TLS_OFFERED:
		if (socket)
			return DEMAND_NONE;
		least = t->no_starttls || t->starttls_insecure_skip_verify ||
			names_certificate(t) ? required(t) :
			DEMAND_OPPORTUNISTIC;
		if (kind->way != WAY_DIRECT || !evidence || relaxed)
			return least;
		seen = evidence->dane_usable || evidence->sts_enforce ?
		       DEMAND_VERIFIED : evidence->dane_records ?
		       DEMAND_ENCRYPTED : DEMAND_NONE;
		return seen > least ? seen : least;
	case TLS_NEVER:
		break;
	}
	return DEMAND_NONE;
}

enum host_use policy_host(const struct tls_evidence *e, bool require_tls)
{
	if (e->dane_failed)
		return HOST_NOT_NOW;
	if (e->dane_usable)
		return HOST_USED;
	if (e->sts_failed || e->sts_unlisted)
		return HOST_NOT_NOW;
	return require_tls && !e->sts_enforce ? HOST_NOT_PROVED : HOST_USED;
}

enum tls_demand policy_first_demand(enum tls_demand demand, bool tested)
{
	return tested && demand == DEMAND_OPPORTUNISTIC ? DEMAND_VERIFIED :
	       demand;
}

bool policy_falls_back(enum tls_demand *demand, enum tls_demand host,
		       const struct outcome *failed)
{
	if (failed->stage != STAGE_TLS)
		return false;
	if (*demand > host)
		*demand = host;
	else if (*demand == DEMAND_OPPORTUNISTIC)
		*demand = DEMAND_NONE;
	else
		return false;
	return true;
}

bool policy_believes_target(const char *target, const char *domain,
			    bool authentic)
{
	size_t n = strlen(target), d = strlen(domain);

	return authentic || (n > d && target[n - d - 1] == '.' &&
			     !strcasecmp(target + n - d, domain));
}

const char *demand_name(enum tls_demand demand)
{
	static const char *const name[] = {
		[DEMAND_NONE] = "none",
		[DEMAND_OPPORTUNISTIC] = "opportunistic",
		[DEMAND_ENCRYPTED] = "encrypted",
		[DEMAND_VERIFIED] = "verified",
	};

	return name[demand];
}
