/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Relaxed canonicalisation, straight into SHA-256. */
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "mail/dkim_parts.h"
#include "mail/lines.h"

bool dkim_hash_begin(struct dkim_hash *h, struct outcome *why)
{
	gnutls_hash_hd_t handle;
	const int rc = gnutls_hash_init(&handle, GNUTLS_DIG_SHA256);

	if (rc < 0)
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "DKIM: no SHA-256: %s",
				    gnutls_strerror(rc));
	h->handle = handle;
	h->n = 0;
	return true;
}

static void flush(struct dkim_hash *h)
{
	if (h->n)
		gnutls_hash(h->handle, h->part, h->n);
	h->n = 0;
}

static void put(struct dkim_hash *h, char c)
{
	if (h->n == sizeof(h->part))
		flush(h);
	h->part[h->n++] = c;
}

static void put_line_end(struct dkim_hash *h)
{
	put(h, '\r');
	put(h, '\n');
}

void dkim_hash_end(struct dkim_hash *h, unsigned char out[DKIM_HASH])
{
	flush(h);
	gnutls_hash_deinit(h->handle, out);
	h->handle = NULL;
}

void dkim_hash_field(struct dkim_hash *h, const char *name, size_t name_len,
		     const char *value, size_t value_len, bool end)
{
	bool blank = false, any = false;
	size_t i;

	for (i = 0; i < name_len; i++)
		put(h, name[i] >= 'A' && name[i] <= 'Z' ?
		    (char)(name[i] + ('a' - 'A')) : name[i]);
	put(h, ':');
	for (i = 0; i < value_len; i++) {
		if (value[i] == '\r' || value[i] == '\n')
			continue;
		if (is_wsp(value[i])) {
			blank = true;
			continue;
		}
		if (blank && any)
			put(h, ' ');
		put(h, value[i]);
		blank = false;
		any = true;
	}
	if (end)
		put_line_end(h);
}

/* Where in the body it is. */
struct body {
	struct dkim_hash hash;
	int64_t lines;     /* line ends that count once something follows */
	bool blank;        /* blanks likewise */
	bool any;
};

static void take(struct body *b, const char *data, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (data[i] == '\r')
			continue;
		if (data[i] == '\n') {
			b->lines++;
			b->blank = false;
			continue;
		}
		if (is_wsp(data[i])) {
			b->blank = true;
			continue;
		}
		for (; b->lines; b->lines--)
			put_line_end(&b->hash);
		if (b->blank)
			put(&b->hash, ' ');
		put(&b->hash, data[i]);
		b->blank = false;
		b->any = true;
	}
}

bool dkim_hash_body(struct message *m, unsigned char out[DKIM_HASH],
		    struct outcome *why)
{
	int64_t offset = message_header_size(m);
	struct body b = { 0 };
	const char *data;
	long n;

	if (!dkim_hash_begin(&b.hash, why))
		return false;
	while ((n = message_bytes(m, offset, &data)) > 0) {
		take(&b, data, (size_t)n);
		offset += n;
	}
	if (b.any)
		put_line_end(&b.hash);
	dkim_hash_end(&b.hash, out);
	return n == 0 ? true :
	       outcome_fail(why, STAGE_LOCAL, EX_IOERR,
			    "the message cannot be read to be signed");
}
