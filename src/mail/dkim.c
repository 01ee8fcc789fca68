/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The signature's field. Which fields it covers is ours to order: those that
 * are there once go in the message's order, so that one pass hashes them;
 * only names that occur more often, which RFC 6376 5.4.2 takes from the
 * bottom up, cost a pass each.
 */
#include "mail/dkim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/list.h"
#include "mail/dkim_parts.h"

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

struct signing {
	const struct dkim_signer *signer;
	unsigned count[NAMES];
	bool cut[NAMES];           /* too long to be signed */
	struct list h;             /* names in the order of h= */
	struct dkim_hash hash;
	size_t name;               /* the one that a pass is about */
	unsigned skip;             /* its instances to pass over */
};

static size_t name_of(const struct field *f)
{
	size_t i;

	for (i = 0; i < NAMES; i++)
		if (field_is(f, names[i]))
			break;
	return i;
}

static bool count_field(const struct field *f, void *context)
{
	struct signing *s = context;
	const size_t i = name_of(f);

	if (i < NAMES) {
		s->count[i]++;
		s->cut[i] = s->cut[i] || f->cut;
	}
	return true;
}

static bool is_plain(const struct signing *s, size_t i)
{
	return i < NAMES && s->count[i] == 1 && !s->cut[i];
}

static bool is_repeated(const struct signing *s, size_t i)
{
	return s->count[i] > 1 && s->count[i] <= REPEATS_MAX && !s->cut[i];
}

static bool list_field(const struct field *f, void *context)
{
	struct signing *s = context;
	const size_t i = name_of(f);

	if (is_plain(s, i))
		list_add(&s->h, names[i]);
	return true;
}

/* The list that h= shows. */
static bool choose_fields(struct signing *s, struct message *m,
			  struct outcome *why)
{
	unsigned k;
	size_t i;

	if (!message_fields(m, count_field, s, why) ||
	    !message_fields(m, list_field, s, why))
		return false;
	for (i = 0; i < NAMES; i++)
		for (k = 0; is_repeated(s, i) && k < s->count[i]; k++)
			list_add(&s->h, names[i]);
	for (i = 0; i < OVERSIGNED; i++)
		if (s->count[i] <= REPEATS_MAX && !s->cut[i])
			list_add(&s->h, names[i]);
	return true;
}

static bool hash_plain(const struct field *f, void *context)
{
	struct signing *s = context;

	if (is_plain(s, name_of(f)))
		dkim_hash_field(&s->hash, f->name, f->name_len, f->value,
				f->value_len, true);
	return true;
}

static bool hash_one(const struct field *f, void *context)
{
	struct signing *s = context;

	if (!field_is(f, names[s->name]))
		return true;
	if (s->skip--)
		return true;
	dkim_hash_field(&s->hash, f->name, f->name_len, f->value,
			f->value_len, true);
	return false;
}

static bool hash_repeated(struct signing *s, struct message *m,
			  struct outcome *why)
{
	unsigned k;

	for (k = s->count[s->name]; k > 0; k--) {
		s->skip = k - 1;
		if (!message_fields(m, hash_one, s, why))
			return false;
	}
	return true;
}

static bool hash_fields(struct signing *s, struct message *m,
			struct outcome *why)
{
	if (!message_fields(m, hash_plain, s, why))
		return false;
	for (s->name = 0; s->name < NAMES; s->name++)
		if (is_repeated(s, s->name) && !hash_repeated(s, m, why))
			return false;
	return true;
}

/* --- text --- */

/* Base64, LINE characters on a line. */
static void add_signature(struct buf *b, const unsigned char *data, size_t n)
{
	const size_t most = LINE / 4 * 3;

	for (; n > most; data += most, n -= most) {
		buf_add_base64(b, data, most);
		buf_adds(b, "\r\n\t");
	}
	buf_add_base64(b, data, n);
}

static void add_names(struct buf *b, const struct list *h)
{
	size_t i, n, column = 4;

	buf_adds(b, "\r\n\th=");
	for (i = 0; i < h->n; i++) {
		n = strlen(h->item[i]) + 1;
		if (column + n > LINE) {
			buf_adds(b, "\r\n\t");
			column = 1;
		}
		buf_addf(b, "%s%s", h->item[i], i + 1 < h->n ? ":" : ";");
		column += n;
	}
}

/* The field's value with nothing after "b=". */
static void add_value(struct buf *b, const struct signing *s,
		      const unsigned char body[DKIM_HASH])
{
	const struct dkim_signer *g = s->signer;

	buf_addf(b, " v=1; a=%s; c=relaxed/relaxed;\r\n\td=%s;\r\n\ts=%s; "
		 "t=%lld;", dkim_key_algorithm(g->key), g->domain,
		 g->selector, (long long)g->now);
	add_names(b, &s->h);
	buf_adds(b, "\r\n\tbh=");
	buf_add_base64(b, body, DKIM_HASH);
	buf_adds(b, ";\r\n\tb=");
}

static const char field_name[] = "DKIM-Signature";

static bool hash_all(struct signing *s, struct message *m,
		     const struct buf *value, unsigned char out[DKIM_HASH],
		     struct outcome *why)
{
	bool ok;

	if (!dkim_hash_begin(&s->hash, why))
		return false;
	ok = hash_fields(s, m, why);
	dkim_hash_field(&s->hash, field_name, strlen(field_name), value->data,
			value->len, false);
	dkim_hash_end(&s->hash, out);
	return ok;
}

bool dkim_sign(struct message *m, const struct dkim_signer *signer,
	       struct buf *out, struct outcome *why)
{
	struct signing s = { .signer = signer };
	unsigned char body[DKIM_HASH], hash[DKIM_HASH];
	unsigned char *signature = NULL;
	struct buf value = BUF(16 * 1024);
	size_t n = 0;
	bool ok = false;

	if (!choose_fields(&s, m, why) || !dkim_hash_body(m, body, why))
		goto out;
	add_value(&value, &s, body);
	if (!hash_all(&s, m, &value, hash, why) ||
	    !dkim_key_sign(signer->key, hash, &signature, &n, why))
		goto out;
	add_signature(&value, signature, n);
	ok = buf_addf(out, "%s:%s\r\n", field_name, buf_text(&value));
	if (!ok || value.full)
		ok = outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				  "DKIM: the signature is too long");
out:
	free(signature);
	buf_release(&value);
	list_release(&s.h);
	return ok;
}

/* --- whether there is one --- */

struct looking {
	const char *domain;
	const char *selector;
	bool found;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Whether the tag-list has this tag with this value (RFC 6376 3.2). */
static bool has_tag(const struct field *f, char tag, const char *want)
{
	const char *p = f->value, *end = f->value + f->value_len, *semicolon;
	const size_t n = strlen(want);

	for (; p < end; p = semicolon + 1) {
		semicolon = memchr(p, ';', (size_t)(end - p));
		if (!semicolon)
			semicolon = end;
		while (p < semicolon && is_space(*p))
			p++;
		if (p == semicolon || *p++ != tag)
			continue;
		while (p < semicolon && is_space(*p))
			p++;
		if (p == semicolon || *p++ != '=')
			continue;
		while (p < semicolon && is_space(*p))
			p++;
		if ((size_t)(semicolon - p) < n || strncasecmp(p, want, n))
			continue;
		for (p += n; p < semicolon && is_space(*p); p++)
			;
		if (p == semicolon)
			return true;
	}
	return false;
}

static bool look(const struct field *f, void *context)
{
	struct looking *l = context;

	l->found = field_is(f, field_name) && has_tag(f, 'd', l->domain) &&
		   has_tag(f, 's', l->selector);
	return !l->found;
}

bool dkim_is_signed(struct message *m, const char *domain,
		    const char *selector, bool *found, struct outcome *why)
{
	struct looking l = { .domain = domain, .selector = selector };
	const bool ok = message_fields(m, look, &l, why);

	*found = l.found;
	return ok;
}
