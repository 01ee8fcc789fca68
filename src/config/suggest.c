/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What somebody may have meant by a word that is not known. */
#include "config/keys.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { WORD_MAX = 40 };

/* Words of other programs, and what they are called here. */
static const struct {
	const char *theirs, *ours;
} key_synonyms[] = {
	{ "server", "host" }, { "smarthost", "host" }, { "relayhost", "host" },
	{ "login", "username" }, { "authuser", "username" },
	{ "pass", "password" }, { "authpass", "password" },
	{ "passwordeval", "password_command" }, { "passwd", "password" },
	{ "auth", "mechanisms" }, { "tls", "kind" }, { "starttls", "kind" },
	{ "usetls", "kind" }, { "ssl", "kind" }, { "type", "kind" },
	{ "protocol", "kind" },
	{ "cafile", "ca_file" }, { "tls_trust_file", "ca_file" },
	{ "tls_fingerprint", "fingerprint" }, { "root", "default_recipient" },
	{ "logfile", "to" }, { "syslog", "to" }, { "file", "to" },
}, kind_synonyms[] = {
	{ "smtps", "submissions" }, { "ssl", "submissions" },
	{ "tls", "submissions" }, { "ssmtp", "submissions" },
	{ "starttls", "submission" }, { "esmtp", "smtp" },
	{ "relay", "smtp" }, { "smarthost", "smtp" }, { "mx", "direct" },
	{ "local", "lmtp" }, { "proxy", "socks" }, { "socks5", "socks" },
	{ "tor", "socks" }, { "error", "fail" }, { "reject", "fail" },
};

/* Small letters alone, so that only what matters is compared. */
static size_t plain_word(const char *word, char out[WORD_MAX + 1])
{
	size_t n = 0;

	for (; *word && n < WORD_MAX; word++)
		if (isalnum((unsigned char)*word))
			out[n++] = (char)tolower((unsigned char)*word);
	out[n] = '\0';
	return n;
}

/* How many letters have to be put in, left out or changed. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1], last, above, i, j;
	char x[WORD_MAX + 1], y[WORD_MAX + 1];
	unsigned n = (unsigned)plain_word(a, x);
	unsigned m = (unsigned)plain_word(b, y);

	for (j = 0; j <= m; j++)
		row[j] = j;
	for (i = 1; i <= n; i++) {
		last = row[0];
		row[0] = i;
		for (j = 1; j <= m; j++) {
			above = row[j];
			row[j] = last + (x[i - 1] != y[j - 1]);
			if (above + 1 < row[j])
				row[j] = above + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			last = above;
		}
	}
	return row[m];
}

/* The better of two candidates; one further off than a third of the word is
 * none, but for one that the word begins. */
static void suggest_better(const char *word, const char *candidate,
			   const char **best, unsigned *least)
{
	unsigned n = (unsigned)strlen(word), d = distance(word, candidate);

	if (n > 2 && !strncasecmp(word, candidate, n) && d > 1)
		d = 1;
	if (d <= (n + 1) / 3 && d < *least) {
		*least = d;
		*best = candidate;
	}
}

const char *suggest_key(enum section section, const char *word,
			enum section *elsewhere)
{
	const struct config_key *key;
	const char *best = NULL;
	unsigned least = WORD_MAX;
	size_t i;

	*elsewhere = SECTIONS;
	for (i = 0; (key = key_at(i)); i++)
		if (key->section == section)
			suggest_better(word, key->key, &best, &least);
	for (i = 0; i < sizeof(key_synonyms) / sizeof(*key_synonyms) &&
	     least; i++)
		if (!strcasecmp(key_synonyms[i].theirs, word) &&
		    key_named(section, key_synonyms[i].ours)) {
			best = key_synonyms[i].ours;
			least = 0;
		}
	for (i = 0; (key = key_at(i)) && !best; i++)
		if (!strcasecmp(key->key, word)) {
			*elsewhere = key->section;
			best = key->key;
		}
	return best;
}

const char *suggest_word(const struct config_key *key, const char *word)
{
	const char *best = NULL;
	unsigned least = WORD_MAX;
	size_t i;

	if (!strcmp(key->key, "kind"))
		for (i = 0; i < sizeof(kind_synonyms) /
				sizeof(*kind_synonyms); i++)
			if (!strcasecmp(kind_synonyms[i].theirs, word))
				return kind_synonyms[i].ours;
	for (i = 0; key->words[i]; i++)
		if (key->words[i][0])
			suggest_better(word, key->words[i], &best, &least);
	return best;
}

const char *suggest_section(const char *word)
{
	const char *best = NULL;
	unsigned least = WORD_MAX, section;

	for (section = 0; section < SECTIONS; section++)
		suggest_better(word, section_name((enum section)section), &best,
			       &least);
	return best;
}
