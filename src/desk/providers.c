/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "desk/providers.h"

#include <string.h>
#include <strings.h>

static bool provider_matches(const char *const *list, const char *name)
{
	size_t n = strlen(name), m;

	for (; list && *list; list++) {
		m = strlen(*list);
		if (**list == '.' ? n > m && !strcasecmp(name + n - m, *list) :
		    !strcasecmp(name, *list))
			return true;
	}
	return false;
}

const struct provider *provider_of_domain(const char *domain)
{
	const struct provider *p;
	size_t i;

	for (i = 0; (p = provider_at(i)); i++)
		if (provider_matches(p->domain, domain))
			return p;
	return NULL;
}

const struct provider *provider_of_mx(const char *name)
{
	const struct provider *p;
	size_t i;

	for (i = 0; (p = provider_at(i)); i++)
		if (provider_matches(p->mx, name))
			return p;
	return NULL;
}

const struct provider *provider_of_host(const char *host)
{
	const struct provider *p;
	size_t i;

	for (i = 0; (p = provider_at(i)); i++)
		if (p->host && !p->local && !strcasecmp(p->host, host))
			return p;
	return NULL;
}

const struct provider *provider_of_name(const char *name)
{
	const struct provider *p;
	size_t i;

	for (i = 0; (p = provider_at(i)); i++)
		if (!strcasecmp(p->name, name))
			return p;
	return NULL;
}

char *provider_username(const struct provider *p, const char *address)
{
	const char *at = strrchr(address, '@');

	if (!p || !p->user)
		return mem_string(address);
	if (strcmp(p->user, "%u") || !at)
		return mem_string(p->user);
	return mem_stringn(address, (size_t)(at - address));
}
