/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/mechanism.h"

#include <strings.h>

static const struct mechanism mechanisms[] = {
	{ "OAUTHBEARER", NEED_TOKEN | SHOWS_SECRET },
	{ "XOAUTH2", NEED_TOKEN | NEED_USERNAME | SHOWS_SECRET },
	{ "EXTERNAL", NEED_CERTIFICATE | NO_PASSWORD | NEED_TLS },
	{ "SCRAM-SHA-256-PLUS", NEED_PASSWORD | NEED_BINDING },
	{ "SCRAM-SHA-1-PLUS", NEED_PASSWORD | NEED_BINDING },
	{ "SCRAM-SHA-256", NEED_PASSWORD },
	{ "SCRAM-SHA-1", NEED_PASSWORD },
	{ "GSSAPI", NEED_TICKET | NO_PASSWORD | NEED_TLS },
	{ "CRAM-MD5", NEED_PASSWORD | NEED_PLAIN_STORE },
	{ "DIGEST-MD5", NEED_PASSWORD | NEED_PLAIN_STORE },
	{ "PLAIN", NEED_PASSWORD | SHOWS_SECRET },
	{ "LOGIN", NEED_PASSWORD | SHOWS_SECRET },
	/* what a SASL library can have and a person may ask for */
	{ "ANONYMOUS", NEED_NAMING },
	{ "GS2-KRB5", NEED_NAMING },
	{ "KERBEROS_V5", NEED_NAMING },
	{ "NTLM", NEED_NAMING | NEED_PASSWORD },
	{ "OPENID20", NEED_NAMING },
	{ "SAML20", NEED_NAMING },
	{ "SECURID", NEED_NAMING },
	{ "SCRAM-SHA-512", NEED_NAMING | NEED_PASSWORD },
	{ "SCRAM-SHA-512-PLUS", NEED_NAMING | NEED_PASSWORD | NEED_BINDING },
};

enum { MECHANISMS = sizeof(mechanisms) / sizeof(*mechanisms) };

const struct mechanism *mechanism_row(size_t i)
{
	return i < MECHANISMS ? &mechanisms[i] : NULL;
}

const struct mechanism *mechanism_find(const char *name)
{
	size_t i;

	for (i = 0; i < MECHANISMS; i++)
		if (!strcasecmp(mechanisms[i].name, name))
			return &mechanisms[i];
	return NULL;
}

unsigned mechanism_needs(const char *name)
{
	const struct mechanism *m = mechanism_find(name);

	return m ? m->needs : 0;
}
