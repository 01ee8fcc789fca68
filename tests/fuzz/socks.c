/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A SOCKS5 proxy that says anything: the client must neither read beyond
 * nor hang. */
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "wire/socks.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct net_proxy proxy = {
		.host = "proxy.test", .port = 1080,
		.username = n & 1 ? "joe" : NULL, .password = "secret",
	};
	struct outcome why = { 0 };
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       fd) < 0)
		return 0;
	if (n > 4096)
		n = 4096;
	if (send(fd[1], data, n, 0) >= 0) {
		shutdown(fd[1], SHUT_WR);
		if (!socks_connect(fd[0], &proxy, "mx.example.org", NULL, 25,
				   clock_in(1000), &why) &&
		    why.exit != EX_TEMPFAIL)
			__builtin_trap();
	}
	close(fd[0]);
	close(fd[1]);
	return 0;
}
