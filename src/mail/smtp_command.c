/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/smtp_command.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/utf8.h"
#include "mail/address.h"
#include "mail/lines.h"

/* RFC 3461 4.2 */
enum { ORCPT_MAX = 500, SIZE_DIGITS = 18 };

bool smtp_line_is_clean(const char *line, size_t n)
{
	return !line_has_controls(line, n) && utf8_valid(line, n);
}

const char *smtp_word(const char *line, const char *word)
{
	size_t n = strlen(word);

	if (strncasecmp(line, word, n))
		return NULL;
	line += n;
	if (word[n - 1] != ':' && *line && !is_wsp(*line))
		return NULL;
	while (is_wsp(*line))
		line++;
	return line;
}

/* --- the path --- */

/* The length of the path that text begins with. People leave the brackets
 * out, which makes it end at a blank. */
static size_t path_length(const char *text)
{
	char end = *text == '<' ? '>' : ' ';
	bool quoted = false;
	size_t i;

	for (i = 0; text[i]; i++) {
		if (quoted && text[i] == '\\' && text[i + 1])
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (!quoted && text[i] == end)
			return end == '>' ? i + 1 : i;
		else if (!quoted && text[i] == '<' && i)
			return 0; /* a header would have a name before it */
	}
	return end == '>' ? 0 : i;
}

/* Takes the path, and nothing else than one address, from *text. What is kept
 * is the address: comments and blanks could be as long as a line, in each of
 * very many. */
static char *path_read(const char **text)
{
	size_t n = path_length(*text);
	char *path = mem_stringn(*text, n), *address = NULL;
	struct outcome ignored;
	bool qualified = false, good;

	*text += n;
	good = n && (!**text || is_wsp(**text)) &&
	       address_one(path, &address, &qualified, &ignored) &&
	       (*path == '<' || qualified) &&
	       (*address || !strcmp(path, "<>"));
	free(path);
	path = good ? mem_printf("<%s>", address) : NULL;
	free(address);
	return path;
}

/* --- the parameters --- */

/* value is NULL without "=". */
struct parameter {
	const char *name;
	bool (*read)(void *into, const char *value);
};

static const char *read_parameters(const struct parameter *table, size_t n,
				   void *into, const char *text)
{
	const char *reply = NULL;
	struct list words = { 0 };
	unsigned seen = 0;
	char *value;
	size_t i, k;

	list_split(&words, text, " \t");
	for (i = 0; i < words.n && !reply; i++) {
		value = strchr(words.item[i], '=');
		if (value)
			*value++ = '\0';
		for (k = 0; k < n; k++)
			if (!strcasecmp(table[k].name, words.item[i]))
				break;
		if (k == n)
			reply = "555 5.5.4 unknown parameter";
		else if (seen & 1u << k || !table[k].read(into, value))
			reply = "501 5.5.4 bad parameter";
		seen |= 1u << k;
	}
	list_release(&words);
	return reply;
}

static bool param_size(void *into, const char *value)
{
	struct smtp_mail *m = into;
	size_t n = value ? strspn(value, "0123456789") : 0;

	if (!n || value[n] || n > SIZE_DIGITS)
		return false;
	m->size = strtoll(value, NULL, 10);
	return true;
}

static bool param_body(void *into, const char *value)
{
	struct smtp_mail *m = into;

	return value && body_parse(value, &m->body);
}

static bool param_utf8(void *into, const char *value)
{
	struct smtp_mail *m = into;

	m->utf8 = true;
	return !value;
}

static bool param_return(void *into, const char *value)
{
	struct smtp_mail *m = into;

	return value && return_parse(value, &m->dsn_return);
}

static bool param_envid(void *into, const char *value)
{
	struct smtp_mail *m = into;

	return value && xtext_decode(value, &m->envid) &&
	       envid_is_valid(m->envid);
}

static bool param_notify(void *into, const char *value)
{
	struct smtp_rcpt *r = into;

	return value && notify_parse(value, &r->wish.notify);
}

/* addr-type ";" xtext */
static bool param_orcpt(void *into, const char *value)
{
	struct smtp_rcpt *r = into;
	const char *semicolon = value ? strchr(value, ';') : NULL;
	const char *c;
	char *plain;

	if (!semicolon || semicolon == value || !semicolon[1] ||
	    strlen(value) > ORCPT_MAX)
		return false;
	for (c = value; c < semicolon; c++)
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '.')
			return false;
	if (!xtext_decode(semicolon + 1, &plain))
		return false;
	free(plain);
	r->wish.orcpt = mem_string(value);
	return true;
}

static const struct parameter of_mail[] = {
	{ "SIZE", param_size },
	{ "BODY", param_body },
	{ "SMTPUTF8", param_utf8 },
	{ "RET", param_return },
	{ "ENVID", param_envid },
};

static const struct parameter of_rcpt[] = {
	{ "NOTIFY", param_notify },
	{ "ORCPT", param_orcpt },
};

/* --- the commands --- */

const char *smtp_mail_parse(const char *text, struct smtp_mail *out)
{
	*out = (struct smtp_mail){ .path = path_read(&text) };
	if (!out->path)
		return "501 5.1.7 bad sender address";
	return read_parameters(of_mail, sizeof(of_mail) / sizeof(*of_mail),
			       out, text);
}

const char *smtp_rcpt_parse(const char *text, struct smtp_rcpt *out)
{
	*out = (struct smtp_rcpt){ .path = path_read(&text) };
	if (!out->path || !strcmp(out->path, "<>"))
		return "501 5.1.3 bad recipient address";
	return read_parameters(of_rcpt, sizeof(of_rcpt) / sizeof(*of_rcpt),
			       out, text);
}

void smtp_mail_release(struct smtp_mail *m)
{
	free(m->path);
	free(m->envid);
	*m = (struct smtp_mail){ 0 };
}

void smtp_rcpt_release(struct smtp_rcpt *r)
{
	free(r->path);
	free(r->wish.orcpt);
	*r = (struct smtp_rcpt){ 0 };
}
