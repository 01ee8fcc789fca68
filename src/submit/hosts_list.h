/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A list of hosts in the making. */
#ifndef SUBMIT_HOSTS_LIST_H
#define SUBMIT_HOSTS_LIST_H

#include "submit/hosts.h"

/* A zeroed host of this name and port at the end of the list; the name is
 * copied. The pointer is good until the next call. */
struct host *hosts_add(struct hosts *h, const char *name, unsigned port);
/* Frees what a host holds. */
void host_release(struct host *h);

/* 0 to most, near enough to evenly: it shares load, it guards nothing. */
unsigned hosts_random(unsigned most);

#endif
