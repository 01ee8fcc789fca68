/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The whole of -bs: the input is what the client says. A model of our own
 * reads the same bytes by the book and knows how many replies there have to
 * be, and where each message ends; every line of a reply is one, and can be
 * printed. Mail goes to a transport that throws it away, or, where the input
 * begins with a "+" that nobody hears, into a queue.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "config/config.h"
#include "config/options.h"
#include "desk/desk.h"
#include "parts.h"
#include "submit/compose.h"

static const char text[] = "[general]\nhostname = h.example\n"
	"domain = h.example\nmax_message_size = 4096\n[log]\nto = none\n"
	"[queue]\nqueue = %s\ndirectory = %s\n"
	"[account copies]\nmatch_from = copies.example\n"
	"bcc = b@h.example, c@h.example\n[account goes]\n"
	"match_from = goes.example\nredirect = r@h.example\n"
	"[transport away]\nkind = discard\n"
	"[transport no]\nkind = fail\nmessage = not here\n"
	"[transport later]\nkind = fail\ncode = 451\n"
	"[route no]\nto_domain = no.example\ntransport = no\n"
	"[route later]\nto_domain = later.example\ntransport = later\n"
	"[route all]\ntransport = away\n";

/* at once, or later: nobody is to run the queue here */
static struct manner {
	struct config config;
	struct options options;
} at_once, later;
static const struct manner *manner;

static void converse(void *context)
{
	struct caller caller = { .uid = getuid() };
	const struct desk d = { .options = &manner->options,
				.config = &manner->config, .caller = &caller };

	(void)context;
	(void)desk_smtpd(&d);
	caller_release(&caller);
}

/* Lines "DDD-words" and "DDD words", CRLF: the replies are counted, the last
 * line of each. */
static size_t replies(struct buf *heard)
{
	const char *p = buf_text(heard), *end;
	size_t n = 0;

	for (; *p; p = end + 2) {
		end = strstr(p, "\r\n");
		fuzz_want(end && end - p <= 510);
		fuzz_want(fuzz_is_clean(p, (size_t)(end - p)));
		fuzz_want(!memchr(p, '\n', (size_t)(end - p)));
		fuzz_want(end - p >= 4 && strchr("2345", *p) &&
			  strspn(p, "0123456789") == 3 &&
			  (p[3] == ' ' || p[3] == '-'));
		n += p[3] == ' ';
	}
	return n;
}

/* Past the end of a message whose lines end as that of its DATA did; NULL: it
 * does not end. */
static const char *past_message(const char *p, const char *end, bool crlf)
{
	const char *dot = crlf ? "\r\n.\r\n" : "\n.\n", *found;
	const size_t n = strlen(dot), eol = crlf ? 2 : 1;

	/* the first line can be the dot */
	if ((size_t)(end - p) >= n - eol && !memcmp(p, dot + eol, n - eol))
		return p + n - eol;
	found = memmem(p, (size_t)(end - p), dot, n);
	return found ? found + n : NULL;
}

/* How many replies there are to be. 354s tell which DATA was let in; nothing
 * after a message without an end is a command. */
static size_t expected(const char *p, const char *end, struct buf *heard)
{
	const char *reply = heard->data, *eol;
	size_t n = 1, length;
	bool quit = false, crlf;

	reply = strstr(reply, "\r\n") + 2;
	while (!quit && p < end && (eol = memchr(p, '\n', (size_t)(end - p)))) {
		length = (size_t)(eol - p);
		crlf = length && eol[-1] == '\r';
		n++;
		/* the reply to this line */
		while (*reply && reply[3] == '-')
			reply = strstr(reply, "\r\n") + 2;
		fuzz_want(*reply);
		quit = !strncmp(reply, "221 ", 4);
		p = eol + 1;
		if (!strncmp(reply, "354 ", 4)) {
			p = past_message(p, end, crlf);
			if (!p)
				return n;
			reply = strstr(reply, "\r\n") + 2;
			while (*reply && reply[3] == '-')
				reply = strstr(reply, "\r\n") + 2;
			fuzz_want(*reply);
			n++;
		}
		reply = strstr(reply, "\r\n") + 2;
		/* one that nobody asked for: too many errors */
		if (!quit && !strncmp(reply, "421 ", 4)) {
			quit = true;
			n++;
		}
	}
	return n;
}

static void begin(struct manner *m, const char *queue, const char *how)
{
	char *argv[] = { (char *)"posthaste", (char *)"-bs", (char *)how,
			 NULL };
	struct outcome why;
	struct queue *q;
	char *filled = mem_printf(text, queue, fuzz_queue(&q));

	queue_close(q);
	fuzz_config(filled, &m->config);
	fuzz_want(options_parse(how ? 3 : 2, argv, &m->options,
				&why));
	free(filled);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const bool queued = n && *data == '+';
	size_t said;
	struct buf heard;

	if (!manner) {
		begin(&at_once, "never", NULL);
		begin(&later, "always", "-odq");
	}
	manner = queued ? &later : &at_once;
	data += queued;
	n -= queued;
	fuzz_streams(data, n, &heard, converse, NULL);
	said = replies(&heard);
	fuzz_want(said == expected((const char *)data,
				   (const char *)data + n, &heard));
	if (queued)
		fuzz_queue_empty();
	buf_release(&heard);
	return 0;
}
