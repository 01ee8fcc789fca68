/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The whole dialogue: the input is the server. Three letters choose the
 * client (A to _, their low six bits), a line end follows, or an E where the
 * server was seen to offer early pipelining, then what the server says, an
 * empty line wherever it waits for the client. All of it is one thread: poll()
 * is ours, so that the server speaks when the client has nothing left to do but
 * to wait, and no clock matters.
 *
 * The server keeps its own account of which reply answers which command, and
 * at the end every recipient's outcome is held against it.
 */
/* poll() and its like are ours here: the checked ones would be inline */
#undef _FORTIFY_SOURCE

#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "submit/smtp.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

enum { RCPTS = 5, PENDING = 32, SAID_MOST = 64 * 1024,
       HEARD_MOST = 4 << 20, WAITS_MOST = 1 << 20 };

enum choice_dialogue {
	LMTP = 1, AT_ONCE = 2, BY_BYTES = 4, TWICE = 8, TLS_REQUIRED = 16,
	TLS_WHERE_OFFERED = 32
};
enum choice_envelope { COUNT = 7, DSN = 8, WIDE = 16, DEMANDING = 32 };
enum choice_client {
	AUTH = 1, NAMED = 2, TOKEN = 4, DOTS = 8, LONG = 16, NULL_SENDER = 32
};

enum awaited {
	K_GREETING, K_OTHER, K_AUTH, K_STARTTLS, K_MAIL, K_RCPT, K_DATA,
	K_MESSAGE, K_NOTHING
};

struct rcpt_account {
	bool asked;      /* in the transaction under way */
	bool accepted;
	bool dotted;     /* and the message left whole */
	int answer;      /* to the message; 0: none */
};

static struct peer {
	int fd;
	unsigned dialogue, envelope, client;
	bool early;
	const char *says;        /* what is left of it */
	size_t left;
	bool ended;
	unsigned waits;

	struct buf heard;        /* not yet understood */
	size_t heard_all;
	struct buf plain, stuffed; /* the message as it may come */
	enum awaited pending[PENDING];
	size_t whom[PENDING];    /* of a K_RCPT */
	size_t pendings;
	bool auth_open;          /* 334 came: the next line is an answer */
	bool dot_waits;          /* nothing may be sent */
	bool encrypted;
	unsigned mails, dots, announced;

	struct reply reply;
	struct buf line;
	bool dead;               /* no answer counts any more */
	bool dead_421;
	bool mail_taken;
	bool of_address;         /* the message's acceptance has a code that
				  * recipients' have: whose it is, is in doubt
				  * where an end follows */
	struct rcpt_account rcpt[RCPTS];
} *the_peer;

static void want(int condition)
{
	if (!condition)
		abort();
}

/* --- what the client sends --- */

static bool begins(const struct buf *b, const char *word)
{
	return b->len >= strlen(word) &&
	       !memcmp(b->data, word, strlen(word));
}

static void expect(struct peer *p, enum awaited kind, size_t whom)
{
	want(p->pendings < PENDING);
	p->whom[p->pendings] = whom;
	p->pending[p->pendings++] = kind;
}

static void message_came(struct peer *p, bool by_bdat)
{
	size_t i, any = 0;

	for (i = 0; i < RCPTS; i++) {
		if (!p->rcpt[i].asked || !(by_bdat || p->rcpt[i].accepted))
			continue;
		p->rcpt[i].dotted = true;
		any++;
	}
	want(any > 0);
	want(++p->dots <= p->announced);
	expect(p, K_MESSAGE, 0);
	p->dot_waits = true;
}

static void mail_came(struct peer *p)
{
	size_t i;

	for (i = 0; i < RCPTS; i++) {
		p->rcpt[i].asked = false;
		if (!p->rcpt[i].answer)
			p->rcpt[i] = (struct rcpt_account){ 0 };
	}
	p->mail_taken = false;
	p->mails++;
	expect(p, K_MAIL, 0);
}

static void rcpt_came(struct peer *p, const char *line)
{
	size_t i = (size_t)(line[strlen("RCPT TO:<r")] - '0');

	want(!strncmp(line, "RCPT TO:<r", 10) && i < RCPTS);
	want(!p->rcpt[i].asked && !p->rcpt[i].answer);
	p->rcpt[i].asked = true;
	expect(p, K_RCPT, i);
}

static void auth_came(struct peer *p, const char *line)
{
	want(p->client & AUTH);
	want(!(p->dialogue & TLS_REQUIRED));
	if (!(p->client & NAMED) || p->dialogue & TLS_WHERE_OFFERED)
		want(!strncmp(line, "AUTH SCRAM-SHA-", 15) ||
		     !strncmp(line, "AUTH CRAM-MD5", 13) ||
		     !strncmp(line, "AUTH DIGEST-MD5", 15));
	expect(p, K_AUTH, 0);
}

static void command_came(struct peer *p, const char *line)
{
	static const char *const others[] = {
		"EHLO c.example", "HELO c.example", "LHLO c.example", "RSET",
		"QUIT",
	};
	size_t i;

	if (!strncmp(line, "MAIL FROM:<", 11))
		mail_came(p);
	else if (!strncmp(line, "RCPT", 4))
		rcpt_came(p, line);
	else if (!strcmp(line, "DATA"))
		expect(p, K_DATA, 0);
	else if (!strcmp(line, "STARTTLS"))
		expect(p, K_STARTTLS, 0);
	else if (!strncmp(line, "AUTH ", 5))
		auth_came(p, line);
	else {
		for (i = 0; i < 5 && strcmp(line, others[i]); i++)
			;
		want(i < 5);
		expect(p, K_OTHER, 0);
	}
}

/* A line of printable ASCII that ends in CRLF; its length with it, 0 as long
 * as it is not whole. */
static size_t line_came(struct peer *p)
{
	char *end = memchr(p->heard.data, '\n', p->heard.len);
	size_t i, n = end ? (size_t)(end - p->heard.data) : 0;

	if (!end)
		return 0;
	want(n && end[-1] == '\r');
	for (i = 0; i < n - 1; i++)
		want(p->heard.data[i] >= ' ' && p->heard.data[i] < 0x7f);
	end[-1] = '\0';
	if (p->auth_open) {
		want(strspn(p->heard.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "abcdefghijklmnopqrstuvwxyz0123456789+/=") ==
		     n - 1 || !strcmp(p->heard.data, "*"));
		p->auth_open = false;
		expect(p, K_AUTH, 0);
	} else {
		command_came(p, p->heard.data);
	}
	return n + 1;
}

/* What follows BDAT n LAST or DATA must be the message and nothing else. */
static size_t whole_came(struct peer *p, size_t at, const struct buf *text)
{
	if (p->heard.len < at + text->len)
		return 0;
	want(!memcmp(p->heard.data + at, text->data, text->len));
	message_came(p, text == &p->plain);
	return at + text->len;
}

static size_t chunk_came(struct peer *p)
{
	char *end, *lf = memchr(p->heard.data, '\n', p->heard.len);

	if (!lf)
		return 0;
	want(strtoull(p->heard.data + 5, &end, 10) == p->plain.len);
	want(!strncmp(end, " LAST\r\n", 7));
	return whole_came(p, (size_t)(lf + 1 - p->heard.data), &p->plain);
}

static size_t lone_dot_came(struct peer *p)
{
	size_t i;

	for (i = 0; i < RCPTS; i++)
		want(!p->rcpt[i].asked || !p->rcpt[i].accepted);
	expect(p, K_NOTHING, 0);
	p->dot_waits = true;
	return 3;
}

static void understand(struct peer *p)
{
	size_t used = 1;

	while (p->heard.len && used && !p->encrypted) {
		want(!p->dot_waits);
		if (begins(&p->heard, "BDAT "))
			used = chunk_came(p);
		else if (begins(&p->heard, "DKIM-") ||
			 begins(&p->heard, "Subject:"))
			used = whole_came(p, 0, &p->stuffed);
		else if (begins(&p->heard, ".\r\n"))
			used = lone_dot_came(p);
		else
			used = line_came(p);
		buf_shift(&p->heard, used);
	}
	if (p->encrypted)
		buf_reset(&p->heard);
}

static void listen_to(struct peer *p)
{
	static char room[64 * 1024];
	ssize_t n;

	while ((n = recv(p->fd, room, sizeof(room), MSG_DONTWAIT)) > 0) {
		p->heard_all += (size_t)n;
		want(p->heard_all < HEARD_MOST);
		buf_add(&p->heard, room, (size_t)n);
		understand(p);
	}
}

/* --- what the server answers --- */

static void answer_message(struct peer *p, int code)
{
	bool more = false;
	size_t i;

	for (i = 0; i < RCPTS; i++) {
		struct rcpt_account *r = &p->rcpt[i];

		if (!r->accepted || r->answer)
			continue;
		if (more)
			return;
		r->answer = code;
		more = p->dialogue & LMTP;
	}
	p->dot_waits = false;
	memmove(p->pending, p->pending + 1,
		--p->pendings * sizeof(*p->pending));
	memmove(p->whom, p->whom + 1, p->pendings * sizeof(*p->whom));
}

static void answer(struct peer *p, int code)
{
	enum awaited kind = p->pending[0];

	/* what left early may be taken by who says goodbye first */
	p->dead_421 = code == 421 && !(p->early && p->pendings &&
				       kind < K_STARTTLS);
	p->dead = p->dead_421 || !p->pendings;
	if (p->dead)
		return;
	if (kind == K_MESSAGE) {
		p->of_address = !strncmp(buf_text(&p->reply.text), "2.1.", 4);
		answer_message(p, code);
		return;
	}
	if (kind == K_MAIL)
		p->mail_taken = code / 100 == 2;
	else if (kind == K_RCPT)
		p->rcpt[p->whom[0]].accepted = code / 100 == 2 &&
					       p->mail_taken;
	else if (kind == K_NOTHING)
		p->dot_waits = false;
	else if (kind == K_STARTTLS)
		p->encrypted = code == 220;
	p->auth_open = kind == K_AUTH && code == 334;
	memmove(p->pending, p->pending + 1,
		--p->pendings * sizeof(*p->pending));
	memmove(p->whom, p->whom + 1, p->pendings * sizeof(*p->whom));
}

static void account(struct peer *p, char c)
{
	size_t n;

	if (p->dead || p->encrypted)
		return;
	if (c != '\n') {
		buf_addc(&p->line, c);
		return;
	}
	n = p->line.len;
	if (n && p->line.data[n - 1] == '\r')
		n--;
	switch (reply_line(&p->reply, buf_text(&p->line), n)) {
	case REPLY_BAD:
		p->dead = true;
		break;
	case REPLY_DONE:
		answer(p, p->reply.code);
		reply_reset(&p->reply);
		break;
	case REPLY_MORE:
		break;
	}
	buf_reset(&p->line);
}

/* Up to where the server waits; all without such a place. */
static size_t portion(const struct peer *p)
{
	const char *gap = memmem(p->says, p->left, "\n\n", 2);

	if (p->dialogue & AT_ONCE || !gap)
		return p->left;
	return (size_t)(gap - p->says) + 1;
}

static void speak(struct peer *p)
{
	size_t n = portion(p), i;
	ssize_t sent;

	want(++p->waits < WAITS_MOST);
	if (!p->left) {
		shutdown(p->fd, SHUT_WR);
		p->ended = true;
		return;
	}
	if (p->dialogue & BY_BYTES && !(p->dialogue & AT_ONCE))
		n = 1;
	sent = send(p->fd, p->says, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	want(sent > 0);
	for (i = 0; i < (size_t)sent; i++)
		account(p, p->says[i]);
	p->says += sent;
	p->left -= (size_t)sent;
	if (p->left && *p->says == '\n' && p->says[-1] == '\n' &&
	    !(p->dialogue & AT_ONCE)) {
		p->says++;
		p->left--;
	}
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
	struct peer *p = the_peer;

	if (!p)
		return (int)syscall(SYS_poll, fds, n, ms);
	want(n == 1 && ms > 0);
	listen_to(p);
	fds->revents = fds->events & (POLLIN | POLLOUT);
	if (!(fds->events & POLLIN))
		return 1;
	/* who waits has sent all of its flight, and an end is an end */
	want(!p->heard.len && !p->ended);
	speak(p);
	return 1;
}

/* --- the client --- */

static struct message *compose(struct peer *p, const char *prefix)
{
	struct buf text = BUF(1 << 20);
	struct message *m;
	struct outcome why;
	const char *line, *end, *stop;
	int i;

	buf_adds(&text, "Subject: x\r\n\r\n");
	if (p->client & DOTS)
		buf_adds(&text, ".\r\n..\r\n.x\r\n\r\n.\r\n");
	for (i = 0; p->client & LONG && i < 2000; i++)
		buf_adds(&text, ".a line of a message that is long\r\n");
	want(message_from_text(text.data, text.len, &m, &why));
	p->plain = BUF(1 << 20);
	p->stuffed = BUF(1 << 20);
	buf_adds(&p->plain, prefix ? prefix : "");
	buf_add(&p->plain, text.data, text.len);
	stop = p->plain.data + p->plain.len;
	for (line = p->plain.data; line < stop; line = end) {
		end = strchr(line, '\n') + 1;
		buf_adds(&p->stuffed, *line == '.' ? "." : "");
		buf_add(&p->stuffed, line, (size_t)(end - line));
	}
	buf_adds(&p->stuffed, ".\r\n");
	buf_release(&text);
	return m;
}

static void see_line(void *context, char who, const char *text, size_t n)
{
	(void)context;
	if (who != 'C')
		return;
	want(!memchr(text, '\n', n) && !memchr(text, '\r', n));
	want(!memmem(text, n, "s3cret", 6));
	want(!memmem(text, n, "czNjcmV0", 8));
}

static void see_dot(void *context)
{
	((struct peer *)context)->announced++;
}

static const char *fresh_token(void *context, struct outcome *why)
{
	(void)context;
	(void)why;
	return "s3cret2";
}

static void check_outcome(const struct peer *p, size_t i,
			  const struct attempt *a)
{
	const struct outcome *o = &a->rcpt->last;
	const struct rcpt_account *r = &p->rcpt[i];
	const char *c;

	/* left to a fresh session: no copy of it may be there already */
	if (a->state == ATTEMPT_OPEN) {
		want(!r->dotted || !r->accepted ||
		     (r->answer >= 500 && r->answer <= 504) ||
		     (p->early && (p->dead_421 || r->answer >= 400)));
		return;
	}
	want(o->exit == EX_OK || (o->exit >= EX_USAGE && o->exit <= EX_CONFIG));
	/* out of step, nobody knows which answer was whose */
	if (o->in_doubt && o->exit == EX_PROTOCOL)
		return;
	/* nor does a last answer count that an end follows, where others
	 * were not what was expected */
	if (o->in_doubt && (p->early || p->of_address)) {
		want(r->dotted);
		return;
	}
	want((o->exit == EX_OK) == (r->accepted && r->answer / 100 == 2));
	if (r->answer && o->exit != EX_OK)
		want(o->code == r->answer || o->exit == EX_PROTOCOL);
	if (o->in_doubt)
		want(r->dotted && !r->answer && o->exit != EX_OK);
	if (r->accepted && r->dotted && !r->answer && !p->dead_421)
		want(o->in_doubt);
	for (c = o->text; *c; c++)
		want((unsigned char)*c >= ' ' && *c != 0x7f);
}

static bool send_one(struct peer *p, struct session *s,
		     const struct envelope *e, size_t n)
{
	struct attempt to[RCPTS] = { 0 };
	struct outcome why = { 0 };
	const char *prefix = p->envelope & WIDE ? "DKIM-Signature: v\r\n" :
			     NULL;
	struct delivery d = {
		.envelope = e, .to = to, .n = n, .prefix = prefix,
		.dot = see_dot, .context = p,
	};
	bool usable;
	size_t i;

	memset(p->rcpt, 0, sizeof(p->rcpt));
	for (i = 0; i < n; i++)
		to[i].rcpt = &e->rcpt[i];
	d.message = compose(p, prefix);
	usable = session_send(s, &d, &why);
	want(usable || why.exit != EX_OK);
	listen_to(p);
	for (i = 0; i < n; i++) {
		check_outcome(p, i, &to[i]);
		/* else it would be tried the same way for ever */
		if (p->early && p->mails <= 1 && to[i].state == ATTEMPT_OPEN)
			want(session_facts(s)->early_failed ||
			     session_facts(s)->chunking_broken);
	}
	message_free(d.message);
	buf_release(&p->plain);
	buf_release(&p->stuffed);
	return usable;
}

static void send_all(struct peer *p, struct session *s)
{
	static char *address[RCPTS] = {
		(char *)"r0@x.example", (char *)"r1@x.example",
		(char *)"r2@x.example", (char *)"r3@x.example",
		(char *)"r4@x.example",
	};
	struct recipient rcpt[RCPTS] = { { 0 } };
	struct envelope e = {
		.sender = (char *)(p->client & NULL_SENDER ? "" : "s@x.y"),
		.rcpt = rcpt, .n = 1 + (p->envelope & COUNT) % RCPTS,
		.dsn_return = p->envelope & DSN ? RETURN_HDRS : RETURN_UNSET,
		.envid = (char *)(p->envelope & DSN ? "e+20d" : NULL),
		.eight_bit = p->envelope & WIDE,
		.utf8 = p->envelope & DEMANDING && p->envelope & WIDE,
		.require_tls = p->envelope & DEMANDING &&
			       !(p->envelope & WIDE),
	};
	size_t i;

	for (i = 0; i < RCPTS; i++)
		rcpt[i] = (struct recipient){
			.address = address[i],
			.notify = p->envelope & DSN ? NOTIFY_NEVER : 0,
			.orcpt = (char *)"rfc822;a+2Bb@x.y",
		};
	if (send_one(p, s, &e, e.n) && p->dialogue & TWICE &&
	    !send_one(p, s, &e, e.n))
		return;
}

static void dialogue(struct peer *p, int fd)
{
	static const struct watch watch = { .line = see_line };
	struct list named = { 0 };
	const struct early known = {
		.hello = (char *)"PIPELINING\nCHUNKING\nPIPECONNECT\n"
				 "AUTH PLAIN",
		.mechanism = "PLAIN",
	};
	const struct session_params params = {
		.host = "mx.example", .port = 25, .helo = "c.example",
		.lmtp = p->dialogue & LMTP, .timeout = 600000,
		.demand = p->dialogue & TLS_REQUIRED ? DEMAND_VERIFIED :
			  p->dialogue & TLS_WHERE_OFFERED ?
			  DEMAND_OPPORTUNISTIC : DEMAND_NONE,
		.by_chance = p->dialogue & TLS_WHERE_OFFERED,
		.tls = { .server_name = "mx.example", .verify = true,
			 .verify_name = "mx.example" },
		.mechanisms = &named, .username = "joe",
		.password = "s3cret",
		.token = p->client & TOKEN ? "s3cret1" : NULL,
		.renew_token = fresh_token, .authenticate = p->client & AUTH,
		.watch = &watch, .early = p->early ? &known : NULL,
	};
	struct session *s = NULL;
	struct outcome why = { 0 };

	if (p->client & NAMED)
		list_split(&named, "OAUTHBEARER XOAUTH2 LOGIN PLAIN CRAM-MD5",
			   " ");
	if (session_open(&params, conn_new(fd), &s, &why)) {
		want(!(p->dialogue & TLS_REQUIRED));
		send_all(p, s);
	} else {
		want(why.exit != EX_OK && !p->mails);
	}
	session_close(s);
	listen_to(p);
	list_release(&named);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const struct log_settings none = { .to = "none" };
	struct peer peer = { .heard = BUF(HEARD_MOST), .line = BUF(1 << 20),
			     .pending = { K_GREETING }, .pendings = 1 };
	int fd[2];

	if (n < 4)
		return 0;
	log_open(&none);
	want(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			 0, fd));
	peer.dialogue = data[0] & 63;
	peer.envelope = data[1] & 63;
	peer.client = data[2] & 63;
	peer.early = data[3] == 'E';
	peer.says = (const char *)data + 4;
	peer.left = n - 4 < SAID_MOST ? n - 4 : SAID_MOST;
	peer.fd = fd[1];
	the_peer = &peer;
	while (peer.dialogue & AT_ONCE && !peer.ended)
		speak(&peer);
	dialogue(&peer, fd[0]);
	the_peer = NULL;
	close(fd[1]);
	buf_release(&peer.heard);
	buf_release(&peer.line);
	reply_release(&peer.reply);
	return 0;
}
