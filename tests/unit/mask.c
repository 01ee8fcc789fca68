/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "mail/mask.h"

static void check(const struct mask *m, const char *text, const char *want)
{
	struct buf out = BUF(1024 * 1024);

	mask_apply(m, text, strlen(text), &out);
	if (strcmp(buf_text(&out), want))
		fail_msg("\"%s\" became \"%s\"", text, buf_text(&out));
	buf_release(&out);
}

static void add_response(struct mask *m, const char *base64)
{
	mask_add_response(m, base64, strlen(base64));
}

/* AHVzZXIAUDQlJHdvcmQtNDcxMQ== is NUL user NUL P4%$word-4711 */
static void test_password(void **state)
{
	static const struct {
		const char *text, *want;
	} row[] = {
		{ "no such user", "no such user" },
		{ "", "" },
		{ "Password P4%$word-4711 is wrong",
		  "Password ******** is wrong" },
		{ "p4%$WORD-4711", "********" },
		{ "\"P4%$w\" is wrong", "\"********\" is wrong" },
		{ "\"P4%$\" is wrong", "\"********\" is wrong" },
		{ "... 4711 is wrong", "... ******** is wrong" },
		{ "word", "word" },
		{ "Command unrecognized: \"AUTH PLAIN "
		  "AHVzZXIAUDQlJHdvcmQtNDcxMQ==\"",
		  "Command unrecognized: \"AUTH PLAIN ********\"" },
		/* a server that cuts long lines, anywhere */
		{ "AUTH PLAIN AHVzZXIAUDQlJHd", "AUTH PLAIN ********" },
		{ "AUTH PLAIN AHVz", "AUTH PLAIN ********" },
		{ "ZXIAUDQl", "********" },
		/* or goes on in the next line */
		{ "5.5.1 AUTH PLAIN AHVzZXIAUDQ\n5.5.1 lJHdvcmQtNDcxMQ==\n"
		  "5.5.1 what", "5.5.1 AUTH PLAIN ********\n"
		  "5.5.1 ********\n5.5.1 what" },
		{ "AHVzZXIAUDQlJHdvcmQtNDc\nxMQ==", "********\n********" },
		/* the password's base64 alone, or behind one or two bytes */
		{ "UDQlJHdvcmQtNDcxMQ==", "********" },
		{ "UDQlJHdvcmQtNDcxMQ", "********" },
		{ "eFA0JSR3b3JkLTQ3MTE=", "eF********E=" },
		{ "eHhQNCUkd29yZC00NzEx", "eHh********" },
		{ "50342524776f72642d34373131", "********" },
		{ "P4%25%24word-4711 ", "******** " },
		{ "p4%25%24word-47", "********" },
		{ "?p=%25%24word", "?p=********" },
		/* as others escape it */
		{ "P4%\\$word-4711", "********" },
		{ "in\nthree\nlines", "in\nthree\nlines" },
	};
	struct mask m = { 0 };
	size_t i;

	(void)state;
	check(&m, "P4%$word-4711", "P4%$word-4711");
	mask_add_secret(&m, "P4%$word-4711");
	mask_add_secret(&m, NULL);
	mask_add_secret(&m, "");
	add_response(&m, "AHVzZXIAUDQlJHdvcmQtNDcxMQ==");
	for (i = 0; i < sizeof(row) / sizeof(*row); i++)
		check(&m, row[i].text, row[i].want);
	mask_release(&m);
}

/* What is hardly longer than a letter must not swallow codes and words. */
static void test_short(void **state)
{
	static const struct {
		const char *secret, *text, *want;
	} row[] = {
		{ "5", "5.7.8 no 5 here", "5.7.8 no ******** here" },
		{ "a", "a bad user", "******** bad user" },
		{ "pw", "the password pw, not pwd",
		  "the password ********, not pwd" },
		{ "user", "no such user1", "no such ********1" },
		{ "secret", "mysecretword", "my********word" },
	};
	struct mask m = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		mask_add_secret(&m, row[i].secret);
		check(&m, row[i].text, row[i].want);
		mask_release(&m);
	}
}

/* Only the proof of a response: what else is in it are words, too. */
static void test_proofs(void **state)
{
	struct mask m = { 0 };

	(void)state;
	/* c=biws,r=realm-response,p=AbCdEfGh123= */
	add_response(&m, "Yz1iaXdzLHI9cmVhbG0tcmVzcG9uc2UscD1BYkNkRWZHaDEyMz0"
			 "=");
	check(&m, "invalid response AbCdEfGh123=",
	      "invalid response ********");
	/* user 0123456789abcdef0123456789abcdef */
	add_response(&m, "dXNlciAwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg="
			 "=");
	check(&m, "user 0123456789ABCDEF", "user ********");
	/* no base64 at all */
	add_response(&m, "*");
	mask_release(&m);
}

/* The peer decides how long its text is; the time must not grow with the
 * product. */
static void test_large(void **state)
{
	enum { TEXT = 64 * 1024, TOKEN = 60 * 1024 };
	char *text = mem_alloc(TEXT + 1), *token = mem_alloc(TOKEN + 1);
	struct buf out = BUF(1024 * 1024);
	struct mask m = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < TOKEN; i++)
		token[i] = "abcdefghijklmnopqrstuvwxyz012345"[i * i * 7 / 5 %
							      32];
	memset(text, 'a', TEXT);
	mask_add_secret(&m, token);
	mask_apply(&m, text, TEXT, &out);
	buf_reset(&out);
	mask_apply(&m, token, TOKEN, &out);
	assert_string_equal(buf_text(&out), "********");
	for (i = 0; i < 2000; i++)
		add_response(&m, "QUJDREVG");
	buf_release(&out);
	mask_release(&m);
	free(text);
	free(token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_password),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_proofs),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
