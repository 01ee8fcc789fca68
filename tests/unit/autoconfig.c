/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/autoconfig.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* On the heap, so that a byte too many is seen. */
static bool parse(bool xml, const char *text, size_t n, struct autoconfig *a)
{
	char *copy = malloc(n ? n : 1);
	bool good;

	assert_non_null(copy);
	memcpy(copy, text, n);
	good = xml ? autoconfig_xml(copy, n, "example.org", a) :
	       autoconfig_json(copy, n, a);
	free(copy);
	return good;
}

/* "host port s|t l? p? o? issuer", or NULL. */
static void check(bool xml, const char *text, const char *want)
{
	struct autoconfig a;
	char got[1024];

	if (!parse(xml, text, strlen(text), &a)) {
		if (want)
			fail_msg("refused: %s", text);
		return;
	}
	snprintf(got, sizeof(got), "%s %u %s%s%s%s%s%s", a.host, a.port,
		 a.starttls ? "s" : "t", a.local_part ? "l" : "",
		 a.password ? "p" : "", a.login ? "o" : "",
		 a.issuer[0] ? " " : "", a.issuer);
	if (!want)
		fail_msg("taken: %s as %s", text, got);
	assert_string_equal(got, want);
}

#define SMTP(host) "{\"protocols\":{\"smtp\":{\"host\":\"" host "\"}}}"
#define A25 "[[[[[[[[[[[[[[[[[[[[[[[[["

static void test_json(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ SMTP("smtp.example.org"), "smtp.example.org 465 t" },
		{ SMTP("SMTP.Example.ORG"), "smtp.example.org 465 t" },
		{ " {\"protocols\" : {\"imap\":{\"host\":\"i.example.org\"},"
		  "\n\"submit\":{\"host\":\"s.example.org\"}},\"authentication"
		  "\":{\"password\":true, \"sasl\":[\"PLAIN\",{\"a\":[1,-2.5e"
		  "+3]}]}}\n", "s.example.org 465 tp" },
		{ "{\"authentication\":{\"password\":false,\"oauth-public\":"
		  "{\"issuer\":\"auth.example.org\"}},\"protocols\":{\"smtp\":"
		  "{\"host\":\"s.example.org\"}}}",
		  "s.example.org 465 to https://auth.example.org" },
		{ "{\"authentication\":{\"oauth-public\":{\"issuer\":"
		  "\"https://a.example/x\\\"y\"}},\"protocols\":{\"smtp\":"
		  "{\"host\":\"s.example.org\"}}}", "s.example.org 465 t" },
		{ SMTP("smtp"), NULL }, { SMTP(""), NULL },
		{ SMTP("a.b\\nhost = evil.example"), NULL },
		{ SMTP("a b.example"), NULL }, { SMTP("[192.0.2.1]"), NULL },
		{ "{\"protocols\":{\"smtp\":{\"host\":5}}}", NULL },
		{ "{\"protocols\":[{\"smtp\":{\"host\":\"a.b\"}}]}", NULL },
		{ "{\"protocols.smtp.host\":\"a.b\"}", "a.b 465 t" },
		{ SMTP("a.b") "x", NULL }, { SMTP("a.b") "}", NULL },
		{ "{\"protocols\":{\"smtp\":{\"host\":\"a.b\"}}", NULL },
		{ "{\"protocols\":{\"smtp\":{\"host\":\"a.b", NULL },
		{ "{\"a\":\"\\", NULL }, { "{\"a\"", NULL }, { "{,}", NULL },
		{ "", NULL }, { "null", NULL }, { "<html>", NULL },
		{ "{}", NULL }, { "[]", NULL }, { A25 A25, NULL },
		{ "{\"protocols\":{\"smtp\":{\"host\":\"a.b\",}}}", NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		check(false, rows[i].text, rows[i].want);
}

#define HEAD "<?xml version=\"1.0\"?>\n<clientConfig><emailProvider id=\"x\">"
#define OUT(more) "<outgoingServer type=\"smtp\">" more "</outgoingServer>"
#define SERVER(host, port, type) "<hostname>" host "</hostname><port>" port \
	"</port><socketType>" type "</socketType>"

static void test_xml(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ HEAD "<incomingServer type=\"imap\">" SERVER("i.b", "993",
		  "SSL") "</incomingServer>" OUT(SERVER("s.b", "465", "SSL")
		  "<username>%EMAILADDRESS%</username><authentication>"
		  "password-cleartext</authentication>"), "s.b 465 tp" },
		{ HEAD OUT(SERVER(" smtp.%EMAILDOMAIN%\n", "587", "STARTTLS")
		  "<username>%EMAILLOCALPART%</username><authentication>"
		  "OAuth2</authentication>"),
		  "smtp.example.org 587 slo" },
		/* the first that is secure */
		{ HEAD OUT(SERVER("a.b", "25", "plain"))
		  OUT(SERVER("c.d", "465", "SSL")), "c.d 465 t" },
		{ HEAD "<!-- <outgoingServer type=\"smtp\">" SERVER("no.no",
		  "1", "SSL") "</outgoingServer> -->" OUT(SERVER("a.b", "465",
		  "SSL")), "a.b 465 t" },
		{ HEAD "<outgoingServer a='>' type='smtp'>" SERVER("a.b",
		  "465", "SSL") "</outgoingServer>", "a.b 465 t" },
		{ HEAD OUT(SERVER("a.b", "25", "plain")), NULL },
		{ HEAD "<outgoingServer type=\"exchange\">" SERVER("a.b",
		  "465", "SSL") "</outgoingServer>", NULL },
		{ OUT(SERVER("a.b", "465", "SSL")), NULL },
		{ HEAD OUT(SERVER("a.b", "0", "SSL")), NULL },
		{ HEAD OUT(SERVER("a.b", "65536", "SSL")), NULL },
		{ HEAD OUT(SERVER("a.b&#10;x", "465", "SSL")), NULL },
		{ HEAD OUT(SERVER("a.b\nhost = evil.example", "465", "SSL")),
		  NULL },
		{ HEAD OUT("<hostname>a.b</hostname><port>465</port>"), NULL },
		{ HEAD "<outgoingServer type=\"smtp\">" SERVER("a.b", "465",
		  "SSL"), NULL },
		{ "<!DOCTYPE x [<!ENTITY a \"b\">]>" HEAD OUT(SERVER("&a;.b",
		  "465", "SSL")), NULL },
		{ "", NULL }, { "<", NULL }, { "<!--", NULL },
		{ "<a b=\"", NULL }, { "<><><>", NULL }, { "{}", NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		check(true, rows[i].text, rows[i].want);
}

/* Whatever is cut off, or one byte of it another: no byte beyond the end is
 * read, and what is taken is a name and a port. */
static void test_broken(void **state)
{
	static const char *const texts[] = {
		"{\"a\":[1,\"\\\"\"],\"protocols\":{\"smtp\":{\"host\":"
		"\"a.b\"}},\"authentication\":{\"oauth-public\":{\"issuer\":"
		"\"c.d\"}}}",
		HEAD "<!-- x -->" OUT(SERVER("s.%EMAILDOMAIN%", "465", "SSL")),
	};
	static const char bytes[] = "\"\\<>{}[]:,&%/\0 \x80\n";
	struct autoconfig a;
	char copy[512];
	size_t i, k, b, n;

	(void)state;
	for (i = 0; i < COUNT(texts); i++) {
		n = strlen(texts[i]);
		assert_true(n < sizeof(copy));
		for (k = 0; k <= n; k++)
			(void)parse(i == 1, texts[i], k, &a);
		for (k = 0; k < n; k++) {
			for (b = 0; b < sizeof(bytes) - 1; b++) {
				memcpy(copy, texts[i], n);
				copy[k] = bytes[b];
				if (!parse(i == 1, copy, n, &a))
					continue;
				assert_true(a.host[0] && a.port &&
					    !strpbrk(a.host, " \n\"<>&"));
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_xml),
		cmocka_unit_test(test_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
