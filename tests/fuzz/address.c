/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes: no crash, and what comes out is an address that reads back as
 * itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "mail/address.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_box(const struct mailbox *b, size_t n)
{
	struct outcome why;
	struct buf out = BUF(1 << 24);
	char *again;
	bool qualified;

	check(b->at <= n && *b->address);
	check(b->qualified == (*address_domain(b->address) != '\0'));
	check(!strpbrk(b->address, "\r\n\t\x7f"));
	check(address_one(b->address, &again, &qualified, &why));
	check(!strcmp(again, b->address) && qualified == b->qualified);
	free(again);
	if (b->name) {
		name_encode(&out, b->name);
		name_encode_again(&out, b->name);
	}
	buf_release(&out);
}

/* What a header has, where slips are passed over. */
struct slips {
	size_t n, boxes;
};

static bool visit(struct mailbox *b, void *context)
{
	struct slips *s = context;

	check(b->start <= b->end && b->end <= s->n);
	check_box(b, s->n);
	s->boxes++;
	return true;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	char *text = mem_stringn((const char *)data, n);
	struct mailboxes m;
	struct outcome why;
	char *address;
	bool qualified;
	struct slips s = { .n = n };
	size_t i;

	check(address_each(text, n, FAULTS_PASS, visit, &s, &why));
	if (address_list(text, n, &m, &why)) {
		for (i = 0; i < m.n; i++)
			check_box(&m.box[i], n);
		/* where there is none, none is passed over */
		check(m.n == s.boxes);
	}
	mailboxes_release(&m);
	if (address_one(text, &address, &qualified, &why))
		check(address_equal(address, address));
	free(address);
	free(text);
	return 0;
}
