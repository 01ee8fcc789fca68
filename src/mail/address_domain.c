/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of an address of ours, and domains (RFC 5891). */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/scan.h"
#include "base/utf8.h"
#include "mail/address.h"
#include "mail/idn_library.h"

/* No name of 255 octets in A-labels comes from more bytes of UTF-8. */
enum { LABEL_MAX = 63, DOMAIN_MAX = 255, WIDE_MAX = 4 * DOMAIN_MAX };

const char *address_domain(const char *address)
{
	const char *at = strrchr(address, '@');

	/* a quoted local part may hold an "@" and have no domain after it */
	return at && !strchr(at, '"') ? at + 1 : "";
}

char *address_qualify(const char *address, const char *domain)
{
	return !*address || *address_domain(address) ? mem_string(address) :
	       mem_printf("%s@%s", address, domain);
}

static size_t local_length(const char *address)
{
	const char *domain = address_domain(address);

	return *domain ? (size_t)(domain - address) - 1 : strlen(address);
}

bool mailbox_is_name(const struct mailbox *b)
{
	return !b->qualified && (b->spaced || address_is_utf8(b->address));
}

bool address_is_utf8(const char *address)
{
	size_t i, n = local_length(address);

	for (i = 0; i < n; i++)
		if ((unsigned char)address[i] >= 0x80)
			return true;
	return false;
}

bool address_equal(const char *a, const char *b)
{
	size_t n = local_length(a);

	return n == local_length(b) && !memcmp(a, b, n) &&
	       !strcasecmp(a + n, b + n);
}

bool domain_is_literal(const char *domain)
{
	return domain[0] == '[';
}

static bool domain_fault(struct outcome *why, const char *what)
{
	return outcome_fail(why, STAGE_LOCAL, EX_DATAERR, "%s", what);
}

static bool literal_normalise(const char *text, size_t n, char **out,
			      struct outcome *why)
{
	static const char tag[] = "IPv6:";
	const size_t tag_len = sizeof(tag) - 1;
	char raw[INET6_ADDRSTRLEN + sizeof(tag)] = "";
	char canon[INET6_ADDRSTRLEN];
	unsigned char address[16];

	if (n < 3 || text[n - 1] != ']' || n - 2 >= sizeof(raw) ||
	    memchr(text, '\0', n))
		return domain_fault(why, "bad address literal");
	memcpy(raw, text + 1, n - 2);
	if (inet_pton(AF_INET, raw, address) == 1) {
		*out = mem_printf("[%s]", raw);
		return true;
	}
	if (strncasecmp(raw, tag, tag_len) ||
	    inet_pton(AF_INET6, raw + tag_len, address) != 1 ||
	    !inet_ntop(AF_INET6, address, canon, sizeof(canon)))
		return domain_fault(why, "bad address literal");
	*out = mem_printf("[%s%s]", tag, canon);
	return true;
}

/* Checks what idn2 lets through, and names that it was never asked about. */
static bool labels_check(const char *name, struct outcome *why)
{
	size_t n;

	if (strlen(name) > DOMAIN_MAX)
		return domain_fault(why, "domain too long");
	for (;; name += n + 1) {
		for (n = 0; name[n] && name[n] != '.'; n++)
			if (!scan_is_alnum(name[n]) && name[n] != '-' &&
			    name[n] != '_')
				return domain_fault(why, "character that no "
						    "domain can have");
		if (!n)
			return domain_fault(why, "domain with an empty label");
		if (n > LABEL_MAX)
			return domain_fault(why, "label of the domain over "
					    "63 octets");
		if (!name[n])
			return true;
	}
}

static bool wide_normalise(const char *name, char **out, struct outcome *why)
{
	uint8_t *ascii = NULL;
	int rc;

	if (!utf8_valid(name, strlen(name)))
		return domain_fault(why, "domain neither ASCII nor UTF-8");
	rc = idn2_lookup_u8((const uint8_t *)name, &ascii,
			    IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
	if (rc != IDN2_OK)
		return outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
				    "no internationalised domain: %s",
				    idn2_strerror(rc));
	*out = mem_string((const char *)ascii);
	idn2_free(ascii);
	return true;
}

bool domain_normalise(const char *text, size_t n, char **out,
		      struct outcome *why)
{
	char *name, *c;
	bool ok;

	*out = NULL;
	if (!n)
		return domain_fault(why, "no domain after the \"@\"");
	if (text[0] == '[')
		return literal_normalise(text, n, out, why);
	if (n > WIDE_MAX)
		return domain_fault(why, "domain too long");
	if (memchr(text, '\0', n))
		return domain_fault(why, "control character in the domain");
	/* the root of DNS, which mail does not write */
	if (n > 1 && text[n - 1] == '.')
		n--;
	name = mem_stringn(text, n);
	if (utf8_is_wide(name))
		ok = wide_normalise(name, out, why);
	else
		ok = (*out = mem_string(name)) != NULL;
	free(name);
	if (!ok)
		return false;
	for (c = *out; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + ('a' - 'A'));
	if (labels_check(*out, why))
		return true;
	free(*out);
	*out = NULL;
	return false;
}
