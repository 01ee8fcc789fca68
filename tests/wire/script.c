/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The script that steers the server: settings, then rules. */
#include "server.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool wrong(const char *path, int line, const char *what,
		  const char *word)
{
	fprintf(stderr, "%s:%d: %s: %s\n", path, line, what, word);
	return false;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return (tolower((unsigned char)c) - 'a') + 10;
}

/* Resolves \r \n \t \\ \xNN in place and gives the length. */
static size_t unescape(char *s)
{
	char *to = s;
	const char *from = s;

	while (*from) {
		if (*from != '\\' || !from[1]) {
			*to++ = *from++;
			continue;
		}
		from++;
		if (*from == 'x' && isxdigit((unsigned char)from[1]) &&
		    isxdigit((unsigned char)from[2])) {
			*to++ = (char)(hex(from[1]) * 16 + hex(from[2]));
			from += 3;
			continue;
		}
		*to++ = *from == 'r' ? '\r' : *from == 'n' ? '\n' :
			*from == 't' ? '\t' : *from;
		from++;
	}
	*to = '\0';
	return (size_t)(to - s);
}

/* Cuts the first word off *s. */
static char *word(char **s)
{
	char *w;

	*s += strspn(*s, " \t");
	w = *s;
	*s += strcspn(*s, " \t");
	if (**s)
		*(*s)++ = '\0';
	*s += strspn(*s, " \t");
	return w;
}

static void add(struct strings *list, char *text)
{
	if (list->n < LIST_MAX)
		list->item[list->n++] = text;
}

static const struct {
	const char *name;
	enum verb verb;
	bool number;
} verbs[] = {
	{ "reply", DO_REPLY, false },
	{ "send", DO_SEND, false },
	{ "drip", DO_DRIP, true },
	{ "flood", DO_FLOOD, true },
	{ "wait", DO_WAIT, true },
	{ "silent", DO_SILENT, false },
	{ "close", DO_CLOSE, false },
	{ "bye", DO_BYE, false },
	{ "reset", DO_RESET, false },
	{ "handshake", DO_HANDSHAKE, false },
	{ "content", DO_CONTENT, false },
	{ "default", DO_DEFAULT, false },
};

static bool parse_action(struct rule *r, char *line)
{
	const char *name = word(&line);

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		struct action *a = &r->action[r->actions];

		if (strcmp(name, verbs[i].name) != 0)
			continue;
		if (r->actions == ACTIONS_MAX)
			return false;
		a->verb = verbs[i].verb;
		if (verbs[i].number)
			a->number = strtol(word(&line), NULL, 10);
		a->text = line;
		a->len = unescape(a->text);
		r->actions++;
		return true;
	}
	return false;
}

static bool parse_rule(struct script *s, char *line)
{
	struct rule *r = &s->rule[s->rules];

	if (s->rules == RULES_MAX)
		return false;
	r->tls = -1;
	snprintf(r->event, sizeof(r->event), "%s", word(&line));
	while (*line) {
		char *w = word(&line);

		if (strncmp(w, "conn=", 5) == 0)
			r->connection = atoi(w + 5);
		else if (strncmp(w, "nth=", 4) == 0)
			r->nth = atoi(w + 4);
		else if (strncmp(w, "tls=", 4) == 0)
			r->tls = strcmp(w + 4, "yes") == 0;
		else
			r->pattern = w;
	}
	s->rules++;
	return *r->event != '\0';
}

static bool set_tls(struct script *s, const char *value)
{
	static const char *const names[] = { "none", "starttls", "implicit" };

	for (int i = 0; i < 3; i++)
		if (strcmp(value, names[i]) == 0) {
			s->tls = (enum tls_mode)i;
			return true;
		}
	return false;
}

static bool set_version(struct script *s, const char *value)
{
	snprintf(s->version, sizeof(s->version),
		 "NORMAL:-VERS-ALL:+VERS-TLS%s", value);
	s->priority = s->version;
	return true;
}

static bool set_binding(struct script *s, const char *value)
{
	s->binding = strcmp(value, "none") == 0 ? BINDING_NONE :
		strcmp(value, "wrong") == 0 ? BINDING_WRONG : BINDING_MATCHING;
	return true;
}

static bool set_extension(struct script *s, const char *name, char *value)
{
	if (*name != 't')
		add(&s->extension[0], value);
	if (*name != 'c')
		add(&s->extension[1], value);
	return true;
}

static bool set_mechanisms(struct script *s, const char *name, char *value)
{
	if (*name != 't')
		s->mechanisms[0] = value;
	if (*name != 'c')
		s->mechanisms[1] = value;
	return true;
}

static bool set_flag(struct script *s, const char *name)
{
	const struct {
		const char *name;
		bool *flag;
		bool value;
	} flags[] = {
		{ "lmtp", &s->lmtp, true },
		{ "socks", &s->socks, true },
		{ "ask-certificate", &s->ask_certificate, true },
		{ "wrong-signature", &s->wrong_signature, true },
		{ "early-success", &s->early_success, true },
		{ "endless-challenge", &s->endless_challenge, true },
		{ "no-starttls", &s->offer_starttls, false },
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (strcmp(name, flags[i].name) == 0) {
			*flags[i].flag = flags[i].value;
			return true;
		}
	return false;
}

static bool set_text(struct script *s, const char *name, char *value)
{
	const struct {
		const char *name;
		char **text;
	} texts[] = {
		{ "listen", &s->listen }, { "priority", &s->priority },
		{ "certificate", &s->certificate }, { "user", &s->user },
		{ "password", &s->password }, { "token", &s->token },
		{ "hostname", &s->hostname },
		{ "socks-user", &s->socks_user },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(name, texts[i].name) == 0) {
			*texts[i].text = value;
			return true;
		}
	return false;
}

static bool set_number(struct script *s, const char *name, const char *value)
{
	const struct {
		const char *name;
		int *number;
	} numbers[] = {
		{ "iterations", &s->iterations },
		{ "max-recipients", &s->max_recipients },
		{ "grace", &s->grace },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(name, numbers[i].name) == 0) {
			*numbers[i].number = atoi(value);
			return true;
		}
	return false;
}

static bool parse_setting(struct script *s, char *line)
{
	const char *name = word(&line);
	char *value = line;

	unescape(value);
	if (strcmp(name, "on") == 0)
		return parse_rule(s, value);
	if (strcmp(name, "tls") == 0)
		return set_tls(s, value);
	if (strcmp(name, "tls-version") == 0)
		return set_version(s, value);
	if (strcmp(name, "binding") == 0)
		return set_binding(s, value);
	if (strcmp(name, "no-extensions") == 0) {
		s->extension[0].n = s->extension[1].n = 0;
		return true;
	}
	if (strstr(name, "extension"))
		return set_extension(s, name, value);
	if (strcmp(name, "auth") == 0 || strcmp(name, "clear-auth") == 0 ||
	    strcmp(name, "tls-auth") == 0)
		return set_mechanisms(s, name, value);
	return set_flag(s, name) || set_text(s, name, value) ||
		set_number(s, name, value);
}

static void set_defaults(struct script *s)
{
	static char *const common[] = {
		"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN",
		"ENHANCEDSTATUSCODES",
	};

	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		for (int k = 0; k < 2; k++)
			add(&s->extension[k], common[i]);
	s->listen = "inet";
	s->priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
	s->certificate = "good";
	s->user = "user";
	s->password = "pencil";
	s->token = "token";
	s->hostname = "server.example.test";
	s->iterations = 4096;
	s->grace = 2;
	s->offer_starttls = true;
}

bool script_read(const char *path, struct script *s)
{
	FILE *in = fopen(path, "r");
	size_t room = 0;
	bool good = true;
	struct rule *rule = NULL;
	char *next, *line;

	if (!in)
		return wrong(path, 0, "cannot be read", "script");
	if (getdelim(&s->text, &room, '\0', in) < 0)
		s->text = strdup("");
	fclose(in);
	set_defaults(s);
	next = s->text;
	for (int n = 1; good && (line = strsep(&next, "\n")); n++) {
		char *text = line + strspn(line, " \t");

		if (!*text || *text == '#')
			continue;
		good = text > line ? rule && parse_action(rule, text) :
			parse_setting(s, text);
		rule = s->rules ? &s->rule[s->rules - 1] : NULL;
		if (!good)
			wrong(path, n, "not understood", text);
	}
	return good;
}

struct rule *script_match(struct script *s, const char *event,
			  const char *text, int connection, bool tls)
{
	for (size_t i = 0; i < s->rules; i++) {
		struct rule *r = &s->rule[i];

		if (strcmp(r->event, event) != 0 ||
		    (r->pattern && !strcasestr(text, r->pattern)) ||
		    (r->connection && r->connection != connection) ||
		    (r->tls >= 0 && r->tls != tls))
			continue;
		r->seen++;
		if (!r->nth || r->nth == r->seen)
			return r;
	}
	return NULL;
}
