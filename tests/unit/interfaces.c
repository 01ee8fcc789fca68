/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/interfaces.h"

static void public_addresses(void **state)
{
	static const struct { const char *text; bool public; } rows[] = {
		{ "0.0.0.0", false }, { "9.255.255.255", true },
		{ "10.0.0.1", false }, { "11.0.0.0", true },
		{ "100.63.255.255", true }, { "100.64.0.1", false },
		{ "100.127.255.255", false }, { "100.128.0.0", true },
		{ "127.0.0.1", false }, { "169.254.7.7", false },
		{ "172.15.255.255", true }, { "172.16.0.1", false },
		{ "172.31.255.255", false }, { "172.32.0.0", true },
		{ "192.0.0.8", false }, { "192.0.2.1", true },
		{ "192.168.1.1", false }, { "198.17.255.255", true },
		{ "198.18.0.1", false }, { "198.19.255.255", false },
		{ "223.255.255.255", true }, { "224.0.0.1", false },
		{ "255.255.255.255", false },
		{ "::", false }, { "::1", false }, { "::ffff:9.9.9.9", false },
		{ "1fff::1", false }, { "2001:db8::1", true },
		{ "3fff:ffff::1", true }, { "fd00::1", false },
		{ "fe80::1", false }, { "ff02::1", false },
	};
	struct net_address a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_true(net_address_parse(rows[i].text, 0, &a));
		if (net_address_is_public(&a) != rows[i].public)
			fail_msg("%s", rows[i].text);
	}
	a = (struct net_address){ 0 };
	assert_false(net_address_is_public(&a));
}

/* What is there cannot be known; that it is public can. */
static void own_addresses(void **state)
{
	struct net_addresses own = { 0 };
	bool ipv6 = false;
	size_t i;

	(void)state;
	interfaces_public(&own);
	for (i = 0; i < own.n; i++) {
		assert_true(net_address_is_public(&own.item[i]));
		ipv6 = ipv6 || own.item[i].sa.ss_family == AF_INET6;
	}
	if (ipv6)
		assert_true(interfaces_have_ipv6());
	net_addresses_release(&own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(public_addresses),
		cmocka_unit_test(own_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
