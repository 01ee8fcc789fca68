/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a message's bytes leave: in as few writes as they can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mail/complete.h"
#include "submit/smtp_body.h"
#include "wire/conn.h"

#define HEADER "Date: Sun, 29 Nov 2026 10:00:00 +0000\r\n" \
	"From: a@x.example\r\nMessage-ID: <1@x.example>\r\n"

/* Writes it, completed, so that header and body lie apart; gives the number of
 * writes, by a socket that keeps them apart. */
static size_t writes_of(const char *text, const char *prefix, char *out,
			size_t most)
{
	const struct completion c = { .sender = "a@x.example",
				      .from = "a@x.example",
				      .domain = "x.example",
				      .id_domain = "x.example" };
	const struct session_params params = { .timeout = 10000 };
	struct session s = { .params = &params };
	struct delivery d = { .prefix = prefix };
	struct outcome why;
	size_t writes = 0, at = 0;
	int fds[2];
	ssize_t n;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	assert_true(message_from_text(text, strlen(text), &d.message, &why));
	assert_true(message_complete(&d.message, &c, &why));
	s.conn = conn_new(fds[0]);
	assert_true(body_write(&s, &d, body_size(&d), &why));
	conn_close(s.conn);
	while ((n = read(fds[1], out + at, most - at)) > 0) {
		at += (size_t)n;
		writes++;
	}
	out[at] = '\0';
	close(fds[1]);
	message_free(d.message);
	return writes;
}

/* The last line of the header is new, so that it is not where it was. */
static void small_one(void **state)
{
	static const char prefix[] = "DKIM-Signature: x\r\n";
	static const char *const bodies[][2] = {
		{ "", ".\r\n" },
		{ "hi\r\n", "hi\r\n.\r\n" },
		{ "hi\r\n.\r\n.x\r\n", "hi\r\n..\r\n..x\r\n.\r\n" },
	};
	char text[1024], out[1024], want[1024];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
		snprintf(text, sizeof(text), "%sBcc: b@x.example\r\n\r\n%s",
			 HEADER, bodies[i][0]);
		snprintf(want, sizeof(want), "%s%s\r\n%s", prefix, HEADER,
			 bodies[i][1]);
		assert_int_equal(writes_of(text, prefix, out,
					   sizeof(out) - 1), 1);
		assert_string_equal(out, want);
		assert_int_equal(writes_of(text, NULL, out,
					   sizeof(out) - 1), 1);
		assert_string_equal(out, want + strlen(prefix));
	}
}

/* A header that is as large as a body is not gathered for it. */
static void large_header(void **state)
{
	static char text[64 * 1024], out[80 * 1024];
	size_t n, i;

	(void)state;
	n = (size_t)snprintf(text, sizeof(text), "Bcc: b@x.example\r\n%s",
			     HEADER);
	for (i = 0; i < 1000; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "X-Field: number %zu, and more\r\n", i);
	strcpy(text + n, "\r\nhi\r\n");
	assert_int_equal(writes_of(text, NULL, out, sizeof(out) - 1), 2);
	strcat(text, ".\r\n");
	assert_string_equal(out, text + strlen("Bcc: b@x.example\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_one),
		cmocka_unit_test(large_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
