/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who is at the other end of a connection on a UNIX socket that was made to
 * us, and that nobody but he writes on it: a descriptor can be passed on, or
 * be inherited by a process that gave up rights, and SO_PEERCRED keeps naming
 * who connected. So what is read is held against him, by the credentials that
 * the kernel puts on all that is written once SO_PASSCRED is set
 * (SCM_CREDENTIALS, unix(7)).
 *
 * What was written before that has none, unless the listening socket had
 * SO_PASSCRED (systemd's PassCredentials=): there every byte has a writer, and
 * one without is refused. Elsewhere such bytes are taken for his who
 * connected, as long as they are the first; after one that has a writer, no
 * more.
 */
#ifndef WIRE_UNIX_PEER_H
#define WIRE_UNIX_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct unix_peer {
	int fd;
	uid_t uid;              /* who connected; the effective one */
	pid_t pid;              /* 0: of a PID namespace that we do not see */
	bool held;              /* what is read is held against uid */
	bool early;             /* bytes without a writer may still come */
	bool stranger;          /* somebody else wrote: nothing more is read */
};

enum unix_peer_is {
	UNIX_PEER_NONE,         /* no UNIX socket */
	UNIX_PEER_TOLD,
	UNIX_PEER_UNTOLD,       /* the kernel names nobody: datagrams, no
				 * connection */
	UNIX_PEER_GONE          /* he connected, and his process has ended */
};

/* A pair of sockets that we have from a process of our own uid (us) is a pipe
 * to us: it is not held against anybody, nor is it asked who is gone. */
enum unix_peer_is unix_peer_take(int fd, uid_t us, struct unix_peer *p);

/* read(2); -1 with EACCES, and p->stranger, at what another user wrote. What
 * came before that is given first. */
ssize_t unix_peer_read(struct unix_peer *p, void *data, size_t n);

#endif
