/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Handshakes against the server of tls_support.h, and what is expected of
 * them. Include it once, behind tls_support.h. */
#ifndef TESTS_TLS_CLIENT_H
#define TESTS_TLS_CLIENT_H

#include <fcntl.h>

#include "base/clock.h"
#include "wire/tls.h"

static UNUSED bool handshake(struct server *s, const struct tls_params *p,
		      struct tls_facts *facts, struct outcome *why)
{
	int fd = server_start(s);
	struct tls *tls;
	bool done;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	done = tls_open(fd, false, p, facts, clock_in(5000), &tls, why);
	if (done)
		tls_close(tls);
	else
		assert_null(tls);
	close(fd);
	server_wait(s);
	return done;
}

static UNUSED void expect(const char *label, bool done, const char *words,
		   const struct outcome *why)
{
	if (!words) {
		if (!done)
			print_error("%s: %s\n", label, why->text);
		assert_true(done);
		return;
	}
	if (done || !strstr(why->text, words))
		print_error("%s: %s\n", label, done ? "accepted" : why->text);
	assert_false(done);
	assert_int_equal(why->stage, STAGE_TLS);
	assert_non_null(strstr(why->text, words));
}

static UNUSED void serve(struct server *s, const struct cert *c,
		  const struct cert *above, const struct cert *above_it)
{
	*s = (struct server){ .leaf = c, .chain = { c->crt }, .chain_len = 1 };
	if (above)
		s->chain[s->chain_len++] = above->crt;
	if (above_it)
		s->chain[s->chain_len++] = above_it->crt;
}

#endif
