/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Message bytes as they come: a strict receiver that ends DATA at
 * CRLF.CRLF alone and notes everything a lax one might take for an end.
 */
#include "server.h"

#include <stdlib.h>
#include <string.h>

enum dots { WITHIN, BEGIN, ONE_DOT, DOT_CR };

static void put(struct content *c, int byte)
{
	fputc(byte, c->file);
	c->size++;
}

/* Notes bare line ends; every byte of a message passes here once. */
static void watch(struct peer *p, struct content *c, unsigned char byte)
{
	if (c->cr && byte != '\n')
		audit(p, "bare CR", "in the message");
	if (!c->cr && byte == '\n')
		audit(p, "bare LF", "in the message");
	if (!byte)
		audit(p, "NUL", "in the message");
	c->cr = byte == '\r';
}

/* True at the end of the message. */
static bool take(struct peer *p, struct content *c, unsigned char byte)
{
	bool ended_cr = c->cr;

	watch(p, c, byte);
	if (c->dots == ONE_DOT && byte == '\r') {
		c->dots = DOT_CR;
		return false;
	}
	if (c->dots == DOT_CR) {
		if (byte == '\n')
			return true;
		put(c, '\r');
	}
	if (c->dots == ONE_DOT && byte != '.')
		audit(p, "unstuffed dot", "");
	if (c->dots == BEGIN && byte == '.') {
		c->dots = ONE_DOT;
		return false;
	}
	put(c, byte);
	c->dots = ended_cr && byte == '\n' ? BEGIN : WITHIN;
	return false;
}

/* A rule on so many message bytes cuts in; each fires once. */
static bool cut_in(struct peer *p, long size)
{
	for (size_t i = 0; i < p->script->rules; i++) {
		struct rule *r = &p->script->rule[i];

		if (strcmp(r->event, "bytes") != 0 || !r->pattern ||
		    atol(r->pattern) > size)
			continue;
		session_rule(p, "bytes", r->pattern);
		r->pattern = NULL;
		snprintf(r->event, sizeof(r->event), "-");
		return p->gone;
	}
	return false;
}

bool content_dot(struct peer *p, FILE *to, long *size)
{
	struct content c = { .file = to, .dots = BEGIN };
	bool ended = false;

	p->bulk = true;
	while (!ended) {
		if (p->pos == p->len && !peer_fill(p))
			break;
		while (!ended && p->pos < p->len)
			ended = take(p, &c, p->in[p->pos++]);
		if (cut_in(p, c.size))
			break;
	}
	p->bulk = false;
	*size = c.size;
	if (ended && peer_pending(p, p->script->grace)) {
		if (p->pos < p->len || peer_fill(p))
			audit(p, "bytes behind the dot",
			      "before it was answered");
	}
	return ended;
}

bool content_chunk(struct peer *p, long n, FILE *to, long *size)
{
	struct content c = { .file = to };

	p->bulk = true;
	while (n > 0) {
		if (p->pos == p->len && !peer_fill(p))
			break;
		for (; n > 0 && p->pos < p->len; n--) {
			unsigned char byte = p->in[p->pos++];

			watch(p, &c, byte);
			put(&c, byte);
		}
		if (cut_in(p, *size + c.size))
			break;
	}
	p->bulk = false;
	*size += c.size;
	return n == 0 && !p->gone;
}
