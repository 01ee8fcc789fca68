/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A worker that talks to a server gives up what it has no use for: whoever
 * took it over by what a server said shall have no more than it needs. What
 * the kernel has Landlock for (base/sandbox.h) is never a reason to fail: where
 * it lacks that, or the walls cannot be built, the rest holds.
 */
#ifndef SUBMIT_CONFINE_H
#define SUBMIT_CONFINE_H

#include "submit/part.h"

/*
 * In a process of its own, whose line to its parent is channel, and that
 * serves d alone. Before it speaks to anybody:
 *
 * - descriptors of others (other entries, other workers, secrets that are
 *   being fetched) are closed,
 * - secrets of transports that d does not go by are wiped,
 * - nothing is read of the configuration, of the queue, of password files and
 *   logins, its own included, which it has in memory: a token that has to be
 *   renewed is asked of a process that was begun for that before;
 * - nothing is written by name but what the cache keeps (MTA-STS policies, what
 *   servers offer), and rates where its transport has one.
 *
 * It still reads what is not named here, the keys that it signs with, the
 * client certificate of its own transport, and where Kerberos may be used, the
 * keytab and tickets that the environment names; but of /etc only what
 * libraries need. The two last points are left
 * out where a transport of d runs a command or keeps mail here, or has its key
 * in a token (pkcs11:, tpmkey:); the last one where Kerberos may be used,
 * which keeps tickets.
 */
void confine(struct run *run, const struct destination *d, int channel);
/* In the parent, before a worker for d is forked: the walls, which those that
 * begin within a few seconds and may do the same have in common. */
void confine_prepare(struct run *run, const struct destination *d);
/* Those are done with. */
void confine_release(struct run *run);

#endif
