/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libgsasl, loaded when something needs it first. */
#ifndef WIRE_SASL_LIBRARY_H
#define WIRE_SASL_LIBRARY_H

#include <gsasl.h>

#include "base/library.h"

#define GSASL_CALLS(F) \
	F(gsasl_base64_from) \
	F(gsasl_callback_hook_get) \
	F(gsasl_callback_hook_set) \
	F(gsasl_callback_set) \
	F(gsasl_client_start) \
	F(gsasl_done) \
	F(gsasl_finish) \
	F(gsasl_free) \
	F(gsasl_init) \
	F(gsasl_property_fast) \
	F(gsasl_property_set) \
	F(gsasl_saslprep) \
	F(gsasl_step) \
	F(gsasl_strerror)

struct gsasl_calls {
	GSASL_CALLS(LIBRARY_MEMBER)
};

/* Loads it where nothing has yet. False: EX_OSERR. To be asked where a failure
 * can be told; without, the first call ends the process. */
bool gsasl_load(struct outcome *why) MUST_CHECK;
const struct gsasl_calls *gsasl_calls(void);

#define GSASL_CALL(function) gsasl_calls()->function

#define gsasl_base64_from GSASL_CALL(gsasl_base64_from)
#define gsasl_callback_hook_get GSASL_CALL(gsasl_callback_hook_get)
#define gsasl_callback_hook_set GSASL_CALL(gsasl_callback_hook_set)
#define gsasl_callback_set GSASL_CALL(gsasl_callback_set)
#define gsasl_client_start GSASL_CALL(gsasl_client_start)
#define gsasl_done GSASL_CALL(gsasl_done)
#define gsasl_finish GSASL_CALL(gsasl_finish)
#define gsasl_free GSASL_CALL(gsasl_free)
#define gsasl_init GSASL_CALL(gsasl_init)
#define gsasl_property_fast GSASL_CALL(gsasl_property_fast)
#define gsasl_property_set GSASL_CALL(gsasl_property_set)
#define gsasl_saslprep GSASL_CALL(gsasl_saslprep)
#define gsasl_step GSASL_CALL(gsasl_step)
#define gsasl_strerror GSASL_CALL(gsasl_strerror)

#endif
