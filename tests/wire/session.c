/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The dialogue: what each command gets, unless a rule says otherwise. */
#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { RECIPIENTS = 2000 };

struct session {
	struct peer *peer;
	const char *messages;
	int count;
	char *from, *from_params;
	char *to[RECIPIENTS], *to_params[RECIPIENTS];
	size_t recipients;
	FILE *file;
	char path[512];
	long size;
	const char *via;
	bool authenticated;
};

/* %SAID% is what the client said to authenticate, all lines of it;
 * %SAID:FROM:TO% the characters between, negative ones from its end. */
static void reply_expanded(struct peer *p, const char *text)
{
	const char *at = strstr(text, "%SAID"), *end;
	const char *said = p->said ? p->said : "";
	long n = (long)strlen(said), from = 0, to = n;
	char *line = NULL;

	end = at ? strchr(at + 1, '%') : NULL;
	if (!end) {
		peer_reply(p, text);
		return;
	}
	if (sscanf(at, "%%SAID:%ld:%ld%%", &from, &to) == 2) {
		from += from < 0 ? n : 0;
		to += to <= 0 ? n : 0;
	}
	from = from < 0 ? 0 : from > n ? n : from;
	to = to < from ? from : to > n ? n : to;
	if (asprintf(&line, "%.*s%.*s%s", (int)(at - text), text,
		     (int)(to - from), said + from, end + 1) < 0)
		abort();
	peer_reply(p, line);
	free(line);
}

static void perform(struct peer *p, const struct action *a)
{
	switch (a->verb) {
	case DO_REPLY:
		reply_expanded(p, a->text);
		break;
	case DO_SEND:
		peer_put(p, a->text, a->len);
		p->last_code = atoi(a->text);
		break;
	case DO_DRIP:
		for (size_t i = 0; i < a->len && !p->gone; i++) {
			peer_put(p, a->text + i, 1);
			usleep((useconds_t)a->number * 1000);
		}
		p->last_code = atoi(a->text);
		break;
	case DO_FLOOD:
		for (long i = 0; i < a->number && !p->gone; i++)
			peer_put(p, a->text, a->len);
		break;
	case DO_WAIT:
		usleep((useconds_t)a->number * 1000);
		break;
	case DO_SILENT:
		peer_wait_gone(p);
		break;
	case DO_CLOSE:
	case DO_BYE:
		peer_close(p, a->verb == DO_BYE);
		break;
	case DO_RESET:
		peer_reset(p);
		break;
	case DO_HANDSHAKE:
		peer_handshake(p);
		break;
	case DO_CONTENT:
	case DO_DEFAULT:
		break;
	}
}

/* Whether the rule asks for what follows by default. */
static bool perform_all(struct peer *p, const struct rule *r)
{
	for (size_t i = 0; i < r->actions && !p->gone; i++) {
		if (r->action[i].verb == DO_DEFAULT ||
		    r->action[i].verb == DO_CONTENT)
			return true;
		perform(p, &r->action[i]);
	}
	return false;
}

bool session_rule(struct peer *p, const char *event, const char *text)
{
	const struct rule *r = script_match(p->script, event, text,
					    p->connection, p->tls != NULL);

	if (!r)
		return false;
	p->last_code = 0;
	return !perform_all(p, r);
}

static bool accepted(const struct peer *p)
{
	return p->last_code >= 200 && p->last_code < 300;
}

static void answer(struct peer *p, const char *event, const char *text,
		   const char *reply)
{
	if (!session_rule(p, event, text) && !p->gone)
		peer_reply(p, reply);
}

static void forget(struct session *s)
{
	free(s->from);
	free(s->from_params);
	s->from = s->from_params = NULL;
	for (size_t i = 0; i < s->recipients; i++) {
		free(s->to[i]);
		free(s->to_params[i]);
	}
	s->recipients = 0;
	if (s->file)
		fclose(s->file);
	s->file = NULL;
	s->size = 0;
}

/* Whether a client may know that nothing need be waited for. */
static bool offers_early(const struct peer *p)
{
	const struct strings *list =
		&p->script->extension[p->script->tls == TLS_IMPLICIT];
	size_t i;

	for (i = 0; i < list->n; i++)
		if (strcmp(list->item[i], "PIPECONNECT") == 0)
			return true;
	return false;
}

static void put_extension(struct peer *p, const char *text, bool last)
{
	char line[1100];

	snprintf(line, sizeof(line), "250%c%s", last ? ' ' : '-', text);
	peer_reply(p, line);
}

static void greet_back(struct peer *p)
{
	int k = p->tls != NULL;
	const struct strings *list = &p->script->extension[k];
	const char *mechanisms = p->script->mechanisms[k];
	char auth[600];
	bool tls = p->script->tls == TLS_STARTTLS && !p->tls &&
		p->script->offer_starttls;

	put_extension(p, p->script->hostname,
		      !list->n && !mechanisms && !tls);
	if (tls)
		put_extension(p, "STARTTLS", !list->n && !mechanisms);
	for (size_t i = 0; i < list->n; i++)
		put_extension(p, list->item[i],
			      i + 1 == list->n && !mechanisms);
	if (mechanisms) {
		snprintf(auth, sizeof(auth), "AUTH %s", mechanisms);
		put_extension(p, auth, true);
	}
}

static void hello(struct session *s, const char *event, const char *line)
{
	struct peer *p = s->peer;

	forget(s);
	if (session_rule(p, event, line) || p->gone)
		return;
	if (strcmp(event, "helo") == 0)
		peer_reply(p, "250 server.example.test");
	else
		greet_back(p);
}

/* Cuts "<path> parameters" behind the first colon. */
static char *split_path(const char *line, char **params)
{
	const char *from = strchr(line, '<'), *at;
	bool quoted = false;

	*params = NULL;
	if (!from)
		return NULL;
	for (at = ++from; *at && (quoted || *at != '>'); at++) {
		if (*at == '\\' && at[1])
			at++;
		else if (*at == '"')
			quoted = !quoted;
	}
	if (!*at)
		return NULL;
	*params = strdup(at[1] == ' ' ? at + 2 : at + 1);
	return strndup(from, (size_t)(at - from));
}

static void mail(struct session *s, const char *line)
{
	forget(s);
	answer(s->peer, "mail", line, "250 2.1.0 sender ok");
	if (accepted(s->peer))
		s->from = split_path(line, &s->from_params);
}

static const char *rcpt_reply(const struct session *s, const char *line)
{
	int limit = s->peer->script->max_recipients;

	if (!s->from)
		return "503 5.5.1 MAIL first";
	if (strcasestr(line, "<nouser@"))
		return "550 5.1.1 no such user";
	if (strcasestr(line, "<tempfail@"))
		return "450 4.2.1 not now";
	if (limit && s->recipients >= (size_t)limit)
		return "452 4.5.3 too many recipients";
	return "250 2.1.5 recipient ok";
}

static void rcpt(struct session *s, const char *line)
{
	size_t i = s->recipients;

	answer(s->peer, "rcpt", line, rcpt_reply(s, line));
	if (!accepted(s->peer) || i == RECIPIENTS)
		return;
	s->to[i] = split_path(line, &s->to_params[i]);
	if (s->to[i])
		s->recipients++;
}

static void open_message(struct session *s)
{
	if (s->file)
		return;
	snprintf(s->path, sizeof(s->path), "%s%d-%d", s->messages,
		 s->peer->connection, ++s->count);
	s->file = fopen(s->path, "w");
	if (!s->file)
		abort();
}

static void record_message(struct session *s, bool taken, char *const *to,
			   char *const *params, size_t n)
{
	const char *name = strrchr(s->path, '/');
	const struct field fields[] = {
		{ .name = "from", .text = s->from },
		{ .name = "params", .text = s->from_params },
		{ .name = "to", .type = F_LIST, .list = to, .items = n },
		{ .name = "to_params", .type = F_LIST, .list = params,
		  .items = n },
		{ .name = "file", .text = name ? name + 1 : s->path },
		{ .name = "size", .type = F_NUMBER, .number = s->size },
		{ .name = "via", .text = s->via },
		{ .name = "tls", .type = F_BOOL,
		  .number = s->peer->tls != NULL },
		{ .name = "authenticated", .type = F_BOOL,
		  .number = s->authenticated },
		{ .name = "accepted", .type = F_BOOL, .number = taken },
		{ .name = NULL },
	};

	record(s->peer->connection, "message", fields);
}

/* LMTP: an answer for each recipient. */
static void finish_each(struct session *s)
{
	char *taken[RECIPIENTS], *params[RECIPIENTS];
	size_t n = 0;

	for (size_t i = 0; i < s->recipients && !s->peer->gone; i++) {
		answer(s->peer, "dot", s->to[i], "250 2.0.0 saved");
		if (accepted(s->peer) && !s->peer->gone) {
			taken[n] = s->to[i];
			params[n++] = s->to_params[i];
		}
	}
	record_message(s, n > 0, taken, params, n);
}

static void finish(struct session *s, bool whole)
{
	bool taken = false;

	if (s->file)
		fclose(s->file);
	s->file = NULL;
	if (whole && s->peer->script->lmtp) {
		finish_each(s);
	} else {
		if (whole) {
			answer(s->peer, "dot", s->path, s->recipients ?
			       "250 2.0.0 queued as 4711" :
			       "554 5.5.1 no valid recipients");
			taken = accepted(s->peer) && s->recipients &&
				!s->peer->gone;
		}
		record_message(s, taken, s->to, s->to_params, s->recipients);
	}
	forget(s);
}

static void data(struct session *s, const char *line)
{
	struct peer *p = s->peer;
	struct rule *r = script_match(p->script, "data", line, p->connection,
				      p->tls != NULL);

	p->last_code = 0;
	if (r ? !perform_all(p, r) : false)
		return;
	if (p->gone)
		return;
	if (!r || p->last_code != 354) {
		if (!s->recipients) {
			peer_reply(p, "554 5.5.1 no valid recipients");
			return;
		}
		peer_reply(p, "354 go ahead");
	}
	open_message(s);
	s->via = "DATA";
	finish(s, content_dot(p, s->file, &s->size));
}

static void bdat(struct session *s, const char *line)
{
	char *end;
	long n = strtol(line + 4, &end, 10);
	bool last = strcasestr(end, "LAST") != NULL, whole;

	open_message(s);
	s->via = "BDAT";
	whole = content_chunk(s->peer, n, s->file, &s->size);
	if (!whole) {
		finish(s, false);
		return;
	}
	if (last && peer_pending(s->peer, s->peer->script->grace) &&
	    (s->peer->pos < s->peer->len || peer_fill(s->peer)))
		audit(s->peer, "bytes behind the dot",
		      "before BDAT LAST was answered");
	if (!s->recipients)
		answer(s->peer, "bdat", line, "503 5.5.1 no recipients");
	else if (last)
		finish(s, true);
	else
		answer(s->peer, "bdat", line, "250 2.0.0 chunk");
}

static void starttls(struct session *s, const char *line)
{
	struct peer *p = s->peer;

	if (session_rule(p, "starttls", line) || p->gone)
		return;
	if (p->script->tls != TLS_STARTTLS || p->tls) {
		peer_reply(p, "502 5.5.1 not here");
		return;
	}
	if (peer_pending(p, p->script->grace)) {
		audit(p, "bytes behind STARTTLS", "");
		p->gone = true;
		return;
	}
	peer_reply(p, "220 2.0.0 ready");
	peer_handshake(p);
	forget(s);
}

static void authenticate(struct session *s, const char *line)
{
	if (session_rule(s->peer, "auth", line) || s->peer->gone)
		return;
	s->authenticated = auth_run(s->peer, line + 4);
}

static void rset(struct session *s, const char *line)
{
	forget(s);
	answer(s->peer, "rset", line, "250 2.0.0 forgotten");
}

static void quit(struct session *s, const char *line)
{
	answer(s->peer, "quit", line, "221 2.0.0 bye");
	peer_close(s->peer, true);
}

static void ehlo(struct session *s, const char *line)
{
	hello(s, "ehlo", line);
}

static void helo(struct session *s, const char *line)
{
	hello(s, "helo", line);
}

static void noop(struct session *s, const char *line)
{
	answer(s->peer, "noop", line, "250 2.0.0 ok");
}

static const struct {
	const char *verb;
	void (*run)(struct session *s, const char *line);
} commands[] = {
	{ "EHLO", ehlo }, { "LHLO", ehlo }, { "HELO", helo },
	{ "STARTTLS", starttls }, { "AUTH", authenticate },
	{ "MAIL", mail }, { "RCPT", rcpt }, { "DATA", data },
	{ "BDAT", bdat }, { "RSET", rset }, { "NOOP", noop },
	{ "QUIT", quit },
};

static void command(struct session *s, const char *line)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		size_t n = strlen(commands[i].verb);

		if (strncasecmp(line, commands[i].verb, n) == 0 &&
		    (!line[n] || line[n] == ' ' || line[n] == ':')) {
			commands[i].run(s, line);
			return;
		}
	}
	audit(s->peer, "unknown command", line);
	answer(s->peer, "unknown", line, "500 5.5.2 what");
}

static void record_close(const struct peer *p)
{
	const struct field fields[] = {
		{ .name = "flights", .type = F_NUMBER, .number = p->flight },
		{ .name = NULL },
	};

	record(p->connection, "end", fields);
}

void session_run(struct peer *p, const char *messages)
{
	struct session s = { .peer = p, .messages = messages };
	char greeting[300], *line;
	size_t n;

	snprintf(greeting, sizeof(greeting), "220 %s ESMTP ready",
		 p->script->hostname);
	if (p->script->socks && !socks_run(p))
		peer_close(p, false);
	if (!p->gone && !session_rule(p, "connect", "") && !p->gone) {
		if (p->script->tls != TLS_IMPLICIT || peer_handshake(p)) {
			if (peer_pending(p, 0) && !offers_early(p))
				audit(p, "spoke before the greeting", "");
			answer(p, "greeting", "", greeting);
		}
	}
	while (!p->gone && (line = peer_line(p, &n))) {
		command(&s, line);
		free(line);
	}
	forget(&s);
	record_close(p);
	peer_close(p, true);
}
