/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a caller may say to posthaste-drop, or on the owner's socket: the first
 * line is its arguments, the rest its standard input; an entry after "!" gets
 * its length and checksum here. What it takes is an
 * entry of this caller's, which can be read and belongs to nobody else.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "parts.h"
#include "queue/format.h"
#include "queue/queue_parts.h"
#include "queue/serve.h"

enum { CALLER = 61002, ARGUMENTS = 4, ENTRY_MOST = 1024 * 1024 };

struct asked {
	struct queue *q;
	struct drop_caller caller;
	int argc;
	char *argv[ARGUMENTS + 1];
	bool done;
	struct outcome why;
};

static void ask(void *context)
{
	struct asked *a = context;

	a->done = drop_serve(&a->q->dir, &a->caller, a->argc, a->argv,
			     &a->why);
}

static bool is_his(const struct entry *e, void *context)
{
	size_t *n = context;

	fuzz_want(e->uid == CALLER && e->foreign && !e->cause);
	++*n;
	return true;
}

/* An entry for which room would be taken that is not there. */
static bool is_huge(const char *input, size_t n)
{
	char *line = fuzz_line(&input, &n);
	const char *number = strrchr(line, ' ');
	bool huge = number && strtoll(number, NULL, 10) > ENTRY_MOST;

	free(line);
	return huge;
}

static void seal(struct buf *b, const char *entry, size_t n)
{
	buf_addf(b, "posthaste-drop 1 %zu\n", n + TEXT_CHECKSUM_SIZE);
	buf_add(b, entry, n);
	text_checksum(b, text_sum(0, entry, n));
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const struct log_settings none = { .to = "none" };
	struct asked a = {
		.caller = { .uid = CALLER, .by_owner = true, .all_ms = 1000,
			    .some_ms = 1000 },
	};
	const char *rest = (const char *)data;
	char *line = fuzz_line(&rest, &n), *word, *next;
	struct outcome why;
	size_t entries = 0;
	struct buf out, sealed = BUF(FUZZ_MOST);

	log_open(&none);
	for (word = strtok_r(line, " ", &next); word && a.argc < ARGUMENTS;
	     word = strtok_r(NULL, " ", &next))
		a.argv[a.argc++] = word;
	if (n && *rest == '!') {
		seal(&sealed, rest + 1, n - 1);
		rest = sealed.data;
		n = sealed.len;
	}
	if (drop_serves(a.argc, a.argv) && !is_huge(rest, n)) {
		(void)fuzz_queue(&a.q);
		/* half of it was read before, as on the socket */
		a.caller.input = rest;
		a.caller.n = n / 2;
		fuzz_streams(rest + n / 2, n - n / 2, &out, ask, &a);
		fuzz_want(a.done || (a.why.exit && *a.why.text));
		fuzz_want(queue_list(a.q, is_his, &entries, &why));
		fuzz_want(strcmp(a.argv[0], "write") ? !entries :
			  entries == a.done);
		buf_release(&out);
		queue_close(a.q);
		fuzz_queue_empty();
	}
	buf_release(&sealed);
	free(line);
	return 0;
}
