/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is completed is still the caller's message: its body byte for byte, or
 * encoded so that it decodes to these bytes; and every field that is not ours
 * to change, in its order and with its words. The first byte chooses how it
 * is completed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "mail/complete.h"
#include "parts.h"

/* names that completing may remove, add to, or replace */
static const char *const ours[] = {
	"bcc", "resent-bcc", "return-path", "content-length", "date",
	"message-id", "from", "sender", "reply-to", "to", "cc", "resent-from",
	"resent-sender", "resent-reply-to", "resent-to", "resent-cc",
	"mime-version", "content-transfer-encoding",
};

static bool is_ours(const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (strlen(ours[i]) == n && !strncasecmp(name, ours[i], n))
			return true;
	return false;
}

/* The fields that stay, without blanks and line ends: where they are folded
 * may change. */
static void add_fields(struct buf *out, const char *p, const char *end)
{
	const char *colon, *eol;
	bool skip = false;
	size_t n;

	*out = BUF(FUZZ_MOST);
	for (; p < end - 2; p = eol + 2) {
		eol = memmem(p, (size_t)(end - p), "\r\n", 2);
		fuzz_want(eol);
		if (*p != ' ' && *p != '\t') {
			colon = memchr(p, ':', (size_t)(eol - p));
			fuzz_want(colon);
			n = (size_t)(colon - p);
			while (n && strchr(" \t", p[n - 1]))
				n--;
			skip = is_ours(p, n);
			if (!skip)
				buf_addc(out, '\n');
		}
		for (; !skip && p < eol; p++)
			if (*p != ' ' && *p != '\t')
				buf_addc(out, *p);
	}
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* RFC 2045 6.7; false: it is no such text. */
static bool unquote(struct buf *out, const char *p, size_t n)
{
	size_t i;

	*out = BUF(FUZZ_MOST);
	for (i = 0; i < n; i++) {
		if (p[i] != '=') {
			buf_addc(out, p[i]);
		} else if (i + 2 < n && !strncmp(p + i, "=\r\n", 3)) {
			i += 2;
		} else if (i + 2 < n && hex(p[i + 1]) >= 0 &&
			   hex(p[i + 2]) >= 0) {
			buf_addc(out, (char)(hex(p[i + 1]) * 16 +
					     hex(p[i + 2])));
			i += 2;
		} else {
			return false;
		}
	}
	return true;
}

/* Leaves out these characters. */
static void without(struct buf *out, const char *p, size_t n,
		    const char *out_of, size_t k)
{
	size_t i;

	*out = BUF(FUZZ_MOST);
	for (i = 0; i < n; i++)
		if (!memchr(out_of, p[i], k))
			buf_addc(out, p[i]);
}

static bool same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len &&
	       (!a->len || !memcmp(a->data, b->data, a->len));
}

static void want_body(const char *before, size_t n, const char *after,
		      size_t k)
{
	struct buf was, whole = BUF(FUZZ_MOST), is, plain;
	bool good;

	buf_add(&whole, before, n);
	without(&was, before, n, "\0", 1);
	without(&is, after, k, "", 0);
	good = same(&was, &is);
	if (!good) {
		good = unquote(&plain, after, k) &&
		       (same(&plain, &whole) || same(&plain, &was));
		buf_release(&plain);
	}
	if (!good) {
		buf_release(&is);
		buf_release(&was);
		without(&was, before, n, "\r\n \t\0", 5);
		without(&is, after, k, "\r\n", 2);
		good = same(&was, &is);
	}
	fuzz_want(good);
	buf_release(&was);
	buf_release(&whole);
	buf_release(&is);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const struct log_settings none = { .to = "none" };
	const unsigned char how = n ? data[0] : 0;
	const struct completion c = {
		.sender = "s@x.example", .from = "f@x.example",
		.full_name = how & 1 ? "F. N" : NULL,
		.domain = how & 2 ? "d.example" : "",
		.id_domain = "i.example",
		.from_header = how & 4 ? FROM_REPLACE : FROM_ADD,
		.keep_own = how & 32,
		.undisclosed_recipients = how & 8,
	};
	struct buf before, after, fields, kept;
	struct outcome why;
	struct message *m;
	size_t header, left;

	log_open(&none);
	m = n ? fuzz_message((const char *)data + 1, n - 1) : NULL;
	if (!m)
		return 0;
	fuzz_message_bytes(m, &before);
	header = (size_t)message_header_size(m);
	fuzz_want(message_complete(&m, &c, &why));
	fuzz_message_bytes(m, &after);
	left = (size_t)message_header_size(m);
	add_fields(&fields, before.data, before.data + header);
	add_fields(&kept, after.data, after.data + left);
	fuzz_want(same(&fields, &kept));
	want_body(before.data + header, before.len - header,
		  after.data + left, after.len - left);
	buf_release(&before);
	buf_release(&after);
	buf_release(&fields);
	buf_release(&kept);
	message_free(m);
	return 0;
}
