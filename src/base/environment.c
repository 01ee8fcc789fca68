/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/environment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/list.h"

static const struct {
	const char *name;       /* one that ends in "_" is a prefix */
	bool early;             /* obeyed by a constructor, before main */
} orders[] = {
	/* GnuTLS: the secrets of every connection to a file */
	{ "SSLKEYLOGFILE", false },
	/* GnuTLS: traces, another file of priorities, other code */
	{ "GNUTLS_", false },
	{ "NETTLE_", true },
	/* p11-kit: traces, other modules */
	{ "P11_KIT_", false },
	/* GSSAPI: modules that are loaded, traces that are written */
	{ "GSSAPI_MECH_CONF", false },
	{ "GSS_MECH_CONFIG", false },
	{ "KRB5_TRACE", false },
	/* resolvers: what a name stands for, and who is asked */
	{ "LOCALDOMAIN", false },
	{ "RES_OPTIONS", false },
	{ "HOSTALIASES", false },
	{ "RESOLV_", false },
	{ "CARES_HOSTS", false },
	/* libc: converters and locales from elsewhere */
	{ "GCONV_PATH", false },
	{ "LOCPATH", false },
	{ "NLSPATH", false },
	{ "CHARSET", false },
	{ "MALLOC_TRACE", false },
};

static bool is_order(const char *entry, size_t n, bool *early)
{
	size_t i, len;

	for (i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
		len = strlen(orders[i].name);
		if (n < len || memcmp(entry, orders[i].name, len) ||
		    (n > len && orders[i].name[len - 1] != '_'))
			continue;
		*early = *early || orders[i].early;
		return true;
	}
	return false;
}

void environment_clean(char **argv)
{
	struct list found = { 0 };
	bool early = false;
	size_t i, n;

	for (i = 0; environ && environ[i]; i++) {
		n = strcspn(environ[i], "=");
		if (is_order(environ[i], n, &early))
			list_addn(&found, environ[i], n);
	}
	for (i = 0; i < found.n; i++)
		unsetenv(found.item[i]);
	list_release(&found);
	/* what a constructor was told is undone by another start alone;
	 * where there is no /proc, what it was told stands */
	if (early)
		execv("/proc/self/exe", argv);
}

void environment_become(const char *name, const char *home)
{
	static const char *const places[] = {
		"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME",
		"XDG_DATA_HOME", "XDG_RUNTIME_DIR", "KRB5CCNAME",
		"KRB5_CLIENT_KTNAME", "MAIL",
	};
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(*places); i++)
		unsetenv(places[i]);
	if (name) {
		setenv("USER", name, 1);
		setenv("LOGNAME", name, 1);
	}
	setenv("HOME", home && *home ? home : "/", 1);
}
