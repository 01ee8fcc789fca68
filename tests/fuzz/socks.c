/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A SOCKS5 proxy that says anything: the client must neither read beyond
 * nor hang. The first byte chooses what is asked for: a password or none (1),
 * an address (2, of IPv6: 4) or a name. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "wire/socks.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct net_proxy proxy = {
		.host = "proxy.test", .port = 1080,
		.username = n && *data & 1 ? "joe" : NULL,
		.password = "secret",
	};
	struct net_address address;
	struct outcome why = { 0 };
	bool by_address = n && *data & 2;
	char left[4096];
	size_t k;
	int fd[2];

	if (!n--)
		return 0;
	if (!net_address_parse(*data & 4 ? "2001:db8::9" : "192.0.2.9", 0,
			       &address))
		__builtin_trap();
	data++;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       fd) < 0)
		return 0;
	if (n > 4096)
		n = 4096;
	if (send(fd[1], data, n, 0) >= 0) {
		shutdown(fd[1], SHUT_WR);
		if (socks_connect(fd[0], &proxy, "mx.example.org",
				  by_address ? &address : NULL, 25,
				  clock_in(1000), &why)) {
			/* what comes after the answer is the server's */
			k = (size_t)recv(fd[0], left, sizeof(left), 0);
			if (k > n || (k && memcmp(left, data + n - k, k)))
				__builtin_trap();
		} else if (why.exit != EX_TEMPFAIL) {
			__builtin_trap();
		}
	}
	close(fd[0]);
	close(fd[1]);
	return 0;
}
