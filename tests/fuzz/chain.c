/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verdict on a server's certificate, whole: what the server sends, the
 * trust store, revocation lists, TLSA records and pins are the input's; there
 * is no session, so that the library's two questions about one are answered
 * here. Parts are separated by lines "%":
 *
 *   words: the name to expect and what else counts, see read_word()
 *   the chain (PEM), the CA file, the revocation list
 *
 * What is trusted by chain and name the library must trust as well, asked
 * plainly with all of the trust store, and the other way round; a TLSA record
 * or a pin counts that is there, to the byte.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "parts.h"
#include "wire/digest.h"
#include "wire/tls_parts.h"

enum { TLSA_MOST = 6, PARTS = 4, CRL_MOST = 16 };

static struct {
	gnutls_datum_t der[TLS_CHAIN_MOST + 4];
	unsigned n;
	struct tls *tls;
	gnutls_certificate_verify_flags flags;
} sent;

/* --- the library, but for what it knows of a session --- */

#undef gnutls_certificate_get_peers
#undef gnutls_certificate_set_verify_flags
#undef gnutls_certificate_verify_peers
#undef gnutls_session_get_ptr
#undef gnutls_protocol_get_version
#undef gnutls_ciphersuite_get
#undef gnutls_session_get_desc

static struct gnutls_calls ours;
static bool ours_loaded;

static const gnutls_datum_t *peers(gnutls_session_t s, unsigned *n)
{
	(void)s;
	*n = sent.n;
	return sent.n ? sent.der : NULL;
}

static void *session_pointer(gnutls_session_t s)
{
	(void)s;
	return sent.tls;
}

static gnutls_protocol_t version(gnutls_session_t s)
{
	(void)s;
	return GNUTLS_TLS1_3;
}

#if GNUTLS_VERSION_NUMBER >= 0x030704
static const char *cipher(gnutls_session_t s)
{
	(void)s;
	return "a cipher";
}
#endif

static void set_flags(gnutls_certificate_credentials_t c, unsigned flags)
{
	(void)c;
	sent.flags = flags;
}

static int verify_peers(gnutls_session_t s, gnutls_typed_vdata_st *data,
			unsigned elements, unsigned *status)
{
	const unsigned flags = sent.flags |
			       GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM);
	gnutls_x509_crt_t crt[TLS_CHAIN_MOST];
	gnutls_x509_trust_list_t list;
	unsigned i, n = 0;
	int error = 0;

	(void)s;
	gnutls_certificate_get_trust_list(sent.tls->credentials, &list);
	for (i = 0; i < sent.n && n < TLS_CHAIN_MOST && !error; i++) {
		fuzz_want(!gnutls_x509_crt_init(&crt[n]));
		error = gnutls_x509_crt_import(crt[n++], &sent.der[i],
					       GNUTLS_X509_FMT_DER);
	}
	if (!error)
		error = gnutls_x509_trust_list_verify_crt2(
			list, crt, n, data, elements, flags, status, NULL);
	while (n)
		gnutls_x509_crt_deinit(crt[--n]);
	return error;
}

bool gnutls_load(struct outcome *why)
{
	static const char *const names[] = { GNUTLS_CALLS(LIBRARY_NAME) };
	static const struct library real = {
		GNUTLS_SONAME, names, sizeof(names) / sizeof(*names)
	};
	const void *loaded = library_load(&real, why);

	fuzz_want(loaded != NULL);
	memcpy(&ours, loaded, sizeof(ours));
	ours_loaded = true;
	ours.gnutls_certificate_get_peers = peers;
	ours.gnutls_certificate_set_verify_flags = set_flags;
	ours.gnutls_certificate_verify_peers = verify_peers;
	ours.gnutls_session_get_ptr = session_pointer;
	ours.gnutls_protocol_get_version = version;
#if GNUTLS_VERSION_NUMBER >= 0x030704
	ours.gnutls_ciphersuite_get = cipher;
#endif
	return true;
}

const struct gnutls_calls *gnutls_calls(void)
{
	struct outcome why;

	if (!ours_loaded)
		fuzz_want(gnutls_load(&why));
	return &ours;
}

/* --- the input --- */

struct part {
	const char *text;
	size_t n;
};

static void divide(const char *data, size_t n, struct part part[PARTS])
{
	const char *stop;
	size_t i;

	for (i = 0; i < PARTS; i++) {
		stop = i + 1 < PARTS ? memmem(data, n, "\n%\n", 3) : NULL;
		part[i].text = data;
		part[i].n = stop ? (size_t)(stop - data) + 1 : n;
		n -= stop ? part[i].n + 2 : n;
		data += stop ? part[i].n + 2 : part[i].n;
	}
}

/* Certificates as a server sends them: binary, parsed by nobody yet. */
static void send_chain(const struct part *p)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	const char *at = p->text, *end = p->text + p->n, *stop;
	unsigned char *der;

	sent.n = 0;
	while (sent.n < sizeof(sent.der) / sizeof(*sent.der) &&
	       (at = memmem(at, (size_t)(end - at), begin, strlen(begin)))) {
		at += strlen(begin);
		stop = memmem(at, (size_t)(end - at), "-----", 5);
		if (!stop)
			break;
		der = mem_alloc((size_t)(stop - at) + 1);
		sent.der[sent.n++] = (gnutls_datum_t){
			der, (unsigned)fuzz_base64(at, (size_t)(stop - at),
						   der)
		};
		at = stop;
	}
}

static size_t from_hex(const char *text, unsigned char *out, size_t most)
{
	unsigned byte;
	size_t n = 0;

	for (; n < most && sscanf(text, "%2x", &byte) == 1 && text[1];
	     text += 2)
		out[n++] = (unsigned char)byte;
	return n;
}

/* "3 1 1 =0": what is right for the first of the chain; else hex. */
static void add_tlsa(const char *word, struct tls_params *p,
		     struct tlsa tlsa[TLSA_MOST])
{
	struct tlsa *t = &tlsa[p->tlsas];
	unsigned usage, selector, matching, which;
	unsigned char hash[SHA256_SIZE];
	int used = 0;

	if (p->tlsas == TLSA_MOST ||
	    sscanf(word, "%3u,%3u,%3u,%n", &usage, &selector, &matching,
		   &used) != 3 || !used)
		return;
	*t = (struct tlsa){ .usage = (unsigned char)usage,
			    .selector = (unsigned char)selector,
			    .matching = (unsigned char)matching,
			    .data = mem_alloc(8192) };
	word += used;
	if (sscanf(word, "=%2u", &which) == 1 && which < sent.n) {
		if (matching == 1) {
			fuzz_want(digest_sha256(sent.der[which].data,
						sent.der[which].size, hash));
			memcpy(t->data, hash, t->n = sizeof(hash));
		} else if (sent.der[which].size <= 8192) {
			t->n = sent.der[which].size;
			memcpy(t->data, sent.der[which].data, t->n);
		}
	} else {
		t->n = from_hex(word, t->data, 8192);
	}
	p->tlsas++;
}

struct asked {
	struct tls_params params;
	struct tlsa tlsa[TLSA_MOST];
	struct list more, pins;
	char name[100];
};

static void read_word(char *word, struct asked *a)
{
	if (!strncmp(word, "tlsa:", 5))
		add_tlsa(word + 5, &a->params, a->tlsa);
	else if (!strncmp(word, "pin:", 4))
		list_add(&a->pins, word + 4);
	else if (!strncmp(word, "also:", 5))
		list_add(&a->more, word + 5);
	else if (!strcmp(word, "hold"))
		a->params.hold_ca = true;
	else if (!strcmp(word, "any"))
		a->params.verify = false;
	else if (!strcmp(word, "priorities"))
		a->params.priorities = "NORMAL";
	else if (!strcmp(word, "nameless"))
		a->params.verify_name = NULL;
	else if (!*a->name)
		snprintf(a->name, sizeof(a->name), "%s", word);
}

static void read_words(const struct part *p, struct asked *a)
{
	char *words = mem_stringn(p->text, p->n), *word, *next;

	a->params.verify = true;
	a->params.verify_name = a->name;
	a->params.pins = &a->pins;
	a->params.more_names = &a->more;
	for (word = strtok_r(words, " \n", &next); word;
	     word = strtok_r(NULL, " \n", &next))
		read_word(word, a);
	if (a->params.tlsas)
		a->params.tlsa = a->tlsa;
	free(words);
}

/* --- the same, asked plainly --- */

static void add_ca(gnutls_x509_trust_list_t list, const gnutls_datum_t *der)
{
	gnutls_x509_crt_t crt;

	fuzz_want(!gnutls_x509_crt_init(&crt));
	if (gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER) < 0 ||
	    gnutls_x509_trust_list_add_cas(list, &crt, 1, 0) < 1)
		gnutls_x509_crt_deinit(crt);
}

/* Each certificate of a trust store that can be read at all. */
static void add_cas(gnutls_x509_trust_list_t list, const struct part *p)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	static const char old[] = "-----BEGIN X509 CERTIFICATE-----";
	const char *at = p->text, *end = p->text + p->n, *stop;
	const char *begins = memmem(at, p->n, begin, strlen(begin)) ? begin :
			     old;
	unsigned char *der = mem_alloc(p->n + 1);
	gnutls_datum_t one = { der, 0 };

	/* or one in binary */
	if (p->n && *p->text == 0x30 && !memmem(at, p->n, begins,
						strlen(begins))) {
		memcpy(der, p->text, p->n);
		one.size = (unsigned)p->n;
		add_ca(list, &one);
	}
	while ((at = memmem(at, (size_t)(end - at), begins,
			    strlen(begins)))) {
		at += strlen(begins);
		stop = memmem(at, (size_t)(end - at), "-----", 5);
		if (!stop)
			break;
		one.size = (unsigned)fuzz_base64(at, (size_t)(stop - at), der);
		add_ca(list, &one);
		at = stop;
	}
	free(der);
}

static unsigned plain_status(const struct tls_chain *c,
			     const struct part part[PARTS])
{
	const gnutls_datum_t crl = { (void *)part[3].text,
				     (unsigned)part[3].n };
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (void *)GNUTLS_KP_TLS_WWW_SERVER,
	};
	gnutls_x509_crt_t chain[TLS_CHAIN_MOST];
	gnutls_x509_trust_list_t list;
	unsigned status = ~0u;

	memcpy(chain, c->crt, sizeof(chain));
	fuzz_want(!gnutls_x509_trust_list_init(&list, 0));
	add_cas(list, &part[2]);
	if (crl.size)
		(void)gnutls_x509_trust_list_add_trust_mem(
			list, NULL, &crl, GNUTLS_X509_FMT_PEM, 0, 0);
	if (gnutls_x509_trust_list_verify_crt2(
		    list, chain, c->n, &purpose, 1,
		    GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM), &status,
		    NULL) < 0)
		status = ~0u;
	gnutls_x509_trust_list_deinit(list, 1);
	return status;
}

/* The library takes more for a name than we do, but no dot at its end. */
static bool is_named(gnutls_x509_crt_t crt, const char *name)
{
	size_t n = strlen(name);
	char *bare = mem_stringn(name, n && name[n - 1] == '.' ? n - 1 : n);
	bool named = *name == '[' ||
		     gnutls_x509_crt_check_hostname2(crt, bare, 0);

	free(bare);
	return named;
}

static void want_trusted(const struct tls *t, const struct tls_chain *c,
			 const struct part part[PARTS])
{
	const unsigned forgiven = GNUTLS_CERT_INVALID | GNUTLS_CERT_EXPIRED |
		GNUTLS_CERT_NOT_ACTIVATED |
		GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED |
		GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE;
	const struct tls_params *p = t->params;
	const unsigned status = plain_status(c, part);
	size_t i;
	bool named;

	if (p->tlsas || p->pins->n || !p->verify)
		return;
	if (t->facts->verified) {
		fuzz_want(!(status & ~forgiven));
		named = is_named(c->crt[0], p->verify_name);
		for (i = 0; !named && i < p->more_names->n; i++)
			named = is_named(c->crt[0], p->more_names->item[i]);
		fuzz_want(named);
	} else if (!status && c->n == sent.n) {
		fuzz_want(t->facts->fault == TLS_FAULT_NAME ||
			  t->facts->fault == TLS_FAULT_NO_NAME ||
			  !p->verify_name || part[3].n);
	}
}

/* One of the records, or of the pins, is that of a certificate sent. */
static void want_matched(const struct tls *t, const struct tls_chain *c)
{
	const struct tls_params *p = t->params;
	bool usable = !p->tlsas;
	char pin[65];
	size_t i;

	for (i = 0; i < p->tlsas; i++)
		usable = usable || (p->tlsa[i].usage >= 2 &&
				    p->tlsa[i].usage <= 3 &&
				    p->tlsa[i].selector <= 1 &&
				    p->tlsa[i].matching <= 2 && p->tlsa[i].n);
	fuzz_want(usable);
	chain_pin(c->crt[0], pin);
	if (p->pins->n)
		fuzz_want(*pin && !strcmp(t->facts->pin, pin));
}

static void want_facts(const struct tls *t)
{
	size_t k;

	for (k = 0; k < t->facts->certificates; k++) {
		const struct tls_certificate *c = &t->facts->certificate[k];

		/* without a pin where its key is none that is known */
		fuzz_want(strlen(c->pin) % 64 == 0);
		fuzz_want(fuzz_is_clean(c->subject, strlen(c->subject)));
		fuzz_want(fuzz_is_clean(c->issuer, strlen(c->issuer)));
	}
}

static void want_verdict(struct tls *t, int error,
			 const struct part part[PARTS])
{
	struct tls_chain c = { 0 };
	unsigned i;

	for (i = 0; i < sent.n && i < TLS_CHAIN_MOST; i++) {
		fuzz_want(!gnutls_x509_crt_init(&c.crt[i]));
		c.n++;
		if (gnutls_x509_crt_import(c.crt[i], &sent.der[i],
					   GNUTLS_X509_FMT_DER) < 0) {
			gnutls_x509_crt_deinit(c.crt[--c.n]);
			break;
		}
	}
	fuzz_want(!error || (t->verdict.exit && *t->verdict.text &&
			     fuzz_is_clean(t->verdict.text,
					   strlen(t->verdict.text))));
	fuzz_want(!error || !t->facts->verified);
	fuzz_want(error || c.n);
	if (c.n)
		want_trusted(t, &c, part);
	if (t->facts->verified)
		want_matched(t, &c);
	want_facts(t);
	while (c.n)
		gnutls_x509_crt_deinit(c.crt[--c.n]);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct asked a = { .name = "" };
	struct tls_facts facts = { .want_certificates = true };
	struct tls t = { .params = &a.params, .facts = &facts };
	struct part part[PARTS];
	char ca[64], crl[64];
	int fd[2], error;

	divide((const char *)data, n, part);
	send_chain(&part[1]);
	read_words(&part[0], &a);
	fd[0] = fuzz_file(part[2].text, part[2].n);
	fd[1] = fuzz_file(part[3].text, part[3].n);
	fuzz_path(fd[0], ca);
	fuzz_path(fd[1], crl);
	/* with pins or TLSA records a CA file is one more thing to hold */
	if (part[2].n || !(a.pins.n || a.params.tlsas))
		a.params.ca_file = ca;
	a.params.crl_file = part[3].n ? crl : NULL;
	sent.tls = &t;
	sent.flags = 0;
	fuzz_want(!gnutls_certificate_allocate_credentials(&t.credentials));
	error = tls_verify(NULL);
	want_verdict(&t, error, part);
	gnutls_certificate_free_credentials(t.credentials);
	tls_facts_release(&facts);
	close(fd[0]);
	close(fd[1]);
	while (sent.n)
		free(sent.der[--sent.n].data);
	while (a.params.tlsas)
		free(a.tlsa[--a.params.tlsas].data);
	list_release(&a.pins);
	list_release(&a.more);
	return 0;
}
