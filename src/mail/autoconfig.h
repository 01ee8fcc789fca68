/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a domain says by HTTPS of the server that takes its users' mail: a
 * user agent configuration (draft-ietf-mailmaint-pacc, JSON) or Thunderbird's
 * config-v1.1.xml. Of either is read what is needed here, and no more;
 * whatever else is in them, they are strangers' texts.
 */
#ifndef MAIL_AUTOCONFIG_H
#define MAIL_AUTOCONFIG_H

#include <stdbool.h>
#include <stddef.h>

struct autoconfig {
	char host[256];          /* a domain, lower case */
	unsigned port;
	bool starttls;           /* TLS by STARTTLS; else at once */
	bool local_part;         /* the login name is what stands before @ */
	bool password, login;    /* what it takes, as far as it says so */
	char issuer[512];        /* of logins, an https URL; "": not said */
};

/* False: not such a text, or no server with TLS in it. */
bool autoconfig_json(const char *text, size_t n, struct autoconfig *out);
/* domain stands for %EMAILDOMAIN%. */
bool autoconfig_xml(const char *text, size_t n, const char *domain,
		    struct autoconfig *out);

#endif
