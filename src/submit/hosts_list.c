/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/hosts_list.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"

void host_release(struct host *h)
{
	size_t i;

	free(h->name);
	free(h->tls_name);
	list_release(&h->more_names);
	net_addresses_release(&h->addresses);
	for (i = 0; i < h->tlsas; i++)
		free(h->tlsa[i].data);
	free(h->tlsa);
	*h = (struct host){ 0 };
}

void hosts_release(struct hosts *h)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		host_release(&h->item[i]);
	free(h->item);
	*h = (struct hosts){ 0 };
}

struct host *hosts_add(struct hosts *h, const char *name, unsigned port)
{
	struct host *host;

	h->item = mem_resize(h->item, h->n + 1, sizeof(*h->item));
	host = &h->item[h->n++];
	*host = (struct host){ .name = mem_string(name), .port = port };
	return host;
}

unsigned hosts_random(unsigned most)
{
	return (unsigned)(clock_chance() % ((uint64_t)most + 1));
}
