/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/run.h"

#include "base/clock.h"
#include "wire/interfaces.h"

/* RFC 5321 leaves it open; a resolver that answers at all is faster. Whoever
 * waits less for a connection waits no longer for an answer either. */
enum { DNS_TIMEOUT = 20 * 1000 };

struct dns *run_dns(struct run *run)
{
	static const enum dns_trust trust[] = {
		[DNSSEC_AUTO] = DNS_TRUST_AUTO,
		[DNSSEC_TRUST] = DNS_TRUST_ALWAYS,
		[DNSSEC_OFF] = DNS_TRUST_NEVER,
	};
	struct dns_settings settings = {
		.resolver = &run->config->dns.resolver,
		.timeout = DNS_TIMEOUT,
	};

	if (!run->dns) {
		settings.trust = trust[run->config->dns.dnssec];
		settings.timeout = clock_earlier(settings.timeout,
			clock_earlier(run->config->general.timeout,
				      run->config->general.connect_timeout));
		run->dns = dns_open(&settings);
	}
	return run->dns;
}

bool run_has_ipv6(struct run *run)
{
	if (run->ipv6 == IPV6_UNKNOWN)
		run->ipv6 = interfaces_have_ipv6() ? IPV6_THERE :
			    IPV6_LACKING;
	return run->ipv6 == IPV6_THERE;
}
