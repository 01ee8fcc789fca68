/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a server's lines: no crash, and nothing unprintable left. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mail/reply.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void use(const struct reply *r, struct features *f)
{
	struct outcome o;
	int stage;

	check(r->code >= 200 && r->code <= 599 && r->lines <= REPLY_LINES);
	for (stage = STAGE_LOCAL; stage <= STAGE_DOT; stage++) {
		policy_answer(r, (enum stage)stage, "mx.x", &o);
		check(!strpbrk(o.text, "\x1b\r\n\x7f"));
		check((o.exit == EX_OK) == (r->code < 300));
	}
	features_read(f, r);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const char *s = (const char *)data, *end;
	struct features f = {0};
	struct reply r = {0};
	enum reply_state state;
	size_t len;

	while (n) {
		end = memchr(s, '\n', n);
		len = end ? (size_t)(end - s) : n;
		state = reply_line(&r, s, len);
		if (state == REPLY_BAD)
			break;
		if (state == REPLY_DONE) {
			use(&r, &f);
			reply_reset(&r);
		}
		s += len;
		n -= len;
		if (n) {
			s++;
			n--;
		}
	}
	features_release(&f);
	reply_release(&r);
	return 0;
}
