/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finding secrets in what others say.
 *
 * Whatever is compared is folded first: case, the two alphabets of base64,
 * control characters; backslashes, which some servers put before others, go.
 * A needle is found by its pieces, all runs of PIECE
 * characters of all needles in one hash set: a text is masked wherever a
 * piece begins, so that the work is linear in the text, which the peer
 * chooses, whatever the needles are. Shorter needles, and the ends of longer
 * ones that were cut off, are looked for one by one.
 */
#include "mail/mask.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	PIECE = 6,
	EDGE = 4,               /* the least that counts of a cut needle */
	GAP = 3,                /* as much between two hits is one, too */
	NEEDLES_MAX = 500
};

static const char stars[] = "********";

static char fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((unsigned char)c < 0x20 || c == 0x7f)
		return '?';
	return c == '-' ? '+' : c == '_' ? '/' : c;
}

/* --- needles --- */

static uint64_t piece_of(const char *folded)
{
	uint64_t value = 1;     /* none is 0, which marks an empty slot */
	size_t i;

	for (i = 0; i < PIECE; i++)
		value = value << 8 | (unsigned char)folded[i];
	return value;
}

static uint64_t *piece_slot(const struct mask *m, uint64_t piece)
{
	size_t i = (size_t)((piece * 0x9e3779b97f4a7c15U) >> 20) &
		   (m->size - 1);

	while (m->piece[i] && m->piece[i] != piece)
		i = (i + 1) & (m->size - 1);
	return &m->piece[i];
}

static void pieces_grow(struct mask *m, size_t more)
{
	uint64_t *before = m->piece;
	size_t i, had = m->size;

	if (2 * (m->used + more) < m->size)
		return;
	while (m->size < 256 || m->size < 4 * (m->used + more))
		m->size = m->size ? 2 * m->size : 256;
	m->piece = mem_alloc(m->size * sizeof(*m->piece));
	for (i = 0; i < had; i++)
		if (before[i])
			*piece_slot(m, before[i]) = before[i];
	mem_wipe(before, had * sizeof(*before));
	free(before);
}

static void add_needle(struct mask *m, const char *text, size_t n)
{
	uint64_t *slot, piece;
	size_t i, len = 0;
	char *folded;

	if (!n || m->needle.n == NEEDLES_MAX)
		return;
	list_addn(&m->needle, text, n);
	folded = m->needle.item[m->needle.n - 1];
	for (i = 0; i < n; i++)
		if (text[i] != '\\')
			folded[len++] = fold(text[i]);
	mem_wipe(folded + len, n - len);
	n = len;
	pieces_grow(m, n);
	for (i = 0; i + PIECE <= n; i++) {
		piece = piece_of(folded + i);
		slot = piece_slot(m, piece);
		m->used += !*slot;
		*slot = piece;
	}
}

/* What stays the same of a secret's base64 with skip bytes before it,
 * whatever they and those after it are. */
static void add_base64(struct mask *m, const char *secret, size_t n,
		       size_t skip)
{
	struct buf plain = BUF_SECRET(n + skip);
	struct buf text = BUF_SECRET(2 * n + 16);
	size_t first = skip ? skip + 1 : 0;

	buf_add(&plain, "\0\0", skip);
	buf_add(&plain, secret, n);
	buf_add_base64(&text, plain.data, plain.len);
	while (text.len && text.data[text.len - 1] == '=')
		text.len--;
	/* without bytes after it the last digit is known, too */
	if (skip)
		text.len -= text.len && (n + skip) % 3;
	if (text.len > first + 1)
		add_needle(m, text.data + first, text.len - first);
	buf_release(&text);
	buf_release(&plain);
}

void mask_add_secret(struct mask *m, const char *secret)
{
	size_t n = secret ? strlen(secret) : 0, i;
	struct buf hex = BUF_SECRET(2 * n), percent = BUF_SECRET(3 * n);

	if (!n)
		return;
	add_needle(m, secret, n);
	for (i = 0; i < 3; i++)
		add_base64(m, secret, n, i);
	for (i = 0; i < n; i++)
		buf_addf(&hex, "%02x", (unsigned char)secret[i]);
	add_needle(m, hex.data, hex.len);
	buf_add_percent(&percent, secret);
	if (percent.len > n)
		add_needle(m, percent.data, percent.len);
	buf_release(&percent);
	buf_release(&hex);
}

/* A digest made of the password: it can be guessed by who sees it. */
static void add_proof(struct mask *m, const char *text, size_t n)
{
	static const char *const keys[] = { "p=", "response=" };
	size_t i, len;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		len = strlen(keys[i]);
		if (n > len && !memcmp(text, keys[i], len))
			add_needle(m, text + len, n - len);
	}
	/* CRAM-MD5 (RFC 2195) */
	if (n == 32 && strspn(text, "0123456789abcdef") >= 32)
		add_needle(m, text, n);
}

void mask_add_response(struct mask *m, const char *base64, size_t n)
{
	static const char separators[] = ", \1";
	struct buf plain = BUF_SECRET(n + 3);
	size_t i, len;

	while (n && base64[n - 1] == '=')
		n--;
	add_needle(m, base64, n);
	if (buf_add_unbase64(&plain, base64, n)) {
		for (i = 0; i < plain.len; i += len + 1) {
			len = strcspn(plain.data + i, separators);
			add_proof(m, plain.data + i, len);
		}
	}
	buf_release(&plain);
}

void mask_release(struct mask *m)
{
	size_t i;

	for (i = 0; i < m->needle.n; i++)
		mem_wipe(m->needle.item[i], strlen(m->needle.item[i]));
	list_release(&m->needle);
	mem_wipe(m->piece, m->size * sizeof(*m->piece));
	free(m->piece);
	*m = (struct mask){ 0 };
}

/* --- the text --- */

/* The text as it is compared: lines run into each other, without the blanks
 * and the enhanced code that come between. */
struct view {
	const char *text;
	char *folded;
	size_t *at;             /* where it stands in the text */
	bool *hit;
	size_t n;
};

static void view_make(struct view *v, const char *text, size_t n)
{
	size_t from, to, end, digits;

	*v = (struct view){
		.text = text,
		.folded = mem_alloc(n + 1),
		.at = mem_alloc((n + 1) * sizeof(*v->at)),
		.hit = mem_alloc((n + 1) * sizeof(*v->hit)),
	};
	for (from = 0; from < n; from = end + 1) {
		for (end = from; end < n && text[end] != '\n'; end++)
			;
		to = end;
		while (from < to && strchr(" \t", text[from]))
			from++;
		while (to > from && strchr(" \t\r", text[to - 1]))
			to--;
		digits = from + strspn(text + from, "0123456789.");
		if (digits > from && digits < to && text[digits] == ' ')
			for (from = digits; text[from] == ' '; from++)
				;
		for (; from < to; from++) {
			if (text[from] == '\\')
				continue;
			v->folded[v->n] = fold(text[from]);
			v->at[v->n++] = from;
		}
	}
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (unsigned char)c >= 0x80;
}

static bool on_one_line(const struct view *v, size_t i, size_t last)
{
	return !memchr(v->text + v->at[i], '\n', v->at[last] - v->at[i]);
}

/* Whether a word or a line ends between i - 1 and i. */
static bool is_edge(const struct view *v, size_t i)
{
	return !i || i >= v->n || !on_one_line(v, i - 1, i) ||
	       !is_word(v->folded[i]) || !is_word(v->folded[i - 1]);
}

static bool mask_is_at(const struct view *v, size_t i, const char *s, size_t n)
{
	return n <= v->n - i && !memcmp(v->folded + i, s, n);
}

static void hit(struct view *v, size_t i, size_t n)
{
	memset(v->hit + i, true, n * sizeof(*v->hit));
}

/* A needle shorter than a piece; one that is hardly more than a letter only
 * as a word of its own, and never within a status code. */
static void find_short(struct view *v, const char *needle, size_t n)
{
	size_t i;

	for (i = 0; i < v->n; i++)
		if (mask_is_at(v, i, needle, n) &&
		    (n >= EDGE ||
		     (is_edge(v, i) && is_edge(v, i + n) &&
		      (!i || v->folded[i - 1] != '.') &&
		      (i + n == v->n || v->folded[i + n] != '.'))))
			hit(v, i, n);
}

/* What was left of a needle where a line was cut, before or after. */
static void find_ends(struct view *v, const char *needle, size_t n)
{
	size_t i, len;

	for (i = 0; i < v->n; i++) {
		if (!is_edge(v, i))
			continue;
		for (len = EDGE; len < PIECE; len++)
			if (is_edge(v, i + len) &&
			    (mask_is_at(v, i, needle, len) ||
			     mask_is_at(v, i, needle + n - len, len)))
				hit(v, i, len);
	}
}

/* Small gaps are masked, too (an escape, the edge of what is known), and the
 * padding that follows base64. */
static void close_gaps(struct view *v)
{
	size_t i, last = (size_t)-1;

	for (i = 0; i < v->n; i++) {
		if (i && v->hit[i - 1] && v->folded[i] == '=')
			v->hit[i] = true;
		if (!v->hit[i])
			continue;
		if (last < i && i - last - 1 <= GAP &&
		    on_one_line(v, last, i))
			hit(v, last, i - last);
		last = i;
	}
}

void mask_apply(const struct mask *m, const char *text, size_t n,
		struct buf *out)
{
	size_t i, len, from = 0;
	const char *needle;
	struct view v;

	if (!m->needle.n) {
		buf_add(out, text, n);
		return;
	}
	view_make(&v, text, n);
	for (i = 0; m->size && i + PIECE <= v.n; i++)
		if (*piece_slot(m, piece_of(v.folded + i)))
			hit(&v, i, PIECE);
	for (i = 0; i < m->needle.n; i++) {
		needle = m->needle.item[i];
		len = strlen(needle);
		if (len < PIECE)
			find_short(&v, needle, len);
		if (len > EDGE)
			find_ends(&v, needle, len);
	}
	close_gaps(&v);
	for (i = 0; i < v.n; i++) {
		if (!v.hit[i])
			continue;
		buf_add(out, text + from, v.at[i] - from);
		buf_adds(out, stars);
		while (i + 1 < v.n && v.hit[i + 1] && on_one_line(&v, i, i + 1))
			i++;
		from = v.at[i] + 1;
	}
	buf_add(out, text + from, n - from);
	mem_wipe(v.folded, v.n);
	free(v.folded);
	free(v.at);
	free(v.hit);
}
