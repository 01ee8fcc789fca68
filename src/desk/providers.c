/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "desk/providers.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#define NAMES(...) (const char *const[]){ __VA_ARGS__, NULL }

static const struct provider table[] = {
	{ .name = "gmail", .title = "Gmail",
	  .domain = NAMES("gmail.com", "googlemail.com"),
	  .mx = NAMES(".google.com", ".googlemail.com"),
	  .host = "smtp.gmail.com", .port = 465, .kind = KIND_SUBMISSIONS,
	  .secret = "an app password (2-step verification must be on): "
		    "https://myaccount.google.com/apppasswords",
	  .more = "Google puts the account's own address into From unless "
		  "the other one is listed there under \"Send mail as\"." },
	{ .name = "office365", .title = "Microsoft 365",
	  .domain = NAMES(".onmicrosoft.com"),
	  .mx = NAMES(".mail.protection.outlook.com"),
	  .host = "smtp.office365.com", .port = 587, .kind = KIND_SUBMISSION,
	  .token = true, .username = "the user principal name",
	  .secret = "an OAuth 2.0 token for the scope "
		    "https://outlook.office.com/SMTP.Send",
	  .more = "An administrator has to permit \"Authenticated SMTP\" for "
		  "the mailbox." },
	{ .name = "outlook", .title = "Outlook.com",
	  .domain = NAMES("outlook.com", "hotmail.com", "live.com",
			  "msn.com"),
	  .mx = NAMES(".olc.protection.outlook.com"),
	  .host = "smtp-mail.outlook.com", .port = 587,
	  .kind = KIND_SUBMISSION, .token = true,
	  .secret = "an OAuth 2.0 token for the scope "
		    "https://outlook.office.com/SMTP.Send" },
	{ .name = "fastmail", .title = "Fastmail",
	  .domain = NAMES("fastmail.com", "fastmail.fm"),
	  .mx = NAMES(".messagingengine.com"),
	  .host = "smtp.fastmail.com", .port = 465, .kind = KIND_SUBMISSIONS,
	  .username = "the account's main address",
	  .secret = "an app password with access to SMTP: Settings, Privacy & "
		    "Security, Manage app passwords" },
	{ .name = "brevo", .title = "Brevo",
	  .domain = NAMES("smtp-brevo.com"),
	  .host = "smtp-relay.brevo.com", .port = 587,
	  .kind = KIND_SUBMISSION,
	  .username = "the login shown under \"SMTP & API\"",
	  .secret = "the SMTP key shown there (not the key for the API)",
	  .more = "For \"from\" put an address of a domain that is "
		  "authenticated there." },
};

static bool matches(const char *const *list, const char *name)
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
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (matches(table[i].domain, domain))
			return &table[i];
	return NULL;
}

const struct provider *provider_of_mx(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (matches(table[i].mx, name))
			return &table[i];
	return NULL;
}

const struct provider *provider_of_host(const char *host)
{
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (!strcasecmp(table[i].host, host))
			return &table[i];
	return NULL;
}
