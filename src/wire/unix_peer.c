/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/unix_peer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Linux 6.5; headers may be older. Where the number means something else, or
 * nothing, there is an error. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* The number of a user who has none here (proc_sys_kernel(5), overflowuid):
 * what bytes without a writer have, too. */
enum { OVERFLOW_UID = 65534 };

static int option(int fd, int name, void *value, socklen_t size)
{
	return getsockopt(fd, SOL_SOCKET, name, value, &size);
}

/* A number may be another process' by now; a descriptor is not. */
static bool has_ended(int fd, pid_t pid)
{
	struct pollfd p = { .fd = -1, .events = POLLIN };
	bool ended;

	if (option(fd, SO_PEERPIDFD, &p.fd, sizeof(p.fd)) < 0) {
		/* of one that was waited for there was none before 6.16 */
		if (errno == ESRCH || errno == EINVAL)
			return true;
	} else if (p.fd >= 0) {
		ended = poll(&p, 1, 0) > 0;
		close(p.fd);
		return ended;
	}
	return pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

enum unix_peer_is unix_peer_take(int fd, uid_t us, struct unix_peer *p)
{
	struct sockaddr_un name;
	socklen_t size = sizeof(name);
	struct ucred peer = { 0 };
	int domain = 0, passed = 0;
	bool was_made_to_us;

	*p = (struct unix_peer){ .fd = fd };
	if (option(fd, SO_DOMAIN, &domain, sizeof(domain)) < 0 ||
	    domain != AF_UNIX)
		return UNIX_PEER_NONE;
	if (option(fd, SO_PEERCRED, &peer, sizeof(peer)) < 0 ||
	    peer.uid == (uid_t)-1)
		return UNIX_PEER_UNTOLD;
	p->uid = peer.uid;
	p->pid = peer.pid;
	/* an accepted socket has its listener's name */
	was_made_to_us = getsockname(fd, (struct sockaddr *)&name, &size) == 0
			 && size > sizeof(name.sun_family);
	if (!was_made_to_us && p->uid == us)
		return UNIX_PEER_TOLD;
	p->held = true;
	p->early = option(fd, SO_PASSCRED, &passed, sizeof(passed)) == 0 &&
		   !passed;
	passed = 1;
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &passed,
		       sizeof(passed)) < 0)
		return UNIX_PEER_UNTOLD;
	return was_made_to_us && has_ended(fd, p->pid) ? UNIX_PEER_GONE :
							 UNIX_PEER_TOLD;
}

/* Whether these bytes are his. A writer of a PID namespace that we do not see
 * has the number 0, and one of a user namespace that we do not see the
 * overflow's: such a peer is told from bytes without a writer by neither. */
static bool wrote(struct unix_peer *p, const struct ucred *writer)
{
	if (!writer->pid && writer->uid == OVERFLOW_UID)
		return p->early || (!p->pid && p->uid == OVERFLOW_UID);
	p->early = false;
	return writer->uid == p->uid;
}

ssize_t unix_peer_read(struct unix_peer *p, void *data, size_t n)
{
	/* the credentials alone: descriptors that come along do not fit, and
	 * the kernel closes them */
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec into = { data, n };
	struct msghdr m = {
		.msg_iov = &into, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct ucred writer = { .uid = OVERFLOW_UID };
	const struct cmsghdr *c;
	ssize_t got;

	if (!p->held)
		return read(p->fd, data, n);
	if (p->stranger) {
		errno = EACCES;
		return -1;
	}
	/* one call never gives bytes of two writers */
	got = recvmsg(p->fd, &m, MSG_CMSG_CLOEXEC);
	if (got <= 0)
		return got;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET &&
	    c->cmsg_type == SCM_CREDENTIALS &&
	    c->cmsg_len == CMSG_LEN(sizeof(writer)))
		memcpy(&writer, CMSG_DATA(c), sizeof(writer));
	if (wrote(p, &writer))
		return got;
	explicit_bzero(data, (size_t)got);
	p->stranger = true;
	errno = EACCES;
	return -1;
}
