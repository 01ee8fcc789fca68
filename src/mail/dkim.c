/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The signature's field. Which fields it covers, and in which order, is ours
 * to choose: one walk over the header tells what is there and where, and each
 * field is then looked up where it lies. Of names that occur more than once
 * RFC 6376 5.4.2 takes the last first.
 */
#include "mail/dkim.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/library_gnutls.h"
#include "base/list.h"
#include "base/scan.h"
#include "mail/dkim_parts.h"
#include "mail/lines.h"

enum { OVERSIGNED = 5, REPEATS_MAX = 8, LINE = 72 };

/* The first OVERSIGNED are signed once more than they occur. */
static const char *const names[] = {
	"From", "Subject", "Date", "To", "Cc",
	"Message-ID", "Sender", "Reply-To", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
	"Content-Disposition", "Content-ID", "Content-Description",
	"Resent-Date", "Resent-From", "Resent-Sender", "Resent-To",
	"Resent-Cc", "Resent-Message-ID", "List-Id", "List-Help",
	"List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe",
	"List-Post", "List-Owner", "List-Archive", "TLS-Required",
	"Auto-Submitted",
};
enum { NAMES = sizeof(names) / sizeof(*names) };

static const char field_name[] = "DKIM-Signature";

/* --- relaxed canonicalisation, straight into SHA-256 --- */

/* A SHA-256 in the making, fed in small steps. */
struct dkim_hash {
	gnutls_hash_hd_t handle;
	size_t n;
	char part[4096];
};

static bool hash_begin(struct dkim_hash *h, struct outcome *why)
{
	const int rc = gnutls_hash_init(&h->handle, GNUTLS_DIG_SHA256);

	if (rc < 0)
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "DKIM: no SHA-256: %s",
				    gnutls_strerror(rc));
	h->n = 0;
	return true;
}

static void hash_flush(struct dkim_hash *h)
{
	if (h->n)
		gnutls_hash(h->handle, h->part, h->n);
	h->n = 0;
}

static void hash_put(struct dkim_hash *h, char c)
{
	if (h->n == sizeof(h->part))
		hash_flush(h);
	h->part[h->n++] = c;
}

static void hash_line_end(struct dkim_hash *h)
{
	hash_put(h, '\r');
	hash_put(h, '\n');
}

static void hash_end(struct dkim_hash *h, unsigned char out[DKIM_HASH])
{
	hash_flush(h);
	gnutls_hash_deinit(h->handle, out);
}

/* A header field by the relaxed algorithm (RFC 6376 3.4.2), its CRLF
 * included unless it is the signature's own. */
static void hash_field(struct dkim_hash *h, const struct field *f, bool end)
{
	const char *p, *stop = f->value + f->value_len;
	bool blank = false, any = false;

	for (p = f->name; p < f->name + f->name_len; p++)
		hash_put(h, *p >= 'A' && *p <= 'Z' ?
			 (char)(*p + ('a' - 'A')) : *p);
	hash_put(h, ':');
	for (p = f->value; p < stop; p++) {
		if (scan_is_blank(*p)) {
			blank = blank || is_wsp(*p);
			continue;
		}
		if (blank && any)
			hash_put(h, ' ');
		hash_put(h, *p);
		blank = false;
		any = true;
	}
	if (end)
		hash_line_end(h);
}

/* Where in the body it is. */
struct dkim_body {
	struct dkim_hash hash;
	int64_t lines;     /* line ends that count once something follows */
	bool blank;        /* blanks likewise */
	bool any;
};

/* The body by the relaxed algorithm (RFC 6376 3.4.4). */
static bool hash_body(struct message *m, unsigned char out[DKIM_HASH],
		      struct outcome *why)
{
	int64_t offset = message_header_size(m);
	struct dkim_body b = { 0 };
	const char *data, *end;
	long n;

	if (!hash_begin(&b.hash, why))
		return false;
	while ((n = message_bytes(m, offset, &data)) > 0) {
		for (end = data + n; data < end; data++) {
			if (*data == '\r')
				continue;
			if (*data == '\n') {
				b.lines++;
				b.blank = false;
				continue;
			}
			if (is_wsp(*data)) {
				b.blank = true;
				continue;
			}
			for (; b.lines; b.lines--)
				hash_line_end(&b.hash);
			if (b.blank)
				hash_put(&b.hash, ' ');
			hash_put(&b.hash, *data);
			b.blank = false;
			b.any = true;
		}
		offset += n;
	}
	if (b.any)
		hash_line_end(&b.hash);
	hash_end(&b.hash, out);
	return n == 0 ||
	       outcome_fail(why, STAGE_LOCAL, EX_IOERR,
			    "the message cannot be read to be signed");
}

/* --- which fields --- */

struct signature {
	const struct dkim_signer *signer;
	unsigned count[NAMES];
	int64_t at[NAMES][REPEATS_MAX];  /* where they are */
	bool cut[NAMES];           /* too long to be signed */
	size_t order[NAMES];       /* names as they first occur */
	size_t n;
	struct list h;             /* names as h= has them */
	struct dkim_hash hash;
};

static bool note_signed(const struct field *f, void *context)
{
	struct signature *s = context;
	size_t i;

	for (i = 0; i < NAMES; i++)
		if (field_is(f, names[i]))
			break;
	if (i == NAMES)
		return true;
	if (!s->count[i])
		s->order[s->n++] = i;
	if (s->count[i] < REPEATS_MAX)
		s->at[i][s->count[i]] = f->at;
	s->count[i]++;
	s->cut[i] = s->cut[i] || f->cut;
	return true;
}

static bool is_signable(const struct signature *s, size_t i)
{
	return s->count[i] <= REPEATS_MAX && !s->cut[i];
}

static bool visit_signed(const struct field *f, void *context)
{
	struct signature *s = context;

	hash_field(&s->hash, f, true);
	return true;
}

/* All fields of a name, the last first. */
static bool hash_name(struct signature *s, size_t i, struct message *m,
		      struct outcome *why)
{
	size_t k;

	for (k = s->count[i]; k > 0; k--) {
		list_add(&s->h, names[i]);
		if (!message_field_at(m, s->at[i][k - 1], visit_signed, s,
				      why))
			return false;
	}
	return true;
}

/* Those that are there once in the message's order, then the others. */
static bool hash_fields(struct signature *s, struct message *m,
			struct outcome *why)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->count[s->order[i]] == 1 && is_signable(s, s->order[i]) &&
		    !hash_name(s, s->order[i], m, why))
			return false;
	for (i = 0; i < NAMES; i++)
		if (s->count[i] > 1 && is_signable(s, i) &&
		    !hash_name(s, i, m, why))
			return false;
	for (i = 0; i < OVERSIGNED; i++)
		if (is_signable(s, i))
			list_add(&s->h, names[i]);
	return true;
}

/* --- text --- */

/* Base64, LINE characters on a line. */
static void add_base64_lines(struct buf *b, const unsigned char *data, size_t n)
{
	const size_t most = LINE / 4 * 3;

	for (; n > most; data += most, n -= most) {
		buf_add_base64(b, data, most);
		buf_adds(b, "\r\n\t");
	}
	buf_add_base64(b, data, n);
}

/* The field's value with nothing after "b=". */
static void add_tags(struct buf *b, const struct signature *s,
		     const unsigned char body[DKIM_HASH])
{
	const struct dkim_signer *g = s->signer;
	size_t i, n, column = 4;

	buf_addf(b, " v=1; a=%s; c=relaxed/relaxed;\r\n\td=%s;\r\n\ts=%s; "
		 "t=%lld;", dkim_key_algorithm(g->key), g->domain,
		 g->selector, (long long)g->now);
	buf_adds(b, "\r\n\th=");
	for (i = 0; i < s->h.n; i++) {
		n = strlen(s->h.item[i]) + 1;
		if (column + n > LINE) {
			buf_adds(b, "\r\n\t");
			column = 1;
		}
		buf_addf(b, "%s%s", s->h.item[i], i + 1 < s->h.n ? ":" : ";");
		column += n;
	}
	buf_adds(b, "\r\n\tbh=");
	buf_add_base64(b, body, DKIM_HASH);
	buf_adds(b, ";\r\n\tb=");
}

bool dkim_sign(struct message *m, const struct dkim_signer *signer,
	       struct buf *out, struct outcome *why)
{
	struct signature s = { .signer = signer };
	unsigned char body[DKIM_HASH], hash[DKIM_HASH];
	struct field own = { .name = field_name,
			     .name_len = strlen(field_name) };
	unsigned char *signature = NULL;
	struct buf value = BUF(16 * 1024);
	size_t n = 0;
	bool ok;

	if (!message_fields(m, note_signed, &s, why) ||
	    !hash_body(m, body, why) || !hash_begin(&s.hash, why))
		return false;
	ok = hash_fields(&s, m, why);
	add_tags(&value, &s, body);
	own.value = buf_text(&value);
	own.value_len = value.len;
	hash_field(&s.hash, &own, false);
	hash_end(&s.hash, hash);
	ok = ok && dkim_key_sign(signer->key, hash, &signature, &n, why);
	if (ok) {
		add_base64_lines(&value, signature, n);
		ok = buf_addf(out, "%s:%s\r\n", field_name,
			      buf_text(&value)) && !value.full;
		if (!ok)
			outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				     "DKIM: the signature is too long");
	}
	free(signature);
	buf_release(&value);
	list_release(&s.h);
	return ok;
}

/* --- whether there is one --- */

struct dkim_search {
	const char *domain;
	const char *selector;
	bool found;
};

/* Whether the tag-list (RFC 6376 3.2) is of this domain and selector. */
static bool visit_signature(const struct field *f, void *context)
{
	struct scan tags = scan_bytes(f->value, f->value_len), tag, value;
	struct dkim_search *l = context;
	bool domain = false, selector = false;

	if (!field_is(f, field_name))
		return true;
	while (scan_pair(&tags, ';', &tag, &value)) {
		domain = domain || (scan_is(&tag, "d") &&
				    scan_is_nocase(&value, l->domain));
		selector = selector || (scan_is(&tag, "s") &&
					scan_is_nocase(&value, l->selector));
	}
	l->found = domain && selector;
	return !l->found;
}

bool dkim_is_signed(struct message *m, const char *domain,
		    const char *selector, bool *found, struct outcome *why)
{
	struct dkim_search l = { .domain = domain, .selector = selector };
	const bool ok = !message_facts(m)->signature ||
			message_fields(m, visit_signature, &l, why);

	*found = l.found;
	return ok;
}
