/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/resolv_conf.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static bool starts(const char **p, const char *keyword)
{
	size_t n = strlen(keyword);

	if (strncmp(*p, keyword, n) || !strchr(" \t", (*p)[n]) || !(*p)[n])
		return false;
	*p += n;
	*p += strspn(*p, " \t");
	return true;
}

static bool has_word(const char *line, size_t length, const char *word)
{
	const char *end = line + length;
	size_t n;

	for (; line < end; line += n) {
		line += strspn(line, " \t");
		n = strcspn(line, " \t\r\n");
		if (!n)
			break;
		if (n == strlen(word) && !strncmp(line, word, n))
			return true;
	}
	return false;
}

void resolv_conf_parse(const char *text, struct resolv_conf *out)
{
	const char *p;
	char *word;

	*out = (struct resolv_conf){ 0 };
	for (;;) {
		/* some readers of this file pass over leading blanks: whom
		 * they would ask is asked, and judged, here too */
		p = text + strspn(text, " \t");
		if (starts(&p, "nameserver")) {
			word = mem_stringn(p, strcspn(p, " \t\r\n"));
			list_add(&out->nameserver, word);
			free(word);
		} else if (starts(&p, "options") &&
			   has_word(p, strcspn(p, "\n"), "trust-ad")) {
			out->trust_ad = true;
		}
		text += strcspn(text, "\n");
		if (!*text++)
			break;
	}
}
