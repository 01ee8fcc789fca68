/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The records that a domain publishes about its mail, as --dnscheck reports
 * on them: DKIM, DMARC, TLSRPT, MTA-STS and its policy. The input's lines are
 * "NAME TEXT", the TXT record of a name that begins so; "policy TEXT" is the
 * policy, "!NAME" is a name that cannot be looked up, and "@" in a TEXT what
 * the right key asks for. What is shown can be printed, and a key that is
 * not the one that signs is never right.
 */
#include <gnutls/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config.h"
#include "dnscheck/dnscheck_parts.h"
#include "mail/dkim.h"
#include "parts.h"
#include "submit/mtasts.h"
#include "submit/mtasts_fetch.h"

enum { LINES = 32 };

static char *line[LINES], *right;
static size_t lines;
static struct config config;

/* --- what is asked --- */

static void add_text(struct dns_answer *a, const char *text)
{
	const char *at = strchr(text, '@');
	struct buf b = BUF(FUZZ_MOST);
	struct dns_record *r;

	a->record = mem_resize(a->record, a->n + 1, sizeof(*r));
	r = &a->record[a->n++];
	*r = (struct dns_record){ 0 };
	buf_add(&b, text, at ? (size_t)(at - text) : strlen(text));
	if (at)
		buf_addf(&b, "%s%s", right, at + 1);
	r->text = mem_string(buf_text(&b));
	r->text_len = b.len;
	buf_release(&b);
}

void dns_query(struct dns *d, const char *name, enum dns_type type,
	       struct dns_answer *a)
{
	size_t i, n;

	(void)d;
	fuzz_want(type == DNS_TXT);
	*a = (struct dns_answer){ .status = DNS_NXDOMAIN };
	for (i = 0; i < lines; i++) {
		n = strcspn(line[i], " ");
		if (*line[i] == '!' && !strncmp(name, line[i] + 1, n - 1)) {
			a->status = DNS_FAILED;
			snprintf(a->words, sizeof(a->words), "failed");
			return;
		}
		if (line[i][n] && !strncmp(name, line[i], n))
			add_text(a, line[i] + n + 1);
	}
	if (a->n)
		a->status = DNS_OK;
}

void dns_answer_release(struct dns_answer *a)
{
	while (a->n)
		free(a->record[--a->n].text);
	free(a->record);
	*a = (struct dns_answer){ 0 };
}

struct dns *run_dns(struct run *run)
{
	(void)run;
	return NULL;
}

bool run_has_ipv6(struct run *run)
{
	(void)run;
	return false;
}

bool sts_fetch(struct run *run, const struct transport *through,
	       const char *of, struct buf *text, struct outcome *why)
{
	size_t i;

	(void)run;
	(void)through;
	(void)of;
	for (i = 0; i < lines; i++)
		if (!strncmp(line[i], "policy ", 7))
			buf_addf(text, "%s\n", line[i] + 7);
	return text->len || outcome_fail(why, STAGE_DNS, EX_UNAVAILABLE, "no");
}

/* --- --- */

static void make_key(void)
{
	gnutls_datum_t pem = { 0 };
	gnutls_x509_privkey_t x;
	struct buf b = BUF(1024);
	struct dkim_key *key;
	struct outcome why;
	char path[64];
	int fd;

	fuzz_want(!gnutls_x509_privkey_init(&x) &&
		  !gnutls_x509_privkey_generate(x, GNUTLS_PK_EDDSA_ED25519,
						256, 0) &&
		  !gnutls_x509_privkey_export2_pkcs8(x, GNUTLS_X509_FMT_PEM,
						     NULL, GNUTLS_PKCS_PLAIN,
						     &pem));
	/* it stays open: the configuration names it */
	fd = fuzz_file(pem.data, pem.size);
	fuzz_path(fd, path);
	fuzz_want(dkim_key_read(path, &key, &why) &&
		  dkim_key_record(key, &right, &why));
	dkim_key_free(key);
	gnutls_free(pem.data);
	gnutls_x509_privkey_deinit(x);
	buf_addf(&b, "[general]\nhostname = h.example\n[domain sub.d.example]\n"
		 "dkim_selector = s\ndkim_key = %s\n[transport t]\n"
		 "kind = discard\n[route r]\ntransport = t\n", path);
	fuzz_config(buf_text(&b), &config);
	buf_release(&b);
}

static void want_rows(const struct dnscheck *c)
{
	struct buf out = BUF(FUZZ_MOST);
	size_t i;

	rows_show(c, &out);
	fuzz_want(out.len && fuzz_is_clean(out.data, out.len));
	buf_reset(&out);
	rows_show_json(c, &out);
	fuzz_want(out.len && fuzz_is_clean(out.data, out.len));
	for (i = 0; i < c->rows; i++)
		fuzz_want(*c->row[i].found && *c->row[i].subject);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const struct log_settings none = { .to = "none" };
	const struct desk d = { .config = &config };
	struct dnscheck c = { .d = &d, .run = { .config = &config },
			      .domain = (char *)"sub.d.example" };
	const char *rest = (const char *)data;
	const bool said = n && memchr(data, '@', n);

	log_open(&none);
	if (!right)
		make_key();
	while (n && lines < LINES)
		line[lines++] = fuzz_line(&rest, &n);
	list_add(&c.mx, "mx.d.example");
	check_dkim(&c);
	fuzz_want(c.rows == 1);
	/* nobody else knows it */
	fuzz_want(said || c.row[0].grade == GRADE_FAIL);
	check_dmarc(&c);
	check_tlsrpt(&c);
	check_mta_sts(&c);
	want_rows(&c);
	rows_release(&c);
	list_release(&c.mx);
	while (lines)
		free(line[--lines]);
	return 0;
}
