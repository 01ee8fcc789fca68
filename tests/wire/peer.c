/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One connection: bytes in clear or under TLS, with flights counted and
 * line ends watched. A flight is what a client sends after everything it
 * had sent before was answered.
 */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

enum { CHUNK = 65536, GATHER = 262144, LINE_LIMIT = 1048576 };

void audit(struct peer *p, const char *what, const char *detail)
{
	const struct field fields[] = {
		{ .name = "what", .text = what },
		{ .name = "detail", .text = detail },
		{ .name = NULL },
	};

	record(p->connection, "audit", fields);
}

static bool write_all(struct peer *p, const char *data, size_t n)
{
	while (n) {
		ssize_t w = p->tls ? gnutls_record_send(p->tls, data, n) :
			send(p->fd, data, n, MSG_NOSIGNAL);

		if (w == GNUTLS_E_AGAIN || w == GNUTLS_E_INTERRUPTED)
			continue;
		if (w <= 0)
			return false;
		data += w;
		n -= (size_t)w;
	}
	return true;
}

void peer_put(struct peer *p, const char *data, size_t n)
{
	const struct field fields[] = {
		{ .name = "text", .text = data, .len = n < 500 ? n : 500 },
		{ .name = NULL },
	};

	if (p->gone || !n)
		return;
	record(p->connection, "sent", fields);
	p->answered = true;
	if (!write_all(p, data, n))
		p->gone = true;
}

void peer_reply(struct peer *p, const char *text)
{
	size_t n = strlen(text);
	char *line = malloc(n + 3);

	if (!line)
		abort();
	memcpy(line, text, n);
	memcpy(line + n, "\r\n", 3);
	peer_put(p, line, n + 2);
	p->last_code = atoi(text);
	free(line);
}

static bool readable(struct peer *p, int ms)
{
	struct pollfd f = { .fd = p->fd, .events = POLLIN };

	if (p->tls && gnutls_record_check_pending(p->tls))
		return true;
	return poll(&f, 1, ms) > 0;
}

/* The bytes read; 0: the client went away; -1: none after all. */
static ssize_t read_some(struct peer *p)
{
	ssize_t n;

	if (p->room - p->len < CHUNK) {
		p->room = p->len + 2 * CHUNK;
		p->in = realloc(p->in, p->room);
		if (!p->in)
			abort();
	}
	if (!p->tls) {
		n = read(p->fd, p->in + p->len, CHUNK);
		return n < 0 ? 0 : n;
	}
	n = gnutls_record_recv(p->tls, p->in + p->len, CHUNK);
	if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
		return -1;
	if (n < 0)
		record_text(p->connection, "tls-ended", "error",
			    gnutls_strerror((int)n));
	return n < 0 ? 0 : n;
}

static void compact(struct peer *p)
{
	if (!p->pos || !p->in)
		return;
	memmove(p->in, p->in + p->pos, p->len - p->pos);
	p->len -= p->pos;
	p->pos = 0;
}

bool peer_fill(struct peer *p)
{
	bool fresh = p->pos == p->len;
	ssize_t n = -1;

	if (p->gone)
		return false;
	compact(p);
	while (n < 0)
		n = read_some(p);
	if (n == 0) {
		p->gone = true;
		return false;
	}
	p->len += (size_t)n;
	if (fresh && p->answered) {
		p->flight++;
		p->answered = false;
	}
	while (!p->bulk && p->len < GATHER && readable(p, p->script->grace)) {
		n = read_some(p);
		if (n == 0)
			break;
		p->len += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static void record_line(struct peer *p, const char *text, size_t n)
{
	const struct field fields[] = {
		{ .name = "flight", .type = F_NUMBER, .number = p->flight },
		{ .name = "tls", .type = F_BOOL, .number = p->tls != NULL },
		{ .name = "text", .text = text, .len = n },
		{ .name = NULL },
	};

	record(p->connection, "line", fields);
}

char *peer_line(struct peer *p, size_t *n)
{
	unsigned char *end;
	char *line;

	while (p->pos == p->len ||
	       !(end = memchr(p->in + p->pos, '\n', p->len - p->pos)))
		if (p->len - p->pos > LINE_LIMIT || !peer_fill(p))
			return NULL;
	*n = (size_t)(end - (p->in + p->pos));
	line = malloc(*n + 1);
	if (!line)
		abort();
	memcpy(line, p->in + p->pos, *n);
	p->pos += *n + 1;
	if (*n && line[*n - 1] == '\r')
		(*n)--;
	else
		audit(p, "bare LF", "in a command");
	line[*n] = '\0';
	if (memchr(line, '\r', *n))
		audit(p, "bare CR", "in a command");
	record_line(p, line, *n);
	return line;
}

bool peer_pending(struct peer *p, int ms)
{
	return p->pos < p->len || readable(p, ms);
}

/* The file's certificates just as they are: loaded by their file's name,
 * those that do not belong to the chain would be left out, and what a hostile
 * server shows could not be shown. */
static bool load_pair(struct peer *p, const char *cert, const char *key)
{
	gnutls_x509_crt_t *crt;
	gnutls_pcert_st *pcert;
	gnutls_privkey_t privkey;
	gnutls_datum_t pem, secret;
	unsigned int i, n = 0;

	if (gnutls_load_file(cert, &pem) < 0 ||
	    gnutls_load_file(key, &secret) < 0 ||
	    gnutls_x509_crt_list_import2(&crt, &n, &pem, GNUTLS_X509_FMT_PEM,
					 0) < 0 || !n ||
	    gnutls_privkey_init(&privkey) < 0 ||
	    gnutls_privkey_import_x509_raw(privkey, &secret,
					   GNUTLS_X509_FMT_PEM, NULL, 0) < 0)
		return false;
	/* all of this lives as long as the process, which is one connection */
	pcert = gnutls_calloc(n, sizeof(*pcert));
	for (i = 0; pcert && i < n; i++)
		if (gnutls_pcert_import_x509(&pcert[i], crt[i], 0) < 0)
			return false;
	return pcert && gnutls_certificate_set_key(p->credentials, NULL, 0,
						   pcert, (int)n,
						   privkey) >= 0;
}

static bool credentials(struct peer *p)
{
	char cert[512], key[512], ca[512];

	snprintf(cert, sizeof(cert), "%s/%s.pem", p->directory,
		 p->script->certificate);
	snprintf(key, sizeof(key), "%s/%s.key", p->directory,
		 p->script->certificate);
	snprintf(ca, sizeof(ca), "%s/ca.pem", p->directory);
	if (gnutls_certificate_allocate_credentials(&p->credentials) < 0)
		return false;
	gnutls_certificate_set_x509_trust_file(p->credentials, ca,
					       GNUTLS_X509_FMT_PEM);
	return load_pair(p, cert, key);
}

static void subject_of(gnutls_session_t tls, char *out, size_t room)
{
	unsigned int n = 0;
	const gnutls_datum_t *peers = gnutls_certificate_get_peers(tls, &n);
	gnutls_x509_crt_t crt;

	*out = '\0';
	if (!peers || !n || gnutls_x509_crt_init(&crt) < 0)
		return;
	if (gnutls_x509_crt_import(crt, peers, GNUTLS_X509_FMT_DER) >= 0)
		gnutls_x509_crt_get_dn(crt, out, &room);
	gnutls_x509_crt_deinit(crt);
}

static void record_tls(struct peer *p)
{
	char subject[256], name[256] = "";
	size_t room = sizeof(name);
	unsigned int type = 0;
	const struct field fields[] = {
		{ .name = "version", .text = gnutls_protocol_get_name(
			gnutls_protocol_get_version(p->tls)) },
		{ .name = "sni", .text = name },
		{ .name = "client", .text = subject },
		{ .name = NULL },
	};

	subject_of(p->tls, subject, sizeof(subject));
	if (gnutls_server_name_get(p->tls, name, &room, &type, 0) < 0)
		*name = '\0';
	record(p->connection, "tls", fields);
}

bool peer_handshake(struct peer *p)
{
	int e;

	if (p->pos < p->len)
		audit(p, "bytes before handshake", "");
	if (!credentials(p) || gnutls_init(&p->tls, GNUTLS_SERVER) < 0 ||
	    gnutls_priority_set_direct(p->tls, p->script->priority, NULL) < 0) {
		record_text(p->connection, "tls-failed", "error", "set-up");
		p->gone = true;
		return false;
	}
	gnutls_credentials_set(p->tls, GNUTLS_CRD_CERTIFICATE, p->credentials);
	if (p->script->ask_certificate)
		gnutls_certificate_server_set_request(p->tls,
						      GNUTLS_CERT_REQUEST);
	gnutls_transport_set_int(p->tls, p->fd);
	/* the server's own end is near enough */
	gnutls_handshake_set_timeout(p->tls, GNUTLS_INDEFINITE_TIMEOUT);
	do {
		e = gnutls_handshake(p->tls);
	} while (e < 0 && !gnutls_error_is_fatal(e));
	if (e < 0) {
		record_text(p->connection, "tls-failed", "error",
			    gnutls_strerror(e));
		p->gone = true;
		return false;
	}
	record_tls(p);
	return true;
}

void peer_close(struct peer *p, bool bye)
{
	if (p->fd < 0)
		return;
	if (p->tls && bye)
		gnutls_bye(p->tls, GNUTLS_SHUT_WR);
	close(p->fd);
	p->fd = -1;
	p->gone = true;
}

void peer_reset(struct peer *p)
{
	const struct linger l = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	peer_close(p, false);
}

void peer_wait_gone(struct peer *p)
{
	while (peer_fill(p))
		p->pos = p->len;
}
