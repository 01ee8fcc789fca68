/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wire/net.h"

static void test_parse(void **state)
{
	static const struct {
		const char *in, *out;   /* NULL: no address */
		bool local;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1", false },
		{ "[192.0.2.1]", "192.0.2.1", false },
		{ "127.0.0.1", "127.0.0.1", true },
		{ "127.255.3.4", "127.255.3.4", true },
		{ "0.0.0.0", "0.0.0.0", true },
		{ "169.254.9.9", "169.254.9.9", true },
		{ "10.0.0.1", "10.0.0.1", false },
		{ "2001:DB8::1", "2001:db8::1", false },
		{ "[2001:db8::1]", "2001:db8::1", false },
		{ "[IPv6:2001:db8::1]", "2001:db8::1", false },
		{ "IPv6:::1", "::1", true },
		{ "::", "::", true },
		{ "fe80::1%lo", "fe80::1", true },
		{ "fe80::1", "fe80::1", true },
		{ "::ffff:127.0.0.1", "::ffff:127.0.0.1", true },
		{ "::ffff:0.0.0.0", "::ffff:0.0.0.0", true },
		{ "::ffff:169.254.0.1", "::ffff:169.254.0.1", true },
		{ "::ffff:192.0.2.1", "::ffff:192.0.2.1", false },
		{ "::127.0.0.1", "::127.0.0.1", true },
		{ "", NULL, false }, { "[]", NULL, false },
		{ "1.2.3", NULL, false }, { "1.2.3.4.5", NULL, false },
		{ "1.2.3.256", NULL, false }, { " 1.2.3.4", NULL, false },
		{ "localhost", NULL, false }, { "1", NULL, false },
		{ "0x7f.1", NULL, false }, { "::1::", NULL, false },
		{ "fe80::1%nosuchif", NULL, false }, { "[::1", NULL, false },
		{ "fe80::1%", NULL, false },
	};
	struct net_address a;
	char text[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		bool done = net_address_parse(cases[i].in, 25, &a);

		if (done != !!cases[i].out)
			print_error("%s\n", cases[i].in);
		assert_int_equal(done, !!cases[i].out);
		if (!done)
			continue;
		net_address_text(&a, text);
		assert_string_equal(text, cases[i].out);
		assert_int_equal(net_address_is_local(&a), cases[i].local);
	}
	assert_false(net_address_parse("::1", 65536, &a));
}

static void add(struct net_addresses *list, const char *text, unsigned port)
{
	struct net_address a;

	assert_true(net_address_parse(text, port, &a));
	net_addresses_add(list, &a);
}

static void test_interleave(void **state)
{
	static const struct {
		const char *in[6];
		enum family family;
		const char *out[6];
	} cases[] = {
		{ { "::1", "::2", "::3", "1.0.0.1", "1.0.0.2" }, FAMILY_ANY,
		  { "::1", "1.0.0.1", "::2", "1.0.0.2", "::3" } },
		{ { "::1", "::2", "::3", "1.0.0.1" }, FAMILY_PREFER_V4,
		  { "1.0.0.1", "::1", "::2", "::3" } },
		{ { "1.0.0.1", "1.0.0.2", "::1" }, FAMILY_PREFER_V6,
		  { "::1", "1.0.0.1", "1.0.0.2" } },
		{ { "1.0.0.1", "1.0.0.2" }, FAMILY_PREFER_V6,
		  { "1.0.0.1", "1.0.0.2" } },
		{ { "::1" }, FAMILY_ANY, { "::1" } },
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct net_addresses list = { 0 };
		char text[64];

		for (j = 0; cases[i].in[j]; j++)
			add(&list, cases[i].in[j], 25);
		net_interleave(&list, cases[i].family);
		assert_int_equal(list.n, j);
		for (j = 0; j < list.n; j++) {
			net_address_text(&list.item[j], text);
			assert_string_equal(text, cases[i].out[j]);
		}
		net_addresses_release(&list);
	}
}

static void test_set_port(void **state)
{
	static const char *const text[] = { "192.0.2.1", "2001:db8::1",
					    "fe80::1%lo" };
	struct net_address a, wanted;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(text) / sizeof(*text); i++) {
		assert_true(net_address_parse(text[i], 25, &a));
		assert_true(net_address_parse(text[i], 50587, &wanted));
		net_address_set_port(&a, 50587);
		assert_memory_equal(&a, &wanted, sizeof(a));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_set_port),
		cmocka_unit_test(test_interleave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
