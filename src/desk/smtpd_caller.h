/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who the client of -bs is. */
#ifndef DESK_SMTPD_CALLER_H
#define DESK_SMTPD_CALLER_H

#include "desk/desk.h"
#include "desk/smtpd_client.h"
#include "wire/net_peer.h"

/* On a UNIX socket the caller is who the kernel says he is, and becomes
 * d->caller; nothing that our own environment says is his. Whom it does not
 * name, as with datagrams or without a connection, is not taken for us. Gives
 * NULL; or what one is told who is sent away. known: the kernel named him;
 * peer: who connected over IP, else "". */
const char *smtpd_caller(const struct desk *d, struct client *c, bool *known,
			 char peer[NET_PEER_SIZE]);
/* Whether another than he wrote what would be read next; then *why says so. Of
 * what came before nothing is done that was not answered. */
bool smtpd_is_stranger(const struct client *c, struct outcome *why);

#endif
