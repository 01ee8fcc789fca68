/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libresolv, loaded when there is a DNS message to be read. */
#ifndef WIRE_DNS_PARSE_LIBRARY_H
#define WIRE_DNS_PARSE_LIBRARY_H

#include <arpa/nameser.h>

#include "base/library.h"

#define RESOLV_CALLS(F) \
	F(ns_get16) \
	F(ns_initparse) \
	F(ns_name_uncompress) \
	F(ns_parserr)

struct resolv_calls {
	RESOLV_CALLS(LIBRARY_MEMBER)
};

/* Loads it where nothing has yet. False: EX_OSERR. To be asked where a failure
 * can be told; without, the first call ends the process. */
bool resolv_load(struct outcome *why) MUST_CHECK;
const struct resolv_calls *resolv_calls(void);

#define RESOLV_CALL(function) resolv_calls()->function

#define ns_get16 RESOLV_CALL(ns_get16)
#define ns_initparse RESOLV_CALL(ns_initparse)
#define ns_name_uncompress RESOLV_CALL(ns_name_uncompress)
#define ns_parserr RESOLV_CALL(ns_parserr)

#endif
