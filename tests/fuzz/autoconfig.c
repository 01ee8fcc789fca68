/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a domain's web server says of its mail server, XML or JSON, by whoever
 * answered: a name that a host can have, a port that there is, nothing that
 * cannot be printed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mail/address.h"
#include "mail/autoconfig.h"
#include "parts.h"

static void want_sound(const struct autoconfig *a)
{
	struct outcome why;
	char *again;

	fuzz_want(memchr(a->host, '\0', sizeof(a->host)) && *a->host);
	fuzz_want(memchr(a->issuer, '\0', sizeof(a->issuer)) != NULL);
	fuzz_want(domain_normalise(a->host, strlen(a->host), &again, &why));
	fuzz_want(!strcmp(again, a->host));
	free(again);
	fuzz_want(a->port > 0 && a->port < 65536);
	fuzz_want(!*a->issuer || !strncmp(a->issuer, "https://", 8));
	fuzz_want(fuzz_is_clean(a->issuer, strlen(a->issuer)));
	fuzz_want(!strpbrk(a->issuer, "\n \"<>"));
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	/* of its own, so that reading beyond its end is seen */
	char *text = n ? malloc(n) : NULL;
	struct autoconfig a = { 0 };

	if (!text)
		return 0;
	memcpy(text, data, n);
	if (autoconfig_json(text, n, &a))
		want_sound(&a);
	a = (struct autoconfig){ 0 };
	if (autoconfig_xml(text, n, "example.org", &a))
		want_sound(&a);
	free(text);
	return 0;
}
