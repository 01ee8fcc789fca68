/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Macros (RFC 7208 section 7). */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "dnscheck/spf_parts.h"

enum { NAME_MAX_SPF = 253 };

static const char *sender_domain(const struct spf *s)
{
	const char *at = strrchr(s->query->sender, '@');

	return at ? at + 1 : s->query->sender;
}

static void add_local(const struct spf *s, struct buf *out)
{
	const char *at = strrchr(s->query->sender, '@');

	if (at && at != s->query->sender)
		buf_add(out, s->query->sender,
			(size_t)(at - s->query->sender));
	else
		buf_adds(out, "postmaster");
}

static bool add_letter(struct spf *s, const char *domain, char letter,
		       struct buf *out)
{
	const unsigned char *byte = s->query->ip->v6.sin6_addr.s6_addr;
	const bool v6 = s->query->ip->sa.ss_family != AF_INET;
	char text[64];
	size_t i;

	switch (letter | 32) {
	case 's':
		add_local(s, out);
		buf_addf(out, "@%s", sender_domain(s));
		return true;
	case 'l':
		add_local(s, out);
		return true;
	case 'o':
		return buf_adds(out, sender_domain(s));
	case 'd':
		return buf_adds(out, domain);
	case 'i':
		/* IPv6 as nibbles with dots between */
		for (i = 0; v6 && i < 16; i++)
			buf_addf(out, "%s%x.%x", i ? "." : "",
				 (unsigned)byte[i] >> 4,
				 (unsigned)byte[i] & 15);
		if (!v6) {
			net_address_text(s->query->ip, text);
			buf_adds(out, text);
		}
		return true;
	case 'p':
		return buf_adds(out, spf_ptr_name(s, domain));
	case 'v':
		return buf_adds(out, v6 ? "ip6" : "in-addr");
	case 'h':
		return buf_adds(out, s->query->helo ? s->query->helo : "");
	}
	return false;
}

static void transform(const char *value, const char *separators, size_t keep,
		      bool reverse, struct buf *out)
{
	size_t i, first, count = 0, start[128], length[128];
	const char *p = value;

	for (;;) {
		const size_t n = strcspn(p, separators);

		if (count < 128) {
			start[count] = (size_t)(p - value);
			length[count++] = n;
		}
		if (!p[n])
			break;
		p += n + 1;
	}
	first = keep && keep < count ? count - keep : 0;
	for (i = first; i < count; i++) {
		const size_t k = reverse ? count - 1 - i : i;

		buf_addf(out, "%s%.*s", i > first ? "." : "",
			 (int)length[k], value + start[k]);
	}
}

/* What stands between "%{" and "}". */
static bool add_macro(struct spf *s, const char *domain,
		      const char *text, size_t n, struct buf *out)
{
	struct buf value = BUF(1024), result = BUF(1024);
	char separators[8] = "";
	bool reverse = false, digits = false, ok;
	size_t i = 1, keep = 0, k = 0;

	if (!n)
		return false;
	for (; i < n && text[i] >= '0' && text[i] <= '9'; i++, digits = true)
		keep = keep < 1000 ? keep * 10 + (size_t)(text[i] - '0') :
		       keep;
	if (i < n && (text[i] | 32) == 'r') {
		reverse = true;
		i++;
	}
	for (; i < n && k < 7 && strchr(".-+,/_=", text[i]) && text[i]; i++)
		separators[k++] = text[i];
	ok = i == n && !(digits && !keep) &&
	     add_letter(s, domain, text[0], &value);
	if (ok) {
		transform(buf_text(&value), k ? separators : ".", keep,
			  reverse, &result);
		if (text[0] >= 'A' && text[0] <= 'Z')
			buf_add_percent(out, buf_text(&result));
		else
			buf_adds(out, buf_text(&result));
	}
	buf_release(&value);
	buf_release(&result);
	return ok;
}

static bool is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* toplabel: letters, digits and hyphens within, and not digits alone. */
static bool is_toplabel(const char *p, size_t n)
{
	bool digits = true;
	size_t i;

	if (!n || !is_alphanumeric(p[0]) || !is_alphanumeric(p[n - 1]))
		return false;
	for (i = 0; i < n; i++) {
		if (!is_alphanumeric(p[i]) && p[i] != '-')
			return false;
		digits = digits && p[i] >= '0' && p[i] <= '9';
	}
	return !digits;
}

/* What stands between "%{" and "}". */
static bool is_macro(const char *p, size_t n)
{
	size_t i = 1;
	unsigned keep = 0;
	const size_t first = i;

	if (!n || !p[0] || !strchr("slodiphvcrt", p[0] | 32))
		return false;
	for (; i < n && p[i] >= '0' && p[i] <= '9'; i++)
		keep = keep || p[i] != '0';
	if (i > first && !keep)
		return false;
	if (i < n && (p[i] | 32) == 'r')
		i++;
	while (i < n && p[i] && strchr(".-+,/_=", p[i]))
		i++;
	return i == n;
}

bool spf_spec_valid(const char *text, size_t n, bool domain)
{
	const char *p = text, *end = text + n, *close, *dot = NULL;
	bool macro = false;

	while (p < end) {
		if (*p < '!' || *p > '~')
			return false;
		macro = *p == '%';
		if (!macro) {
			/* one at the very end belongs to the label before */
			if (*p == '.' && p + 1 < end)
				dot = p;
			p++;
			continue;
		}
		if (++p == end)
			return false;
		dot = NULL;
		if (*p == '%' || *p == '_' || *p == '-') {
			p++;
			continue;
		}
		close = *p == '{' ? memchr(p, '}', (size_t)(end - p)) : NULL;
		if (!close || !is_macro(p + 1, (size_t)(close - p) - 1))
			return false;
		p = close + 1;
	}
	if (!domain || macro)
		return n > 0 || !domain;
	return dot && is_toplabel(dot + 1, (size_t)(end - dot) - 1 -
				  (end[-1] == '.'));
}

bool spf_expand(struct spf *s, const char *domain, const char *text,
		size_t n, struct buf *out)
{
	const char *p = text, *end = text + n, *close, *dot;

	while (p < end) {
		if (*p < '!' || *p > '~')
			return false;
		if (*p != '%') {
			buf_addc(out, *p++);
			continue;
		}
		if (++p == end)
			return false;
		if (*p == '%' || *p == '_' || *p == '-') {
			buf_adds(out, *p == '%' ? "%" : *p == '_' ? " " :
				 "%20");
			p++;
			continue;
		}
		close = *p == '{' ? memchr(p, '}', (size_t)(end - p)) : NULL;
		if (!close || !add_macro(s, domain, p + 1,
					 (size_t)(close - p) - 1, out))
			return false;
		p = close + 1;
	}
	if (out->full)
		return false;
	if (out->len && out->data[out->len - 1] == '.')
		out->data[--out->len] = '\0';
	while (out->len > NAME_MAX_SPF) {
		dot = memchr(out->data, '.', out->len);
		buf_shift(out, dot ? (size_t)(dot - out->data) + 1 :
			  out->len);
	}
	return true;
}
