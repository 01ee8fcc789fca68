/* SPDX-License-Identifier: GPL-3.0-or-later */
/* resolv.conf(5), as far as it concerns who is asked and who is believed. */
#ifndef WIRE_RESOLV_CONF_H
#define WIRE_RESOLV_CONF_H

#include <stdbool.h>

#include "base/list.h"

struct resolv_conf {
	struct list nameserver;  /* as written, in order; none: this host */
	bool trust_ad;           /* the option of this name */
};
/* The caller releases the list. */
void resolv_conf_parse(const char *text, struct resolv_conf *out);

#endif
