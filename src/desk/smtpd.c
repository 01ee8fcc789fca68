/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An SMTP server on standard input and output for one caller (-bs). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "desk/desk.h"
#include "base/log.h"
#include "desk/smtpd_answer.h"
#include "desk/smtpd_caller.h"
#include "mail/lines.h"
#include "mail/smtp_command.h"
#include "policy/policy.h"
#include "queue/drop_limits.h"
#include "queue/serve.h"

/* in a row, each a command that was refused */
enum { FAULTS_MOST = 20 };

struct session {
	const struct desk *desk;
	struct client client;
	bool known;             /* the kernel says who the client is */
	char peer[NET_PEER_SIZE]; /* over IP; "": not so, or not known */
	bool crlf;              /* the command at hand ended in CRLF */
	bool over;
	bool accepted;          /* a message was, in this session */
	int status;             /* sysexits(3) */
	unsigned faults;

	/* the transaction */
	struct smtp_mail mail;  /* path: MAIL was said */
	char **rcpt;            /* paths */
	struct rcpt_wish *wish; /* theirs */
	size_t n;
};

static void transaction_reset(struct session *s)
{
	smtp_mail_release(&s->mail);
	while (s->n) {
		free(s->rcpt[--s->n]);
		free(s->wish[s->n].orcpt);
	}
	free(s->rcpt);
	free(s->wish);
	s->rcpt = NULL;
	s->wish = NULL;
}

/* --- commands that need no more than their words --- */

static void smtpd_refuse(struct session *s, const char *reply)
{
	client_reply(&s->client, "%s", reply);
	if (++s->faults < FAULTS_MOST)
		return;
	client_reply(&s->client, "421 4.7.0 too many errors");
	s->over = true;
	s->status = EX_PROTOCOL;
}

static void smtpd_ok(struct session *s, const char *reply)
{
	client_reply(&s->client, "%s", reply);
	s->faults = 0;
}

static const char *hostname(const struct session *s)
{
	return s->desk->config->general.hostname;
}

static void do_helo(struct session *s, const char *text)
{
	if (!*text) {
		smtpd_refuse(s, "501 5.5.4 a domain is required");
		return;
	}
	transaction_reset(s);
	client_reply(&s->client, "250 %s", hostname(s));
	s->faults = 0;
}

static void do_ehlo(struct session *s, const char *text)
{
	int64_t most = s->desk->config->general.max_message_size;
	struct client *c = &s->client;

	if (!*text) {
		smtpd_refuse(s, "501 5.5.4 a domain is required");
		return;
	}
	transaction_reset(s);
	client_reply(c, "250-%s", hostname(s));
	client_reply(c, "250-PIPELINING");
	if (most)
		client_reply(c, "250-SIZE %lld", (long long)most);
	else
		client_reply(c, "250-SIZE");
	client_reply(c, "250-8BITMIME");
	client_reply(c, "250-SMTPUTF8");
	client_reply(c, "250-DSN");
	smtpd_ok(s, "250 ENHANCEDSTATUSCODES");
}

static void do_rset(struct session *s, const char *text)
{
	(void)text;
	transaction_reset(s);
	smtpd_ok(s, "250 2.0.0 OK");
}

static void do_noop(struct session *s, const char *text)
{
	(void)text;
	smtpd_ok(s, "250 2.0.0 OK");
}

static void do_vrfy(struct session *s, const char *text)
{
	if (*text)
		smtpd_ok(s, "252 2.0.0 cannot verify, but will take mail "
			 "for it");
	else
		smtpd_refuse(s, "501 5.5.4 VRFY needs an argument");
}

static void do_help(struct session *s, const char *text)
{
	(void)text;
	smtpd_ok(s, "214 2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP "
		 "QUIT");
}

static void do_quit(struct session *s, const char *text)
{
	(void)text;
	client_reply(&s->client, "221 2.0.0 closing connection");
	s->over = true;
}

/* --- the envelope --- */

static void do_mail(struct session *s, const char *text)
{
	int64_t most = s->desk->config->general.max_message_size;
	struct smtp_mail mail;
	const char *reply;

	if (s->mail.path) {
		smtpd_refuse(s, "503 5.5.1 MAIL was said already");
		return;
	}
	reply = smtp_mail_parse(text, &mail);
	if (!reply && most && mail.size > most)
		reply = "552 5.3.4 the message is too large";
	if (reply) {
		smtp_mail_release(&mail);
		smtpd_refuse(s, reply);
		return;
	}
	s->mail = mail;
	smtpd_ok(s, "250 2.1.0 sender OK");
}

static void do_rcpt(struct session *s, const char *text)
{
	struct smtp_rcpt rcpt;
	const char *reply;

	if (!s->mail.path) {
		smtpd_refuse(s, "503 5.5.1 MAIL comes first");
		return;
	}
	if (s->n == RECIPIENTS_MAX) {
		client_reply(&s->client, "452 4.5.3 too many recipients");
		return;
	}
	reply = smtp_rcpt_parse(text, &rcpt);
	if (reply) {
		smtp_rcpt_release(&rcpt);
		smtpd_refuse(s, reply);
		return;
	}
	s->rcpt = mem_grow(s->rcpt, s->n, sizeof(*s->rcpt));
	s->wish = mem_grow(s->wish, s->n, sizeof(*s->wish));
	s->rcpt[s->n] = rcpt.path;
	s->wish[s->n++] = rcpt.wish;
	smtpd_ok(s, "250 2.1.5 recipient OK");
}

/* --- the message --- */

static bool read_message(struct session *s, struct message **m)
{
	struct message_limits limits = desk_limits(s->desk);
	char *out = mem_resize(NULL, UNSTUFFED_MAX(CLIENT_INPUT), 1);
	struct unstuffer u = { .crlf = s->crlf };
	struct client *c = &s->client;
	struct message_reader *reader;
	struct outcome why;
	size_t len;

	limits.dot_ends = false;
	reader = message_begin(&limits);
	/* up to the end that the client was told of */
	while (!u.ended && client_fill(c)) {
		c->at += unstuff(&u, c->input + c->at, c->n - c->at, out,
				 &len);
		/* what is wrong with it is said when all of it is here */
		message_feed(reader, out, len);
	}
	free(out);
	if (!u.ended) {
		message_abandon(reader);
		if (c->peer.stranger)
			return false;
		outcome_fail(&why, STAGE_LOCAL, EX_IOERR,
			     "the input ended within a message");
		desk_fail(s->desk, &why);
		s->status = policy_broken_off(s->accepted, true);
		s->over = true;
		return false;
	}
	if (message_end(reader, m, &why))
		return true;
	desk_log_failure(s->desk, &why);
	answer_refusal(&s->client, &why);
	return false;
}

static void do_data(struct session *s, const char *text)
{
	struct message *m = NULL;
	struct request request;
	struct acceptance a;

	if (*text) {
		smtpd_refuse(s, "501 5.5.4 DATA has no argument");
		return;
	}
	if (!s->n) {
		smtpd_refuse(s, s->mail.path ? "503 5.5.1 no recipient yet" :
			     "503 5.5.1 MAIL comes first");
		return;
	}
	smtpd_ok(s, s->crlf ? "354 end with <CRLF>.<CRLF>" :
		 "354 end with <LF>.<LF>");
	if (read_message(s, &m)) {
		desk_request(s->desk, &request);
		request.sender = s->mail.path;
		request.from_header = false;
		request.operand = s->rcpt;
		request.operands = s->n;
		request.wish = s->wish;
		if (s->mail.dsn_return)
			request.dsn_return = s->mail.dsn_return;
		if (s->mail.envid)
			request.envid = s->mail.envid;
		if (s->mail.body)
			request.body = s->mail.body;
		desk_accept(s->desk, &request, &m, &a);
		if (a.refused || a.unheld)
			desk_log_failure(s->desk, &a.why);
		if (answer_message(&s->client, &a, s->mail.utf8))
			s->accepted = true;
		if (s->peer[0] && !a.refused)
			log_say(LOG_AT_INFO, "%s: handed in by %s",
				a.id[0] ? a.id : "-", s->peer);
		acceptance_release(&a);
	}
	message_free(m);
	transaction_reset(s);
}

/* --- the session --- */

static const struct {
	const char *word;
	void (*run)(struct session *s, const char *text);
} verbs[] = {
	{ "EHLO", do_ehlo }, { "HELO", do_helo }, { "MAIL FROM:", do_mail },
	{ "RCPT TO:", do_rcpt }, { "DATA", do_data }, { "RSET", do_rset },
	{ "NOOP", do_noop }, { "VRFY", do_vrfy }, { "HELP", do_help },
	{ "QUIT", do_quit },
};

static void command(struct session *s, const char *line, size_t n)
{
	const char *text;
	size_t i;

	if (!smtp_line_is_clean(line, n)) {
		smtpd_refuse(s, "500 5.5.2 control characters or bytes that "
			     "are not UTF-8");
		return;
	}
	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		text = smtp_word(line, verbs[i].word);
		if (text) {
			verbs[i].run(s, text);
			return;
		}
	}
	if (smtp_word(line, "MAIL") || smtp_word(line, "RCPT"))
		smtpd_refuse(s, "501 5.5.4 MAIL FROM:<address>, "
			     "RCPT TO:<address>");
	else
		smtpd_refuse(s, "500 5.5.1 unknown command");
}

static ssize_t read_client(void *context, void *data, size_t n)
{
	return unix_peer_read(context, data, n);
}

/* A caller who speaks posthaste-drop's words and not SMTP: one thing, and the
 * end. */
static void serve_drop(struct session *s, char *line)
{
	enum { WORDS_MOST = 5 };
	const struct timeval silence = { .tv_sec = 60 };
	struct client *c = &s->client;
	struct drop_caller caller = {
		.uid = s->desk->caller->uid, .all_ms = DROP_ALL_MS,
		.some_ms = DROP_SOME_MS, .read = read_client,
		.context = &c->peer,
	};
	struct queue *q = NULL;
	struct outcome why = { .exit = EX_OK };
	char *argv[WORDS_MOST + 1] = { NULL }, *rest;
	int argc = 0;
	bool done;

	for (line = strtok_r(line, " ", &rest); line && argc < WORDS_MOST;
	     line = strtok_r(NULL, " ", &rest))
		argv[argc++] = line;
	client_reply(c, "posthaste-drop 1 %lu", (unsigned long)caller.uid);
	client_flush(c);
	/* who does not read gets no more */
	setsockopt(STDOUT_FILENO, SOL_SOCKET, SO_SNDTIMEO, &silence,
		   sizeof(silence));
	caller.input = c->input + c->at;
	caller.n = c->n - c->at;
	done = desk_queue(s->desk, true, &q, &why);
	if (done && !q)
		done = outcome_fail(&why, STAGE_LOCAL, EX_CANTCREAT,
				    "there is no queue here");
	done = done && queue_serve(q, &caller, argc, argv, &why);
	if (!done && smtpd_is_stranger(c, &why))
		s->status = EX_NOPERM;
	if (!done && argc && !strcmp(argv[0], "write"))
		desk_log_failure(s->desk, &why);
	client_reply(c, "posthaste-drop %d %s", done ? EX_OK : why.exit,
		     done ? "" : why.text);
	client_flush(c);
	if (q)
		queue_close(q);
	s->over = true;
}

static void smtpd_converse(struct session *s)
{
	static const char drop[] = "posthaste-drop 1 ";
	bool first = true;
	enum client_line kind;
	struct outcome why;
	char *line;
	size_t n;

	client_reply(&s->client, "220 %s ESMTP posthaste", hostname(s));
	while (!s->over && !s->client.deaf) {
		kind = client_line(&s->client, &line, &n);
		s->crlf = kind == LINE_CRLF;
		if (kind == LINE_END)
			break;
		if (kind == LINE_TOO_LONG)
			smtpd_refuse(s, "500 5.5.2 line too long");
		else if (first && s->known &&
			 !strncmp(line, drop, sizeof(drop) - 1))
			serve_drop(s, line + sizeof(drop) - 1);
		else
			command(s, line, n);
		first = false;
	}
	if (s->client.silent)
		client_reply(&s->client, "421 4.4.2 nothing came for five "
			     "minutes");
	if (!s->over && smtpd_is_stranger(&s->client, &why)) {
		desk_log_failure(s->desk, &why);
		client_reply(&s->client, "421 %s %s", why.status, why.text);
		s->status = why.exit;
		s->over = true;
	}
	client_flush(&s->client);
}

/* The status after input that could not be read, or replies that could not
 * be written; a client that is gone (a reset) has ended its input. */
static int broken_status(const struct session *s)
{
	const struct client *c = &s->client;
	struct outcome why;

	if (s->over || (!c->deaf && (!c->error || c->error == ECONNRESET)))
		return s->status;
	if (!c->deaf) {
		outcome_fail(&why, STAGE_LOCAL, EX_NOINPUT,
			     "cannot read standard input: %s",
			     strerror(c->error));
		desk_fail(s->desk, &why);
	}
	return policy_broken_off(s->accepted, c->deaf || c->heard);
}

int desk_smtpd(const struct desk *d)
{
	const char *refusal;
	struct session *s;
	struct outcome why;
	int status;

	if (d->no_input) {
		outcome_fail(&why, STAGE_LOCAL, EX_NOINPUT,
			     "standard input is closed: no SMTP");
		return desk_fail(d, &why);
	}
	s = mem_alloc(sizeof(*s));
	s->desk = d;
	s->client.replies = BUF(CLIENT_REPLIES);
	refusal = smtpd_caller(d, &s->client, &s->known, s->peer);
	if (refusal) {
		client_reply(&s->client, "421 4.7.0 %s", refusal);
		client_flush(&s->client);
		status = EX_OK;
	} else {
		smtpd_converse(s);
		status = broken_status(s);
	}
	transaction_reset(s);
	buf_release(&s->client.replies);
	free(s);
	return status;
}
