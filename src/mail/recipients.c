/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/recipients.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "base/buf.h"
#include "base/log.h"
#include "mail/address.h"
#include "mail/aliases.h"
#include "mail/lines.h"

/* Addresses out of aliases, most of them twice. */
enum { EXPANDED_MAX = 64 * RECIPIENTS_MAX };

/* Where each address lies in the envelope, so that many recipients cost no
 * more than one look each. */
struct seen {
	uint32_t *slot;    /* index + 1; 0: free */
	size_t size;       /* a power of two, at least twice the number */
	uint64_t key[2];   /* what nobody who chooses addresses can know */
};

struct gather {
	struct envelope *e;
	const struct recipient_rules *rules;
	struct aliases *aliases;   /* NULL: not read yet, or none */
	bool aliases_read;
	struct seen seen;
	const struct rcpt_wish *wish;  /* of the operand at hand */
	size_t expanded;
	bool discarded;            /* an alias did so with some recipient */
	bool resent;
	bool failed;
	struct outcome *why;
};

static void rcpt_append(struct envelope *e, const char *address)
{
	e->rcpt = mem_grow(e->rcpt, e->n, sizeof(*e->rcpt));
	e->rcpt[e->n++] = (struct recipient){
		.address = mem_string(address),
	};
}

static uint64_t turned(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = turned(v[1], 13) ^ v[0];
	v[3] = turned(v[3], 16) ^ v[2];
	v[0] = turned(v[0], 32) + v[3];
	v[2] += v[1];
	v[3] = turned(v[3], 21) ^ v[0];
	v[1] = turned(v[1], 17) ^ v[2];
	v[2] = turned(v[2], 32);
}

/* SipHash-1-3 (Aumasson, Bernstein) of an address, its domain without case.
 * Addresses come from the sender: without a key he could choose them so
 * that all fall into one slot. */
static uint64_t address_hash(const uint64_t key[2], const char *address)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^
			  0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
			  key[1] ^ 0x7465646279746573 };
	const char *domain = address_domain(address);
	uint64_t word = 0;
	size_t n = 0;
	int i;

	for (; *address; address++) {
		uint64_t c = (unsigned char)*address;

		if (address >= domain && c >= 'A' && c <= 'Z')
			c |= 0x20;
		word |= c << 8 * (n % 8);
		if (++n % 8)
			continue;
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
		word = 0;
	}
	word |= (uint64_t)n << 56;
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The slot where the address is or belongs. */
static uint32_t *seen_slot(const struct gather *g, const char *address)
{
	size_t mask = g->seen.size - 1;
	size_t i = (size_t)address_hash(g->seen.key, address) & mask;
	uint32_t *slot;

	for (;; i = (i + 1) & mask) {
		slot = &g->seen.slot[i];
		if (!*slot ||
		    address_equal(g->e->rcpt[*slot - 1].address, address))
			return slot;
	}
}

static void seen_grow(struct gather *g)
{
	size_t i;

	if (g->seen.size > 2 * g->e->n)
		return;
	if (!g->seen.size && getrandom(g->seen.key, sizeof(g->seen.key),
				       GRND_NONBLOCK) < 0)
		g->seen.key[0] = (uintptr_t)g ^ (uint64_t)time(NULL);
	free(g->seen.slot);
	g->seen.size = 64;
	while (g->seen.size <= 4 * g->e->n)
		g->seen.size *= 2;
	g->seen.slot = mem_alloc(g->seen.size * sizeof(*g->seen.slot));
	for (i = 0; i < g->e->n; i++)
		*seen_slot(g, g->e->rcpt[i].address) = (uint32_t)i + 1;
}

static bool too_many(struct outcome *why)
{
	return outcome_fail(why, STAGE_LOCAL, EX_DATAERR,
			    "more than %d recipients", RECIPIENTS_MAX);
}

static bool rcpt_add(struct gather *g, const char *address)
{
	uint32_t *slot;

	seen_grow(g);
	slot = seen_slot(g, address);
	if (*slot)
		return true;
	if (g->e->n == RECIPIENTS_MAX)
		return too_many(g->why);
	rcpt_append(g->e, address);
	*slot = (uint32_t)g->e->n;
	if (g->wish) {
		g->e->rcpt[g->e->n - 1].notify = g->wish->notify;
		g->e->rcpt[g->e->n - 1].orcpt = mem_string(g->wish->orcpt);
	}
	return true;
}

/* A file that nobody named and that cannot be read is of no concern to an
 * address with a domain. */
static bool aliases_read(struct gather *g, bool bare)
{
	struct outcome why;

	if (g->aliases || !g->rules->aliases)
		return true;
	if (g->aliases_read && !bare)
		return true;
	g->aliases_read = true;
	if (aliases_load(g->rules->aliases, g->rules->aliases_named,
			 g->rules->local_names, NULL, &g->aliases, &why))
		return true;
	if (!bare && !g->rules->aliases_named)
		return true;
	*g->why = why;
	return false;
}

/* One that is asked for, as itself or as what its alias is. */
static bool visit_recipient(struct mailbox *b, void *context)
{
	struct gather *g = context;
	const char *fallback = g->rules->default_recipient;
	char *address = address_without_local(b->address,
					      g->rules->local_names);
	bool bare = !*address_domain(address), known = false, ok;
	struct list found = {0};
	char *whole;
	size_t i;

	ok = aliases_read(g, bare);
	if (ok && g->aliases)
		ok = aliases_expand(g->aliases, address, RECIPIENTS_MAX,
				    &found, &known, g->why);
	if (ok && known && !found.n) {
		g->discarded = true;
		log_say(LOG_AT_INFO, "%s is discarded, as %s says", address,
			g->rules->aliases);
	}
	if (!known)
		list_add(&found, address);
	else
		g->expanded += found.n;
	if (ok && g->expanded > EXPANDED_MAX)
		ok = too_many(g->why);
	for (i = 0; ok && i < found.n; i++) {
		/* a name that is not an alias */
		whole = *address_domain(found.item[i]) ? NULL :
			address_qualify(fallback ? fallback : found.item[i],
					g->rules->domain);
		ok = rcpt_add(g, whole ? whole : found.item[i]);
		free(whole);
	}
	list_release(&found);
	free(address);
	g->failed = !ok;
	return ok;
}

/* One by one: how many there are is the caller's to say. */
static bool gather_text(struct gather *g, const char *text, size_t n)
{
	return address_each(text, n, FAULTS_FAIL, visit_recipient, g,
			    g->why) && !g->failed;
}

static bool gather_operands(struct gather *g, char *const *operand, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (line_has_controls(operand[i], strlen(operand[i])))
			return outcome_fail(g->why, STAGE_LOCAL, EX_USAGE,
					    "bad address \"%.80s\": control "
					    "character", operand[i]);
		if (g->rules->wish)
			g->wish = &g->rules->wish[i];
		if (gather_text(g, operand[i], strlen(operand[i])))
			continue;
		if (g->why->exit == EX_DATAERR && !g->failed)
			g->why->exit = EX_USAGE;
		return false;
	}
	g->wish = NULL;
	return true;
}

static bool visit_field(const struct field *f, void *context)
{
	struct gather *g = context;
	bool wanted = g->resent ?
		field_is(f, "Resent-To") || field_is(f, "Resent-Cc") ||
		field_is(f, "Resent-Bcc") :
		field_is(f, "To") || field_is(f, "Cc") || field_is(f, "Bcc");

	if (!wanted)
		return true;
	if (f->cut)
		g->failed = !outcome_fail(g->why, STAGE_LOCAL, EX_DATAERR,
					  "field too long");
	else
		g->failed = !gather_text(g, f->value, f->value_len);
	if (g->failed)
		outcome_prefix(g->why, "%.*s", (int)f->name_len, f->name);
	return !g->failed;
}

bool envelope_recipients(struct envelope *e, const struct recipient_rules *r,
			 char *const *operand, size_t operands,
			 bool from_header, struct message *m,
			 struct outcome *why)
{
	struct gather g = { .e = e, .rules = r, .why = why };
	bool ok;

	ok = gather_operands(&g, operand, operands);
	if (ok && from_header) {
		g.resent = message_facts(m)->resent;
		ok = message_fields(m, visit_field, &g, why) && !g.failed;
	}
	if (ok && !e->n && !g.discarded)
		ok = outcome_fail(why, STAGE_LOCAL, EX_USAGE,
				  "no recipient");
	aliases_free(g.aliases);
	free(g.seen.slot);
	return ok;
}

bool envelope_add(struct envelope *e, const char *address,
		  struct outcome *why)
{
	size_t i;

	for (i = 0; i < e->n; i++)
		if (address_equal(e->rcpt[i].address, address))
			return true;
	if (e->n == RECIPIENTS_MAX)
		return too_many(why);
	rcpt_append(e, address);
	return true;
}

bool envelope_is_utf8(const struct envelope *e)
{
	size_t i;

	if (address_is_utf8(e->sender))
		return true;
	for (i = 0; i < e->n; i++)
		if (address_is_utf8(e->rcpt[i].address))
			return true;
	return false;
}
