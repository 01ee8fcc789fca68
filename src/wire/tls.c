/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/tls_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/kernel.h"

/* After the distribution's default: what is too old goes, and X25519 comes
 * first, which is the cheapest of the good ones. What is taken away and put
 * back only changes its place; a hybrid in the default stays in front. */
#define OLD "-VERS-TLS1.1:-VERS-TLS1.0"
#define ORDER ":-GROUP-SECP256R1:-GROUP-SECP384R1:-GROUP-SECP521R1" \
	":-GROUP-FFDHE2048:-GROUP-FFDHE3072:-GROUP-FFDHE4096" \
	":-GROUP-FFDHE6144:-GROUP-FFDHE8192" \
	":+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1" \
	":+GROUP-FFDHE3072:+GROUP-FFDHE4096"

static bool tls_fail(struct outcome *why, const char *words)
{
	return outcome_fail(why, STAGE_TLS, EX_TEMPFAIL, "%s", words);
}

/* --- preparation --- */

static bool set_priorities(struct tls *t, struct outcome *why)
{
	const struct tls_params *p = t->params;
	/* where a certificate has to prove something, keys that can be broken
	 * (RSA of 1024 bits) prove nothing; where none has to, any encryption
	 * will do */
	const bool proves = p->tlsas || (p->pins && p->pins->n ?
					 p->ca_file != NULL : p->verify);
	char words[128], ordered[512];
	const char *at = NULL;
	int error;

	if (p->priorities) {
		error = gnutls_priority_set_direct(t->session, p->priorities,
						   &at);
		if (error < 0)
			return outcome_fail(why, STAGE_TLS, EX_CONFIG,
					    "TLS priorities: %s at \"%s\"",
					    gnutls_strerror(error),
					    at ? at : "");
		return true;
	}
	snprintf(words, sizeof(words), "%s%s%s", OLD,
		 p->only_1_3 ? ":-VERS-TLS1.2" : "",
		 proves ? ":%PROFILE_MEDIUM" : "");
	snprintf(ordered, sizeof(ordered), "%s%s", words, ORDER);
	error = gnutls_set_default_priority_append(t->session, ordered, &at,
						   0);
	/* a policy that knows no such group must not keep mail back */
	if (error < 0)
		error = gnutls_set_default_priority_append(t->session, words,
							   &at, 0);
	return error >= 0 || tls_fail(why, gnutls_strerror(error));
}

static bool is_readable(const char *what, const char *path,
			struct outcome *why)
{
	return tls_is_uri(path) || access(path, R_OK) == 0 ||
	       tls_cannot_read(what, path, why);
}

/* How much of it may be shown: after the "?" of a URI there may be a PIN. */
static int shown_of(const char *path)
{
	return (int)(tls_is_uri(path) ? strcspn(path, "?") : strlen(path));
}

static bool set_certificate(struct tls *t, struct outcome *why)
{
	const struct tls_params *p = t->params;
	const char *key = p->key ? p->key : p->certificate;
	int error;

	if (!p->certificate)
		return true;
	if (!is_readable("certificate", p->certificate, why) ||
	    !is_readable("key", key, why))
		return false;
	error = gnutls_certificate_set_x509_key_file(
		t->credentials, p->certificate, key, GNUTLS_X509_FMT_PEM);
	if (error >= 0)
		return true;
	return outcome_fail(why, STAGE_TLS, EX_CONFIG,
			    "cannot use the certificate %.*s with the key "
			    "%.*s: %s", shown_of(p->certificate),
			    p->certificate,
			    shown_of(key), key, gnutls_strerror(error));
}

/* As recv(2), but the first byte of all is kept: it tells TLS from other
 * talk. */
static ssize_t tls_pull(gnutls_transport_ptr_t from, void *data, size_t n)
{
	struct tls *t = from;
	ssize_t got = recv(t->fd, data, n, MSG_DONTWAIT);

	if (got < 0)
		gnutls_transport_set_errno(t->session, errno);
	t->closed = t->closed || (got == 0 && n);
	if (got > 0 && !t->heard) {
		t->heard = true;
		t->first = *(unsigned char *)data;
	}
	return got;
}

static int tls_pull_ready(gnutls_transport_ptr_t from, unsigned ms)
{
	const struct tls *t = from;
	struct pollfd p = { .fd = t->fd, .events = POLLIN };

	return kernel_poll(&p, 1, (int)ms);
}

static bool tls_prepare(struct tls *t, int fd, struct outcome *why)
{
	const char *name = t->params->server_name;
	unsigned char address[16];
	bool numeric;

	if (gnutls_init(&t->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK |
			GNUTLS_NO_SIGNAL | GNUTLS_KEY_SHARE_TOP |
			GNUTLS_FORCE_CLIENT_CERT) < 0 ||
	    gnutls_certificate_allocate_credentials(&t->credentials) < 0)
		return outcome_fail(why, STAGE_TLS, EX_OSERR,
				    "the TLS library cannot be started");
	if (!set_priorities(t, why) || !set_certificate(t, why))
		return false;
	gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE,
			       t->credentials);
	gnutls_session_set_ptr(t->session, t);
	gnutls_session_set_verify_function(t->session, tls_verify);
	gnutls_transport_set_int(t->session, fd);
	gnutls_transport_set_ptr2(t->session, t,
				  (gnutls_transport_ptr_t)(intptr_t)fd);
	gnutls_transport_set_pull_function(t->session, tls_pull);
	gnutls_transport_set_pull_timeout_function(t->session,
						   tls_pull_ready);
	numeric = !name || name[0] == '[' ||
		  inet_pton(AF_INET, name, address) == 1 ||
		  inet_pton(AF_INET6, name, address) == 1;
	if (!numeric &&
	    gnutls_server_name_set(t->session, GNUTLS_NAME_DNS, name,
				   strlen(name)) < 0)
		return tls_fail(why, "the server's name cannot be sent (SNI)");
	return true;
}

/* --- handshake --- */

static bool no_tls(const struct tls *t, struct outcome *why)
{
	if (t->starttls)
		return tls_fail(why, "the server announced STARTTLS, but does "
				"not speak TLS");
	t->facts->fault = TLS_FAULT_IN_CLEAR;
	return tls_fail(why, "the server does not speak TLS on this port");
}

static bool too_late(struct outcome *why)
{
	return tls_fail(why, "the server did not go on in the TLS handshake "
			"in time");
}

const char *tls_alert(const struct tls *t)
{
	const char *name = gnutls_alert_get_name(gnutls_alert_get(t->session));

	return name ? name : "an unknown alert";
}

/* A fatal error of the handshake; a verdict on the certificate counts for
 * more than what the library makes of it. */
static bool handshake_failed(const struct tls *t, int error,
			     struct outcome *why)
{
	if (t->judged && t->verdict.exit) {
		*why = t->verdict;
		return false;
	}
	if (error == GNUTLS_E_UNSUPPORTED_VERSION_PACKET ||
	    (error == GNUTLS_E_FATAL_ALERT_RECEIVED &&
	     gnutls_alert_get(t->session) == GNUTLS_A_PROTOCOL_VERSION))
		return tls_fail(why, t->params->only_1_3 ?
				"the server has no TLS 1.3" :
				"the server has no TLS that is new enough "
				"(1.2 at least)");
	switch (error) {
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
		return outcome_fail(why, STAGE_TLS, EX_TEMPFAIL,
				    "the server ended the TLS handshake: %s",
				    tls_alert(t));
	case GNUTLS_E_PREMATURE_TERMINATION:
	case GNUTLS_E_PULL_ERROR:
	case GNUTLS_E_PUSH_ERROR:
	case GNUTLS_E_SESSION_EOF:
		return tls_fail(why, "the server closed the connection in the "
				"TLS handshake");
	case GNUTLS_E_UNEXPECTED_PACKET:
	case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
		return no_tls(t, why);
	default:
		return outcome_fail(why, STAGE_TLS, EX_TEMPFAIL,
				    "the TLS handshake failed: %s",
				    gnutls_strerror(error));
	}
}

/* The library's errors for a server that talks in clear are such as it has
 * for other things, too: so look at the first byte, if there is one. */
static bool first_record(const struct tls *t, struct outcome *why)
{
	enum { ALERT = 21, HANDSHAKE = 22 };
	unsigned char type = t->first;

	if (!t->heard && recv(t->fd, &type, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
		return true;
	return type == ALERT || type == HANDSHAKE || no_tls(t, why);
}

static bool shake_hands(struct tls *t, int64_t deadline, struct outcome *why)
{
	struct pollfd p = { .fd = t->fd };
	bool heard = false;
	int error;

	/* one that speaks first has spoken by now, or will be found below */
	if (!first_record(t, why))
		return false;
	for (;;) {
		error = gnutls_handshake(t->session);
		if (!error)
			return true;
		if (gnutls_error_is_fatal(error))
			break;
		/* warnings would let a server spin: they cost time, too */
		if (!clock_left(deadline))
			return too_late(why);
		if (error != GNUTLS_E_AGAIN)
			continue;
		p.events = gnutls_record_get_direction(t->session) == 1 ?
			   POLLOUT : POLLIN;
		/* it asks for more of a message that was cut off */
		if (p.events == POLLIN && t->closed) {
			error = GNUTLS_E_PREMATURE_TERMINATION;
			break;
		}
		do {
			if (!clock_left(deadline))
				return too_late(why);
		} while (kernel_poll(&p, 1, clock_left(deadline)) <= 0);
		if (p.events == POLLIN && !heard && !first_record(t, why))
			return false;
		heard = heard || p.events == POLLIN;
	}
	if (first_record(t, why))
		handshake_failed(t, error, why);
	/* without waiting: the server may want to know why */
	gnutls_alert_send_appropriate(t->session, error);
	return false;
}

bool tls_open(int fd, bool starttls, const struct tls_params *params,
	      struct tls_facts *facts, int64_t deadline, struct tls **tls,
	      struct outcome *why)
{
	gnutls_protocol_t version;
	struct tls *t;

	facts->fault = TLS_FAULT_NONE;
	*tls = NULL;
	if (!gnutls_load(why))
		return false;
	t = mem_alloc(sizeof(*t));
	t->fd = fd;
	t->starttls = starttls;
	t->params = params;
	t->facts = facts;
	if (!tls_prepare(t, fd, why) || !shake_hands(t, deadline, why)) {
		facts->verified = false;
		tls_close(t);
		return false;
	}
	tls_facts_session(t);
	version = gnutls_protocol_get_version(t->session);
	facts->client_certificate =
		gnutls_certificate_client_get_request_status(t->session) &&
		gnutls_certificate_get_ours(t->session);
	/* a priority string of the user's may allow what the product does
	 * not */
	if (version < (params->only_1_3 ? GNUTLS_TLS1_3 : GNUTLS_TLS1_2) ||
	    version > GNUTLS_TLS_VERSION_MAX) {
		facts->verified = false;
		outcome_fail(why, STAGE_TLS, EX_TEMPFAIL,
			     "the server speaks only %s; %s is the least here",
			     facts->version,
			     params->only_1_3 ? "TLS 1.3" : "TLS 1.2");
		tls_close(t);
		return false;
	}
	t->params = NULL;
	t->facts = NULL;
	*tls = t;
	return true;
}

/* --- records --- */

/* Sets errno. */
static long io_failed(struct tls *t, long error)
{
	switch (error) {
	/* not data, and not the end either */
	case GNUTLS_E_AGAIN:
	case GNUTLS_E_INTERRUPTED:
	case GNUTLS_E_REHANDSHAKE:
	case GNUTLS_E_WARNING_ALERT_RECEIVED:
		t->wants_write = gnutls_record_get_direction(t->session) == 1;
		errno = EAGAIN;
		return -1;
	case GNUTLS_E_PREMATURE_TERMINATION:
		errno = ENODATA;
		return -1;
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
		errno = ECONNABORTED;
		return -1;
	case GNUTLS_E_PULL_ERROR:
	case GNUTLS_E_PUSH_ERROR:
	case GNUTLS_E_SESSION_EOF:
	case GNUTLS_E_INVALID_SESSION:
		errno = ECONNRESET;
		return -1;
	default:
		errno = EPROTO;
		return -1;
	}
}

long tls_read(struct tls *t, void *data, size_t n)
{
	long got;

	if (t->ended) {
		errno = t->ended;
		return t->ended < 0 ? 0 : -1;
	}
	got = gnutls_record_recv(t->session, data, n);
	if (got > 0)
		return got;
	if (!got) {
		t->ended = -1;
		return 0;
	}
	got = io_failed(t, got);
	if (errno == EAGAIN && !t->wants_write && t->closed)
		errno = ECONNRESET;
	if (errno != EAGAIN)
		t->ended = errno;
	return got;
}

long tls_write(struct tls *t, const void *data, size_t n)
{
	long sent = gnutls_record_send(t->session, data, n);

	return sent < 0 ? io_failed(t, sent) : sent;
}

bool tls_wants_write(const struct tls *t)
{
	return t->wants_write;
}

bool tls_pending(const struct tls *t)
{
	return gnutls_record_check_pending(t->session) > 0;
}

bool tls_binding(struct tls *t, const char **kind, unsigned char data[64],
		 size_t *n)
{
	bool is_1_3 = gnutls_protocol_get_version(t->session) >=
		      GNUTLS_TLS1_3;
	gnutls_datum_t binding = { 0 };
	bool got;

	/* without the extended master secret tls-unique can be forged
	 * (RFC 7627 1) */
	if (!is_1_3 && !(gnutls_session_get_flags(t->session) &
			 GNUTLS_SFLAGS_EXT_MASTER_SECRET))
		return false;
	if (gnutls_session_channel_binding(t->session, is_1_3 ?
					   GNUTLS_CB_TLS_EXPORTER :
					   GNUTLS_CB_TLS_UNIQUE, &binding) < 0)
		return false;
	got = binding.size && binding.size <= 64;
	if (got) {
		memcpy(data, binding.data, binding.size);
		*n = binding.size;
		*kind = is_1_3 ? "tls-exporter" : "tls-unique";
	}
	gnutls_free(binding.data);
	return got;
}

void tls_close(struct tls *t)
{
	if (!t)
		return;
	if (t->session) {
		/* the params are gone once the handshake is over */
		if (!t->params && t->ended <= 0)
			gnutls_bye(t->session, GNUTLS_SHUT_WR);
		gnutls_deinit(t->session);
	}
	if (t->credentials)
		gnutls_certificate_free_credentials(t->credentials);
	free(t);
}

bool tls_priorities_valid(const char *priorities, struct outcome *why)
{
	gnutls_priority_t p;
	const char *at = NULL;
	int error = gnutls_priority_init(&p, priorities, &at);

	if (error >= 0) {
		gnutls_priority_deinit(p);
		return true;
	}
	if (!at || at < priorities || at > priorities + strlen(priorities))
		at = priorities;
	return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
			    "%s at character %zu: \"%s\"",
			    gnutls_strerror(error),
			    (size_t)(at - priorities) + 1, at);
}

const char *tls_library_version(void)
{
	return GNUTLS_VERSION;
}
