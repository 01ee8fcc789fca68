/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libidn2, loaded when a domain is not of ASCII alone. */
#ifndef MAIL_IDN_LIBRARY_H
#define MAIL_IDN_LIBRARY_H

#include <idn2.h>

#include "base/library.h"

#define IDN2_CALLS(F) \
	F(idn2_free) \
	F(idn2_lookup_u8) \
	F(idn2_strerror)

struct idn2_calls {
	IDN2_CALLS(LIBRARY_MEMBER)
};

/* Loads it where nothing has yet. False: EX_OSERR. To be asked where a failure
 * can be told; without, the first call ends the process. */
bool idn2_load(struct outcome *why) MUST_CHECK;
const struct idn2_calls *idn2_calls(void);

#define IDN2_CALL(function) idn2_calls()->function

#define idn2_free IDN2_CALL(idn2_free)
#define idn2_lookup_u8 IDN2_CALL(idn2_lookup_u8)
#define idn2_strerror IDN2_CALL(idn2_strerror)

#endif
