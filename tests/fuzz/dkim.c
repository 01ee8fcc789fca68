/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any message is signed, and the signature verified by a verifier of our own,
 * which knows RFC 6376 and nothing of src/mail/dkim.c: it canonicalises whole
 * texts, line by line and field by field, where the signer runs through bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "base/log.h"
#include "mail/dkim.h"
#include "parts.h"
#include "wire/digest.h"

enum { FIELDS = 512 };

struct plain_field {
	char name[80];           /* lower case */
	struct buf value;        /* relaxed */
	bool used;
};

static struct dkim_key *key;
static gnutls_pubkey_t public;

static void make_key(void)
{
	gnutls_x509_privkey_t x = NULL;
	gnutls_privkey_t private = NULL;
	gnutls_datum_t pem = { 0 };
	struct outcome why;
	char path[64];
	int fd;

	fuzz_want(!gnutls_x509_privkey_init(&x) &&
		  !gnutls_x509_privkey_generate(x, GNUTLS_PK_EDDSA_ED25519,
						256, 0) &&
		  !gnutls_x509_privkey_export2_pkcs8(x, GNUTLS_X509_FMT_PEM,
						     NULL, GNUTLS_PKCS_PLAIN,
						     &pem) &&
		  !gnutls_privkey_init(&private) &&
		  !gnutls_privkey_import_x509(private, x, 0) &&
		  !gnutls_pubkey_init(&public) &&
		  !gnutls_pubkey_import_privkey(public, private, 0, 0));
	fd = fuzz_file(pem.data, pem.size);
	fuzz_path(fd, path);
	fuzz_want(dkim_key_read(path, &key, &why));
	close(fd);
	gnutls_free(pem.data);
	gnutls_privkey_deinit(private);
	gnutls_x509_privkey_deinit(x);
}

static bool is_white(char c)
{
	return c == ' ' || c == '\t';
}

/* Runs of blanks are one, those at the end none; those at the beginning are
 * none in a field. */
static void relax(struct buf *out, const char *p, size_t n, bool field)
{
	size_t i;

	while (n && is_white(p[n - 1]))
		n--;
	for (i = 0; i < n; i++) {
		if (!is_white(p[i]))
			buf_addc(out, p[i]);
		else if (!(i && is_white(p[i - 1])) && !(field && !i))
			buf_addc(out, ' ');
	}
}

/* RFC 6376 3.4.4 */
static void relaxed_body(struct buf *out, const char *p, const char *end)
{
	size_t whole = 0;
	const char *eol;

	for (; p < end; p = eol + 2) {
		eol = memmem(p, (size_t)(end - p), "\r\n", 2);
		fuzz_want(eol);
		relax(out, p, (size_t)(eol - p), false);
		if (out->len && out->data[out->len - 1] != '\n')
			whole = out->len + 2;
		buf_adds(out, "\r\n");
	}
	fuzz_want(whole <= out->len);
	out->len = whole;
}

/* RFC 6376 3.4.2, of the field that p begins with, to its end. */
static const char *relaxed_field(struct plain_field *f, const char *p)
{
	struct buf unfolded = BUF(FUZZ_MOST);
	const char *colon = strchr(p, ':'), *eol;
	size_t n = (size_t)(colon - p), i;

	while (n && is_white(p[n - 1]))
		n--;
	*f = (struct plain_field){ .value = BUF(FUZZ_MOST) };
	for (i = 0; i < n && i < sizeof(f->name) - 1; i++)
		f->name[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ?
				    p[i] + 32 : p[i]);
	p = colon + 1;
	do {
		eol = strstr(p, "\r\n");
		fuzz_want(eol);
		buf_add(&unfolded, p, (size_t)(eol - p));
		p = eol + 2;
	} while (is_white(*p));
	relax(&f->value, buf_text(&unfolded), unfolded.len, true);
	buf_release(&unfolded);
	return p;
}

/* The value of a tag, without any blanks. */
static void tag_of(const struct buf *list, const char *name, struct buf *out)
{
	const char *p = buf_text((struct buf *)list), *end;

	*out = BUF(FUZZ_MOST);
	for (; *p; p = end + (*end == ';')) {
		end = strchrnul(p, ';');
		p += strspn(p, " ");
		if (strncmp(p, name, strlen(name)) || p[strlen(name)] != '=')
			continue;
		for (p += strlen(name) + 1; p < end; p++)
			if (*p != ' ')
				buf_addc(out, *p);
		return;
	}
	fuzz_want(false);
}

static void want_body_hash(const struct buf *tags, const char *body,
			   const char *end)
{
	unsigned char hash[SHA256_SIZE];
	struct buf relaxed = BUF(FUZZ_MOST), bh, ours = BUF(100);

	relaxed_body(&relaxed, body, end);
	fuzz_want(digest_sha256(buf_text(&relaxed), relaxed.len, hash));
	buf_add_base64(&ours, hash, sizeof(hash));
	tag_of(tags, "bh", &bh);
	fuzz_want(!strcmp(buf_text(&bh), buf_text(&ours)));
	buf_release(&relaxed);
	buf_release(&bh);
	buf_release(&ours);
}

/* What is signed of the header: of each name in h= the last that was not
 * taken yet. */
static void signed_fields(struct buf *out, struct plain_field *f, size_t n,
			  const struct buf *tags)
{
	struct buf h;
	char *name, *rest;
	size_t i;

	tag_of(tags, "h", &h);
	buf_text(&h);
	for (name = strtok_r(h.data, ":", &rest); name;
	     name = strtok_r(NULL, ":", &rest)) {
		for (i = n; i > 0; i--)
			if (!f[i - 1].used && !strcasecmp(f[i - 1].name, name))
				break;
		if (!i)
			continue;
		f[i - 1].used = true;
		buf_addf(out, "%s:", f[i - 1].name);
		buf_add(out, buf_text(&f[i - 1].value), f[i - 1].value.len);
		buf_adds(out, "\r\n");
	}
	buf_release(&h);
}

static void want_signature(struct buf *what, const struct plain_field *own)
{
	const char *value = buf_text((struct buf *)&own->value);
	const char *b = strstr(value, "; b=");
	unsigned char hash[SHA256_SIZE], raw[256];
	gnutls_datum_t data = { hash, sizeof(hash) }, signature = { raw, 0 };

	fuzz_want(b && strlen(b) < 300);
	buf_addf(what, "%s:", own->name);
	buf_add(what, value, (size_t)(b + strlen("; b=") - value));
	fuzz_want(digest_sha256(buf_text(what), what->len, hash));
	signature.size = (unsigned)fuzz_base64(b + 4, strlen(b + 4), raw);
	fuzz_want(gnutls_pubkey_verify_data2(public,
					     GNUTLS_SIGN_EDDSA_ED25519, 0,
					     &data, &signature) >= 0);
}

/* All of From that are there, and once more, so that none can be added. */
static void want_oversigned(struct plain_field *f, size_t n)
{
	size_t i, froms = 0;

	for (i = 0; i < n; i++)
		froms += !strcmp(f[i].name, "from");
	for (i = 0; i < n && froms <= 8; i++)
		fuzz_want(strcmp(f[i].name, "from") || f[i].used ||
			  f[i].value.len > 32 * 1024);
}

static void verify(const struct buf *text, size_t header, char *field)
{
	struct plain_field *f = mem_alloc(FIELDS * sizeof(*f)), own;
	struct buf what = BUF(FUZZ_MOST);
	const char *p = text->data;
	size_t i, n = 0;

	fuzz_want(!*relaxed_field(&own, field));
	fuzz_want(!strcmp(own.name, "dkim-signature"));
	while (p < text->data + header - 2 && n < FIELDS)
		p = relaxed_field(&f[n++], p);
	want_body_hash(&own.value, text->data + header,
		       text->data + text->len);
	if (p == text->data + header - 2) {
		signed_fields(&what, f, n, &own.value);
		want_signature(&what, &own);
		want_oversigned(f, n);
	}
	for (i = 0; i < n; i++)
		buf_release(&f[i].value);
	buf_release(&own.value);
	buf_release(&what);
	free(f);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const struct log_settings none = { .to = "none" };
	struct dkim_signer signer = { .domain = "d.example", .selector = "s",
				      .now = 1700000000 };
	struct buf text, field = BUF(FUZZ_MOST);
	struct outcome why;
	struct message *m;
	bool found = true;

	log_open(&none);
	if (!key)
		make_key();
	signer.key = key;
	m = fuzz_message((const char *)data, n);
	if (!m)
		return 0;
	fuzz_want(dkim_is_signed(m, "d.example", "s", &found, &why));
	if (message_facts(m)->signature)
		(void)found;
	else
		fuzz_want(!found);
	fuzz_message_bytes(m, &text);
	buf_text(&text);
	if (!memchr(text.data, '\0', text.len) && dkim_sign(m, &signer, &field,
							    &why))
		verify(&text, (size_t)message_header_size(m),
		       buf_text(&field) ? field.data : NULL);
	buf_release(&text);
	buf_release(&field);
	message_free(m);
	return 0;
}
