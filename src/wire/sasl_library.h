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

#define gsasl_base64_from gsasl_calls()->gsasl_base64_from
#define gsasl_callback_hook_get gsasl_calls()->gsasl_callback_hook_get
#define gsasl_callback_hook_set gsasl_calls()->gsasl_callback_hook_set
#define gsasl_callback_set gsasl_calls()->gsasl_callback_set
#define gsasl_client_start gsasl_calls()->gsasl_client_start
#define gsasl_done gsasl_calls()->gsasl_done
#define gsasl_finish gsasl_calls()->gsasl_finish
#define gsasl_free gsasl_calls()->gsasl_free
#define gsasl_init gsasl_calls()->gsasl_init
#define gsasl_property_fast gsasl_calls()->gsasl_property_fast
#define gsasl_property_set gsasl_calls()->gsasl_property_set
#define gsasl_saslprep gsasl_calls()->gsasl_saslprep
#define gsasl_step gsasl_calls()->gsasl_step
#define gsasl_strerror gsasl_calls()->gsasl_strerror

#endif
