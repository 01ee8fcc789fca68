/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signatures are verified here by GnuTLS over canonical text written by
 * hand. Key and body are those of RFC 8463, appendix A. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include <cmocka.h>

#include "base/buf.h"
#include "mail/dkim.h"

static const char ed25519_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
	"-----END PRIVATE KEY-----\n";

static char ed25519_path[] = "/tmp/dkim-ed-XXXXXX";
static char rsa_path[] = "/tmp/dkim-rsa-XXXXXX";
static char weak_path[] = "/tmp/dkim-weak-XXXXXX";
static char bad_path[] = "/tmp/dkim-bad-XXXXXX";

static void write_temporary(char *path, const void *data, size_t n)
{
	const int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), n);
	close(fd);
}

static void write_rsa(char *path, unsigned bits)
{
	gnutls_x509_privkey_t key;
	gnutls_datum_t pem;

	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_RSA,
						      bits, 0), 0);
	assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM,
						     &pem), 0);
	write_temporary(path, pem.data, pem.size);
	gnutls_free(pem.data);
	gnutls_x509_privkey_deinit(key);
}

static int make_keys(void **state)
{
	(void)state;
	write_temporary(ed25519_path, ed25519_pem, sizeof(ed25519_pem) - 1);
	write_temporary(bad_path, "no key\n", 7);
	write_rsa(rsa_path, 2048);
	write_rsa(weak_path, 1024);
	return 0;
}

static int remove_keys(void **state)
{
	(void)state;
	unlink(ed25519_path);
	unlink(rsa_path);
	unlink(weak_path);
	unlink(bad_path);
	return 0;
}

static struct dkim_key *key_of(const char *path)
{
	struct dkim_key *key;
	struct outcome why;

	assert_true(dkim_key_read(path, &key, &why));
	return key;
}

static struct message *message_of(const char *text)
{
	struct message *m;
	struct outcome why;

	assert_true(message_from_text(text, strlen(text), &m, &why));
	return m;
}

static char *signed_by(const char *path, const char *text)
{
	struct dkim_key *key = key_of(path);
	const struct dkim_signer s = { "football.example.com", "brisbane",
				       key, 1528637909 };
	struct message *m = message_of(text);
	struct buf b = BUF(64 * 1024);
	struct outcome why;

	assert_true(dkim_sign(m, &s, &b, &why));
	message_free(m);
	dkim_key_free(key);
	return buf_take(&b);
}

#define BODY "Hi.\n\nWe lost the game.  Are you hungry yet?\n\nJoe.\n"
#define BODY_HASH "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="

static const char football[] =
	"From: Joe SixPack <joe@football.example.com>\n"
	"To: Suzie Q <suzie@shopping.example.net>\n"
	"Subject: Is dinner ready?\n"
	"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\n"
	"Message-ID: <20030712040037.46341.5F8J@football.example.com>\n"
	"\n" BODY;

static void keys(void **state)
{
	static const char public[] = "v=DKIM1; k=ed25519; "
		"p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
	struct dkim_key *key = key_of(ed25519_path);
	const char *const bad[] = { weak_path, bad_path, "/nonexistent/key",
				    "/dev/null", "/" };
	struct outcome why = { 0 };
	char *record;
	size_t i;

	(void)state;
	assert_true(dkim_key_record(key, &record, &why));
	assert_string_equal(record, public);
	free(record);
	dkim_key_free(key);
	key = key_of(rsa_path);
	assert_true(dkim_key_record(key, &record, &why));
	assert_memory_equal(record, "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG", 34);
	free(record);
	dkim_key_free(key);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (dkim_key_read(bad[i], &key, &why))
			fail_msg("%s was taken", bad[i]);
		assert_int_equal(why.exit, EX_TEMPFAIL);
		assert_non_null(strstr(why.text, bad[i]));
	}
	assert_non_null(strstr(why.text, "cannot be read: Is a directory"));
}

/* --- bodies --- */

static void bodies(void **state)
{
	static const struct { const char *body, *hash; } rows[] = {
		{ BODY, BODY_HASH },
		{ BODY "\n\n \t\n", BODY_HASH },
		{ "Hi.   \n\nWe lost  the game. \t Are you hungry yet?\n"
		  "\t\nJoe. ", BODY_HASH },
		/* SHA-256 of nothing */
		{ "", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" },
		{ "\n \n\t\n", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" },
		/* of " C\r\nD E\r\n" */
		{ " C \nD \t E\n\n\n",
		  "unak6JHq0wL+Q1HP7dW1tjBx9FLA6DffoZ0qrLwbbpo=" },
	};
	char *field, *text;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		text = mem_printf("From: a@b\n\n%s", rows[i].body);
		field = signed_by(ed25519_path, text);
		if (!strstr(field, rows[i].hash))
			fail_msg("row %zu: %s", i, field);
		free(field);
		free(text);
	}
}

/* --- whole signatures --- */

/* The field without the value of b, as relaxed canonicalisation has it. */
static char *canonical_signature(const char *field)
{
	const char *b = strstr(field, "\tb=");
	struct buf out = BUF(64 * 1024);
	const char *p;

	assert_non_null(b);
	buf_adds(&out, "dkim-signature:");
	for (p = field + strlen("DKIM-Signature: "); p < b + 3; p++) {
		if (*p == '\r' || *p == '\n')
			continue;
		buf_addc(&out, *p == '\t' ? ' ' : *p);
	}
	return buf_take(&out);
}

static gnutls_datum_t signature_of(const char *field)
{
	const char *p = strstr(field, "\tb=") + 3;
	struct buf out = BUF(64 * 1024);
	gnutls_datum_t text, raw;

	for (; *p; p++)
		if (*p > ' ')
			buf_addc(&out, *p);
	text.data = (unsigned char *)out.data;
	text.size = (unsigned)out.len;
	assert_int_equal(gnutls_base64_decode2(&text, &raw), 0);
	buf_release(&out);
	return raw;
}

static gnutls_pubkey_t public_of(const char *path)
{
	static char pem[8192];
	gnutls_privkey_t key;
	gnutls_pubkey_t public;
	gnutls_datum_t data = { (unsigned char *)pem, 0 };
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	data.size = (unsigned)fread(pem, 1, sizeof(pem), f);
	fclose(f);
	gnutls_privkey_init(&key);
	assert_int_equal(gnutls_privkey_import_x509_raw(key, &data,
			 GNUTLS_X509_FMT_PEM, NULL, 0), 0);
	gnutls_pubkey_init(&public);
	gnutls_pubkey_import_privkey(public, key, 0, 0);
	gnutls_privkey_deinit(key);
	return public;
}

static int verify(const char *path, const char *field, const char *header)
{
	gnutls_pubkey_t public = public_of(path);
	char *last = canonical_signature(field);
	char *whole = mem_printf("%s%s", header, last);
	gnutls_datum_t data = { (unsigned char *)whole,
				(unsigned)strlen(whole) };
	gnutls_datum_t signature = signature_of(field);
	unsigned char hash[32];
	int rc;

	if (path == rsa_path) {
		rc = gnutls_pubkey_verify_data2(public,
			GNUTLS_SIGN_RSA_SHA256, 0, &data, &signature);
	} else {
		gnutls_hash_fast(GNUTLS_DIG_SHA256, whole, strlen(whole),
				 hash);
		data = (gnutls_datum_t){ hash, sizeof(hash) };
		rc = gnutls_pubkey_verify_data2(public,
			GNUTLS_SIGN_EDDSA_ED25519, 0, &data, &signature);
	}
	gnutls_free(signature.data);
	gnutls_pubkey_deinit(public);
	free(whole);
	free(last);
	return rc;
}

struct row {
	const char *what;
	const char *text;
	const char *h;        /* without folding */
	const char *header;   /* canonical */
};

static const struct row rows[] = {
	{ "RFC 8463", football,
	  "h=From:To:Subject:Date:Message-ID:From:Subject:Date:To:Cc;",
	  "from:Joe SixPack <joe@football.example.com>\r\n"
	  "to:Suzie Q <suzie@shopping.example.net>\r\n"
	  "subject:Is dinner ready?\r\n"
	  "date:Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
	  "message-id:<20030712040037.46341.5F8J@football.example.com>\r\n" },
	{ "white space", "from :  a@b \n\t c \nX: y\nSUBJECT:\n \n x\n\nhi\n",
	  "h=From:Subject:From:Subject:Date:To:Cc;",
	  "from:a@b c\r\nsubject:x\r\n" },
	{ "empty field", "From: a@b\nSubject:\n\nhi\n",
	  "h=From:Subject:From:Subject:Date:To:Cc;",
	  "from:a@b\r\nsubject:\r\n" },
	{ "twice: from the bottom up", "To: 1@x\nFrom: a@b\nTo: 2@x\n\nhi\n",
	  "h=From:To:To:From:Subject:Date:To:Cc;",
	  "from:a@b\r\nto:2@x\r\nto:1@x\r\n" },
	{ "no body", "From: a@b\n\n", "h=From:From:Subject:Date:To:Cc;",
	  "from:a@b\r\n" },
};

static char *unfolded(const char *field)
{
	struct buf b = BUF(64 * 1024);

	for (; *field; field++)
		if (*field != '\r' && *field != '\n' && *field != '\t')
			buf_addc(&b, *field);
	return buf_take(&b);
}

static void check(const struct row *r, const char *path)
{
	char *field = signed_by(path, r->text);
	char *flat = unfolded(field);

	if (!strstr(flat, r->h))
		fail_msg("%s: %s", r->what, flat);
	if (verify(path, field, r->header) < 0)
		fail_msg("%s: %s does not verify", r->what, field);
	if (verify(path, field, "from:x\r\n") >= 0)
		fail_msg("%s: anything verifies", r->what);
	free(flat);
	free(field);
}

static void signatures(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		check(&rows[i], ed25519_path);
		check(&rows[i], rsa_path);
	}
}

/* No line over 78, every one continued as a field is. */
static void shape(void **state)
{
	char *field = signed_by(rsa_path, football), *p, *end;

	(void)state;
	for (p = field; *p; p = end + 2) {
		end = strstr(p, "\r\n");
		assert_non_null(end);
		assert_true(end - p <= 78);
		assert_true(p == field || *p == '\t');
	}
	assert_non_null(strstr(field, " a=rsa-sha256; c=relaxed/relaxed;"));
	assert_non_null(strstr(field, "t=1528637909;"));
	free(field);
}

static void repeated_without_end(void **state)
{
	struct buf b = BUF(1 << 24);
	char *field;
	int i;

	(void)state;
	buf_adds(&b, "From: a@b\n");
	for (i = 0; i < 10000; i++)
		buf_addf(&b, "To: x%d@example.org\n", i);
	buf_adds(&b, "\nhi\n");
	field = signed_by(ed25519_path, buf_text(&b));
	assert_true(strlen(field) < 1000);
	assert_int_equal(verify(ed25519_path, field, "from:a@b\r\n"), 0);
	free(field);
	buf_release(&b);
}

static void found_signatures(void **state)
{
	static const struct { const char *field; bool found; } table[] = {
		{ "DKIM-Signature: v=1; d=x.example; s=sel; b=", true },
		{ "dkim-signature: d=X.example;\n\ts = sel ;b=", true },
		{ "DKIM-Signature: s=sel;d=x.example", true },
		{ "DKIM-Signature: d=y.example; s=sel", false },
		{ "DKIM-Signature: d=x.example; s=sel2", false },
		{ "DKIM-Signature: d=x.example.org; s=sel", false },
		{ "DKIM-Signature: bd=x.example; s=sel", false },
		{ "DKIM-Signature: d=x.example", false },
		{ "DKIM-Signature: d", false },
		{ "DKIM-Signature: ;;;", false },
		{ "DKIM-Signature:", false },
		{ "X-DKIM-Signature: d=x.example; s=sel", false },
	};
	struct message *m;
	struct outcome why;
	bool found;
	char *text;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(*table); i++) {
		text = mem_printf("%s\nFrom: a@b\n\nhi\n", table[i].field);
		m = message_of(text);
		assert_true(dkim_is_signed(m, "x.example", "sel", &found,
					   &why));
		if (found != table[i].found)
			fail_msg("%s", table[i].field);
		message_free(m);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys),
		cmocka_unit_test(bodies),
		cmocka_unit_test(signatures),
		cmocka_unit_test(shape),
		cmocka_unit_test(repeated_without_end),
		cmocka_unit_test(found_signatures),
	};

	return cmocka_run_group_tests(tests, make_keys, remove_keys);
}
