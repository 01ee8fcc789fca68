/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A configuration by three words of the environment, for containers. */
#include "config/keys.h"

#include <string.h>
#include <strings.h>

#include "base/scan.h"

enum { PART_MAX = 1024 };

static bool bad_url(struct outcome *why, const char *words)
{
	return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "%s", words);
}

/* RFC 3986 2.1 undone; a control character is refused, which could end a
 * line of the text that is made of it. */
static bool decode_part(const char *s, size_t n, char out[PART_MAX])
{
	size_t i, len = 0;
	int hex;
	char c;

	for (i = 0; i < n && len + 1 < PART_MAX; i++) {
		c = s[i];
		if (c == '%') {
			hex = i + 2 < n ? scan_hex(s + i + 1) : -1;
			if (hex < 0)
				return false;
			c = (char)hex;
			i += 2;
		}
		if ((unsigned char)c < ' ' || c == 0x7f)
			return false;
		out[len++] = c;
	}
	out[len] = '\0';
	return i == n;
}

/* The kind, and *rest after "://". */
static const char *scheme_of(const char *url, const char **rest)
{
	static const char *const schemes[] = { "submissions", "submission",
					       "smtp" };
	size_t i, n;

	for (i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		n = strlen(schemes[i]);
		if (strncasecmp(url, schemes[i], n) ||
		    strncmp(url + n, "://", 3))
			continue;
		*rest = url + n + 3;
		return schemes[i];
	}
	return NULL;
}

/* "host", "host:port", "[v6]:port" */
static bool url_host(const char *s, size_t n, struct buf *text,
		     struct outcome *why)
{
	const char *bracket = n && *s == '[' ? memchr(s, ']', n) : NULL;
	const char *from = bracket ? bracket : s;
	const char *colon = memchr(from, ':', n - (size_t)(from - s));
	char host[PART_MAX];

	if (!decode_part(s, colon ? (size_t)(colon - s) : n, host) ||
	    !host[0] || (bracket && bracket + 1 != (colon ? colon : s + n)))
		return bad_url(why, "its host is not understood");
	buf_addf(text, "host = %s\n", host);
	if (colon && !decode_part(colon + 1, n - (size_t)(colon + 1 - s),
				  host))
		return bad_url(why, "its port is not understood");
	if (colon)
		buf_addf(text, "port = %s\n", host);
	return true;
}

static bool is_one_line(const char *value)
{
	for (; value && *value; value++)
		if ((unsigned char)*value < ' ' || *value == 0x7f)
			return false;
	return true;
}

bool config_of_url(const char *url, const char *password_file,
		   const char *from, struct buf *text, struct outcome *why)
{
	const char *rest, *at, *kind = scheme_of(url, &rest);
	size_t n;
	char user[PART_MAX];

	if (!kind)
		return bad_url(why, "it begins with submissions://, "
			       "submission:// or smtp://");
	if (!is_one_line(url) || !is_one_line(password_file) ||
	    !is_one_line(from))
		return bad_url(why, "a control character");
	n = strcspn(rest, "/?#");
	if (rest[n] && strcmp(rest + n, "/"))
		return bad_url(why, "nothing follows the host and its port");
	if (from)
		buf_addf(text, "[account default]\nfrom = %s\n", from);
	buf_addf(text, "[log]\nto = stderr\n[queue]\nqueue = never\n"
		 "[route url]\ntransport = url\n[transport url]\nkind = %s\n",
		 kind);
	at = memrchr(rest, '@', n);
	if (at) {
		if (memchr(rest, ':', (size_t)(at - rest)))
			return bad_url(why, "a password has no place in a "
				       "URL, which everybody can see: put it "
				       "into a file and name that in "
				       "POSTHASTE_PASSWORD_FILE");
		if (at == rest || !decode_part(rest, (size_t)(at - rest), user))
			return bad_url(why, "its user is not understood");
		buf_addf(text, "username = %s\n", user);
		n -= (size_t)(at + 1 - rest);
		rest = at + 1;
	}
	if (password_file)
		buf_addf(text, "password_file = %s\n", password_file);
	return url_host(rest, n, text, why);
}
