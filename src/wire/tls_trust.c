/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Trust anchors. A system's bundle holds some 150 certificates, and parsing
 * them costs eight times a handshake; so the bundle is only decoded, and
 * those are parsed that hold a name which the server's chain names.
 */
#include "wire/tls_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/kernel.h"

static const char *const system_bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
};

enum { BUNDLE_MOST = 64 << 20, DER_MOST = 1 << 20 };

struct search {
	/* raw names of the chain: issuer and subject of each */
	gnutls_datum_t name[2 * TLS_CHAIN_MOST];
	size_t names;
	bool all;
	gnutls_x509_trust_list_t list;
	unsigned char *der;     /* room for one decoded certificate */
	size_t size;
	size_t seen;            /* certificates in the file */
};

/* One that cannot be parsed is passed over, like the text between. */
static void search_take(struct search *s, const unsigned char *der, size_t n)
{
	gnutls_datum_t one = { .data = (void *)der, .size = (unsigned)n };
	gnutls_x509_crt_t crt;
	bool named = s->all;
	size_t i;

	s->seen++;
	for (i = 0; !named && i < s->names; i++)
		named = memmem(der, n, s->name[i].data, s->name[i].size);
	if (!named || gnutls_x509_crt_init(&crt) < 0)
		return;
	if (gnutls_x509_crt_import(crt, &one, GNUTLS_X509_FMT_DER) < 0 ||
	    gnutls_x509_trust_list_add_cas(s->list, &crt, 1, 0) < 1)
		gnutls_x509_crt_deinit(crt);
}

/* Blanks and line ends are passed over; returns the number of bytes. Four
 * characters are taken at once, if they are such: that is nearly always so. */
static size_t base64_decode(const signed char table[256], const char *text,
			    size_t n, unsigned char *out)
{
	const unsigned char *in = (const void *)text, *end = in + n;
	unsigned char *start = out;
	unsigned bits = 0, have = 0;

	while (in < end && *in != '=') {
		int a = table[in[0]], b, c, d;

		if (!have && end - in >= 4) {
			b = table[in[1]];
			c = table[in[2]];
			d = table[in[3]];
			if ((a | b | c | d) >= 0) {
				*out++ = (unsigned char)(a << 2 | b >> 4);
				*out++ = (unsigned char)(b << 4 | c >> 2);
				*out++ = (unsigned char)(c << 6 | d);
				in += 4;
				continue;
			}
		}
		in++;
		if (a < 0)
			continue;
		bits = bits << 6 | (unsigned)a;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*out++ = (unsigned char)(bits >> have & 0xff);
		}
	}
	return (size_t)(out - start);
}

static const char *find_text(const char *from, const char *end,
			     const char *what)
{
	return memmem(from, (size_t)(end - from), what, strlen(what));
}

static void search_text(struct search *s, const char *text, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"abcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	static const char old[] = "-----BEGIN X509 CERTIFICATE-----";
	const char *end = text + n, *at, *stop, *begins = begin;
	signed char table[256];
	size_t size;
	int i;

	memset(table, -1, 256);
	for (i = 0; i < 64; i++)
		table[(unsigned char)digits[i]] = (signed char)i;
	if (!find_text(text, end, begin) && find_text(text, end, old))
		begins = old;
	for (at = find_text(text, end, begins); at;
	     at = find_text(stop, end, begins)) {
		at += strlen(begins);
		stop = find_text(at, end, "-----");
		if (!stop)
			return;
		size = (size_t)(stop - at);
		if (!size || size > DER_MOST)
			continue;
		if (size > s->size) {
			s->size = size;
			s->der = mem_resize(s->der, size, 1);
		}
		search_take(s, s->der, base64_decode(table, at, size,
						     s->der));
	}
	/* a file of one certificate in binary */
	if (!s->seen && n && text[0] == 0x30 && n <= DER_MOST)
		search_take(s, (const void *)text, n);
}

static bool search_file(struct search *s, const char *path, bool *missing)
{
	int fd = kernel_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY,
			     0);
	struct stat st = { 0 };
	void *text;

	*missing = fd < 0 && (errno == ENOENT || errno == ENOTDIR);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size > BUNDLE_MOST) {
		close(fd);
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		return false;
	}
	text = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ,
				 MAP_PRIVATE, fd, 0) : MAP_FAILED;
	close(fd);
	if (text == MAP_FAILED)
		return !st.st_size;
	search_text(s, text, (size_t)st.st_size);
	munmap(text, (size_t)st.st_size);
	return true;
}

bool tls_cannot_read(const char *what, const char *path, struct outcome *why)
{
	const int error = errno;

	outcome_fail(why, STAGE_TLS, file_exit(error), "cannot read the %s "
		     "%s: %s", what, path, strerror(error));
	if (error == EACCES)
		file_add_reader(why, path);
	return false;
}

static bool search_own(struct search *s, const char *path,
		       struct outcome *why)
{
	bool missing;

	if (!search_file(s, path, &missing))
		return tls_cannot_read("CA file", path, why);
	if (!s->seen)
		return outcome_fail(why, STAGE_TLS, EX_CONFIG,
				    "the CA file %s holds no certificate",
				    path);
	return true;
}

/* Whether there is any certificate of an authority here. */
static bool search_system(struct search *s)
{
	bool missing;
	size_t i;

	for (i = 0; i < sizeof(system_bundles) / sizeof(*system_bundles); i++)
		if (search_file(s, system_bundles[i], &missing) && s->seen)
			return true;
	/* another kind of store (p11-kit's, say): the library knows */
	return gnutls_x509_trust_list_add_system_trust(s->list, 0, 0) > 0;
}

bool tls_trust(struct tls *t, const struct tls_chain *c, bool all,
	       struct outcome *why)
{
	const struct tls_params *p = t->params;
	struct search s = { .all = all };
	bool done = true;
	unsigned i;
	int n = 1;

	if (gnutls_x509_trust_list_init(&s.list, 0) < 0)
		return outcome_fail(why, STAGE_TLS, EX_OSERR,
				    "no memory for a trust list");
	for (i = 0; i < c->n; i++) {
		if (!gnutls_x509_crt_get_raw_issuer_dn(c->crt[i],
						       &s.name[s.names]))
			s.names++;
		if (!gnutls_x509_crt_get_raw_dn(c->crt[i], &s.name[s.names]))
			s.names++;
	}
	if (p->ca_file)
		done = search_own(&s, p->ca_file, why);
	else
		t->no_authorities = !search_system(&s);
	/* a macro, which reads what it is given twice */
	for (i = 0; i < s.names; i++)
		gnutls_free(s.name[i].data);
	free(s.der);
	if (done && p->crl_file && access(p->crl_file, R_OK) < 0)
		done = tls_cannot_read("CRL file", p->crl_file, why);
	if (done && p->crl_file)
		n = gnutls_x509_trust_list_add_trust_file(
			s.list, NULL, p->crl_file, GNUTLS_X509_FMT_PEM, 0, 0);
	if (n <= 0)
		done = outcome_fail(why, STAGE_TLS, EX_CONFIG, "cannot read "
				    "the CRL file %s: %s", p->crl_file,
				    n ? gnutls_strerror(n) :
				    "it holds no CRL");
	if (!done) {
		gnutls_x509_trust_list_deinit(s.list, 1);
		return false;
	}
	/* the credentials own it from here on, and free the one before */
	gnutls_certificate_set_trust_list(t->credentials, s.list, 0);
	return true;
}

/* --- files, before a server waits for them --- */

static bool file_unfit(struct outcome *why, const char *words)
{
	return outcome_fail(why, STAGE_TLS, EX_CONFIG, "%s", words);
}

static bool load_file(const char *path, gnutls_datum_t *data,
		      struct outcome *why)
{
	int error;

	errno = 0;
	error = gnutls_load_file(path, data);
	if (error == GNUTLS_E_FILE_ERROR)
		return file_unfit(why, strerror(errno ? errno : EIO));
	if (error < 0)
		return file_unfit(why, gnutls_strerror(error));
	return true;
}

/* How many certificates, or CRLs, a trust list takes from the file. */
static int trusted_from(const gnutls_datum_t *cas, const gnutls_datum_t *crls,
			gnutls_x509_crt_fmt_t form)
{
	gnutls_x509_trust_list_t list;
	int n;

	if (gnutls_x509_trust_list_init(&list, 0) < 0)
		return 0;
	n = gnutls_x509_trust_list_add_trust_mem(list, cas, crls, form, 0, 0);
	gnutls_x509_trust_list_deinit(list, 1);
	return n;
}

bool tls_ca_file_valid(const char *path, struct outcome *why)
{
	gnutls_datum_t data = { 0 };
	bool good;

	if (!load_file(path, &data, why))
		return false;
	good = trusted_from(&data, NULL, GNUTLS_X509_FMT_PEM) > 0 ||
	       trusted_from(&data, NULL, GNUTLS_X509_FMT_DER) > 0;
	gnutls_free(data.data);
	return good || file_unfit(why, "holds no certificate");
}

bool tls_crl_file_valid(const char *path, struct outcome *why)
{
	gnutls_datum_t data = { 0 };
	bool good;

	if (!load_file(path, &data, why))
		return false;
	good = trusted_from(NULL, &data, GNUTLS_X509_FMT_PEM) > 0;
	gnutls_free(data.data);
	return good || file_unfit(why, "holds no CRL (PEM)");
}

bool tls_is_uri(const char *path)
{
	return !strncasecmp(path, "pkcs11:", 7) ||
	       !strncasecmp(path, "tpmkey:", 7) ||
	       !strncasecmp(path, "system:", 7);
}

bool tls_certificate_valid(const char *path, struct outcome *why)
{
	gnutls_datum_t data = { 0 };
	bool good;

	if (tls_is_uri(path))
		return true;
	if (!load_file(path, &data, why))
		return false;
	good = trusted_from(&data, NULL, GNUTLS_X509_FMT_PEM) > 0;
	gnutls_free(data.data);
	return good || file_unfit(why, "holds no certificate (PEM)");
}

bool tls_key_valid(const char *path, struct outcome *why)
{
	gnutls_privkey_t key = NULL;
	gnutls_datum_t data = { 0 };
	bool good;

	if (tls_is_uri(path))
		return true;
	if (!load_file(path, &data, why))
		return false;
	good = gnutls_privkey_init(&key) >= 0 &&
	       gnutls_privkey_import_x509_raw(key, &data, GNUTLS_X509_FMT_PEM,
					      NULL, 0) >= 0;
	if (key)
		gnutls_privkey_deinit(key);
	mem_wipe(data.data, data.size);
	gnutls_free(data.data);
	return good || file_unfit(why, "holds no private key (PEM, without a "
				  "passphrase)");
}

bool tls_key_fits(const char *certificate, const char *key,
		  struct outcome *why)
{
	gnutls_certificate_credentials_t credentials;
	int error;

	if (tls_is_uri(certificate) || tls_is_uri(key))
		return true;
	if (gnutls_certificate_allocate_credentials(&credentials) < 0)
		return file_unfit(why, "no memory");
	error = gnutls_certificate_set_x509_key_file(credentials, certificate,
						     key,
						     GNUTLS_X509_FMT_PEM);
	gnutls_certificate_free_credentials(credentials);
	return error >= 0 || file_unfit(why, gnutls_strerror(error));
}

bool tls_certificate_expiry(const char *path, time_t *ends,
			    struct outcome *why)
{
	gnutls_datum_t data = { 0 };
	gnutls_x509_crt_t crt;
	int error;

	if (tls_is_uri(path))
		return file_unfit(why, "is not a file");
	if (!load_file(path, &data, why))
		return false;
	error = gnutls_x509_crt_init(&crt);
	if (error >= 0) {
		error = gnutls_x509_crt_import(crt, &data,
					       GNUTLS_X509_FMT_PEM);
		*ends = gnutls_x509_crt_get_expiration_time(crt);
		gnutls_x509_crt_deinit(crt);
	}
	gnutls_free(data.data);
	return error >= 0 || file_unfit(why, gnutls_strerror(error));
}

bool tls_crl_renewal(const char *path, time_t *due, struct outcome *why)
{
	gnutls_datum_t data = { 0 };
	gnutls_x509_crl_t *crl = NULL;
	unsigned n = 0, i;
	bool told = false;
	time_t next;

	if (!load_file(path, &data, why))
		return false;
	if (gnutls_x509_crl_list_import2(&crl, &n, &data, GNUTLS_X509_FMT_PEM,
					 0) < 0)
		n = 0;
	for (i = 0; i < n; i++) {
		next = gnutls_x509_crl_get_next_update(crl[i]);
		if (next != (time_t)-1 && (!told || next < *due))
			*due = next;
		told = told || next != (time_t)-1;
		gnutls_x509_crl_deinit(crl[i]);
	}
	gnutls_free(crl);
	gnutls_free(data.data);
	return told || file_unfit(why, "says nothing of a renewal");
}

bool tls_system_has_trust(void)
{
	gnutls_x509_trust_list_t list;
	struct outcome ignored;
	size_t i;
	int n;

	if (gnutls_x509_trust_list_init(&list, 0) < 0)
		return true;
	n = gnutls_x509_trust_list_add_system_trust(list, 0, 0);
	gnutls_x509_trust_list_deinit(list, 1);
	for (i = 0; n <= 0 &&
	     i < sizeof(system_bundles) / sizeof(*system_bundles); i++)
		if (tls_ca_file_valid(system_bundles[i], &ignored))
			return true;
	return n > 0;
}
