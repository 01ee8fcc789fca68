/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Accounts and routes. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mail/address.h"
#include "policy/policy.h"

/* A literal has no domain, and neither has the null sender. */
static const char *domain_of(const char *address)
{
	const char *domain = address_domain(address);

	return domain_is_literal(domain) ? "" : domain;
}

static bool entry_matches(const char *entry, const char *domain)
{
	size_t n = strlen(domain), suffix = strlen(entry);

	if (entry[0] != '.')
		return !strcasecmp(entry, domain);
	if (!entry[1])
		return !n;
	if (!strcasecmp(entry + 1, domain))
		return true;
	return n > suffix && !strcasecmp(domain + n - suffix, entry);
}

bool policy_domain_matches(const struct list *domains, const char *domain)
{
	size_t i;

	if (domain_is_literal(domain))
		domain = "";
	for (i = 0; i < domains->n; i++)
		if (entry_matches(domains->item[i], domain))
			return true;
	return !domains->n;
}

static bool sender_matches(const struct list *match_from, const char *sender)
{
	const char *domain = domain_of(sender);
	const char *entry;
	size_t i;

	for (i = 0; i < match_from->n; i++) {
		entry = match_from->item[i];
		if (strchr(entry, '@') ? address_equal(entry, sender) :
		    entry_matches(entry, domain))
			return true;
	}
	return !match_from->n;
}

const struct account *policy_account(const struct config *c, const char *user,
				     const char *sender)
{
	const struct account *a;
	size_t i;

	for (i = 0; i < c->accounts; i++) {
		a = &c->account[i];
		if (!a->user.n && !a->match_from.n)
			continue;
		if ((!a->user.n || list_has(&a->user, user)) &&
		    sender_matches(&a->match_from, sender))
			return a;
	}
	for (i = 0; i < c->accounts; i++)
		if (!strcmp(c->account[i].name, "default"))
			return &c->account[i];
	return NULL;
}

bool policy_is_users(const struct account *account, const char *user)
{
	return account && list_has(&account->user, user);
}

bool policy_leads_to(const struct config *c, const struct account *account,
		     const char *user)
{
	bool leads = false;
	const char *entry;
	char *sender;
	size_t i;

	for (i = 0; account && !leads && i < account->match_from.n; i++) {
		entry = account->match_from.item[i];
		sender = !strcmp(entry, ".") ? mem_string("") :
			 strchr(entry, '@') ? mem_string(entry) :
			 mem_printf("a@%s", entry + (entry[0] == '.'));
		leads = policy_account(c, user, sender) == account;
		free(sender);
	}
	return leads;
}

enum rank { RANK_ACCOUNT, RANK_DOMAIN, RANK_GLOBAL, RANKS };

static enum rank route_rank(const struct route *r)
{
	return r->account ? RANK_ACCOUNT :
	       r->domain ? RANK_DOMAIN : RANK_GLOBAL;
}

static const struct route *first_match(const struct config *c,
				       const struct account *account,
				       const char *sender,
				       const char *recipient,
				       unsigned attempts)
{
	const char *from = domain_of(sender), *to = domain_of(recipient);
	const struct route *r;
	unsigned rank;
	size_t i;

	for (rank = 0; rank < RANKS; rank++) {
		for (i = 0; i < c->routes; i++) {
			r = &c->route[i];
			if (route_rank(r) != rank ||
			    attempts < r->minimum_attempts ||
			    (r->account && (!account || strcmp(r->account,
							account->name))) ||
			    (r->domain && strcasecmp(r->domain, from)))
				continue;
			if (policy_domain_matches(&r->from_domain, from) &&
			    policy_domain_matches(&r->to_domain, to))
				return r;
		}
	}
	return NULL;
}

const struct transport *const *
policy_transports(const struct config *c,
		  const struct transport *const *override,
		  const struct account *account, const char *sender,
		  const char *recipient, unsigned attempts,
		  const struct route **route)
{
	const bool overridden = override && override[0];
	const struct route *r = overridden ? NULL :
		first_match(c, account, sender, recipient, attempts);

	if (route)
		*route = r;
	if (overridden)
		return override;
	return r ? r->way : config_direct_way();
}

/* Whether mail of this account can have a sender of that domain at all. */
static bool may_come_from(const struct route *r, const struct account *a)
{
	const char *from;

	if (!a || !a->force_from || !a->from)
		return true;
	from = domain_of(a->from);
	return (!r->domain || !strcasecmp(r->domain, from)) &&
	       policy_domain_matches(&r->from_domain, from);
}

bool policy_reaches(const struct config *c, const struct account *account,
		    const char *transport)
{
	const struct route *r;
	unsigned rank;
	size_t i;

	for (rank = 0; rank < RANKS; rank++) {
		for (i = 0; i < c->routes; i++) {
			r = &c->route[i];
			if (route_rank(r) != rank ||
			    (r->account && (!account ||
					    strcmp(r->account,
						   account->name))) ||
			    !may_come_from(r, account))
				continue;
			if (r->transport.n ?
			    list_has(&r->transport, transport) :
			    !strcmp(transport, "direct"))
				return true;
			/* what takes everything lets no route after it be
			 * reached */
			if (!r->domain && !r->from_domain.n &&
			    !r->to_domain.n && !r->minimum_attempts)
				return false;
		}
	}
	return !strcmp(transport, "direct");
}
