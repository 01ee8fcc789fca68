/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/endpoint.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static void parse_and_print(void **state)
{
	static const struct {
		const char *in, *host;  /* NULL: refused */
		unsigned port;
		const char *text;
	} cases[] = {
		{ "host", "host", 7, "host:7" },
		{ "host:25", "host", 25, "host:25" },
		{ "192.0.2.1:1", "192.0.2.1", 1, "192.0.2.1:1" },
		{ "[::1]:65535", "::1", 65535, "[::1]:65535" },
		{ "[::1]", "::1", 7, "[::1]:7" },
		{ "::1", "::1", 7, "[::1]:7" },
		{ "2001:db8::1", "2001:db8::1", 7, "[2001:db8::1]:7" },
		{ "[fe80::1%eth0]:25", "fe80::1%eth0", 25,
		  "[fe80::1%eth0]:25" },
		{ .in = "" }, { .in = ":25" }, { .in = "host:" },
		{ .in = "host:0" }, { .in = "host:65536" },
		{ .in = "host:99999999999999999999" }, { .in = "host:2x" },
		{ .in = "host:-1" }, { .in = "host: 25" }, { .in = "host:+1" },
		{ .in = "a:b:c" }, { .in = "[::1" }, { .in = "[]" },
		{ .in = "[::1]x" }, { .in = "[::1]:" }, { .in = "[host]:25" },
		{ .in = "[192.0.2.1]:25" }, { .in = "ho[st:25" },
		{ .in = "host]:25" }, { .in = "::1]:25" }, { .in = "[" },
		{ .in = ":" }, { .in = "[fe80::1%]" },
	};
	struct endpoint e;
	char *text;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		if (endpoint_parse(cases[i].in, 7, &e) != !!cases[i].host)
			fail_msg("\"%s\"", cases[i].in);
		if (!cases[i].host) {
			assert_null(e.host);
			continue;
		}
		assert_string_equal(e.host, cases[i].host);
		assert_int_equal(e.port, cases[i].port);
		text = endpoint_text(&e);
		assert_string_equal(text, cases[i].text);
		free(text);
		endpoint_release(&e);
	}
}

static void kinds_of_addresses(void **state)
{
	static const struct { const char *text; enum ip_kind kind; } cases[] = {
		{ "192.0.2.1", IP_V4 }, { "::", IP_V6 }, { "::1", IP_V6 },
		{ "::ffff:192.0.2.1", IP_V6 },
		{ "2001:db8:1111:2222:3333:4444:255.255.255.255", IP_V6 },
		{ "fe80::1%eth0", IP_V6 }, { "fe80::1%2", IP_V6 },
		{ "", IP_NONE }, { "1", IP_NONE }, { "1.2.3", IP_NONE },
		{ "1.2.3.4.5", IP_NONE }, { "01.2.3.4", IP_NONE },
		{ "1.2.3.4%eth0", IP_NONE }, { "::1%", IP_NONE },
		{ "[::1]", IP_NONE }, { "localhost", IP_NONE },
		{ "%", IP_NONE }, { ":", IP_NONE }, { "::1 ", IP_NONE },
		{ "::1%aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", IP_NONE },
		{ "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb",
		  IP_NONE },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		if (ip_kind(cases[i].text) != cases[i].kind)
			fail_msg("\"%s\"", cases[i].text);
}

static void link_local_of_no_interface(void **state)
{
	static const struct { const char *text; bool lacks; } cases[] = {
		{ "fe80::1", true }, { "FE80::1", true }, { "febf::1", true },
		{ "fe80::1%eth0", false }, { "fec0::1", false },
		{ "fd00::1", false }, { "::1", false }, { "::", false },
		{ "169.254.0.1", false }, { "ff02::1", false },
		{ "fe80.example", false }, { "", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		if (ip_lacks_zone(cases[i].text) != cases[i].lacks)
			fail_msg("\"%s\"", cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_and_print),
		cmocka_unit_test(kinds_of_addresses),
		cmocka_unit_test(link_local_of_no_interface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
