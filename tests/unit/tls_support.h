/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Certificates made on the spot and a TLS server in a thread, for the tests
 * of wire/tls and wire/conn. Include it once, behind cmocka.h.
 */
#ifndef TESTS_TLS_SUPPORT_H
#define TESTS_TLS_SUPPORT_H

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UNUSED
#define UNUSED __attribute__((unused))
#endif

struct cert {
	gnutls_x509_crt_t crt;
	gnutls_x509_privkey_t key;
};

/* What is special about a certificate; {0} is a good leaf for
 * mx.example.org. */
struct cert_spec {
	const char *cn;          /* NULL: "mx.example.org" */
	const char *dns;         /* SAN; NULL: mx.example.org; "": none */
	const char *raw_san;     /* DER, instead of dns */
	size_t raw_len;
	unsigned char ip[4];     /* SAN, if ip[0] */
	const char *email;
	bool ca;
	long from, until;        /* days from now; 0: -1, 30 */
	const char *purpose;     /* NULL: server */
	bool must_staple;
	unsigned rsa;            /* bits; 0: P-256 */
	const struct cert *key_of; /* uses this key */
};

#define GOOD(call) assert_true((call) >= 0)

static UNUSED void cert_names(gnutls_x509_crt_t crt,
			      const struct cert_spec *spec)
{
	const char *dns = spec->dns ? spec->dns : "mx.example.org";
	size_t n = strlen(dns);

	if (spec->raw_san)
		GOOD(gnutls_x509_crt_set_extension_by_oid(
			crt, "2.5.29.17", spec->raw_san, spec->raw_len, 0));
	else if (n && !spec->ca)
		GOOD(gnutls_x509_crt_set_subject_alt_name(
			crt, GNUTLS_SAN_DNSNAME, dns, (unsigned)n,
			GNUTLS_FSAN_APPEND));
	if (spec->ip[0])
		GOOD(gnutls_x509_crt_set_subject_alt_name(
			crt, GNUTLS_SAN_IPADDRESS, spec->ip, 4,
			GNUTLS_FSAN_APPEND));
	if (spec->email)
		GOOD(gnutls_x509_crt_set_subject_alt_name(
			crt, GNUTLS_SAN_RFC822NAME, spec->email,
			(unsigned)strlen(spec->email), GNUTLS_FSAN_APPEND));
}

static UNUSED void cert_use(gnutls_x509_crt_t crt,
			    const struct cert_spec *spec)
{
	static const unsigned char staple[] = { 0x30, 3, 2, 1, 5 };

	GOOD(gnutls_x509_crt_set_basic_constraints(crt, spec->ca, -1));
	if (spec->ca) {
		GOOD(gnutls_x509_crt_set_key_usage(
			crt, GNUTLS_KEY_KEY_CERT_SIGN |
			GNUTLS_KEY_CRL_SIGN));
		return;
	}
	GOOD(gnutls_x509_crt_set_key_usage(crt,
					   GNUTLS_KEY_DIGITAL_SIGNATURE));
	GOOD(gnutls_x509_crt_set_key_purpose_oid(
		crt, spec->purpose ? spec->purpose :
				     GNUTLS_KP_TLS_WWW_SERVER, 0));
	if (spec->must_staple)
		GOOD(gnutls_x509_crt_set_extension_by_oid(
			crt, "1.3.6.1.5.5.7.1.24", staple, sizeof(staple),
			0));
}

/* issuer NULL: self-signed. */
static UNUSED struct cert cert_make(const struct cert_spec *spec,
				    const struct cert *issuer)
{
	const char *cn = spec->cn ? spec->cn : "mx.example.org";
	static unsigned char serial[4];
	time_t now = time(NULL);
	struct cert c = { 0 };

	serial[3]++;
	GOOD(gnutls_x509_privkey_init(&c.key));
	if (spec->key_of)
		GOOD(gnutls_x509_privkey_cpy(c.key, spec->key_of->key));
	else if (spec->rsa)
		GOOD(gnutls_x509_privkey_generate(c.key, GNUTLS_PK_RSA,
						  spec->rsa, 0));
	else
		GOOD(gnutls_x509_privkey_generate(
			c.key, GNUTLS_PK_ECDSA,
			GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
			0));
	GOOD(gnutls_x509_crt_init(&c.crt));
	GOOD(gnutls_x509_crt_set_version(c.crt, 3));
	GOOD(gnutls_x509_crt_set_serial(c.crt, serial, sizeof(serial)));
	GOOD(gnutls_x509_crt_set_dn_by_oid(c.crt, GNUTLS_OID_X520_COMMON_NAME,
					   0, cn, (unsigned)strlen(cn)));
	GOOD(gnutls_x509_crt_set_activation_time(
		c.crt, now + (spec->from ? spec->from : -1) * 86400));
	GOOD(gnutls_x509_crt_set_expiration_time(
		c.crt, now + (spec->until ? spec->until : 30) * 86400));
	cert_names(c.crt, spec);
	cert_use(c.crt, spec);
	GOOD(gnutls_x509_crt_set_key(c.crt, c.key));
	if (!issuer)
		issuer = &c;
	GOOD(gnutls_x509_crt_sign2(c.crt, issuer->crt, issuer->key,
				   GNUTLS_DIG_SHA256, 0));
	return c;
}

static UNUSED void cert_free(struct cert *c)
{
	gnutls_x509_crt_deinit(c->crt);
	gnutls_x509_privkey_deinit(c->key);
}

static UNUSED void cert_pin(const struct cert *c, char out[65])
{
	unsigned char id[32];
	size_t n = sizeof(id), i;

	GOOD(gnutls_x509_crt_get_key_id(c->crt, GNUTLS_KEYID_USE_SHA256, id,
					&n));
	for (i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", id[i]);
}

/* A file that nobody needs to remove; its path goes to path. */
static UNUSED int file_new(char path[64])
{
	int fd = memfd_create("test", 0);

	assert_true(fd >= 0);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static UNUSED void file_add(int fd, const void *data, size_t n)
{
	assert_int_equal(write(fd, data, n), n);
}

static UNUSED void file_add_cert(int fd, const struct cert *c)
{
	gnutls_datum_t pem;

	GOOD(gnutls_x509_crt_export2(c->crt, GNUTLS_X509_FMT_PEM, &pem));
	file_add(fd, pem.data, pem.size);
	gnutls_free(pem.data);
}

static UNUSED void file_add_key(int fd, const struct cert *c)
{
	gnutls_datum_t pem;

	GOOD(gnutls_x509_privkey_export2(c->key, GNUTLS_X509_FMT_PEM, &pem));
	file_add(fd, pem.data, pem.size);
	gnutls_free(pem.data);
}

/* --- the server --- */

struct server {
	gnutls_x509_crt_t chain[8];
	unsigned chain_len;
	const struct cert *leaf;     /* whose key signs */
	const char *priorities;      /* NULL: NORMAL */
	bool ask_certificate;
	void (*talk)(struct server *s, gnutls_session_t session);
	const char *say;             /* after the handshake */
	bool no_goodbye;
	gnutls_ocsp_data_st staple;  /* of the leaf; response.size is 0: none */
	/* what happened */
	int result;
	unsigned client_certificates;
	gnutls_pcert_st sent[8];
	gnutls_privkey_t key;
	char got[256];
	int fd;                      /* its end */
	pthread_t thread;
};

static UNUSED ssize_t server_send(gnutls_session_t session, const void *data,
				  size_t n)
{
	ssize_t sent;

	do
		sent = gnutls_record_send(session, data, n);
	while (sent == GNUTLS_E_AGAIN || sent == GNUTLS_E_INTERRUPTED);
	return sent;
}

static UNUSED ssize_t server_receive(gnutls_session_t session, void *data,
				     size_t n)
{
	ssize_t got;

	do
		got = gnutls_record_recv(session, data, n);
	while (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED);
	return got;
}

static UNUSED void server_talk(struct server *s, gnutls_session_t session)
{
	ssize_t n;

	gnutls_certificate_get_peers(session, &s->client_certificates);
	if (s->talk) {
		s->talk(s, session);
		return;
	}
	if (s->say)
		server_send(session, s->say, strlen(s->say));
	if (!s->no_goodbye)
		gnutls_bye(session, GNUTLS_SHUT_WR);
	else
		shutdown(s->fd, SHUT_WR);
	n = server_receive(session, s->got, sizeof(s->got) - 1);
	s->got[n > 0 ? n : 0] = '\0';
}

/* As it is, without the library's sorting and leaving out. */
static UNUSED int server_chain(gnutls_session_t session,
			       const struct gnutls_cert_retr_st *asked,
			       gnutls_pcert_st **chain, unsigned *n,
			       gnutls_ocsp_data_st **staple, unsigned *staples,
			       gnutls_privkey_t *key, unsigned *flags)
{
	struct server *s = gnutls_session_get_ptr(session);

	(void)asked;
	*chain = s->sent;
	*n = s->chain_len;
	*staple = &s->staple;
	*staples = s->staple.response.size ? 1 : 0;
	*key = s->key;
	*flags = 0;
	return 0;
}

static UNUSED void server_credentials(struct server *s,
		gnutls_certificate_credentials_t credentials)
{
	unsigned i;

	for (i = 0; i < s->chain_len; i++)
		gnutls_pcert_import_x509(&s->sent[i], s->chain[i], 0);
	gnutls_privkey_init(&s->key);
	gnutls_privkey_import_x509(s->key, s->leaf->key,
				   GNUTLS_PRIVKEY_IMPORT_COPY);
	gnutls_certificate_set_retrieve_function3(credentials, server_chain);
}

static UNUSED void *server_run(void *context)
{
	struct server *s = context;
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t session;

	gnutls_certificate_allocate_credentials(&credentials);
	server_credentials(s, credentials);
	gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);
	gnutls_session_set_ptr(session, s);
	gnutls_priority_set_direct(session, s->priorities ? s->priorities :
				   "NORMAL", NULL);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_transport_set_int(session, s->fd);
	if (s->ask_certificate)
		gnutls_certificate_server_set_request(session,
						      GNUTLS_CERT_REQUEST);
	do
		s->result = gnutls_handshake(session);
	while (s->result == GNUTLS_E_AGAIN ||
	       s->result == GNUTLS_E_INTERRUPTED);
	if (!s->result)
		server_talk(s, session);
	else
		gnutls_alert_send_appropriate(session, s->result);
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(credentials);
	while (s->chain_len)
		gnutls_pcert_deinit(&s->sent[--s->chain_len]);
	gnutls_privkey_deinit(s->key);
	close(s->fd);
	return NULL;
}

/* The client's end, non-blocking. */
static UNUSED int server_start(struct server *s)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				    pair), 0);
	s->fd = pair[1];
	assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
	return pair[0];
}

static UNUSED void server_wait(struct server *s)
{
	pthread_join(s->thread, NULL);
}

#endif
