/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A server with which TLS is really spoken: GnuTLS's own, in this thread, and
 * poll() is ours, so that it goes on whenever the client waits. The input is
 * what is wrong with it:
 *
 *   three letters (A to _, their low six bits): the server, its certificate,
 *   the client
 *   up to the line's end, damage to what the server sends: "f" (flip), "d"
 *   (drop), "i" (insert), "r" (repeat) or "c" (cut off), and three letters:
 *   where (two), and what
 *   then what it says, an empty line wherever it waits for the client; what
 *   begins with "!" is an act: a (fatal alert), w (warning), b (goodbye),
 *   c (closes), k (new keys), r (asks for another handshake), t (ticket),
 *   s (the rest byte by byte), x (the rest in clear)
 *
 * Whatever is done to it, nothing is read that the server did not say, no
 * certificate counts that does not do, and nothing leaves in clear.
 */
/* poll() is ours here: the checked one would be inline */
#undef _FORTIFY_SOURCE

#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "parts.h"
#include "submit/smtp.h"
#include "wire/conn.h"

#define assert_true fuzz_want
#define assert_int_equal(a, b) fuzz_want((a) == (ssize_t)(b))
#include "../unit/tls_support.h"

enum { DAMAGES = 8, WAITS_MOST = 1 << 16, SAID_MOST = 16 * 1024,
       WIRE_MOST = 1 << 20, ROUNDS = 24, LOOKS_MOST = 2, BIG = 80 * 1024 };

enum choice_server {
	VERSION = 3,               /* any, 1.2, 1.3, any */
	ASKS = 4,                  /* for a client certificate */
	BY_BYTES = 8,
	CLEAR_FIRST = 16,          /* its first words, up to an empty line, are
				    * in clear: STARTTLS */
	SMTP = 32                  /* the client takes it for a mail server, and
				    * logs in where it WRITES_MUCH */
};
/* how it is certified: the low three bits */
enum certificate {
	GOOD_LEAF, BY_MIDDLE, SELF_SIGNED, OTHER_ISSUER, OTHER_NAME, NO_NAME,
	EXPIRED, OTHER_PURPOSE, CERTIFICATES
};
enum choice_client {
	VERIFIES = 1, PINS = 2, ONLY_1_3 = 4, HAS_CERTIFICATE = 8, LOOKS = 16,
	WRITES_MUCH = 32
};

struct damage {
	char kind;
	size_t at;
	unsigned char what;
};

static struct {
	struct cert root, middle, other_root, leaf[CERTIFICATES];
	gnutls_certificate_credentials_t credentials[CERTIFICATES];
	char ca[64], client[64], pin[65];
} made;

static struct peer {
	int fd;
	unsigned server, client;
	enum certificate certificate;
	struct damage damage[DAMAGES];
	size_t damages;
	const char *says;
	size_t left;
	bool acted;                /* in a way that may end it */

	gnutls_session_t session;
	struct buf wire;           /* to be sent */
	size_t pushed;             /* bytes that were, before any damage */
	bool shaken, failed, cut;
	unsigned ended;            /* and asked again */
	unsigned waits;
	struct buf said, heard;    /* in TLS */
	struct buf sent;           /* by the client */
	struct buf raw;            /* as it came, what leaves after clear
				    * words */
	size_t read;               /* of what was said, by the client */
} *the_peer;

/* --- what there is once --- */

static void make_leaf(enum certificate which, const struct cert_spec *spec,
		      const struct cert *issuer)
{
	struct cert *leaf = &made.leaf[which];
	gnutls_certificate_credentials_t *to = &made.credentials[which];
	const bool by_middle = issuer == &made.middle;
	gnutls_pcert_st chain[2];
	gnutls_privkey_t key;

	*leaf = cert_make(spec, issuer);
	GOOD(gnutls_pcert_import_x509(&chain[0], leaf->crt, 0));
	if (by_middle)
		GOOD(gnutls_pcert_import_x509(&chain[1], made.middle.crt, 0));
	GOOD(gnutls_privkey_init(&key));
	GOOD(gnutls_privkey_import_x509(key, leaf->key,
					GNUTLS_PRIVKEY_IMPORT_COPY));
	GOOD(gnutls_certificate_allocate_credentials(to));
	GOOD(gnutls_certificate_set_key(*to, NULL, 0, chain,
					by_middle ? 2 : 1, key));
}

static void make_all(void)
{
	const struct cert_spec ca = { .cn = "Root", .ca = true },
		other_ca = { .cn = "Other", .ca = true },
		middle = { .cn = "Middle", .ca = true },
		good = { 0 }, named = { .dns = "mx.example.net" },
		unnamed = { .dns = "" }, old = { .from = -30, .until = -3 },
		client = { .purpose = GNUTLS_KP_TLS_WWW_CLIENT };
	int fd;

	made.root = cert_make(&ca, NULL);
	made.other_root = cert_make(&other_ca, NULL);
	made.middle = cert_make(&middle, &made.root);
	make_leaf(GOOD_LEAF, &good, &made.root);
	make_leaf(BY_MIDDLE, &good, &made.middle);
	make_leaf(SELF_SIGNED, &good, NULL);
	make_leaf(OTHER_ISSUER, &good, &made.other_root);
	make_leaf(OTHER_NAME, &named, &made.root);
	make_leaf(NO_NAME, &unnamed, &made.root);
	make_leaf(EXPIRED, &old, &made.root);
	make_leaf(OTHER_PURPOSE, &client, &made.root);
	cert_pin(&made.leaf[GOOD_LEAF], made.pin);
	file_add_cert(file_new(made.ca), &made.root);
	fd = file_new(made.client);
	file_add_cert(fd, &made.leaf[OTHER_PURPOSE]);
	file_add_key(fd, &made.leaf[OTHER_PURPOSE]);
}

/* --- what the server sends --- */

static void put_damaged(struct peer *p, unsigned char c)
{
	const size_t at = p->pushed++;
	bool dropped = p->cut;
	unsigned copies = 1;
	size_t i;

	for (i = 0; i < p->damages; i++) {
		const struct damage *d = &p->damage[i];

		if (d->at != at)
			continue;
		if (d->kind == 'f')
			c ^= (unsigned char)(1 << d->what % 8);
		else if (d->kind == 'i' && !dropped)
			buf_addc(&p->wire, (char)(d->what * 4));
		else if (d->kind == 'r')
			copies = 1 + d->what;
		else if (d->kind == 'd')
			dropped = true;
		else if (d->kind == 'c')
			dropped = p->cut = true;
	}
	while (!dropped && copies--)
		buf_addc(&p->wire, (char)c);
}

static ssize_t push(gnutls_transport_ptr_t to, const void *data, size_t n)
{
	const unsigned char *bytes = data;
	size_t i;

	for (i = 0; i < n; i++)
		put_damaged(to, bytes[i]);
	return (ssize_t)n;
}

static ssize_t pull(gnutls_transport_ptr_t from, void *data, size_t n)
{
	struct peer *p = from;
	ssize_t got = recv(p->fd, data, n, MSG_DONTWAIT);

	if (got > 0)
		buf_add(&p->raw, data, (size_t)got);
	return got;
}

static int pull_ready(gnutls_transport_ptr_t from, unsigned ms)
{
	struct pollfd p = { .fd = ((struct peer *)from)->fd,
			    .events = POLLIN };

	(void)ms;
	return (int)syscall(SYS_poll, &p, 1, 0);
}

static void server_begin(struct peer *p)
{
	static const char *const versions[] = {
		"NORMAL", "NORMAL:-VERS-ALL:+VERS-TLS1.2",
		"NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL",
	};

	GOOD(gnutls_init(&p->session, GNUTLS_SERVER | GNUTLS_NONBLOCK |
			 GNUTLS_NO_SIGNAL));
	GOOD(gnutls_priority_set_direct(p->session,
					versions[p->server & VERSION], NULL));
	GOOD(gnutls_credentials_set(p->session, GNUTLS_CRD_CERTIFICATE,
				    made.credentials[p->certificate]));
	if (p->server & ASKS)
		gnutls_certificate_server_set_request(p->session,
						      GNUTLS_CERT_REQUEST);
	gnutls_transport_set_ptr(p->session, p);
	gnutls_transport_set_push_function(p->session, push);
	gnutls_transport_set_pull_function(p->session, pull);
	gnutls_transport_set_pull_timeout_function(p->session, pull_ready);
}

static void say(struct peer *p, const char *text, size_t n, size_t most)
{
	ssize_t sent;

	for (; n; text += sent, n -= (size_t)sent) {
		sent = gnutls_record_send(p->session, text,
					  n < most ? n : most);
		if (sent <= 0)
			return;
		buf_add(&p->said, text, (size_t)sent);
	}
}

static void act(struct peer *p, char how, const char *rest, size_t n)
{
	p->acted = p->acted || how != 's';
	switch (how) {
	case 'a':
		gnutls_alert_send(p->session, GNUTLS_AL_FATAL,
				  GNUTLS_A_INTERNAL_ERROR);
		break;
	case 'w':
		gnutls_alert_send(p->session, GNUTLS_AL_WARNING,
				  GNUTLS_A_USER_CANCELED);
		break;
	case 'b':
		gnutls_bye(p->session, GNUTLS_SHUT_WR);
		break;
	case 'c':
		p->cut = true;
		break;
	case 'k':
		gnutls_session_key_update(p->session, GNUTLS_KU_PEER);
		break;
	case 'r':
		gnutls_rehandshake(p->session);
		break;
	case 't':
		gnutls_session_ticket_send(p->session, 1, 0);
		break;
	case 's':
		say(p, rest, n, 1);
		break;
	default:
		buf_add(&p->wire, rest, n);
	}
}

/* Up to where the server waits. */
static const char *portion(struct peer *p, size_t *n)
{
	const char *begin = p->says, *gap = memmem(begin, p->left, "\n\n", 2);
	size_t used;

	*n = gap ? (size_t)(gap - begin) + 1 : p->left;
	used = gap ? *n + 1 : *n;
	p->says += used;
	p->left -= used;
	return begin;
}

static void speak(struct peer *p)
{
	size_t n;
	const char *text = portion(p, &n);

	if (*text == '!' && n > 1)
		act(p, text[1], text + 2, n - 2);
	else
		say(p, text, n, 16 * 1024);
}

static void server_hear(struct peer *p)
{
	char room[16 * 1024];
	ssize_t n;

	while (p->shaken && !p->failed) {
		n = gnutls_record_recv(p->session, room, sizeof(room));
		if (n > 0)
			buf_add(&p->heard, room, (size_t)n);
		else if (n == GNUTLS_E_AGAIN)
			return;
		else if (!n || gnutls_error_is_fatal((int)n))
			p->failed = true;
	}
}

/* As far as it comes by itself. */
static void server_go_on(struct peer *p)
{
	int error;

	if (p->failed)
		return;
	if (!p->shaken) {
		error = gnutls_handshake(p->session);
		p->shaken = !error;
		p->failed = error && gnutls_error_is_fatal(error);
		if (p->failed)
			gnutls_alert_send_appropriate(p->session, error);
	}
	server_hear(p);
}

static void send_wire(struct peer *p)
{
	ssize_t n = send(p->fd, p->wire.data,
			 p->server & BY_BYTES ? 1 : p->wire.len,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	fuzz_want(n > 0);
	buf_shift(&p->wire, (size_t)n);
}

static void server_answer(struct peer *p)
{
	if (p->session)
		server_go_on(p);
	while (!p->wire.len && p->shaken && !p->failed && !p->cut && p->left)
		speak(p);
	if (p->wire.len) {
		send_wire(p);
		return;
	}
	/* the library may look at what it has once more before it reads the
	 * end */
	fuzz_want(p->ended++ < LOOKS_MOST);
	shutdown(p->fd, SHUT_WR);
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
	struct peer *p = the_peer;
	char byte;

	if (!p || !ms)
		return (int)syscall(SYS_poll, fds, n, ms);
	fuzz_want(n == 1 && ++p->waits < WAITS_MOST);
	if (!(fds->events & POLLIN))
		server_go_on(p);
	else if (recv(fds->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1)
		server_answer(p);
	fds->revents = fds->events & (POLLIN | POLLOUT);
	return 1;
}

/* --- the client --- */

static bool has_good_chain(const struct peer *p)
{
	return p->certificate == GOOD_LEAF || p->certificate == BY_MIDDLE;
}

/* What the client was told to ask for. */
static bool may_count(const struct peer *p)
{
	if (p->client & PINS && p->certificate != GOOD_LEAF)
		return false;
	return !(p->client & VERIFIES) || has_good_chain(p);
}

static bool knows_version(const struct peer *p)
{
	return !(p->client & ONLY_1_3) || (p->server & VERSION) != 1;
}

static bool is_whole(const struct peer *p)
{
	return !p->damages && !p->acted;
}

static void want_words(const struct outcome *why, enum stage stage)
{
	fuzz_want(why->exit >= EX_USAGE && why->exit <= EX_CONFIG);
	fuzz_want(why->stage == stage && *why->text);
	fuzz_want(fuzz_is_clean(why->text, strlen(why->text)));
}

static void want_facts(const struct peer *p, const struct tls_facts *f,
		       bool shaken)
{
	size_t i, j;

	fuzz_want(!shaken || *f->cipher);
	if (f->verified)
		fuzz_want(shaken && may_count(p) &&
			  p->client & (VERIFIES | PINS));
	fuzz_want(!f->client_certificate || p->client & HAS_CERTIFICATE);
	for (i = 0; i < f->certificates; i++)
		for (j = 0; j < f->certificate[i].names.n; j++)
			fuzz_want(strlen(f->certificate[i].names.item[j]) <
				  WIRE_MOST);
	if (shaken)
		fuzz_want(!(p->client & LOOKS) || f->certificates);
}

static struct tls_params asked(const struct peer *p, const struct list *pins)
{
	return (struct tls_params){
		.server_name = "mx.example.org",
		.verify = p->client & VERIFIES,
		.verify_name = "mx.example.org",
		.ca_file = p->client & VERIFIES ? made.ca : NULL,
		.pins = p->client & PINS ? pins : NULL,
		.only_1_3 = p->client & ONLY_1_3,
		.certificate = p->client & HAS_CERTIFICATE ? made.client :
							     NULL,
	};
}

static bool shake(struct peer *p, struct conn *c, const struct list *pins,
		  bool injected)
{
	const struct tls_params params = asked(p, pins);
	struct tls_facts facts = { .want_certificates = p->client & LOOKS };
	struct outcome why = { 0 };
	bool shaken = conn_tls(c, &params, &facts, CLOCK_NEVER, &why);

	want_facts(p, &facts, shaken);
	if (shaken)
		fuzz_want(!injected && may_count(p) && knows_version(p));
	else
		want_words(&why, STAGE_TLS);
	if (is_whole(p) && !injected)
		fuzz_want(shaken == (may_count(p) && knows_version(p)));
	tls_facts_release(&facts);
	return shaken;
}

/* Nothing but what was said, in order. */
static void want_said(struct peer *p, const char *line, size_t n)
{
	fuzz_want(p->read + n < p->said.len);
	fuzz_want(!memcmp(p->said.data + p->read, line, n));
	p->read += n;
	if (p->said.data[p->read] == '\r')
		p->read++;
	fuzz_want(p->read < p->said.len && p->said.data[p->read++] == '\n');
}

static bool put(struct peer *p, struct conn *c, unsigned round)
{
	static char much[BIG];
	struct outcome why = { 0 };
	char words[32];
	int n = snprintf(words, sizeof(words), "s3cret %u\r\n", round);
	bool done;

	conn_put_secret(c, words, (size_t)n);
	buf_add(&p->sent, words, (size_t)n);
	if (!round && p->client & WRITES_MUCH) {
		buf_add(&p->sent, much, sizeof(much));
		done = conn_write(c, much, sizeof(much), 1000, CLOCK_NEVER,
				  &why);
	} else {
		done = conn_flush(c, 1000, CLOCK_NEVER, &why);
	}
	if (!done)
		want_words(&why, STAGE_CONNECT);
	return done;
}

static void talk(struct peer *p, struct conn *c)
{
	struct outcome why = { 0 };
	unsigned char binding[64];
	const char *line, *kind;
	unsigned round;
	size_t n;

	if (conn_binding(c, &kind, binding, &n))
		fuzz_want(n && n <= sizeof(binding));
	for (round = 0; round < ROUNDS; round++) {
		if (!put(p, c, round))
			return;
		if (!conn_line(c, &line, &n, CLOCK_NEVER, &why)) {
			want_words(&why, STAGE_CONNECT);
			if (is_whole(p))
				fuzz_want(!memchr(buf_text(&p->said) + p->read,
						  '\n', p->said.len - p->read));
			(void)conn_pending(c);
			(void)conn_ended(c);
			return;
		}
		want_said(p, line, n);
	}
}

/* What is said in clear; whether there is more than the one line. */
static bool greet(struct peer *p, struct conn *c, bool *injected)
{
	struct outcome why = { 0 };
	const char *text, *line;
	size_t n, got;

	*injected = false;
	if (!(p->server & CLEAR_FIRST))
		return true;
	text = portion(p, &n);
	buf_add(&p->wire, text, n);
	while (p->wire.len)
		send_wire(p);
	if (!memchr(text, '\n', n)) {
		shutdown(p->fd, SHUT_WR);
		p->ended = 1;
	}
	if (!conn_line(c, &line, &got, CLOCK_NEVER, &why))
		return false;
	fuzz_want(got < n && !memcmp(line, text, got));
	*injected = memchr(text, '\n', n) != text + n - 1;
	return true;
}

static void by_lines(struct peer *p, int fd, const struct list *pins)
{
	struct conn *c = conn_new(fd);
	bool injected;

	if (greet(p, c, &injected)) {
		server_begin(p);
		if (shake(p, c, pins, injected))
			talk(p, c);
	}
	conn_close(c);
	if (!p->session)
		return;
	server_go_on(p);
	fuzz_want(p->heard.len <= p->sent.len);
	fuzz_want(!p->heard.len ||
		  !memcmp(p->heard.data, p->sent.data, p->heard.len));
	if (is_whole(p))
		fuzz_want(p->heard.len == p->sent.len);
}

static void by_smtp(struct peer *p, int fd, const struct list *pins)
{
	const struct session_params params = {
		.host = "mx.example.org", .port = 465, .helo = "c.example",
		.implicit_tls = true, .timeout = 600000,
		.demand = p->client & (VERIFIES | PINS) ? DEMAND_VERIFIED :
							  DEMAND_ENCRYPTED,
		.tls = asked(p, pins), .want_certificates = p->client & LOOKS,
		.username = "joe", .password = "s3cret",
		.authenticate = p->client & WRITES_MUCH,
	};
	struct session *s = NULL;
	struct outcome why = { 0 };

	server_begin(p);
	if (session_open(&params, conn_new(fd), &s, &why)) {
		fuzz_want(may_count(p) && knows_version(p));
		(void)session_mechanism(s);
	} else {
		fuzz_want(why.exit >= EX_USAGE && why.exit <= EX_CONFIG);
		fuzz_want(why.code || *why.text);
		fuzz_want(fuzz_is_clean(why.text, strlen(why.text)));
	}
	if (s)
		want_facts(p, &session_facts(s)->tls,
			   *session_facts(s)->tls.cipher);
	session_close(s);
}

static void dialogue(struct peer *p, int fd)
{
	struct list pins = { 0 };

	list_add(&pins, made.pin);
	if (p->server & SMTP)
		by_smtp(p, fd, &pins);
	else
		by_lines(p, fd, &pins);
	list_release(&pins);
	if (p->session)
		gnutls_deinit(p->session);
	fuzz_want(!memmem(buf_text(&p->raw), p->raw.len, "s3cret", 6));
}

/* --- the input --- */

static unsigned letter(const unsigned char c)
{
	return c & 63;
}

static void read_damage(struct peer *p, const char *text, size_t n)
{
	const unsigned char *d = (const unsigned char *)text;

	for (; n >= 4 && p->damages < DAMAGES; d += 4, n -= 4)
		p->damage[p->damages++] = (struct damage){
			.kind = (char)d[0],
			.at = letter(d[1]) << 6 | letter(d[2]),
			.what = (unsigned char)letter(d[3]),
		};
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct peer peer = { .wire = BUF(WIRE_MOST), .said = BUF(WIRE_MOST),
			     .heard = BUF(WIRE_MOST),
			     .sent = BUF(WIRE_MOST), .raw = BUF(WIRE_MOST) };
	const char *text = (const char *)data + 3;
	char *damage;
	int fd[2];

	if (n < 4 || n > SAID_MOST)
		return 0;
	if (!made.root.crt)
		make_all();
	peer.server = letter(data[0]);
	peer.certificate = letter(data[1]) % CERTIFICATES;
	peer.client = letter(data[2]);
	n -= 3;
	damage = fuzz_line(&text, &n);
	read_damage(&peer, damage, strlen(damage));
	free(damage);
	peer.says = text;
	peer.left = n;
	fuzz_want(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
			      SOCK_CLOEXEC, 0, fd));
	peer.fd = fd[1];
	the_peer = &peer;
	dialogue(&peer, fd[0]);
	the_peer = NULL;
	close(fd[1]);
	buf_release(&peer.wire);
	buf_release(&peer.said);
	buf_release(&peer.heard);
	buf_release(&peer.sent);
	buf_release(&peer.raw);
	return 0;
}
