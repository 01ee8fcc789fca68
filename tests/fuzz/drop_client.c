/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the owner's socket answers to a caller: the first byte says what was
 * asked (w: an entry to write, o: an order, p: the list, by a path that no
 * socket can have, else the list), the rest is all that comes. An id is one,
 * an entry of the list is whole, and words can be printed.
 */
/* poll() is ours here: the checked one would be inline */
#undef _FORTIFY_SOURCE

#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "parts.h"
#include "queue/drop.h"
#include "queue/format.h"
#include "queue/queue_parts.h"

/* glibc's own type for it */
#ifdef __GLIBC__
#define ADDRESS __CONST_SOCKADDR_ARG
#else
#define ADDRESS const struct sockaddr *
#endif

static const char *said;
static size_t said_n;
static int server[2] = { -1, -1 };
static time_t waited;

/* Whoever is busy is asked again: the clock runs meanwhile. */
int poll(struct pollfd *fds, nfds_t n, int ms)
{
	if (fds)
		return (int)syscall(SYS_poll, fds, n, ms);
	waited += 10;
	return 0;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	const int error = (int)syscall(SYS_clock_gettime, clock, t);

	if (clock == CLOCK_MONOTONIC)
		t->tv_sec += waited;
	return error;
}

int connect(int fd, ADDRESS name, socklen_t n)
{
	(void)name;
	(void)n;
	if (server[1] >= 0)
		close(server[1]);
	fuzz_want(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, server));
	fuzz_want(dup2(server[0], fd) == fd);
	close(server[0]);
	fuzz_want(send(server[1], said, said_n, MSG_DONTWAIT) ==
		  (ssize_t)said_n);
	shutdown(server[1], SHUT_WR);
	return 0;
}

static bool visit(const struct entry *e, void *context)
{
	size_t i;

	++*(size_t *)context;
	fuzz_want(text_id_ok(e->id) && e->uid == getuid());
	fuzz_want(e->envelope.sender != NULL);
	for (i = 0; i < e->envelope.n; i++)
		fuzz_want(e->envelope.rcpt[i].address != NULL);
	return true;
}

static bool write_entry(const struct queue *q, struct outcome *why)
{
	static const char text[] = "Subject: x\r\n\r\nbody\r\n";
	struct buf header = BUF(1024), journal = BUF(1024);
	struct queue_item item = { .next = 0 };
	char id[QUEUE_ID_SIZE] = "";
	bool good;

	item.message = fuzz_message(text, strlen(text));
	buf_addf(&header, "posthaste-queue 1\nqueued 1\nuid 7\nsender\n"
		 "rcpt b@x\nsize %zu\n\n", strlen(text));
	good = drop_write(q, &item, &header, &journal, id, why);
	fuzz_want(!good || text_id_ok(id));
	buf_release(&header);
	buf_release(&journal);
	message_free(item.message);
	return good;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const struct log_settings none = { .to = "none" };
	struct queue q = { .socket = (char *)"/nonexistent" };
	struct outcome why = { 0 };
	char deep[200] = "";
	size_t entries = 0;
	bool good;

	if (!n)
		return 0;
	log_open(&none);
	memset(deep, 'd', sizeof(deep) - 1);
	if (*data == 'p')
		q.socket = deep;
	said = (const char *)data + 1;
	said_n = n - 1 < 100000 ? n - 1 : 100000;
	if (*data == 'w')
		good = write_entry(&q, &why);
	else if (*data == 'o')
		good = drop_order(&q, ORDER_RETRY, "0123456789ABCDEF", "t x",
				  &why) ||
		       drop_order(&q, ORDER_HOLD, NULL, NULL, &why);
	else
		good = drop_list(&q, visit, &entries, &why);
	fuzz_want(!good || *data != 'p');
	fuzz_want(good || (why.exit && *why.text &&
			   fuzz_is_clean(why.text, strlen(why.text)) &&
			   !strchr(why.text, '\n')));
	return 0;
}
