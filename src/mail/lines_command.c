/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether text could be taken for commands by a server that reads it as
 * such. */
#include <string.h>
#include <strings.h>

#include "mail/lines.h"

/* Some servers cut a command's line where their buffer ends (512 octets by
 * RFC 5321 4.5.3.1.4) and go on with the rest as another. */
enum { CUT_LEAST = 500 };

/* What changes the state of a session; NOOP, HELP, VRFY and EXPN do not. */
static const char *const verbs[] = {
	"MAIL", "RCPT", "DATA", "BDAT", "RSET", "QUIT", "EHLO", "HELO",
	"LHLO", "AUTH", "STARTTLS", "BURL", "ETRN", "ATRN", "TURN", "SEND",
	"SOML", "SAML", "XCLIENT", "XFORWARD",
};

static bool goes_on(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* A verb with nothing of a word after it. The argument that servers take
 * without a blank before it counts, too. */
static bool begins_with_verb(const char *s, size_t n)
{
	size_t i, len;

	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		len = strlen(verbs[i]);
		if (n >= len && !strncasecmp(s, verbs[i], len) &&
		    (n == len || !goes_on(s[len])))
			return true;
	}
	return (n >= 8 && !strncasecmp(s, "MAILFROM", 8)) ||
	       (n >= 6 && !strncasecmp(s, "RCPTTO", 6));
}

/* White space of any sort, and what a server may drop as it does that. */
static bool is_blank(char c)
{
	return (unsigned char)c <= ' ' || (unsigned char)c >= 0x7f;
}

static bool line_has_command(const char *s, size_t n)
{
	size_t at = 0, i;

	while (at < n && is_blank(s[at]))
		at++;
	if (begins_with_verb(s + at, n - at))
		return true;
	for (i = CUT_LEAST; i < n; i++)
		if (begins_with_verb(s + i, n - i))
			return true;
	return false;
}

bool text_has_command(const char *text, size_t n)
{
	const char *end;
	size_t len;

	while (n) {
		end = memchr(text, '\n', n);
		len = end ? (size_t)(end - text) + 1 : n;
		if (line_has_command(text, len))
			return true;
		text += len;
		n -= len;
	}
	return false;
}
